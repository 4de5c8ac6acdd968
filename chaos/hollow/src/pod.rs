//! [`PodView`]: what a hollow node reads of a pod.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Namespace and name.
pub type PodKey = (String, String);

/// The fields of a pod that matter here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodView {
    /// Metadata.
    pub metadata: Metadata,
    /// Spec.
    pub spec: Spec,
    /// Status.
    pub status: Status,
}

/// See [`PodView`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// UID.
    pub uid: String,
    /// Version.
    pub resource_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// On its way out since then.
    pub deletion_timestamp: Option<String>,
    /// Seconds it was given to leave.
    pub deletion_grace_period_seconds: Option<u64>,
}

/// See [`PodView`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The node it is bound to.
    pub node_name: String,
    /// `Always`, `OnFailure`, `Never`.
    pub restart_policy: String,
    /// It has its node's addresses.
    pub host_network: bool,
    /// Containers.
    pub containers: Vec<Container>,
    /// Containers that run before.
    pub init_containers: Vec<Container>,
}

/// See [`PodView`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
}

/// See [`PodView`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Phase.
    pub phase: String,
    /// Address.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// When it was first seen on its node.
    pub start_time: Option<String>,
}

impl PodView {
    /// Namespace and name.
    pub fn key(&self) -> PodKey {
        (self.metadata.namespace.clone(), self.metadata.name.clone())
    }

    /// All its containers have ended for good.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}
