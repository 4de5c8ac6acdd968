//! Validation per kind, on create and on update, with upstream's field paths, reasons and wording.

mod apps;
mod batch;
mod config;
mod container;
mod core;
mod cron;
mod meta;
mod network;
mod pod;
mod pod_update;
mod rest;
mod scheduling;
mod service;
mod status;
mod storage;
mod util;
mod volume;
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
            rest::role_ref_update(old, new, &mut errors);
        }
        ("storage.k8s.io", _) => storage::storage_update(kind, old, new, &mut errors),
        ("scheduling.k8s.io", "PriorityClass") => rest::priority_class_update(old, new, &mut errors),
        ("discovery.k8s.io", "EndpointSlice") => network::slice_update(old, new, &mut errors),
        ("" | "events.k8s.io", "Event") => rest::event_update(group, old, new, &mut errors),
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
        ("", "Endpoints") => network::endpoints(object, errors),
        ("", "PersistentVolume") => storage::volume(object, errors),
        ("", "PersistentVolumeClaim") => storage::claim(object, errors),
        ("", "ReplicationController") => apps::replication_controller(object, errors),
        ("" | "events.k8s.io", "Event") => rest::event(group, object, errors),
        ("apps", "Deployment") => apps::deployment(object, errors),
        ("apps", "ReplicaSet") => apps::replica_set(object, errors),
        ("apps", "StatefulSet") => apps::stateful_set(object, errors),
        ("apps", "DaemonSet") => apps::daemon_set(object, errors),
        ("apps", "ControllerRevision") => apps::revision(object, errors),
        ("batch", "Job") => batch::job(object, errors),
        ("batch", "CronJob") => batch::cron_job(object, errors),
        ("autoscaling", "HorizontalPodAutoscaler") => rest::autoscaler(object, errors),
        ("policy", "PodDisruptionBudget") => rest::disruption_budget(object, errors),
        ("networking.k8s.io", "Ingress") => network::ingress(object, errors),
        ("networking.k8s.io", "IngressClass") => network::ingress_class(object, errors),
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(object, errors),
        ("discovery.k8s.io", "EndpointSlice") => network::slice(object, errors),
        ("coordination.k8s.io", "Lease") => rest::lease(object, errors),
        ("rbac.authorization.k8s.io", "Role") => rest::role(object, true, errors),
        ("rbac.authorization.k8s.io", "ClusterRole") => rest::role(object, false, errors),
        ("rbac.authorization.k8s.io", _) => rest::role_binding(object, kind == "RoleBinding", errors),
        ("storage.k8s.io", _) => storage::storage_kind(kind, object, errors),
        ("scheduling.k8s.io", "PriorityClass") => rest::priority_class(object, errors),
        ("node.k8s.io", "RuntimeClass") => rest::runtime_class(object, errors),
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => {
            rest::webhooks(object, kind == "MutatingWebhookConfiguration", errors);
        }
        ("certificates.k8s.io", "CertificateSigningRequest") => rest::signing_request(object, errors),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => rest::flow_schema(object, errors),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => {
            rest::priority_level(object, errors)
        }
        ("apiregistration.k8s.io", "APIService") => rest::api_service(object, errors),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            crate::custom::definition::validate(object, errors);
        }
        _ => {}
    }
}
