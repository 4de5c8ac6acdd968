//! Making and starting one container.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_kubelet_core::pod::{self, Container};
use trireme_kubelet_core::translate::{
    ContainerInputs, EnvInputs, Sources, container_config, environment, hosts_file, log_directory,
    needed_sources,
};
use trireme_kubelet_core::worker::{StartOutcome, Trouble};
use trireme_node::{
    ContainerConfig, ContainerId, ContainerState, ContainerStatus, Mount, RuntimeErrorKind, SandboxId,
    SandboxStatus,
};
use trireme_schema::view::View;

use super::hooks;
use super::observe::{message_path, with_message};
use crate::api::{Place, Resource};
use crate::clock::nanos_now;
use crate::shared::{RUNTIME_LIMIT, Shared, within};

/// How long the list of services is waited for at the first start.
const SERVICES_WAIT: Duration = Duration::from_secs(10);
/// Grace of a container whose postStart hook failed, beyond the pod's own.
const HOOK_FAILED_SLACK: Duration = Duration::from_secs(30);

fn trouble(reason: &'static str, message: impl ToString) -> Trouble {
    Trouble { reason, message: message.to_string() }
}

pub(super) async fn start(
    shared: &Arc<Shared>,
    pod: &Arc<Value>,
    name: &str,
    attempt: u32,
    sandbox_id: &SandboxId,
    sandbox: Option<SandboxStatus>,
    image: &str,
) -> StartOutcome {
    let Some(container) = pod::container(pod, name) else {
        return StartOutcome::Failed(
            trouble("CreateContainerConfigError", format!("container {name} is gone")),
            None,
        );
    };
    let path = container.field_path();
    let tell = |warning: bool, reason: &str, message: String| {
        shared.events.pod(pod, Some(&path), warning, reason, message);
    };
    let config = match configure(shared, pod, container, attempt, sandbox_id, sandbox.as_ref(), image).await {
        Ok(config) => config,
        Err(why) => {
            tell(true, "Failed", format!("Error: {}", why.message));
            return StartOutcome::Failed(why, None);
        }
    };
    let id = match create(shared, sandbox_id, config.clone()).await {
        Ok(id) => id,
        Err(message) => {
            tell(true, "Failed", format!("Error: {message}"));
            return StartOutcome::Failed(trouble("CreateContainerError", message), None);
        }
    };
    tell(false, "Created", "Container created".to_owned());
    if let Err(error) = within(RUNTIME_LIMIT, "start container", shared.runtime.start_container(&id)).await {
        tell(true, "Failed", format!("Error: {error}"));
        let status = ended_at_start(shared, &id, sandbox_id, config, &error.message).await;
        return StartOutcome::Failed(trouble("RunContainerError", error), Some(Box::new(status)));
    }
    tell(false, "Started", "Container started".to_owned());
    if let Err(message) = hooks::post_start(shared, pod, sandbox.as_ref(), container, &id).await {
        tell(true, "FailedPostStartHook", "PostStartHook failed".to_owned());
        tell(false, "Killing", "FailedPostStartHook".to_owned());
        let grace = pod::grace(pod);
        let stop = within(grace + HOOK_FAILED_SLACK, "stop", shared.runtime.stop_container(&id, grace));
        if let Err(error) = stop.await {
            tracing::warn!(%error, container = name, "a container with a failed hook was not stopped");
        }
        let status = within(RUNTIME_LIMIT, "container status", shared.runtime.container(&id)).await.ok();
        return StartOutcome::Failed(trouble("PostStartHookError", message), status.map(Box::new));
    }
    match within(RUNTIME_LIMIT, "container status", shared.runtime.container(&id)).await {
        Ok(status) => StartOutcome::Started(Box::new(with_message(shared, pod, status).await)),
        Err(error) => StartOutcome::Failed(trouble("RunContainerError", error), None),
    }
}

async fn create(
    shared: &Shared,
    sandbox: &SandboxId,
    config: ContainerConfig,
) -> Result<ContainerId, String> {
    let (name, attempt) = (config.name.clone(), config.attempt);
    let made =
        within(RUNTIME_LIMIT, "create container", shared.runtime.create_container(sandbox, config)).await;
    match made {
        Ok(id) => Ok(id),
        Err(error) if error.kind == RuntimeErrorKind::AlreadyExists => {
            let snapshot = shared.lister.snapshot().await.map_err(|error| error.to_string())?;
            let own = snapshot.containers.iter().find(|own| {
                own.sandbox == *sandbox && own.config.name == name && own.config.attempt == attempt
            });
            own.map(|own| own.id.clone()).ok_or_else(|| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A container that could not be started counts as one that ended, with 128 and `StartError`, as upstream's runtimes
/// tell it.
async fn ended_at_start(
    shared: &Shared,
    id: &ContainerId,
    sandbox: &SandboxId,
    config: ContainerConfig,
    why: &str,
) -> ContainerStatus {
    let known = within(RUNTIME_LIMIT, "container status", shared.runtime.container(id)).await.ok();
    if let Some(known) = known.clone().filter(|known| known.state == ContainerState::Exited) {
        return known;
    }
    ContainerStatus {
        id: id.clone(),
        sandbox: sandbox.clone(),
        state: ContainerState::Exited,
        created_at: nanos_now(),
        started_at: 0,
        finished_at: nanos_now(),
        exit_code: 128,
        signal: 0,
        reason: "StartError".into(),
        message: why.to_owned(),
        image_ref: known.map_or_else(|| config.image.clone(), |known| known.image_ref),
        pid: 0,
        log_path: String::new(),
        user: None,
        config,
    }
}

async fn configure(
    shared: &Arc<Shared>,
    pod: &Arc<Value>,
    container: Container<'_>,
    attempt: u32,
    sandbox_id: &SandboxId,
    sandbox: Option<&SandboxStatus>,
    image: &str,
) -> Result<ContainerConfig, Trouble> {
    let config_error = |message: String| trouble("CreateContainerConfigError", message);
    let facts = shared.facts();
    let pod_ips: Vec<String> =
        sandbox.iter().flat_map(|own| &own.addresses.addresses).map(ToString::to_string).collect();
    let sources = sources(shared, pod, container.spec).await;
    let inputs =
        EnvInputs { pod, container: container.spec, sources: &sources, facts: &facts, pod_ips: &pod_ips };
    let environment = environment(inputs).map_err(|error| config_error(error.to_string()))?;
    for (kind, name, keys) in &environment.skipped {
        let message = format!(
            "Keys [{}] from the EnvFrom {kind} {}/{name} were skipped since they are considered invalid environment \
             variable names.",
            keys.join(", "),
            pod::namespace(pod)
        );
        shared.events.pod(pod, None, true, "InvalidEnvironmentVariableNames", message);
    }
    let here = within(RUNTIME_LIMIT, "look for the image", shared.runtime.image(image)).await;
    let here = here.map_err(|error| config_error(error.to_string()))?;
    let here = here.ok_or_else(|| {
        trouble("CreateContainerError", format!("image {image} is gone: it is pulled again"))
    })?;
    let vars = environment.map();
    let recursive = shared.runtime.features().recursive_read_only_mounts;
    let mounted = shared.volumes.mounts(pod, container, &vars, recursive).await;
    let mut mounts = mounted.map_err(|error| config_error(error.to_string()))?;
    let own = own_files(shared, pod, container, attempt, &pod_ips, &mounts).await.map_err(config_error)?;
    mounts.extend(own);
    let target = target_of(shared, container, sandbox_id).await?;
    let logs = Path::new(&log_directory(pod, &facts.logs_folder)).join(container.name());
    let made = tokio::fs::create_dir_all(&logs).await;
    made.map_err(|error| config_error(format!("make the log folder {}: {error}", logs.display())))?;
    let seccomp = shared.config.seccomp_dir.to_string_lossy();
    let inputs = ContainerInputs {
        pod,
        container,
        attempt,
        image: &here,
        environment: &environment,
        mounts,
        target,
        facts: &facts,
        seccomp_folder: &seccomp,
    };
    container_config(inputs).map_err(|error| config_error(error.to_string()))
}

async fn target_of(
    shared: &Shared,
    container: Container<'_>,
    sandbox: &SandboxId,
) -> Result<Option<ContainerId>, Trouble> {
    let name = container.spec.text("targetContainerName");
    if name.is_empty() {
        return Ok(None);
    }
    let snapshot = shared.lister.snapshot().await.map_err(|error| trouble("CreateContainerError", error))?;
    let live = snapshot.containers.iter().filter(|own| own.state == ContainerState::Running);
    let mut own = live.filter(|own| own.sandbox == *sandbox && own.config.name == name);
    let found = own.next().map(|own| own.id.clone());
    let missing = || {
        trouble("CreateContainerError", format!("unable to find target container {name}: it does not run"))
    };
    found.map(Some).ok_or_else(missing)
}

/// ConfigMaps, Secrets and Services that the environment needs.
async fn sources(shared: &Shared, pod: &Value, container: &Value) -> Sources {
    let (config_maps, secrets) = needed_sources(container);
    let mut sources = Sources::default();
    let namespace = pod::namespace(pod);
    for (resource, names, map) in [
        (Resource::CONFIG_MAPS, config_maps, &mut sources.config_maps),
        (Resource::SECRETS, secrets, &mut sources.secrets),
    ] {
        for name in names {
            let place = Place { resource, namespace, name: &name, subresource: "" };
            let object = shared.api.get(place).await.ok().map(Arc::new);
            map.insert(name, object);
        }
    }
    let mut services = shared.services.subscribe();
    let listed = tokio::time::timeout(SERVICES_WAIT, services.wait_for(Option::is_some)).await;
    if let Ok(Ok(known)) = listed {
        let seen = known
            .iter()
            .flatten()
            .filter(|((of, name), _)| of == namespace || (of == "default" && name == "kubernetes"));
        sources.services = seen.map(|(_, service)| Arc::clone(service)).collect();
    }
    sources
}

/// /etc/hosts and the termination message, unless the pod mounts something there itself.
async fn own_files(
    shared: &Shared,
    pod: &Value,
    container: Container<'_>,
    attempt: u32,
    pod_ips: &[String],
    mounted: &[Mount],
) -> Result<Vec<Mount>, String> {
    let uid = pod::uid(pod);
    let taken = |path: &str| mounted.iter().any(|mount| mount.container_path.trim_end_matches('/') == path);
    let mut mounts = Vec::new();
    if !taken("/etc/hosts") {
        let path = shared.volumes.pod_folder(uid).join("etc-hosts");
        write(&path, hosts_file(pod, &shared.facts(), pod_ips).as_bytes(), true).await?;
        mounts.push(mount(&path, "/etc/hosts"));
    }
    let target = match container.spec.text("terminationMessagePath") {
        "" => "/dev/termination-log",
        path => path,
    };
    if !taken(target) {
        let path = message_path(shared, uid, container.name(), attempt);
        write(&path, b"", false).await?;
        open_to_all(&path).await?;
        mounts.push(mount(&path, target));
    }
    Ok(mounts)
}

fn mount(host: &Path, container: &str) -> Mount {
    Mount {
        host_path: host.to_string_lossy().into_owned(),
        container_path: container.to_owned(),
        ..Mount::default()
    }
}

async fn write(path: &Path, content: &[u8], only_if_changed: bool) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("write {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    }
    if only_if_changed && tokio::fs::read(path).await.is_ok_and(|known| known == content) {
        return Ok(());
    }
    tokio::fs::write(path, content).await.map_err(failed)
}

async fn open_to_all(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o666);
    let done = tokio::fs::set_permissions(path, permissions).await;
    done.map_err(|error| format!("change the mode of {}: {error}", path.display()))
}
