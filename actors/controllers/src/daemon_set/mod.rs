//! DaemonSets: one pod on every node that matches.
//!
//! Laws: a node has at most one running pod of a set (two while an update with surge goes on); pods are pinned to
//! their node and placed by the scheduler; an update keeps within `maxUnavailable` or `maxSurge`; failed pods are
//! replaced ever more slowly.
//!
//! The back-off of failed pods is kept on the pods: a replacement carries the number of failures before it
//! ([`FAILURES`]), so that a new leader waits as long as the one before would have.
//!
//! Source: upstream's daemonset controller; KEP-1591 (surge).

mod controller;
mod nodes;
mod pods;
mod rolling;
mod status;

pub use controller::DaemonSetController;

/// Annotation of a pod: how many pods of its set failed on its node one after the other before it.
const FAILURES: &str = "daemonset.trireme.io/failures-before";
