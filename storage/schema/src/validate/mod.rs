//! Validation per kind, on create and on update, with upstream's field paths, reasons and wording.

mod addresses;
mod apps;
mod autoscaler;
mod batch;
mod config;
mod container;
mod container_resources;
mod core;
mod cron;
mod devices;
mod endpoints;
mod environment;
mod event;
mod flow;
mod meta;
mod network;
mod pod;
mod pod_resize;
mod pod_update;
mod policies;
mod probe;
mod rbac;
mod rest;
mod reviews;
mod scheduling;
mod service;
mod signing;
mod slices;
mod status;
mod storage;
mod storage_kinds;
mod subresource;
mod util;
mod volume;
mod volume_disk;
mod warnings;
mod webhook;

use serde_json::Value;

use crate::field::{ErrorList, Path};
use crate::view::View;

pub use meta::{validate_meta, validate_meta_update, validate_object_meta};
pub use warnings::warnings;
pub(crate) use webhook::client as webhook_client;

/// Findings about a new object.
pub fn validate_create(group: &str, version: &str, kind: &str, object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    whole(group, version, kind, object, &mut errors);
    errors
}

/// Findings about an update through the main resource.
pub fn validate_update(group: &str, version: &str, kind: &str, old: &Value, new: &Value) -> ErrorList {
    // The registry checks metadata on its own; then the kind does, together with the rest.
    let mut errors = meta::generic_update(old, new);
    meta::kube_update(old, new, &mut errors);
    match (group, kind) {
        ("", "Pod") => pod_update::update(old, new, &mut errors),
        ("", "ConfigMap") => config::config_map_update(old, new, &mut errors),
        ("", "Secret") => config::secret_update(old, new, &mut errors),
        ("", "Service") => service::update(old, new, &mut errors),
        ("", "PersistentVolume") => storage::volume_update(old, new, &mut errors),
        ("", "PersistentVolumeClaim") => storage::claim_update(old, new, &mut errors),
        ("", "ResourceQuota") => core::quota_update(old, new, &mut errors),
        ("", "Node") => core::node_update(old, new, &mut errors),
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => apps::selector_update(old, new, &mut errors),
        ("apps", "StatefulSet") => apps::stateful_set_update(old, new, &mut errors),
        ("apps", "ControllerRevision") => apps::revision_update(old, new, &mut errors),
        ("batch", "Job") => batch::job_update(old, new, &mut errors),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            rbac::role_ref_update(old, new, &mut errors);
        }
        ("storage.k8s.io", _) => storage_kinds::storage_update(kind, old, new, &mut errors),
        ("networking.k8s.io", "IPAddress") => addresses::ip_address_update(old, new, &mut errors),
        ("networking.k8s.io", "ServiceCIDR") => addresses::service_cidr_update(old, new, &mut errors),
        ("resource.k8s.io", "ResourceClaim" | "ResourceClaimTemplate") => {
            devices::spec_update(old, new, &mut errors);
        }
        ("resource.k8s.io", "ResourceSlice") => slices::slice_update(old, new, &mut errors),
        ("certificates.k8s.io", "ClusterTrustBundle") => {
            signing::trust_bundle_update(old, new, &mut errors);
        }
        ("scheduling.k8s.io", "PriorityClass") => rest::priority_class_update(old, new, &mut errors),
        ("discovery.k8s.io", "EndpointSlice") => endpoints::slice_update(old, new, &mut errors),
        ("" | "events.k8s.io", "Event") => event::event_update(group, old, new, &mut errors),
        ("node.k8s.io", "RuntimeClass") => rest::runtime_class_update(old, new, &mut errors),
        ("networking.k8s.io", "IngressClass") => network::ingress_class_update(old, new, &mut errors),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            crate::custom::definition::validate_update(old, new, &mut errors);
        }
        _ => {}
    }
    // Upstream's kinds differ in how often they look at the whole object; each finding is then reported as often.
    match (group, kind) {
        ("", "Namespace") | ("events.k8s.io", _) => {}
        ("apps", "Deployment" | "DaemonSet" | "StatefulSet") => rest_of(group, kind, new, &mut errors),
        ("batch", "Job") => {
            whole(group, version, kind, new, &mut errors);
            batch::job_spec_again(new, &mut errors);
        }
        ("", "ReplicationController") => {
            whole(group, version, kind, new, &mut errors);
            rest_of(group, kind, new, &mut errors);
        }
        ("rbac.authorization.k8s.io", _) => {
            whole(group, version, kind, new, &mut errors);
            whole(group, version, kind, new, &mut errors);
        }
        // Validated by its own update, whose name cannot be checked against the new spec.
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {}
        _ => whole(group, version, kind, new, &mut errors),
    }
    errors
}

/// Findings about an update through `status`.
pub fn validate_status_update(group: &str, kind: &str, old: &Value, new: &Value) -> ErrorList {
    let mut errors = meta::generic_update(old, new);
    meta::kube_update(old, new, &mut errors);
    if (group, kind) == ("apiextensions.k8s.io", "CustomResourceDefinition") {
        crate::custom::definition::validate_status(new, &mut errors);
    }
    status::status(group, kind, old, new, &mut errors);
    errors
}

/// Findings about an update through a subresource besides `status` and `scale`.
pub fn validate_subresource_update(
    group: &str,
    kind: &str,
    subresource: &str,
    old: &Value,
    new: &Value,
) -> ErrorList {
    let mut errors = meta::generic_update(old, new);
    subresource::update(group, kind, subresource, old, new, &mut errors);
    errors
}

/// Findings about what an object says, its metadata left aside: for reviews, token requests and bindings, which are
/// answered rather than stored, and for `PodLogOptions`.
pub fn validate_content(group: &str, kind: &str, object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    rest_of(group, kind, object, &mut errors);
    errors
}

/// Findings about a Scale of a built-in kind.
pub(crate) fn scale(scale: &Value, errors: &mut ErrorList) {
    util::not_negative(scale.at("spec"), "replicas", &Path::new("spec"), errors);
}

/// Everything a new object of the kind must satisfy.
fn whole(group: &str, version: &str, kind: &str, object: &Value, errors: &mut ErrorList) {
    let rule = crate::request::strategy(group, kind).name_rule;
    let namespaced = crate::kinds::by_kind(group, version, kind).is_some_and(|k| k.namespaced);
    match (group, kind) {
        ("" | "events.k8s.io", "Event") => {}
        ("apiextensions.k8s.io", _) => {
            let path = Path::new("metadata");
            meta::validate_object_meta(object.at("metadata"), namespaced, rule, &path, errors);
        }
        _ => meta::validate_meta(object, namespaced, rule, errors),
    }
    rest_of(group, kind, object, errors);
}

/// Everything but metadata.
fn rest_of(group: &str, kind: &str, object: &Value, errors: &mut ErrorList) {
    match (group, kind) {
        ("", "Pod") => pod::pod(object, errors),
        ("", "PodTemplate") => pod::pod_template(object, errors),
        ("", "Service") => service::service(object, errors),
        ("", "ConfigMap") => config::config_map(object, errors),
        ("", "Secret") => config::secret(object, errors),
        ("", "Namespace") => core::namespace(object, errors),
        ("", "Node") => core::node(object, errors),
        ("", "LimitRange") => core::limit_range(object, errors),
        ("", "ResourceQuota") => core::quota(object, errors),
        ("", "Endpoints") => endpoints::endpoints(object, errors),
        ("", "PersistentVolume") => storage::volume(object, errors),
        ("", "PersistentVolumeClaim") => storage::claim(object, errors),
        ("", "ReplicationController") => apps::replication_controller(object, errors),
        ("" | "events.k8s.io", "Event") => event::event(group, object, errors),
        ("apps", "Deployment") => apps::deployment(object, errors),
        ("apps", "ReplicaSet") => apps::replica_set(object, errors),
        ("apps", "StatefulSet") => apps::stateful_set(object, errors),
        ("apps", "DaemonSet") => apps::daemon_set(object, errors),
        ("apps", "ControllerRevision") => apps::revision(object, errors),
        ("batch", "Job") => batch::job(object, errors),
        ("batch", "CronJob") => batch::cron_job(object, errors),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::autoscaler(object, errors),
        ("policy", "PodDisruptionBudget") => rest::disruption_budget(object, errors),
        ("networking.k8s.io", "Ingress") => network::ingress(object, errors),
        ("networking.k8s.io", "IngressClass") => network::ingress_class(object, errors),
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(object, errors),
        ("discovery.k8s.io", "EndpointSlice") => endpoints::slice(object, errors),
        ("coordination.k8s.io", "Lease") => rest::lease(object, errors),
        ("rbac.authorization.k8s.io", "Role") => rbac::role(object, true, errors),
        ("rbac.authorization.k8s.io", "ClusterRole") => rbac::role(object, false, errors),
        ("rbac.authorization.k8s.io", _) => rbac::role_binding(object, kind == "RoleBinding", errors),
        _ => configuration(group, kind, object, errors),
    }
}

/// Everything but metadata of the kinds that configure the cluster, or that are only asked.
fn configuration(group: &str, kind: &str, object: &Value, errors: &mut ErrorList) {
    match (group, kind) {
        ("storage.k8s.io", _) => storage_kinds::storage_kind(kind, object, errors),
        ("scheduling.k8s.io", "PriorityClass") => rest::priority_class(object, errors),
        ("node.k8s.io", "RuntimeClass") => rest::runtime_class(object, errors),
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => {
            rest::webhooks(object, kind == "MutatingWebhookConfiguration", errors);
        }
        ("certificates.k8s.io", "CertificateSigningRequest") => signing::signing_request(object, errors),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => flow::flow_schema(object, errors),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => {
            flow::priority_level(object, errors)
        }
        ("apiregistration.k8s.io", "APIService") => rest::api_service(object, errors),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            crate::custom::definition::validate(object, errors);
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => policies::validating(object, errors),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy") => policies::mutating(object, errors),
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding",
        ) => {
            policies::binding(object, kind == "ValidatingAdmissionPolicyBinding", errors);
        }
        ("resource.k8s.io", "ResourceClaim") => devices::claim(object, errors),
        ("resource.k8s.io", "ResourceClaimTemplate") => devices::claim_template(object, errors),
        ("resource.k8s.io", "DeviceClass") => devices::device_class(object, errors),
        ("resource.k8s.io", "ResourceSlice") => slices::slice(object, errors),
        ("networking.k8s.io", "IPAddress") => addresses::ip_address(object, errors),
        ("networking.k8s.io", "ServiceCIDR") => addresses::service_cidr(object, errors),
        ("certificates.k8s.io", "ClusterTrustBundle") => signing::trust_bundle(object, errors),
        ("authorization.k8s.io", _) => reviews::access_review(kind, object, errors),
        ("authentication.k8s.io", "TokenReview") => reviews::token_review(object, errors),
        ("authentication.k8s.io", "TokenRequest") => reviews::token_request(object, errors),
        ("", "Binding") => subresource::binding(object, errors),
        ("", "PodLogOptions") => subresource::log_options(object, errors),
        _ => {}
    }
}
