//! trireme-controllers: what makes the cluster's objects true, as pure decisions.
//!
//! Role: a [`Controller`] looks at the applied state ([`World`]) and says which writes bring it nearer to what its
//! object asks for ([`Plan`]). A shell in the leader's scope hosts each of them as one actor with a [`WorkQueue`],
//! carries out the writes through the API's pipeline under the controller's own identity and the leader's term, and
//! looks again once the state it reads holds what it wrote.
//!
//! # Laws
//! - Level-triggered: a plan is a function of (moment, key, world). What was planned before counts for nothing, so a
//!   controller may be killed at any moment.
//! - A plan is made from a state that holds every write of the plans before it: the shell waits for the applied
//!   index of its last write. There are no expectations to keep.
//! - Writes name what they saw (uid, resourceVersion), so that a stale plan is refused and made anew.
//! - No clock, randomness, I/O, threads or hash-ordered iteration.

mod certificates;
mod claim;
mod condition;
mod controller;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoint_slice;
mod endpoint_slice_mirroring;
mod endpoints;
mod garbage;
mod history;
mod job;
mod key;
mod namespace;
mod node_lifecycle;
mod node_ranges;
mod owner;
mod per_namespace;
mod placement;
mod plan;
mod pod_collector;
mod pod_template;
mod pods;
mod protection;
mod queue;
mod quota;
mod replica_set;
mod roles;
mod stateful_set;
mod suffix;
#[cfg(test)]
mod testing;
mod tokens;
mod world;
mod writes;

pub use certificates::{
    CertificateApprover, CertificateCleaner, CertificateSigner, Certificates, RequestFacts,
};
pub use controller::{Change, Controller, Look, Refusable, Refused, Resource, resources};
pub use cron_job::CronJobController;
pub use daemon_set::DaemonSetController;
pub use deployment::DeploymentController;
pub use disruption::DisruptionController;
pub use endpoint_slice::{ENDPOINTS_PER_SLICE, EndpointSliceController};
pub use endpoint_slice_mirroring::EndpointSliceMirroringController;
pub use endpoints::EndpointsController;
pub use garbage::GarbageCollector;
pub use job::{JobController, TtlAfterFinishedController};
pub use key::Key;
pub use namespace::NamespaceController;
pub use node_lifecycle::{NodeLifecycleController, TaintEvictionController};
pub use node_ranges::{ClusterRange, NodeRangeController, RangeError};
pub use per_namespace::{RootCertificatePublisher, ServiceAccountController};
pub use plan::{Plan, Propagation, Write};
pub use pod_collector::PodCollector;
pub use protection::{ClaimProtectionController, VolumeProtectionController};
pub use queue::{Attempt, KeyReport, KeyState, Limits, Outcome, WorkQueue};
pub use quota::ResourceQuotaController;
pub use replica_set::ReplicaSetController;
pub use roles::RoleAggregator;
pub use stateful_set::StatefulSetController;
pub use tokens::{BootstrapSigner, BootstrapTokenCleaner, ServiceAccountTokenController, TokenPowers};
pub use world::World;
