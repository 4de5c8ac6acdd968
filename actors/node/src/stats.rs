//! What sandboxes and containers use.

use crate::container::ContainerId;
use crate::sandbox::SandboxId;

/// Use of one container. Bytes, nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerStats {
    /// Which.
    pub id: Option<ContainerId>,
    /// Name in the pod.
    pub name: String,
    /// When it was read: nanoseconds since the epoch.
    pub at: u64,
    /// CPU time used since its start.
    pub cpu_nanos: u64,
    /// Memory charged.
    pub memory_usage: u64,
    /// Memory that cannot be dropped under pressure.
    pub memory_working_set: u64,
    /// Anonymous memory.
    pub memory_rss: u64,
    /// Page faults, major ones among them.
    pub page_faults: (u64, u64),
    /// Writable layer: bytes and inodes.
    pub rootfs: (u64, u64),
    /// Logs: bytes.
    pub log_bytes: u64,
    /// Processes.
    pub pids: u64,
}

/// Use of one sandbox and its containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxStats {
    /// Which.
    pub id: Option<SandboxId>,
    /// Pod namespace, name, uid.
    pub pod: (String, String, String),
    /// Of the whole pod.
    pub total: ContainerStats,
    /// Of each running container.
    pub containers: Vec<ContainerStats>,
    /// Received and sent bytes of its interface.
    pub network: Option<(u64, u64)>,
}
