//! [`Controller`]: one kind of reconciliation.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::time::Moment;

use crate::key::Key;
use crate::plan::Plan;
use crate::world::World;

/// A resource, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// API group; empty for core.
    pub group: &'static str,
    /// Plural name.
    pub plural: &'static str,
}

impl Resource {
    /// A resource.
    pub const fn new(group: &'static str, plural: &'static str) -> Self {
        Self { group, plural }
    }
}

/// An object came, changed or went.
#[derive(Clone, Debug)]
pub struct Change {
    /// Of which resource.
    pub resource: Resource,
    /// As it was; `None` when it is new.
    pub old: Option<Arc<Value>>,
    /// As it is; `None` when it is gone.
    pub new: Option<Arc<Value>>,
}

/// One kind of reconciliation. Methods are pure functions of their arguments.
pub trait Controller: Send + Sync {
    /// Upstream's name, such as `replicaset-controller`; its identity is
    /// `system:serviceaccount:kube-system:<name>`.
    fn name(&self) -> &'static str;

    /// The resources whose changes concern it.
    fn resources(&self) -> &'static [Resource];

    /// The keys that a change concerns.
    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key>;

    /// What is to be done for one key.
    fn reconcile(&self, now: Moment, key: &Key, world: &dyn World) -> Plan;
}
