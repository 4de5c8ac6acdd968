//! Containers: what they are made of and how they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sandbox::SandboxId;

/// A container, by the runtime's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerId(pub String);

/// One environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// How mounts travel between the node and the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// `None`.
    #[default]
    Private,
    /// `HostToContainer`.
    FromHost,
    /// `Bidirectional`.
    Both,
}

/// A folder, file or filesystem of the node that the container sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Path on the node.
    pub host_path: String,
    /// Path in the container.
    pub container_path: String,
    /// Read-only.
    pub read_only: bool,
    /// Mounts below it are read-only as well; a kernel that cannot is refused.
    pub recursive_read_only: bool,
    /// Propagation.
    pub propagation: Propagation,
}

/// A device node of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMount {
    /// Path on the node.
    pub host_path: String,
    /// Path in the container.
    pub container_path: String,
    /// `r`, `w`, `m` letters.
    pub permissions: String,
}

/// A range of a user namespace; for the room that brings them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMapping {
    /// First id inside.
    pub container: u32,
    /// First id on the node.
    pub host: u32,
    /// How many.
    pub length: u32,
}

/// System call filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// No filter.
    #[default]
    Unconfined,
    /// The runtime's own list.
    RuntimeDefault,
    /// A profile file on the node.
    Localhost(String),
}

/// Limits. `None` means none set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Relative share of CPU (cgroup v1 scale, 2 to 262,144).
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU per period.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Bytes.
    pub memory_limit: Option<i64>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Processes.
    pub pids_limit: Option<i64>,
    /// CPUs, such as `0-3`.
    pub cpuset_cpus: String,
    /// Bytes by page size, such as `2MB`.
    pub hugepages: BTreeMap<String, u64>,
}

/// Who the process is and what it may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityContext {
    /// All of the node's powers.
    pub privileged: bool,
    /// `None`: what the image says.
    pub run_as_user: Option<u32>,
    /// `None`: what the image says.
    pub run_as_group: Option<u32>,
    /// Further groups (`fsGroup` among them).
    pub supplemental_groups: Vec<u32>,
    /// `supplementalGroupsPolicy: Strict`: the image's /etc/group does not add groups.
    pub strict_groups: bool,
    /// Root filesystem is read-only.
    pub read_only_rootfs: bool,
    /// `no_new_privs`.
    pub no_new_privileges: bool,
    /// Capabilities added to the default set, such as `NET_ADMIN` or `ALL`.
    pub add_capabilities: Vec<String>,
    /// Capabilities taken from it.
    pub drop_capabilities: Vec<String>,
    /// Filter.
    pub seccomp: Seccomp,
    /// Paths hidden in the container (`procMount: Default`).
    pub masked_paths: Vec<String>,
    /// Paths read-only in the container.
    pub read_only_paths: Vec<String>,
}

/// What a container is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// Name in the pod.
    pub name: String,
    /// Counts starts of the same container from 0.
    pub attempt: u32,
    /// Image id or reference, present already.
    pub image: String,
    /// The pod's `image` field, for status.
    pub user_image: String,
    /// Replaces the image's entry point; empty leaves it.
    pub command: Vec<String>,
    /// Replaces the image's arguments; empty leaves them unless `command` is set.
    pub args: Vec<String>,
    /// Folder; empty: what the image says.
    pub working_dir: String,
    /// Environment, after the image's.
    pub envs: Vec<EnvVar>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Devices.
    pub devices: Vec<DeviceMount>,
    /// Log file, relative to the sandbox' log folder, in CRI format.
    pub log_path: String,
    /// Keeps standard input open.
    pub stdin: bool,
    /// Ends standard input after the first client.
    pub stdin_once: bool,
    /// A terminal.
    pub tty: bool,
    /// Limits.
    pub resources: Resources,
    /// Powers.
    pub security: SecurityContext,
    /// Signal that ends it, such as `SIGTERM`; empty: what the image says.
    pub stop_signal: String,
    /// Shares the process namespace of another container (ephemeral containers' target).
    pub target_pid_of: Option<ContainerId>,
    /// Kept and given back in status and lists.
    pub labels: BTreeMap<String, String>,
    /// Kept and given back in status and lists.
    pub annotations: BTreeMap<String, String>,
}

/// How far a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Its first process lives.
    Running,
    /// It ended.
    Exited,
    /// Its shim is gone and nobody knows.
    Unknown,
}

/// A container as it is. Times are nanoseconds since the epoch, 0 while they have not come.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerStatus {
    /// Id.
    pub id: ContainerId,
    /// Its sandbox.
    pub sandbox: SandboxId,
    /// State.
    pub state: ContainerState,
    /// Made.
    pub created_at: u64,
    /// Started.
    pub started_at: u64,
    /// Ended.
    pub finished_at: u64,
    /// Exit code; 128 + signal when a signal ended it.
    pub exit_code: i32,
    /// The signal that ended it, 0 if none.
    pub signal: i32,
    /// `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`; empty while it runs.
    pub reason: String,
    /// Text to the reason.
    pub message: String,
    /// `name@sha256:...` or the image's id.
    pub image_ref: String,
    /// Process id on the node, 0 when it is gone.
    pub pid: u32,
    /// Full path of its log.
    pub log_path: String,
    /// User, group and further groups of the first process, if it is known.
    pub user: Option<(u32, u32, Vec<u32>)>,
    /// What it was made of.
    pub config: ContainerConfig,
}
