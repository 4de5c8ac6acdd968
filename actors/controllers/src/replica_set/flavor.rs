//! [`Flavor`]: what ReplicaSets and ReplicationControllers differ in.

use serde_json::Value;
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::View;

use crate::controller::{Resource, resources};

/// The constants of one of the two kinds.
#[derive(Debug)]
pub(super) struct Flavor {
    pub(super) name: &'static str,
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) resource: Resource,
    pub(super) watched: [Resource; 2],
    /// The selector is a plain map.
    plain_selector: bool,
}

pub(super) static REPLICA_SET: Flavor = Flavor {
    name: "replicaset-controller",
    api_version: "apps/v1",
    kind: "ReplicaSet",
    resource: resources::REPLICA_SETS,
    watched: [resources::REPLICA_SETS, resources::PODS],
    plain_selector: false,
};

pub(super) static REPLICATION_CONTROLLER: Flavor = Flavor {
    name: "replication-controller",
    api_version: "v1",
    kind: "ReplicationController",
    resource: resources::REPLICATION_CONTROLLERS,
    watched: [resources::REPLICATION_CONTROLLERS, resources::PODS],
    plain_selector: true,
};

impl Flavor {
    /// The selector of an object; `None` for one that validation would not have let in, or that selects nothing.
    pub(super) fn selector(&self, object: &Value) -> Option<LabelSelector> {
        let selector = object.at("spec").at("selector");
        let read = if self.plain_selector {
            LabelSelector::from_map(selector.as_object())
        } else {
            LabelSelector::from_object(selector)
        };
        // An empty selector would take in every pod of the namespace.
        read.ok().filter(|selector| !selector.is_everything())
    }
}
