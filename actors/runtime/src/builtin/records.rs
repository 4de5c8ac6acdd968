//! What the runtime keeps of sandboxes and containers: on disk for the next process, in memory for answers.
//!
//! ```text
//! <data>/pods/<sandbox>/sandbox.json           SandboxRecord
//! <data>/pods/<sandbox>/shim.json, shim.log    what the shim was told, and what it said
//! <data>/pods/<sandbox>/hostname, hosts, resolv.conf
//! <data>/pods/<sandbox>/exit.json              end of the pause process (written by the shim)
//! <data>/pods/<sandbox>/containers/<id>/       container.json; start.json, exit.json (by the shim); upper, work, rootfs
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::watch;
use trireme_node::{
    ContainerConfig, ContainerId, ContainerState, ContainerStatus, PodAddresses, SandboxConfig, SandboxId,
    SandboxState, SandboxStatus,
};

use crate::fail::{OrFail, Outcome};
use crate::image::files::write_atomically;
use crate::shim::spec::{EXIT_FILE, ExitRecord, START_FILE, StartRecord};

/// How far a sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Being made: a process that finds one of these after a crash takes it away.
    Creating,
    /// It stands.
    Ready,
    /// It was stopped, or is lost.
    Stopped,
}

/// A sandbox, for the next process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub(crate) id: String,
    pub(crate) created_at: u64,
    pub(crate) phase: Phase,
    pub(crate) pause_pid: u32,
    pub(crate) socket: PathBuf,
    pub(crate) addresses: PodAddresses,
    /// Cgroup of the pod, below which its own and the containers' lie.
    pub(crate) pod_group: String,
    pub(crate) config: SandboxConfig,
}

/// A container, for the next process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) id: String,
    pub(crate) sandbox: String,
    pub(crate) created_at: u64,
    pub(crate) image_id: String,
    pub(crate) image_ref: String,
    /// Folder names of its image's layers.
    pub(crate) layers: Vec<String>,
    pub(crate) stop_signal: i32,
    pub(crate) group: String,
    pub(crate) config: ContainerConfig,
}

/// A container in memory.
#[derive(Debug)]
pub(crate) struct ContainerEntry {
    pub(crate) record: ContainerRecord,
    pub(crate) start: Option<StartRecord>,
    pub(crate) exit: Option<ExitRecord>,
    /// Whether it has ended.
    pub(crate) ended: watch::Sender<bool>,
}

impl SandboxRecord {
    pub(crate) fn status(&self) -> SandboxStatus {
        let ready = self.phase == Phase::Ready;
        SandboxStatus {
            id: SandboxId(self.id.clone()),
            state: if ready { SandboxState::Ready } else { SandboxState::NotReady },
            created_at: self.created_at,
            addresses: self.addresses.clone(),
            pause_pid: if ready { self.pause_pid } else { 0 },
            config: self.config.clone(),
        }
    }

    pub(crate) fn group(&self) -> String {
        format!("{}/{}", self.pod_group, self.id)
    }

    pub(crate) fn log_path(&self, container: &ContainerConfig) -> Option<PathBuf> {
        if container.log_path.is_empty() || self.config.log_directory.is_empty() {
            return None;
        }
        Some(Path::new(&self.config.log_directory).join(&container.log_path))
    }
}

impl ContainerEntry {
    pub(crate) fn new(record: ContainerRecord) -> Self {
        Self { record, start: None, exit: None, ended: watch::Sender::new(false) }
    }

    pub(crate) fn state(&self) -> ContainerState {
        match (&self.start, &self.exit) {
            (_, Some(_)) => ContainerState::Exited,
            (Some(_), None) => ContainerState::Running,
            (None, None) => ContainerState::Created,
        }
    }

    pub(crate) fn set_exit(&mut self, exit: ExitRecord) {
        self.exit = Some(exit);
        self.ended.send_replace(true);
    }

    pub(crate) fn status(&self, sandbox: &SandboxRecord) -> ContainerStatus {
        let state = self.state();
        let (start, exit) = (self.start.as_ref(), self.exit.as_ref());
        let reason = match exit {
            None => String::new(),
            Some(exit) if exit.out_of_memory => "OOMKilled".to_owned(),
            Some(ExitRecord { reason: Some(reason), .. }) => reason.clone(),
            Some(ExitRecord { code: 0, .. }) => "Completed".to_owned(),
            Some(_) => "Error".to_owned(),
        };
        ContainerStatus {
            id: ContainerId(self.record.id.clone()),
            sandbox: SandboxId(self.record.sandbox.clone()),
            state,
            created_at: self.record.created_at,
            started_at: start.map_or(0, |start| start.at),
            finished_at: exit.map_or(0, |exit| exit.at),
            exit_code: exit.map_or(0, |exit| exit.code),
            signal: exit.map_or(0, |exit| exit.signal),
            reason,
            message: exit.map_or_else(String::new, |exit| exit.message.clone()),
            image_ref: self.record.image_ref.clone(),
            pid: if state == ContainerState::Running { start.map_or(0, |start| start.pid) } else { 0 },
            log_path: sandbox
                .log_path(&self.record.config)
                .map_or_else(String::new, |path| path.display().to_string()),
            user: start.map(|start| (start.uid, start.gid, start.groups.clone())),
            config: self.record.config.clone(),
        }
    }
}

/// Where everything of the pods lies.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) pods: PathBuf,
}

impl Layout {
    pub(crate) fn sandbox(&self, id: &str) -> PathBuf {
        self.pods.join(id)
    }

    pub(crate) fn container(&self, sandbox: &str, id: &str) -> PathBuf {
        self.pods.join(sandbox).join("containers").join(id)
    }

    pub(crate) fn save_sandbox(&self, record: &SandboxRecord) -> Outcome<()> {
        save(&self.sandbox(&record.id).join("sandbox.json"), record)
    }

    pub(crate) fn save_container(&self, record: &ContainerRecord) -> Outcome<()> {
        save(&self.container(&record.sandbox, &record.id).join("container.json"), record)
    }

    /// Start and end of a container, as its shim wrote them.
    pub(crate) fn life(&self, sandbox: &str, id: &str) -> (Option<StartRecord>, Option<ExitRecord>) {
        let folder = self.container(sandbox, id);
        (load(&folder.join(START_FILE)), load(&folder.join(EXIT_FILE)))
    }
}

pub(crate) fn save<T: Serialize>(path: &Path, value: &T) -> Outcome<()> {
    write_atomically(path, &serde_json::to_vec(value).or_fail(|| format!("cannot write {}", path.display()))?)
}

/// A record, if it is there and whole.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = fs::read(path).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a record is damaged and left out");
            None
        }
    }
}
