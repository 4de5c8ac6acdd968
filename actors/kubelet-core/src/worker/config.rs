//! [`WorkerConfig`].

use std::time::Duration;

use crate::backoff::BackOffLimits;

/// What a pod worker must know of its node.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Prefix of `containerID`, such as `trireme`.
    pub runtime_scheme: String,
    /// The node's addresses, the primary one first.
    pub host_ips: Vec<String>,
    /// Delays of restarts.
    pub crash: BackOffLimits,
    /// Delays of image pulls.
    pub pull: BackOffLimits,
    /// How often volumes are brought up to date.
    pub volume_refresh: Duration,
    /// How often the runtime is asked without an event.
    pub relist: Duration,
    /// CPU (thousandths) and memory (bytes) for pods: a resize beyond it is infeasible.
    pub allocatable: (i64, i64),
    /// The runtime makes mounts read-only to their last one.
    pub recursive_read_only_mounts: bool,
}
