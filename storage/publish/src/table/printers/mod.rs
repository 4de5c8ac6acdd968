//! The cells of built-in kinds, as upstream's printers compute them.
//!
//! A printer gives one cell for every column of `columns.tsv`, in order. It sees the object in the version it is
//! served in; what is absent prints as upstream's zero value does, so that a bookmark's empty object has a row too.

mod access;
mod autoscaling;
mod cluster;
mod events;
mod network;
mod pod;
mod resource;
mod storage;
mod text;
mod workloads;

use serde_json::Value;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::column::Release;
use super::duration::since;

pub(super) use pod::row_conditions;

/// What cells depend on besides the object.
pub(super) struct Scene {
    /// Ages are relative to it.
    pub(super) now: Moment,
    /// Whose columns are filled.
    pub(super) release: Release,
}

impl Scene {
    fn age(&self, object: &Value) -> Value {
        since(object.at("metadata").at("creationTimestamp"), self.now).into()
    }

    fn newer(&self) -> bool {
        self.release == Release::V1_35
    }
}

/// Computes the cells of one object.
pub(super) type Printer = fn(&Value, &Scene) -> Vec<Value>;

/// The printer of a kind; `None` when it shows name and creation time only.
pub(super) fn lookup(group: &str, kind: &str) -> Option<Printer> {
    Some(match (group, kind) {
        ("", "Pod") => pod::pod,
        ("", "PodTemplate") => workloads::pod_template,
        ("", "ReplicationController") | ("apps", "ReplicaSet") => workloads::replicas,
        ("apps", "Deployment") => workloads::deployment,
        ("apps", "DaemonSet") => workloads::daemon_set,
        ("apps", "StatefulSet") => workloads::stateful_set,
        ("apps", "ControllerRevision") => workloads::controller_revision,
        ("batch", "Job") => workloads::job,
        ("batch", "CronJob") => workloads::cron_job,
        ("policy", "PodDisruptionBudget") => workloads::disruption_budget,
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaling::autoscaler,
        ("autoscaling", "Scale") => autoscaling::scale,
        ("", "Service") => network::service,
        ("", "Endpoints") => network::endpoints,
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice,
        ("networking.k8s.io", "Ingress") => network::ingress,
        ("networking.k8s.io", "IngressClass") => network::ingress_class,
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy,
        ("networking.k8s.io", "ServiceCIDR") => network::service_cidr,
        ("networking.k8s.io", "IPAddress") => network::ip_address,
        ("", "PersistentVolume") => storage::volume,
        ("", "PersistentVolumeClaim") => storage::claim,
        ("storage.k8s.io", "StorageClass") => storage::storage_class,
        ("storage.k8s.io", "VolumeAttributesClass") => storage::attributes_class,
        ("storage.k8s.io", "VolumeAttachment") => storage::attachment,
        ("storage.k8s.io", "CSIDriver") => storage::csi_driver,
        ("storage.k8s.io", "CSINode") => storage::csi_node,
        ("", "Node") => cluster::node,
        ("", "Namespace") => cluster::namespace,
        ("", "ComponentStatus") => cluster::component_status,
        ("", "ConfigMap") => cluster::config_map,
        ("", "Secret") => cluster::secret,
        ("", "ServiceAccount") => cluster::service_account,
        ("", "ResourceQuota") => cluster::resource_quota,
        ("coordination.k8s.io", "Lease") => cluster::lease,
        ("scheduling.k8s.io", "PriorityClass") => cluster::priority_class,
        ("node.k8s.io", "RuntimeClass") => cluster::runtime_class,
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => cluster::flow_schema,
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => cluster::priority_level,
        ("meta.k8s.io", "Status") => cluster::status,
        ("" | "events.k8s.io", "Event") => events::event,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => access::role_binding,
        ("certificates.k8s.io", "CertificateSigningRequest") => access::signing_request,
        ("certificates.k8s.io", "ClusterTrustBundle") => access::trust_bundle,
        ("apiregistration.k8s.io", "APIService") => access::api_service,
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => access::webhooks,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy") => {
            access::admission_policy
        }
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding",
        ) => access::admission_binding,
        ("resource.k8s.io", "DeviceClass" | "ResourceClaimTemplate") => resource::name_and_age,
        ("resource.k8s.io", "ResourceClaim") => resource::claim,
        ("resource.k8s.io", "ResourceSlice") => resource::slice,
        _ => return None,
    })
}

fn name(object: &Value) -> Value {
    object.at("metadata").text("name").into()
}
