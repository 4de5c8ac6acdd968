//! Nodes that fall silent, and what becomes of the pods on them.
//!
//! [`NodeLifecycleController`] reads the heartbeat of each node from its Lease: after the grace without one the node's
//! conditions become `Unknown`; conditions become taints. [`TaintEvictionController`] deletes pods that do not tolerate
//! a `NoExecute` taint, or tolerate it for some time only.
//!
//! Laws: a node that beats is never marked; while no node at all is ready nothing is evicted (the fault is then more
//! likely on this side); the time of an eviction follows from the taint's `timeAdded` and not from who looks when.
//!
//! Heartbeats are in the clock of the node. Where that is off by more than [`health::SKEW_SECONDS`] from the clock by
//! which the API server noted the write, the latter counts, rounded up to its next second.
//!
//! Deliberate absences: evictions are not spread over zones at a rate, as there are no zones' queues here.
//!
//! Source: upstream's nodelifecycle and tainteviction controllers.

mod controller;
mod eviction;
mod health;
mod taints;

pub use controller::NodeLifecycleController;
pub use eviction::TaintEvictionController;
