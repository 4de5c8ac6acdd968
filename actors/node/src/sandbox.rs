//! Pod sandboxes: the namespaces, the cgroup and the pause process that containers of a pod share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::container::SecurityContext;
use crate::network::{HostPort, PodAddresses};

/// A sandbox, by the runtime's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SandboxId(pub String);

/// Which namespaces of the node a pod shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// `hostNetwork`.
    pub host_network: bool,
    /// `hostPID`.
    pub host_pid: bool,
    /// `hostIPC`.
    pub host_ipc: bool,
    /// `shareProcessNamespace`: one process namespace for all containers.
    pub shared_pid: bool,
}

/// The pod's resolv.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Addresses.
    pub servers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// Options such as `ndots:5`.
    pub options: Vec<String>,
}

/// What a sandbox is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SandboxConfig {
    /// Pod name.
    pub name: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod uid.
    pub uid: String,
    /// Counts sandboxes of the same pod from 0.
    pub attempt: u32,
    /// Hostname in the pod; empty with `hostNetwork`.
    pub hostname: String,
    /// Folder of container logs: `<dir>/<container>/<attempt>.log`.
    pub log_directory: String,
    /// Resolver; `None` leaves the node's.
    pub dns: Option<Dns>,
    /// Content of `/etc/hosts` is the kubelet's business (it mounts a file); ports to publish on the node.
    pub host_ports: Vec<HostPort>,
    /// Namespaces.
    pub namespaces: Namespaces,
    /// Kernel parameters of the pod's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Path of the pod's cgroup below the runtime's root, such as `kubepods/burstable/pod<uid>`; made by the runtime.
    pub cgroup_parent: String,
    /// Limits of the whole pod.
    pub resources: crate::container::Resources,
    /// Of the process that holds the namespaces: `run_as_user`, `run_as_group`, `supplemental_groups` and `seccomp` count. It
    /// never has a capability, gains none, and sees no file. `privileged` says that one of the containers is.
    pub security: SecurityContext,
    /// Kept and given back in status and lists.
    pub labels: BTreeMap<String, String>,
    /// Kept and given back in status and lists.
    pub annotations: BTreeMap<String, String>,
}

/// Ready or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxState {
    /// Its pause process lives and its network stands.
    Ready,
    /// It was stopped, or its pause process died.
    NotReady,
}

/// A sandbox as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct SandboxStatus {
    /// Id.
    pub id: SandboxId,
    /// State.
    pub state: SandboxState,
    /// When it was made: nanoseconds since the epoch.
    pub created_at: u64,
    /// Its addresses; empty with `hostNetwork`.
    pub addresses: PodAddresses,
    /// Process id of the pause process on the node, 0 when it is gone.
    pub pause_pid: u32,
    /// What it was made of.
    pub config: SandboxConfig,
}
