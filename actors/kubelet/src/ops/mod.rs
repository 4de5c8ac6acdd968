//! Carrying out what a pod's worker asks for. Each operation is one bounded I/O task of the pod's actor.

mod container;
mod hooks;
mod image;
mod logs_tail;
mod observe;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_kubelet_core::pod;
use trireme_kubelet_core::translate::{log_directory, sandbox_config};
use trireme_kubelet_core::worker::{Op, OpOutcome};
use trireme_node::{ContainerId, RuntimeError, RuntimeErrorKind, SandboxId, SandboxStatus};
use trireme_schema::view::View;

use crate::api::{ApiError, PatchKind, Place, Resource};
use crate::probes;
use crate::shared::{RUNTIME_LIMIT, Shared, within};
use crate::static_pods;

/// What a stop may take beyond its grace.
const STOP_SLACK: Duration = Duration::from_secs(30);
/// Longest wait for an answer of the API.
const API_LIMIT: Duration = Duration::from_secs(30);

/// Carries out one operation.
pub(crate) async fn carry_out(
    shared: &Arc<Shared>,
    pod: &Arc<Value>,
    sandbox: Option<SandboxStatus>,
    op: Op,
) -> OpOutcome {
    match op {
        Op::Observe => OpOutcome::Observed(observe::observe(shared, pod).await),
        Op::PrepareVolumes => OpOutcome::Done(prepare_volumes(shared, pod).await),
        Op::RunSandbox { attempt } => {
            OpOutcome::Sandbox(run_sandbox(shared, pod, attempt).await.map(Box::new))
        }
        Op::EnsureImage { container } => OpOutcome::Image(image::ensure(shared, pod, &container).await),
        Op::StartContainer { container, attempt, sandbox: id, image } => {
            let sandbox = sandbox.filter(|own| own.id == id);
            OpOutcome::Start(container::start(shared, pod, &container, attempt, &id, sandbox, &image).await)
        }
        Op::StopContainer { container, id, grace } => {
            OpOutcome::Stopped(stop(shared, pod, sandbox.as_ref(), &container, &id, grace).await)
        }
        Op::RemoveContainer { id } => {
            let removal = within(RUNTIME_LIMIT, "remove container", shared.runtime.remove_container(&id));
            OpOutcome::Done(ended(removal.await))
        }
        Op::Resize { container, id } => {
            OpOutcome::Done(resize(shared, pod, sandbox.as_ref(), &container, &id).await)
        }
        Op::StopSandbox { id } => OpOutcome::Done(ended(
            within(RUNTIME_LIMIT, "stop sandbox", shared.runtime.stop_sandbox(&id)).await,
        )),
        Op::RemoveSandbox { id } => OpOutcome::Done(remove_sandbox(shared, &id).await),
        Op::Probe { container, id, kind } => {
            OpOutcome::Probe(probes::run(shared, pod, sandbox.as_ref(), &container, &id, kind).await)
        }
        Op::WriteStatus(patch) => OpOutcome::Done(write_status(shared, pod, *patch).await),
        Op::ReleaseVolumes => OpOutcome::Done(shared.volumes.release(pod::uid(pod)).await),
        Op::RemoveFolders => OpOutcome::Done(remove_folders(shared, pod).await),
        Op::DeletePod => OpOutcome::Done(delete_pod(shared, pod).await),
    }
}

/// What is gone already is ended well.
fn ended(result: Result<(), RuntimeError>) -> Result<(), String> {
    match result {
        Err(error) if error.kind != RuntimeErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

async fn prepare_volumes(shared: &Arc<Shared>, pod: &Value) -> Result<(), String> {
    match shared.volumes.prepare(shared, pod).await {
        Ok(()) => Ok(()),
        Err(error) => {
            shared.events.pod(pod, None, true, "FailedMount", error.to_string());
            Err(error.to_string())
        }
    }
}

async fn run_sandbox(shared: &Shared, pod: &Value, attempt: u32) -> Result<SandboxStatus, String> {
    let facts = shared.facts();
    let (config, dns_missing) = sandbox_config(pod, attempt, &facts).map_err(|error| error.to_string())?;
    if dns_missing {
        let message = format!(
            "pod: {:?}. kubelet does not have ClusterDNS IP configured and cannot create Pod using \"ClusterFirst\" \
             policy. Falling back to \"Default\" policy.",
            pod::display(pod)
        );
        shared.events.pod(pod, None, true, "MissingClusterDNS", message);
    }
    let logs = log_directory(pod, &facts.logs_folder);
    tokio::fs::create_dir_all(&logs).await.map_err(|error| format!("make the log folder {logs}: {error}"))?;
    let made = within(RUNTIME_LIMIT, "run sandbox", shared.runtime.run_sandbox(config)).await;
    let id = match made {
        Ok(id) => Some(id),
        Err(error) if error.kind == RuntimeErrorKind::AlreadyExists => None,
        Err(error) => return Err(error.to_string()),
    };
    let snapshot = shared.lister.snapshot().await.map_err(|error| error.to_string())?;
    let own = snapshot.sandboxes.iter().find(|own| match &id {
        Some(id) => own.id == *id,
        None => own.config.uid == pod::uid(pod) && own.config.attempt == attempt,
    });
    own.cloned().ok_or_else(|| "the sandbox was made, but the runtime does not list it".to_owned())
}

async fn stop(
    shared: &Arc<Shared>,
    pod: &Value,
    sandbox: Option<&SandboxStatus>,
    name: &str,
    id: &ContainerId,
    grace: Duration,
) -> Result<Option<Box<trireme_node::ContainerStatus>>, String> {
    let begun = tokio::time::Instant::now();
    let hook = pod::container(pod, name).map(|own| hooks::pre_stop(shared, pod, sandbox, own, id, grace));
    if let Some(hook) = hook {
        hook.await;
    }
    // The signal always leaves some time, as upstream's minimum does.
    let left = grace
        .saturating_sub(begun.elapsed())
        .max(Duration::from_secs(2).min(grace.max(Duration::from_secs(1))));
    let stopped = within(left + STOP_SLACK, "stop container", shared.runtime.stop_container(id, left)).await;
    match stopped {
        Err(error) if error.kind == RuntimeErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(()) => {}
    }
    match within(RUNTIME_LIMIT, "container status", shared.runtime.container(id)).await {
        Ok(status) => Ok(Some(Box::new(observe::with_message(shared, pod, status).await))),
        Err(error) if error.kind == RuntimeErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

async fn resize(
    shared: &Shared,
    pod: &Value,
    sandbox: Option<&SandboxStatus>,
    name: &str,
    id: &ContainerId,
) -> Result<(), String> {
    let facts = shared.facts();
    let Some(container) = pod::container(pod, name) else { return Ok(()) };
    let own = trireme_kubelet_core::resources::container_resources(pod, container.spec, facts.memory_bytes);
    let whole = trireme_kubelet_core::resources::pod_resources(pod, facts.pids_limit);
    let before = sandbox.map(|own| own.config.resources.clone()).unwrap_or_default();
    // A pod that grows gets its room before its container, one that shrinks gives it up after.
    let grows = whole.memory_limit.is_none() || whole.memory_limit >= before.memory_limit;
    if let Some(sandbox) = sandbox.filter(|_| grows) {
        let update = shared.runtime.update_sandbox_resources(&sandbox.id, whole.clone());
        within(RUNTIME_LIMIT, "resize pod", update).await.map_err(|error| error.to_string())?;
    }
    let update = shared.runtime.update_resources(id, own);
    within(RUNTIME_LIMIT, "resize container", update).await.map_err(|error| error.to_string())?;
    if let Some(sandbox) = sandbox.filter(|_| !grows) {
        let update = shared.runtime.update_sandbox_resources(&sandbox.id, whole);
        within(RUNTIME_LIMIT, "resize pod", update).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn remove_sandbox(shared: &Shared, id: &SandboxId) -> Result<(), String> {
    ended(within(RUNTIME_LIMIT, "stop sandbox", shared.runtime.stop_sandbox(id)).await)?;
    ended(within(RUNTIME_LIMIT, "remove sandbox", shared.runtime.remove_sandbox(id)).await)
}

async fn remove_folders(shared: &Shared, pod: &Value) -> Result<(), String> {
    if pod::is_static(pod) {
        bounded(static_pods::remove_mirror(&*shared.api, pod)).await.map_err(|error| error.to_string())?;
    }
    let uid = pod::uid(pod);
    shared.volumes.release(uid).await?;
    shared.volumes.remove_pod(uid).await?;
    let logs = log_directory(pod, &shared.facts().logs_folder);
    match tokio::fs::remove_dir_all(&logs).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("remove {logs}: {error}")),
        _ => Ok(()),
    }
}

// ---- the API ----

async fn bounded<T>(call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let late =
        ApiError { code: 0, reason: "Timeout".into(), message: "the API did not answer in time".into() };
    tokio::time::timeout(API_LIMIT, call).await.unwrap_or(Err(late))
}

/// A patch merges lists of addresses with what is there: those of an earlier sandbox, as far as the API showed them, must
/// be named to go.
fn without_earlier(mut status: Value, shown: &Value) -> Value {
    for list in ["podIPs", "hostIPs"] {
        let Some(addresses) = status.get_mut(list).and_then(Value::as_array_mut) else { continue };
        let mut gone: Vec<Value> =
            shown.list(list).iter().filter(|old| !addresses.contains(old)).cloned().collect();
        gone.iter_mut().for_each(|old| old["$patch"] = "delete".into());
        addresses.extend(gone);
    }
    status
}

async fn write_status(shared: &Shared, pod: &Value, patch: Value) -> Result<(), String> {
    let uid = pod::uid(pod);
    if let Some(entry) = shared.pods.lock().get_mut(uid) {
        entry.status = Some(Arc::new(patch.clone()));
    }
    let api_uid = match pod::is_static(pod) {
        false => uid.to_owned(),
        true => match shared.entry(uid).and_then(|entry| entry.mirror_uid) {
            Some(known) => known,
            None => {
                let node = shared.node.borrow().clone().unwrap_or_default();
                let made = bounded(static_pods::mirror(&*shared.api, pod, pod::uid(&node))).await;
                made.map_err(|error| error.to_string())?
            }
        },
    };
    let body = json!({"metadata": {"uid": api_uid}, "status": without_earlier(patch, pod.at("status"))});
    let place = |subresource: &'static str| Place {
        resource: Resource::PODS,
        namespace: pod::namespace(pod),
        name: pod::name(pod),
        subresource,
    };
    let error = match bounded(shared.api.patch(place("status"), PatchKind::Strategic, body)).await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if error.is_not_found() || error.is_conflict() {
        // The pod is gone, or another one has its name: then nobody reads this status any more.
        let there = bounded(shared.api.get(place(""))).await;
        let ours = there.as_ref().is_ok_and(|known| pod::uid(known) == api_uid);
        let unknown = there.as_ref().is_err_and(|error| !error.is_not_found());
        if !ours && !unknown {
            if let Some(entry) = shared.pods.lock().get_mut(uid) {
                entry.mirror_uid = None;
            }
            return if pod::is_static(pod) { Err(error.to_string()) } else { Ok(()) };
        }
    }
    tracing::warn!(%error, pod = pod::display(pod), "the pod's status was not written");
    Err(error.to_string())
}

async fn delete_pod(shared: &Shared, pod: &Value) -> Result<(), String> {
    let place = Place {
        resource: Resource::PODS,
        namespace: pod::namespace(pod),
        name: pod::name(pod),
        subresource: "",
    };
    let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod::uid(pod)}});
    match bounded(shared.api.delete(place, options)).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error.to_string()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_an_earlier_sandbox_go() {
        let status = json!({"podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}]});
        assert_eq!(without_earlier(status.clone(), &Value::Null), status);
        assert_eq!(without_earlier(status.clone(), &status), status);
        let shown = json!({"podIPs": [{"ip": "10.0.0.1"}]});
        let patch = without_earlier(status, &shown);
        assert_eq!(patch["podIPs"], json!([{"ip": "10.0.0.2"}, {"ip": "10.0.0.1", "$patch": "delete"}]));
    }
}
