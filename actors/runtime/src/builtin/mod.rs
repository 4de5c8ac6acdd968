//! [`Builtin`]: the runtime that needs nothing installed.
//!
//! Role: carries out what the kubelet asks for; decides nothing about pods. It owns no truth: records lie on disk,
//! containers belong to their shims, so a new process that opens the same folders goes on where the last one ended.
//! One gate per sandbox orders what changes it; answers about what is come from memory, kept right by each shim's
//! events and, after a lost connection, by its state.
//!
//! Deliberate absences: user namespaces, AppArmor, SELinux, CDI devices and checkpoints are refused or not offered;
//! the content of `/etc/hosts` is the kubelet's.

mod compile;
mod container;
mod entries;
mod launch;
mod records;
mod recover;
mod sandbox;
mod shim_client;
mod stats;
mod streams;
mod times;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use trireme_node::{
    Answer, BoxedIo, ContainerConfig, ContainerId, ContainerStatus, ExecOutcome, ExecRequest, Image,
    ImageFilesystem, PodNetwork, PullImage, Resources, Runtime, RuntimeCondition, RuntimeError, RuntimeEvent,
    RuntimeFeatures, SandboxConfig, SandboxId, SandboxStats, SandboxStatus, Streams,
};

pub use self::recover::layers_in_use;

use self::entries::State;
use self::records::Layout;
use crate::fail::{OrFail, Outcome, invalid, unavailable, unsupported};
use crate::image::store::ImageStore;
use crate::low::cgroup::Hierarchies;
use crate::low::sys;
use crate::registry::Registries;

/// Sandboxes that are ended at the same time.
const ENDED_AT_ONCE: usize = 16;
/// Events that wait for a slow listener.
const EVENTS_LIMIT: usize = 4_096;
/// Bytes of a unix socket's path, the closing zero included.
const SOCKET_PATH_LIMIT_BYTES: usize = 108;
/// Digits of an id in a socket's name.
const SOCKET_NAME_DIGITS: usize = 24;

/// How a [`Builtin`] is set up.
pub struct BuiltinConfig {
    /// Images and records; survives restarts of the machine.
    pub data_dir: PathBuf,
    /// Sockets of shims; a short path.
    pub run_dir: PathBuf,
    /// Cgroup below which all pods lie, relative; empty: the root of the hierarchies.
    pub cgroup_root: String,
    /// Gives pods their addresses.
    pub network: Arc<dyn PodNetwork>,
    /// Mirrors and credentials of registries.
    pub registries: Registries,
    /// Program and first arguments that run a shim, such as `["/proc/self/exe", "shim"]`; the spec's path is added.
    pub shim_command: Vec<String>,
}

/// The built-in runtime.
pub struct Builtin {
    config: BuiltinConfig,
    store: Arc<ImageStore>,
    cgroups: Arc<Hierarchies>,
    layout: Layout,
    state: Mutex<State>,
    events: broadcast::Sender<RuntimeEvent>,
    /// The shim's program on a read-only mount of its own: a container that gets hold of it cannot write it.
    program: Option<OwnedFd>,
    sizes: Mutex<BTreeMap<String, (std::time::Instant, crate::disk::Usage)>>,
    /// Whether this kernel makes mounts read-only to their last one.
    recursive_read_only: bool,
    weak: std::sync::Weak<Self>,
}

impl Builtin {
    /// Opens the runtime on its folders, and finds again what runs there.
    ///
    /// # Errors
    /// `Unsupported` without root or without the kernel's features, by name; else a folder cannot be used.
    pub async fn open(config: BuiltinConfig) -> Result<Arc<Self>, RuntimeError> {
        if !rustix::process::geteuid().is_root() {
            return Err(unsupported("the built-in runtime needs root: namespaces, mounts and cgroups"));
        }
        if config.shim_command.is_empty() {
            return Err(invalid("no command for shims is set"));
        }
        let pods = config.data_dir.join("pods");
        for folder in [&pods, &config.run_dir] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o711).create(folder);
            made.or_fail(|| format!("cannot make {}", folder.display()))?;
        }
        let run_dir = &config.run_dir;
        if run_dir.as_os_str().len() + SOCKET_NAME_DIGITS + "/.sock\0".len() > SOCKET_PATH_LIMIT_BYTES {
            return Err(invalid(format!(
                "the folder {} is too long for unix sockets in it",
                run_dir.display()
            )));
        }
        let images = config.data_dir.join("images");
        let store = blocking(move || ImageStore::open(&images)).await?;
        let cgroups = Arc::new(Hierarchies::detect()?);
        let program = protect(&config.shim_command[0]);
        let (events, _) = broadcast::channel(EVENTS_LIMIT);
        let runtime = Arc::new_cyclic(|weak| Self {
            config,
            store: Arc::new(store),
            cgroups,
            layout: Layout { pods },
            state: Mutex::new(State::default()),
            events,
            program,
            sizes: Mutex::new(BTreeMap::new()),
            recursive_read_only: can_recursively(),
            weak: weak.clone(),
        });
        runtime.recover().await?;
        Ok(runtime)
    }

    /// The image store, for commands beside the runtime.
    pub fn store(&self) -> &Arc<ImageStore> {
        &self.store
    }

    fn arc(&self) -> Arc<Self> {
        self.weak.upgrade().expect("methods are called on a runtime that lives")
    }

    async fn find_image(&self, reference: &str) -> Outcome<Option<crate::image::StoredImage>> {
        let (store, reference) = (self.store.clone(), reference.to_owned());
        blocking(move || store.find(&reference)).await
    }

    async fn drop_image(&self, reference: &str) -> Outcome<()> {
        let (store, reference) = (self.store.clone(), reference.to_owned());
        let in_use = self.state.lock().layers_in_use();
        blocking(move || {
            match store.forget(&reference, false) {
                Err(error) if error.kind == trireme_node::RuntimeErrorKind::NotFound => return Ok(()),
                other => drop(other?),
            }
            store.collect(&in_use).map(drop)
        })
        .await
    }

    /// Ends and removes every sandbox of this runtime, its cgroup and its sockets. Images stay. For the end of a cluster that
    /// lives as long as its process.
    ///
    /// # Errors
    /// The first thing that could not be removed; the rest is gone nevertheless.
    pub async fn tear_down(&self) -> Result<(), RuntimeError> {
        let sandboxes = self.sandboxes().await?;
        let ends = futures_util::stream::iter(sandboxes).map(|sandbox| async move {
            let stopped = self.stop_sandbox(&sandbox.id).await;
            stopped.and(self.remove_sandbox(&sandbox.id).await)
        });
        let outcomes: Vec<Outcome<()>> = ends.buffer_unordered(ENDED_AT_ONCE).collect().await;
        let cgroups = if self.config.cgroup_root.is_empty() {
            Ok(())
        } else {
            self.cgroups.remove(&self.config.cgroup_root)
        };
        // What is left of the folder of sockets harms nobody.
        let _ = fs::remove_dir_all(&self.config.run_dir);
        outcomes.into_iter().collect::<Outcome<()>>().and(cgroups)
    }

    async fn measure_images(&self) -> Outcome<ImageFilesystem> {
        let store = self.store.clone();
        blocking(move || {
            let path = store.root();
            let about = rustix::fs::statvfs(path).or_fail(|| format!("cannot measure {}", path.display()))?;
            let used = crate::disk::usage(path);
            Ok(ImageFilesystem {
                path: path.display().to_string(),
                used_bytes: used.bytes,
                used_inodes: used.inodes,
                available_bytes: about.f_bavail * about.f_frsize,
                capacity_bytes: about.f_blocks * about.f_frsize,
            })
        })
        .await
    }
}

/// Runs blocking work off the reactor.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(unavailable(format!("work on the node's disk broke off: {error}"))))
}

fn protect(program: &str) -> Option<OwnedFd> {
    let real = fs::canonicalize(program).ok()?;
    let copy = sys::clone_mount(&real, false);
    let done = copy.and_then(|copy| {
        sys::set_mount(
            copy.as_fd(),
            libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID,
            0,
            libc::MS_PRIVATE,
            false,
        )?;
        Ok(copy)
    });
    done.inspect_err(|error| tracing::warn!(%error, "the shim's program cannot be guarded against writes"))
        .ok()
}

/// Asks the kernel: a copy of the root's mount, hung nowhere, is made read-only with what is below it.
fn can_recursively() -> bool {
    let done = sys::clone_mount(std::path::Path::new("/"), false)
        .and_then(|copy| sys::set_mount(copy.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, 0, true));
    done.inspect_err(
        |error| tracing::warn!(%error, "this kernel has no recursive read-only mounts (5.12 has)"),
    )
    .is_ok()
}

impl Runtime for Builtin {
    fn version(&self) -> String {
        format!("trireme://{}", env!("CARGO_PKG_VERSION"))
    }

    fn features(&self) -> RuntimeFeatures {
        RuntimeFeatures { recursive_read_only_mounts: self.recursive_read_only, user_namespaces: false }
    }

    fn conditions(&self) -> Answer<'_, Vec<RuntimeCondition>> {
        let network = self.config.network.not_ready();
        let condition = |name: &str, broken: Option<String>, reason: &str| RuntimeCondition {
            name: name.to_owned(),
            holds: broken.is_none(),
            reason: broken.as_ref().map_or(String::new(), |_| reason.to_owned()),
            message: broken.unwrap_or_default(),
        };
        let runtime = fs::metadata(&self.layout.pods).err();
        let runtime = runtime.map(|error| format!("cannot use {}: {error}", self.layout.pods.display()));
        let all = vec![
            condition("RuntimeReady", runtime, "RuntimeNotReady"),
            condition("NetworkReady", network, "NetworkPluginNotReady"),
        ];
        Box::pin(async move { all })
    }

    fn pull_image(&self, request: PullImage) -> Answer<'_, Result<String, RuntimeError>> {
        Box::pin(async move {
            let pulled =
                self.config.registries.pull(&self.store, &request.image, &request.credentials).await?;
            Ok(pulled.image.id)
        })
    }

    fn image(&self, reference: &str) -> Answer<'_, Result<Option<Image>, RuntimeError>> {
        let reference = reference.to_owned();
        Box::pin(async move { Ok(self.find_image(&reference).await?.map(|found| found.image)) })
    }

    fn images(&self) -> Answer<'_, Result<Vec<Image>, RuntimeError>> {
        let store = self.store.clone();
        Box::pin(blocking(move || Ok(store.images()?.into_iter().map(|found| found.image).collect())))
    }

    fn remove_image(&self, reference: &str) -> Answer<'_, Result<(), RuntimeError>> {
        let reference = reference.to_owned();
        Box::pin(async move { self.drop_image(&reference).await })
    }

    fn image_filesystem(&self) -> Answer<'_, Result<ImageFilesystem, RuntimeError>> {
        Box::pin(self.measure_images())
    }

    fn run_sandbox(&self, config: SandboxConfig) -> Answer<'_, Result<SandboxId, RuntimeError>> {
        Box::pin(self.make_sandbox(config))
    }

    fn stop_sandbox(&self, id: &SandboxId) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.end_sandbox(&id).await })
    }

    fn remove_sandbox(&self, id: &SandboxId) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.forget_sandbox(&id).await })
    }

    fn sandboxes(&self) -> Answer<'_, Result<Vec<SandboxStatus>, RuntimeError>> {
        let all = self.state.lock().sandbox_statuses();
        Box::pin(async move { Ok(all) })
    }

    fn create_container(
        &self,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> Answer<'_, Result<ContainerId, RuntimeError>> {
        let sandbox = sandbox.0.clone();
        Box::pin(async move { self.make_container(&sandbox, config).await })
    }

    fn start_container(&self, id: &ContainerId) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.begin_container(&id).await })
    }

    fn stop_container(&self, id: &ContainerId, grace: Duration) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.end_container(&id, grace).await })
    }

    fn remove_container(&self, id: &ContainerId) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.forget_container(&id).await })
    }

    fn container(&self, id: &ContainerId) -> Answer<'_, Result<ContainerStatus, RuntimeError>> {
        let status = self.state.lock().container_status(&id.0);
        Box::pin(async move { status })
    }

    fn containers(&self) -> Answer<'_, Result<Vec<ContainerStatus>, RuntimeError>> {
        let all = self.state.lock().container_statuses();
        Box::pin(async move { Ok(all) })
    }

    fn update_resources(
        &self,
        id: &ContainerId,
        resources: Resources,
    ) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.resize_container(&id, resources).await })
    }

    fn update_sandbox_resources(
        &self,
        id: &SandboxId,
        resources: Resources,
    ) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.resize_sandbox(&id, resources).await })
    }

    fn reopen_log(&self, id: &ContainerId) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.reopen_container_log(&id).await })
    }

    fn exec_sync(
        &self,
        id: &ContainerId,
        command: Vec<String>,
        limit: Duration,
    ) -> Answer<'_, Result<ExecOutcome, RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.run_in_container(&id, command, limit).await })
    }

    fn exec(&self, id: &ContainerId, request: ExecRequest) -> Answer<'_, Result<Streams, RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.stream_exec(&id, request).await })
    }

    fn attach(&self, id: &ContainerId, request: ExecRequest) -> Answer<'_, Result<Streams, RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.stream_attach(&id, request).await })
    }

    fn port_forward(&self, id: &SandboxId, port: u16) -> Answer<'_, Result<BoxedIo, RuntimeError>> {
        let id = id.0.clone();
        Box::pin(async move { self.connect_to_port(&id, port).await })
    }

    fn stats(&self) -> Answer<'_, Result<Vec<SandboxStats>, RuntimeError>> {
        Box::pin(self.measure_all())
    }

    fn events(&self) -> broadcast::Receiver<RuntimeEvent> {
        self.events.subscribe()
    }
}
