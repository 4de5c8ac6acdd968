//! The plugins, one a file or folder, and the table from names to plugins.

mod always;
mod always_pull_images;
mod certificates;
mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod deny_service_external_ips;
mod extended_resource_toleration;
mod limit_pod_hard_anti_affinity_topology;
mod limit_ranger;
mod namespace_exists;
mod namespace_lifecycle;
mod newest;
mod node_restriction;
mod owner_references;
mod persistent_volume_claim_resize;
#[cfg(test)]
mod plugins_test;
mod pod_node_selector;
mod pod_security;
mod pod_toleration_restriction;
mod pod_topology_labels;
mod priority;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_object_in_use_protection;
mod taint_nodes_by_condition;
mod tolerations;

pub use resource_quota::{quota_kinds, quota_usage};

use crate::chain::ChainError;
use crate::config::ChainConfig;
use crate::plugin::Plugin;

/// The plugin of that name; `None` when it is not built.
pub(crate) fn build(name: &str, config: &ChainConfig) -> Result<Option<Box<dyn Plugin>>, ChainError> {
    Ok(Some(match name {
        "AlwaysAdmit" => Box::new(always::AlwaysAdmit),
        "AlwaysDeny" => Box::new(always::AlwaysDeny),
        "AlwaysPullImages" => Box::new(always_pull_images::AlwaysPullImages),
        "CertificateApproval" => Box::new(certificates::CertificateApproval),
        "CertificateSigning" => Box::new(certificates::CertificateSigning),
        "CertificateSubjectRestriction" => Box::new(certificates::CertificateSubjectRestriction),
        "ClusterTrustBundleAttest" => Box::new(certificates::ClusterTrustBundleAttest),
        "DefaultIngressClass" => Box::new(default_ingress_class::DefaultIngressClass),
        "DefaultStorageClass" => Box::new(default_storage_class::DefaultStorageClass),
        "DefaultTolerationSeconds" => {
            Box::new(default_toleration_seconds::DefaultTolerationSeconds::new(config))
        }
        "DenyServiceExternalIPs" => Box::new(deny_service_external_ips::DenyServiceExternalIPs),
        "ExtendedResourceToleration" => Box::new(extended_resource_toleration::ExtendedResourceToleration),
        "LimitPodHardAntiAffinityTopology" => {
            Box::new(limit_pod_hard_anti_affinity_topology::LimitPodHardAntiAffinityTopology)
        }
        "LimitRanger" => Box::new(limit_ranger::LimitRanger),
        "NamespaceExists" => Box::new(namespace_exists::NamespaceExists),
        "NamespaceLifecycle" => Box::new(namespace_lifecycle::NamespaceLifecycle),
        "NodeRestriction" => Box::new(node_restriction::NodeRestriction::new(config)),
        "OwnerReferencesPermissionEnforcement" => {
            Box::new(owner_references::OwnerReferencesPermissionEnforcement)
        }
        "PersistentVolumeClaimResize" => {
            Box::new(persistent_volume_claim_resize::PersistentVolumeClaimResize)
        }
        "PodNodeSelector" => Box::new(pod_node_selector::PodNodeSelector::new(config)?),
        "PodSecurity" => Box::new(pod_security::PodSecurity::new(config)?),
        "PodTolerationRestriction" => {
            Box::new(pod_toleration_restriction::PodTolerationRestriction::new(config))
        }
        "PodTopologyLabels" => Box::new(pod_topology_labels::PodTopologyLabels),
        "Priority" => Box::new(priority::Priority),
        "ResourceQuota" => Box::new(resource_quota::ResourceQuota::new(config)),
        "RuntimeClass" => Box::new(runtime_class::RuntimeClass),
        "ServiceAccount" => Box::new(service_account::ServiceAccount),
        "StorageObjectInUseProtection" => {
            Box::new(storage_object_in_use_protection::StorageObjectInUseProtection)
        }
        "TaintNodesByCondition" => Box::new(taint_nodes_by_condition::TaintNodesByCondition),
        _ => return Ok(None),
    }))
}
