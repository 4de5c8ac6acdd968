//! [`Input`]: what the scheduler is told.

use std::sync::Arc;

use serde_json::Value;
use trireme_core::OpId;

/// A resource that the scheduler follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// Pods.
    Pods,
    /// Nodes.
    Nodes,
    /// Namespaces.
    Namespaces,
    /// Services.
    Services,
    /// ReplicationControllers.
    ReplicationControllers,
    /// ReplicaSets.
    ReplicaSets,
    /// StatefulSets.
    StatefulSets,
    /// PodDisruptionBudgets.
    PodDisruptionBudgets,
    /// PersistentVolumeClaims.
    PersistentVolumeClaims,
    /// PersistentVolumes.
    PersistentVolumes,
    /// StorageClasses.
    StorageClasses,
    /// CSINodes.
    CsiNodes,
}

impl Watched {
    /// All, in the order in which their first state should be told: what pods refer to comes before pods.
    pub const ALL: [Watched; 12] = [
        Watched::Namespaces,
        Watched::StorageClasses,
        Watched::PersistentVolumes,
        Watched::PersistentVolumeClaims,
        Watched::CsiNodes,
        Watched::Services,
        Watched::ReplicationControllers,
        Watched::ReplicaSets,
        Watched::StatefulSets,
        Watched::PodDisruptionBudgets,
        Watched::Nodes,
        Watched::Pods,
    ];

    /// Group, version and resource.
    pub fn resource(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Pods => ("", "v1", "pods"),
            Self::Nodes => ("", "v1", "nodes"),
            Self::Namespaces => ("", "v1", "namespaces"),
            Self::Services => ("", "v1", "services"),
            Self::ReplicationControllers => ("", "v1", "replicationcontrollers"),
            Self::ReplicaSets => ("apps", "v1", "replicasets"),
            Self::StatefulSets => ("apps", "v1", "statefulsets"),
            Self::PodDisruptionBudgets => ("policy", "v1", "poddisruptionbudgets"),
            Self::PersistentVolumeClaims => ("", "v1", "persistentvolumeclaims"),
            Self::PersistentVolumes => ("", "v1", "persistentvolumes"),
            Self::StorageClasses => ("storage.k8s.io", "v1", "storageclasses"),
            Self::CsiNodes => ("storage.k8s.io", "v1", "csinodes"),
        }
    }
}

/// Why a binding was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindFailure {
    /// The pod is gone.
    Gone,
    /// Another reason, for people; it is tried again.
    Failed(String),
}

/// What the scheduler is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// An object is so now.
    Put {
        /// Of what.
        resource: Watched,
        /// In its storage version, defaulted.
        object: Arc<Value>,
    },
    /// An object is gone.
    Gone {
        /// Of what.
        resource: Watched,
        /// Empty for what has none.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The first state has been told: decisions begin.
    Synced,
    /// A binding was carried out, or not.
    Bound {
        /// Of which effect.
        op: OpId,
        /// What came of it.
        outcome: Result<(), BindFailure>,
    },
    /// An eviction was carried out, or not: then the pod that was to have the room is tried again.
    Evicted {
        /// Of which effect.
        op: OpId,
        /// It was not.
        failed: bool,
    },
    /// An extender answered, or not.
    Extended {
        /// Of which effect.
        op: OpId,
        /// Its answer's body, or why there is none.
        answer: Result<Value, String>,
    },
}
