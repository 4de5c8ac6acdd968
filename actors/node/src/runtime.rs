//! [`Runtime`]: runs sandboxes and containers. The built-in one, one behind a CRI socket and the hollow one are alike.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use crate::container::{ContainerConfig, ContainerId, ContainerStatus, Resources};
use crate::error::RuntimeError;
use crate::image::{Image, ImageFilesystem, PullImage};
use crate::io::{BoxedIo, ExecOutcome, ExecRequest, Streams};
use crate::sandbox::{SandboxConfig, SandboxId, SandboxStatus};
use crate::stats::SandboxStats;

/// A future of a trait's method.
pub type Answer<'a, T> = BoxFuture<'a, T>;

/// `RuntimeReady`, `NetworkReady`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeCondition {
    /// Name.
    pub name: String,
    /// Holds.
    pub holds: bool,
    /// CamelCase word.
    pub reason: String,
    /// Text.
    pub message: String,
}

/// What a runtime can do on this machine; `status.runtimeHandlers` of the Node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuntimeFeatures {
    /// Mounts that are read-only to their last mount (kernel 5.12 and later).
    pub recursive_read_only_mounts: bool,
    /// Pods with a user namespace of their own.
    pub user_namespaces: bool,
}

/// Something happened without being asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// What.
    pub kind: RuntimeEventKind,
    /// In which sandbox.
    pub sandbox: SandboxId,
    /// Uid of its pod.
    pub pod_uid: String,
    /// Which container; `None` means the sandbox itself.
    pub container: Option<ContainerId>,
}

/// Kinds of [`RuntimeEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeEventKind {
    /// Made.
    Created,
    /// Started.
    Started,
    /// Stopped.
    Stopped,
    /// Removed.
    Removed,
}

/// Runs containers. Every method can be called again after a crash of the caller: making what is there already says
/// [`crate::RuntimeErrorKind::AlreadyExists`] or gives the same id, ending or removing what is gone is no error.
pub trait Runtime: Send + Sync {
    /// Name and version, such as `trireme://0.1.0` (the node's `containerRuntimeVersion`).
    fn version(&self) -> String;

    /// What it can do on this machine, as it was found when it started.
    fn features(&self) -> RuntimeFeatures;

    /// Its conditions; [`crate::PodNetwork::not_ready`] among them.
    fn conditions(&self) -> Answer<'_, Vec<RuntimeCondition>>;

    /// Fetches an image; gives its id.
    fn pull_image(&self, request: PullImage) -> Answer<'_, Result<String, RuntimeError>>;

    /// An image by reference or id, if it is here.
    fn image(&self, reference: &str) -> Answer<'_, Result<Option<Image>, RuntimeError>>;

    /// All images.
    fn images(&self) -> Answer<'_, Result<Vec<Image>, RuntimeError>>;

    /// Removes an image and all its tags.
    fn remove_image(&self, reference: &str) -> Answer<'_, Result<(), RuntimeError>>;

    /// Where images live.
    fn image_filesystem(&self) -> Answer<'_, Result<ImageFilesystem, RuntimeError>>;

    /// Makes and starts a sandbox, its network attached.
    fn run_sandbox(&self, config: SandboxConfig) -> Answer<'_, Result<SandboxId, RuntimeError>>;

    /// Ends all of a sandbox' containers by force, its pause process, and its network.
    fn stop_sandbox(&self, id: &SandboxId) -> Answer<'_, Result<(), RuntimeError>>;

    /// Removes a sandbox, its containers and its cgroup.
    fn remove_sandbox(&self, id: &SandboxId) -> Answer<'_, Result<(), RuntimeError>>;

    /// All sandboxes.
    fn sandboxes(&self) -> Answer<'_, Result<Vec<SandboxStatus>, RuntimeError>>;

    /// Makes a container in a sandbox.
    fn create_container(
        &self,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> Answer<'_, Result<ContainerId, RuntimeError>>;

    /// Starts it.
    fn start_container(&self, id: &ContainerId) -> Answer<'_, Result<(), RuntimeError>>;

    /// Sends its stop signal and, after the grace, SIGKILL; answers once it ended.
    fn stop_container(&self, id: &ContainerId, grace: Duration) -> Answer<'_, Result<(), RuntimeError>>;

    /// Removes it, by force if it runs.
    fn remove_container(&self, id: &ContainerId) -> Answer<'_, Result<(), RuntimeError>>;

    /// One container.
    fn container(&self, id: &ContainerId) -> Answer<'_, Result<ContainerStatus, RuntimeError>>;

    /// All containers.
    fn containers(&self) -> Answer<'_, Result<Vec<ContainerStatus>, RuntimeError>>;

    /// Changes limits in place.
    fn update_resources(
        &self,
        id: &ContainerId,
        resources: Resources,
    ) -> Answer<'_, Result<(), RuntimeError>>;

    /// Changes the limits of the whole sandbox in place.
    fn update_sandbox_resources(
        &self,
        id: &SandboxId,
        resources: Resources,
    ) -> Answer<'_, Result<(), RuntimeError>>;

    /// Opens its log file anew, after it was moved away.
    fn reopen_log(&self, id: &ContainerId) -> Answer<'_, Result<(), RuntimeError>>;

    /// Runs a short program to its end; past `limit` it is killed and the answer is `DeadlineExceeded`.
    fn exec_sync(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        limit: Duration,
    ) -> Answer<'_, Result<ExecOutcome, RuntimeError>>;

    /// Runs a program with streams.
    fn exec(&self, id: &ContainerId, request: ExecRequest) -> Answer<'_, Result<Streams, RuntimeError>>;

    /// The streams of the container's own process; `request.command` is empty.
    fn attach(&self, id: &ContainerId, request: ExecRequest) -> Answer<'_, Result<Streams, RuntimeError>>;

    /// A connection to a port of the sandbox' loopback.
    fn port_forward(&self, id: &SandboxId, port: u16) -> Answer<'_, Result<BoxedIo, RuntimeError>>;

    /// What everything uses.
    fn stats(&self) -> Answer<'_, Result<Vec<SandboxStats>, RuntimeError>>;

    /// From now on, without being asked. A slow reader is told how many it missed and must list again.
    fn events(&self) -> broadcast::Receiver<RuntimeEvent>;
}
