//! [`Controller`]: one kind of reconciliation.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::time::Moment;

use crate::key::Key;
use crate::plan::Plan;
use crate::world::World;

/// A resource, whatever its version. Those of custom kinds have names of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// API group; empty for core.
    pub group: Cow<'static, str>,
    /// Plural name.
    pub plural: Cow<'static, str>,
}

/// The resources that several controllers speak of.
pub mod resources {
    use super::Resource;

    /// Pods.
    pub const PODS: Resource = Resource::new("", "pods");
    /// ReplicaSets.
    pub const REPLICA_SETS: Resource = Resource::new("apps", "replicasets");
    /// ReplicationControllers.
    pub const REPLICATION_CONTROLLERS: Resource = Resource::new("", "replicationcontrollers");
    /// ConfigMaps.
    pub const CONFIG_MAPS: Resource = Resource::new("", "configmaps");
    /// ServiceAccounts.
    pub const SERVICE_ACCOUNTS: Resource = Resource::new("", "serviceaccounts");
    /// Namespaces.
    pub const NAMESPACES: Resource = Resource::new("", "namespaces");
    /// Deployments.
    pub const DEPLOYMENTS: Resource = Resource::new("apps", "deployments");
    /// StatefulSets.
    pub const STATEFUL_SETS: Resource = Resource::new("apps", "statefulsets");
    /// DaemonSets.
    pub const DAEMON_SETS: Resource = Resource::new("apps", "daemonsets");
    /// ControllerRevisions.
    pub const CONTROLLER_REVISIONS: Resource = Resource::new("apps", "controllerrevisions");
    /// PersistentVolumeClaims.
    pub const VOLUME_CLAIMS: Resource = Resource::new("", "persistentvolumeclaims");
    /// PersistentVolumes.
    pub const VOLUMES: Resource = Resource::new("", "persistentvolumes");
    /// Nodes.
    pub const NODES: Resource = Resource::new("", "nodes");
    /// Leases.
    pub const LEASES: Resource = Resource::new("coordination.k8s.io", "leases");
    /// Jobs.
    pub const JOBS: Resource = Resource::new("batch", "jobs");
    /// CronJobs.
    pub const CRON_JOBS: Resource = Resource::new("batch", "cronjobs");
    /// PodDisruptionBudgets.
    pub const DISRUPTION_BUDGETS: Resource = Resource::new("policy", "poddisruptionbudgets");
    /// ResourceQuotas.
    pub const RESOURCE_QUOTAS: Resource = Resource::new("", "resourcequotas");
    /// ClusterRoles.
    pub const CLUSTER_ROLES: Resource = Resource::new("rbac.authorization.k8s.io", "clusterroles");
    /// CertificateSigningRequests.
    pub const SIGNING_REQUESTS: Resource = Resource::new("certificates.k8s.io", "certificatesigningrequests");
    /// Secrets.
    pub const SECRETS: Resource = Resource::new("", "secrets");
}

impl Resource {
    /// A resource.
    pub const fn new(group: &'static str, plural: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), plural: Cow::Borrowed(plural) }
    }

    /// A resource whose name is known at run time only.
    pub fn named(group: &str, plural: &str) -> Self {
        Self { group: Cow::Owned(group.to_owned()), plural: Cow::Owned(plural.to_owned()) }
    }

    /// An object of it.
    pub fn get(&self, world: &dyn World, namespace: &str, name: &str) -> Option<Arc<Value>> {
        world.get(&self.group, &self.plural, namespace, name)
    }

    /// All objects of it, or those of a namespace.
    pub fn list(&self, world: &dyn World, namespace: Option<&str>) -> Vec<Arc<Value>> {
        world.list(&self.group, &self.plural, namespace)
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

/// What the last look at a key ran into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which of its writes was refused.
    pub write: Refusable,
    /// The Status' reason, such as `Forbidden`.
    pub reason: String,
    /// The Status' text.
    pub message: String,
}

/// Kinds of writes, for [`Refused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusable {
    /// A create.
    Create,
    /// An update.
    Update,
    /// A delete.
    Delete,
}

/// One look at a key: all that a plan may depend on.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// Now.
    pub now: Moment,
    /// Which object.
    pub key: &'a Key,
    /// The applied state; it holds what earlier plans wrote.
    pub world: &'a dyn World,
    /// Why the look before did not get through, if it did not.
    pub refused: Option<&'a Refused>,
}

/// One kind of reconciliation. Methods are pure functions of their arguments.
pub trait Controller: Send + Sync {
    /// Upstream's name, such as `replicaset-controller`. No two have the same.
    fn name(&self) -> &'static str;

    /// The resources that it is about: at its start their objects are looked at.
    fn resources(&self) -> &'static [Resource];

    /// Whether changes of a resource concern it.
    fn concerns(&self, resource: &Resource) -> bool {
        self.resources().contains(resource)
    }

    /// The service account of `kube-system` that it acts as, where that has not its name.
    fn identity(&self) -> &'static str {
        self.name()
    }

    /// Who its events say they come from; upstream's component name where it differs from [`Controller::name`].
    fn event_source(&self) -> &'static str {
        self.name()
    }

    /// Changes of a resource concern it only where they add or remove the object, or change its owners, its finalizers or
    /// whether it is on its way out. At its start, objects without owners that stay are not looked at. What is not
    /// asked for is not decoded.
    fn metadata_only(&self, resource: &Resource) -> bool {
        let _ = resource;
        false
    }

    /// At its start every object of every resource is looked at.
    fn begins_with_everything(&self) -> bool {
        false
    }

    /// The keys that a change concerns.
    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key>;

    /// What is to be done for one key.
    fn reconcile(&self, look: &Look<'_>) -> Plan;
}
