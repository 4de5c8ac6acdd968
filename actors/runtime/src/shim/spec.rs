//! What a shim is told: everything resolved, so that it decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use trireme_node::Mount;

use crate::low::cgroup::GroupFiles;
use crate::low::seccomp::Instruction;
use crate::low::user::WantedUser;

/// A sandbox; the file a shim is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxSpec {
    /// [`super::protocol::VERSION`].
    pub(crate) version: u32,
    /// Id.
    pub(crate) id: String,
    /// Where it listens.
    pub(crate) socket: PathBuf,
    /// Where the record of the pause process goes.
    pub(crate) folder: PathBuf,
    /// Empty: the node's.
    pub(crate) host_name: String,
    pub(crate) host_network: bool,
    pub(crate) host_ipc: bool,
    pub(crate) host_pid: bool,
    /// By dotted name.
    pub(crate) sysctls: BTreeMap<String, String>,
    /// Of the pause process.
    pub(crate) group: GroupFiles,
    /// Who the pause process is: user, group, further groups.
    pub(crate) user: (u32, u32, Vec<u32>),
    /// Its system call filters.
    pub(crate) filters: Vec<Vec<Instruction>>,
}

/// A container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContainerSpec {
    pub(crate) id: String,
    /// Where its records go.
    pub(crate) folder: PathBuf,
    pub(crate) root: RootSpec,
    pub(crate) process: ProcessSpec,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) devices: Vec<DeviceSpec>,
    pub(crate) masked_paths: Vec<String>,
    pub(crate) read_only_paths: Vec<String>,
    pub(crate) pid: PidSpace,
    pub(crate) host_network: bool,
    pub(crate) host_ipc: bool,
    pub(crate) privileged: bool,
    /// Mount options of the cgroup file systems to show: v1 controllers, or nothing for v2.
    pub(crate) cgroup_v1: Vec<String>,
    pub(crate) group: GroupFiles,
    /// Log file.
    pub(crate) log: Option<PathBuf>,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
}

/// Which process namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PidSpace {
    Own,
    Host,
    /// The pause process'.
    Sandbox,
    /// Another container's.
    Container(String),
}

/// The root file system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RootSpec {
    pub(crate) layers_dir: PathBuf,
    /// Names below it, lowest first.
    pub(crate) layers: Vec<String>,
    pub(crate) upper: PathBuf,
    pub(crate) work: PathBuf,
    /// Mount point; an empty folder.
    pub(crate) merged: PathBuf,
    pub(crate) read_only: bool,
}

/// A device node to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeviceSpec {
    pub(crate) path: String,
    pub(crate) block: bool,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProcessSpec {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<String>,
    /// Empty: `/`.
    pub(crate) working_dir: String,
    pub(crate) user: WantedUser,
    /// Bounding, permitted and effective.
    pub(crate) capabilities: u64,
    pub(crate) no_new_privileges: bool,
    pub(crate) filters: Vec<Vec<Instruction>>,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) terminal: bool,
}

/// What is known of a container that started; written by the shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartRecord {
    pub(crate) pid: u32,
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// What is known of one that ended; written by the shim before anybody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExitRecord {
    pub(crate) code: i32,
    pub(crate) signal: i32,
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) out_of_memory: bool,
    /// Not an end of its own: could not start, or nobody saw it end.
    pub(crate) reason: Option<String>,
    pub(crate) message: String,
}

/// File of a [`StartRecord`] in a container's folder.
pub(crate) const START_FILE: &str = "start.json";
/// File of an [`ExitRecord`] in a container's or sandbox' folder.
pub(crate) const EXIT_FILE: &str = "exit.json";

/// Now, in nanoseconds since the epoch.
pub(crate) fn now_nanos() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
