//! postStart and preStop: exec, httpGet, tcpSocket (never run, as upstream) and sleep.

use std::time::Duration;

use serde_json::Value;
use trireme_kubelet_core::pod::{self, Container};
use trireme_node::{ContainerId, SandboxStatus};
use trireme_schema::view::View;

use crate::probes::{HttpTarget, http_get, port_number};
use crate::shared::Shared;

/// Longest postStart hook: upstream has none, but a hook must not outlive its pod's patience for ever.
const POST_START_LIMIT: Duration = Duration::from_secs(3_600);
/// Longest answer wait of an HTTP hook (upstream's client).
const HTTP_HOOK_LIMIT: Duration = Duration::from_secs(30);

/// Runs the container's postStart hook, if it has one.
pub(super) async fn post_start(
    shared: &Shared,
    pod: &Value,
    sandbox: Option<&SandboxStatus>,
    container: Container<'_>,
    id: &ContainerId,
) -> Result<(), String> {
    let hook = container.spec.at("lifecycle").at("postStart");
    if hook.is_null() {
        return Ok(());
    }
    run(shared, pod, sandbox, container, id, hook, POST_START_LIMIT).await
}

/// Runs the container's preStop hook within its grace; a failure is told and does not hold the stop back.
pub(super) async fn pre_stop(
    shared: &Shared,
    pod: &Value,
    sandbox: Option<&SandboxStatus>,
    container: Container<'_>,
    id: &ContainerId,
    grace: Duration,
) {
    let hook = container.spec.at("lifecycle").at("preStop");
    if hook.is_null() || grace.is_zero() {
        return;
    }
    let ran = tokio::time::timeout(grace, run(shared, pod, sandbox, container, id, hook, grace)).await;
    let told = match ran {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(_) => format!("the hook did not end within the grace of {} s", grace.as_secs()),
    };
    tracing::warn!(
        error = told,
        pod = pod::display(pod),
        container = container.name(),
        "preStop hook failed"
    );
    let path = container.field_path();
    shared.events.pod(pod, Some(&path), true, "FailedPreStopHook", "PreStopHook failed".to_owned());
}

async fn run(
    shared: &Shared,
    pod: &Value,
    sandbox: Option<&SandboxStatus>,
    container: Container<'_>,
    id: &ContainerId,
    hook: &Value,
    limit: Duration,
) -> Result<(), String> {
    if hook.has("exec") {
        let words =
            hook.at("exec").list("command").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let outcome = shared.runtime.exec_sync(id, words, limit).await.map_err(|error| error.to_string())?;
        return match outcome.exit_code {
            0 => Ok(()),
            code => {
                let said = [outcome.stdout, outcome.stderr].concat();
                Err(format!("command exited with {code}: {}", String::from_utf8_lossy(&said)))
            }
        };
    }
    if hook.has("sleep") {
        let span = hook.at("sleep").int("seconds").map_or(Duration::ZERO, pod::seconds);
        tokio::time::sleep(span).await;
        return Ok(());
    }
    if hook.has("httpGet") {
        return http_get_hook(shared, pod, sandbox, container, hook.at("httpGet")).await;
    }
    Err("invalid handler: exec, httpGet and sleep are run; tcpSocket never was".to_owned())
}

async fn http_get_hook(
    shared: &Shared,
    pod: &Value,
    sandbox: Option<&SandboxStatus>,
    container: Container<'_>,
    get: &Value,
) -> Result<(), String> {
    let address = crate::probes::pod_address(shared, pod, sandbox).ok_or("the pod has no address")?;
    let port = match get.has("port") {
        true => port_number(container, get.at("port"))?,
        false => 80,
    };
    let target = HttpTarget::read(get, &address, port);
    match http_get(&target, HTTP_HOOK_LIMIT).await {
        Ok((status, _)) if (200..400).contains(&status) => Ok(()),
        Ok((status, _)) => Err(format!("HTTP hook answered {status}")),
        Err(error) => Err(error),
    }
}
