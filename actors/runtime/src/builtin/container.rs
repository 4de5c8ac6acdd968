//! Making, starting, stopping and removing containers.

use std::fs;
use std::time::Duration;

use tokio::time::timeout;
use trireme_node::{
    ContainerConfig, ContainerId, ContainerState, Resources, RuntimeError, RuntimeErrorKind, RuntimeEventKind,
};

use super::records::{ContainerEntry, ContainerRecord, Phase, SandboxRecord};
use super::sandbox::random_id;
use super::times::Times;
use super::{Builtin, blocking, compile};
use crate::fail::{OrFail, Outcome, invalid, not_found, unavailable};
use crate::image::StoredImage;
use crate::image::files::clear_and_remove;
use crate::low::cgroup::Hierarchies;
use crate::shim::protocol::{Reply, Request, ShimEvent};
use crate::shim::spec::{ContainerSpec, PidSpace, ProcessSpec, RootSpec, now_nanos};

/// How long the end is waited for after SIGKILL.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// File of the compiled process in a container's folder, for exec.
const PROCESS_FILE: &str = "process.json";

impl Builtin {
    pub(super) async fn make_container(
        &self,
        sandbox: &str,
        config: ContainerConfig,
    ) -> Outcome<ContainerId> {
        let gate = self.state.lock().gate(sandbox);
        let gate = gate.ok_or_else(|| not_found(format!("sandbox {sandbox} is not here")))?;
        let _turn = gate.lock_owned().await;
        let record = self.need_ready(sandbox)?;
        if let Some(known) = self.same_container(sandbox, &config) {
            return Ok(ContainerId(known));
        }
        let wanted = config.image.clone();
        let image = self.find_image(&wanted).await?.ok_or_else(|| {
            let text = format!("image \"{wanted}\" is not on this node; it has to be fetched first");
            RuntimeError::new(RuntimeErrorKind::ImageUnavailable, text)
        })?;
        let runtime = self.arc();
        let mut times = Times::start(&record.config.uid);
        let made = blocking(move || runtime.build_container(&record, config, &image)).await?;
        times.note("container: make");
        let id = made.id.clone();
        self.state.lock().containers.insert(id.clone(), ContainerEntry::new(made));
        self.tell(sandbox, Some(id.clone()), RuntimeEventKind::Created);
        Ok(ContainerId(id))
    }

    fn need_ready(&self, sandbox: &str) -> Outcome<SandboxRecord> {
        let state = self.state.lock();
        let record = state.sandbox(sandbox)?;
        if record.phase != Phase::Ready {
            return Err(unavailable(format!("sandbox {sandbox} is not ready; the pod needs a new one")));
        }
        Ok(record.clone())
    }

    fn same_container(&self, sandbox: &str, config: &ContainerConfig) -> Option<String> {
        let state = self.state.lock();
        let same = state.containers.values().find(|entry| {
            let known = &entry.record;
            known.sandbox == sandbox
                && known.config.name == config.name
                && known.config.attempt == config.attempt
        });
        same.map(|entry| entry.record.id.clone())
    }

    fn build_container(
        &self,
        sandbox: &SandboxRecord,
        config: ContainerConfig,
        image: &StoredImage,
    ) -> Outcome<ContainerRecord> {
        let layers = self.store.unpack(image)?;
        let process = compile::process(&config, &sandbox.config, &image.config)?;
        let own = image.config.config.as_ref().and_then(|own| own.stop_signal.clone()).unwrap_or_default();
        let wanted = if config.stop_signal.is_empty() { &own } else { &config.stop_signal };
        let stop_signal = compile::signal(wanted)?;
        compile::mounts(&config, &sandbox.config, &self.layout.sandbox(&sandbox.id))?;
        compile::devices(&config)?;
        let id = random_id();
        let folder = self.layout.container(&sandbox.id, &id);
        let record = ContainerRecord {
            sandbox: sandbox.id.clone(),
            created_at: now_nanos(),
            image_id: image.image.id.clone(),
            image_ref: image.image.digests.first().unwrap_or(&image.image.id).clone(),
            layers,
            stop_signal,
            group: format!("{}/{id}", sandbox.pod_group),
            config,
            id,
        };
        let fill = || {
            for part in ["upper", "work", "rootfs"] {
                let path = folder.join(part);
                fs::create_dir_all(&path).or_fail(|| format!("cannot make {}", path.display()))?;
            }
            super::records::save(&folder.join(PROCESS_FILE), &process)?;
            // Last: a folder without it is no container.
            self.layout.save_container(&record)
        };
        fill().inspect_err(|_| clear_and_remove(&folder))?;
        Ok(record)
    }

    pub(super) async fn begin_container(&self, id: &str) -> Outcome<()> {
        let sandbox = self.state.lock().container(id)?.record.sandbox.clone();
        let gate = self.state.lock().gate(&sandbox);
        let gate = gate.ok_or_else(|| not_found(format!("sandbox {sandbox} is not here")))?;
        let turn = gate.lock_owned().await;
        match self.state.lock().container(id)?.state() {
            ContainerState::Created => {}
            ContainerState::Running => return Ok(()),
            _ => return Err(invalid(format!("container {id} has ended; make a new one"))),
        }
        let sandbox = self.need_ready(&sandbox)?;
        let (container, _, shim) = self.state.lock().whole(id)?;
        let (runtime, id) = (self.arc(), id.to_owned());
        let started = tokio::spawn(async move {
            // On its own task: a caller that goes away does not leave a start half known.
            let _turn = turn;
            let compiler = runtime.clone();
            let kept = (sandbox.clone(), container);
            let mut times = Times::start(&sandbox.config.uid);
            let spec = blocking(move || compiler.container_spec(&kept.0, &kept.1)).await?;
            times.note("container: cgroup");
            match shim.call(Request::Start(Box::new(spec))).await {
                Ok(Reply::Started(record)) => {
                    times.note("container: start in shim");
                    runtime.happened(&sandbox.id, ShimEvent::Started { container: id, record });
                    Ok(())
                }
                Ok(_) => Err(unavailable("a shim answered something else")),
                Err(error) => {
                    if let (_, Some(record)) = runtime.layout.life(&sandbox.id, &id) {
                        runtime.happened(&sandbox.id, ShimEvent::Exited { container: id, record });
                    }
                    Err(error)
                }
            }
        });
        started.await.map_err(|error| unavailable(format!("starting a container broke off: {error}")))?
    }

    fn container_spec(&self, sandbox: &SandboxRecord, container: &ContainerRecord) -> Outcome<ContainerSpec> {
        let config = &container.config;
        self.cgroups.create(&container.group)?;
        self.cgroups.limit(&container.group, &config.resources)?;
        self.cgroups.end_together(&container.group)?;
        let (devices, rules) = compile::devices(config)?;
        self.cgroups.allow_devices(&container.group, &rules)?;
        let folder = self.layout.container(&sandbox.id, &container.id);
        let pid = compile::pid_space(config, &sandbox.config);
        if let PidSpace::Container(target) = &pid
            && self.state.lock().container(target)?.record.sandbox != sandbox.id
        {
            return Err(invalid(format!("the target container {target} is of another pod")));
        }
        let namespaces = &sandbox.config.namespaces;
        Ok(ContainerSpec {
            id: container.id.clone(),
            root: RootSpec {
                layers_dir: self.store.layers_dir(),
                layers: container.layers.clone(),
                upper: folder.join("upper"),
                work: folder.join("work"),
                merged: folder.join("rootfs"),
                read_only: config.security.read_only_rootfs,
            },
            process: self.process_of(container)?,
            mounts: compile::mounts(config, &sandbox.config, &self.layout.sandbox(&sandbox.id))?,
            devices,
            masked_paths: config.security.masked_paths.clone(),
            read_only_paths: config.security.read_only_paths.clone(),
            pid,
            host_network: namespaces.host_network,
            host_ipc: namespaces.host_ipc,
            privileged: config.security.privileged,
            cgroup_v1: v1_mounts(&self.cgroups),
            group: self.cgroups.files(&container.group),
            log: sandbox.log_path(config),
            stdin: config.stdin,
            stdin_once: config.stdin_once,
            folder,
        })
    }

    pub(super) fn process_of(&self, container: &ContainerRecord) -> Outcome<ProcessSpec> {
        let path = self.layout.container(&container.sandbox, &container.id).join(PROCESS_FILE);
        super::records::load(&path)
            .ok_or_else(|| unavailable(format!("{} is gone or damaged", path.display())))
    }

    pub(super) async fn end_container(&self, id: &str, grace: Duration) -> Outcome<()> {
        let (container, ended, running, shim) = {
            let state = self.state.lock();
            let Ok(entry) = state.container(id) else { return Ok(()) };
            let running = entry.state() == ContainerState::Running;
            let (container, _, shim) = state.whole(id)?;
            (container, entry.ended.subscribe(), running, shim)
        };
        if !running {
            return Ok(());
        }
        let mut ended = ended;
        let signal = |signal, all| Request::Signal { container: id.to_owned(), signal, all };
        if !grace.is_zero() {
            match shim.call(signal(container.stop_signal, false)).await {
                Err(error) if !shim.is_gone().await => return Err(error),
                _ => {}
            }
            if timeout(grace, ended.wait_for(|ended| *ended)).await.is_ok() {
                return Ok(());
            }
        }
        match shim.call(signal(libc::SIGKILL, true)).await {
            Err(error) if !shim.is_gone().await => return Err(error),
            _ => {}
        }
        let done = timeout(KILL_LIMIT, ended.wait_for(|ended| *ended)).await;
        done.map(drop).map_err(|_| {
            let text = format!("container {id} did not end within {KILL_LIMIT:?} after SIGKILL; a process hangs in the kernel");
            RuntimeError::new(RuntimeErrorKind::DeadlineExceeded, text)
        })
    }

    pub(super) async fn forget_container(&self, id: &str) -> Outcome<()> {
        let sandbox = match self.state.lock().container(id) {
            Ok(entry) => entry.record.sandbox.clone(),
            Err(_) => return Ok(()),
        };
        self.end_container(id, Duration::ZERO).await?;
        let Some(gate) = self.state.lock().gate(&sandbox) else { return Ok(()) };
        let _turn = gate.lock_owned().await;
        self.erase_container(id).await
    }

    /// Removes a container that does not run; the sandbox' gate is held.
    pub(super) async fn erase_container(&self, id: &str) -> Outcome<()> {
        let (container, running) = match self.state.lock().container(id) {
            Ok(entry) => (entry.record.clone(), entry.state() == ContainerState::Running),
            Err(_) => return Ok(()),
        };
        if running {
            return Err(unavailable(format!("container {id} was started meanwhile")));
        }
        let runtime = self.arc();
        let gone = container.clone();
        blocking(move || {
            runtime.cgroups.remove(&gone.group)?;
            clear_and_remove(&runtime.layout.container(&gone.sandbox, &gone.id));
            Ok(())
        })
        .await?;
        self.tell(&container.sandbox, Some(id.to_owned()), RuntimeEventKind::Removed);
        self.sizes.lock().remove(id);
        self.state.lock().containers.remove(id);
        self.collect_after(&container.image_id).await
    }

    /// Takes the layers of an image that was removed while a container stood on them.
    async fn collect_after(&self, image: &str) -> Outcome<()> {
        if self.find_image(image).await?.is_some() {
            return Ok(());
        }
        let (store, in_use) = (self.store.clone(), self.state.lock().layers_in_use());
        blocking(move || store.collect(&in_use).map(drop)).await
    }

    pub(super) async fn resize_container(&self, id: &str, resources: Resources) -> Outcome<()> {
        let (runtime, group) = (self.arc(), self.state.lock().container(id)?.record.group.clone());
        let running = self.state.lock().container(id)?.state() == ContainerState::Running;
        let limits = resources.clone();
        if running {
            blocking(move || runtime.cgroups.limit(&group, &limits)).await?;
        }
        let record = {
            let mut state = self.state.lock();
            let Some(entry) = state.containers.get_mut(id) else { return Ok(()) };
            merge(&mut entry.record.config.resources, resources);
            entry.record.clone()
        };
        self.layout.save_container(&record)
    }

    pub(super) async fn reopen_container_log(&self, id: &str) -> Outcome<()> {
        let (.., shim) = self.state.lock().whole(id)?;
        shim.call(Request::ReopenLog { container: id.to_owned() }).await.map(drop)
    }
}

/// What is given replaces what was.
pub(super) fn merge(known: &mut Resources, new: Resources) {
    let Resources {
        cpu_shares,
        cpu_quota,
        cpu_period,
        memory_limit,
        oom_score_adj,
        pids_limit,
        cpuset_cpus,
        hugepages,
    } = new;
    known.cpu_shares = cpu_shares.or(known.cpu_shares);
    known.cpu_quota = cpu_quota.or(known.cpu_quota);
    known.cpu_period = cpu_period.or(known.cpu_period);
    known.memory_limit = memory_limit.or(known.memory_limit);
    known.oom_score_adj = oom_score_adj.or(known.oom_score_adj);
    known.pids_limit = pids_limit.or(known.pids_limit);
    if !cpuset_cpus.is_empty() {
        known.cpuset_cpus = cpuset_cpus;
    }
    known.hugepages.extend(hugepages);
}

/// Mount options of each version 1 hierarchy.
fn v1_mounts(cgroups: &Hierarchies) -> Vec<String> {
    let Hierarchies::V1(mounts) = cgroups else { return Vec::new() };
    let mut by_mount: std::collections::BTreeMap<_, Vec<String>> = std::collections::BTreeMap::new();
    for (controller, mount) in mounts {
        by_mount.entry(mount).or_default().push(controller.clone());
    }
    by_mount.into_values().map(|controllers| controllers.join(",")).collect()
}
