//! The Node object: registration, status, lease.

mod lease;
mod machine;
mod status;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::view::View;

pub(crate) use lease::renew as renew_lease;
pub(crate) use machine::{Machine, facts, readings};

use crate::api::{ApiError, PatchKind, Place, Resource};
use crate::clock::moment_now;
use crate::shared::Shared;

/// First wait after the API refused or did not answer.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// Longest wait.
const RETRY_LONGEST: Duration = Duration::from_secs(7);
/// Longest wait for one answer.
const API_LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn bounded<T>(call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let late =
        ApiError { code: 0, reason: "Timeout".into(), message: "the API did not answer in time".into() };
    tokio::time::timeout(API_LIMIT, call).await.unwrap_or(Err(late))
}

fn place<'a>(name: &'a str, subresource: &'static str) -> Place<'a> {
    Place { resource: Resource::NODES, namespace: "", name, subresource }
}

/// Registers the node and keeps its status. Never ends by itself.
pub(crate) async fn keep(shared: Arc<Shared>) -> String {
    let machine = Machine::read();
    let mut retry = RETRY_FIRST;
    while let Err(error) = register(&shared, &machine).await {
        tracing::warn!(%error, "the node is not registered yet");
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY_LONGEST);
    }
    let name = shared.config.node_name.clone();
    shared.events.node(&name, false, "Starting", "Starting kubelet.".to_owned());
    let mut written: Option<(Value, tokio::time::Instant)> = None;
    let mut was_ready = false;
    loop {
        let (status, ready) = status::of(&shared, &machine).await;
        let told = comparable(&status);
        let due = written
            .as_ref()
            .is_none_or(|(known, at)| *known != told || at.elapsed() >= shared.config.status_report);
        if due {
            match report(&shared, status).await {
                Ok(()) => {
                    retry = RETRY_FIRST;
                    written = Some((told, tokio::time::Instant::now()));
                    if ready && !was_ready {
                        let message = format!("Node {name} status is now: NodeReady");
                        shared.events.node(&name, false, "NodeReady", message);
                    }
                    was_ready = ready;
                }
                Err(error) if error.is_not_found() => return format!("the Node object is gone: {error}"),
                Err(error) => {
                    tracing::warn!(%error, "the node's status was not written");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_LONGEST);
                    continue;
                }
            }
        } else if let Ok(node) = bounded(shared.api.get(place(&name, ""))).await {
            let overwritten = says_otherwise(&node, ready);
            shared.node.send_replace(Some(Arc::new(node)));
            if overwritten {
                written = None;
                continue;
            }
        }
        // A node that is not ready looks more often: it becomes ready soon.
        let pause = if ready { shared.config.status_update } else { RETRY_FIRST };
        tokio::time::sleep(pause).await;
    }
}

/// Somebody else says whether the node is ready, as the node lifecycle does while it hears nothing. Here it is known.
fn says_otherwise(node: &Value, ready: bool) -> bool {
    let mut conditions = node.at("status").list("conditions").iter();
    let said = conditions.find(|condition| condition.text("type") == "Ready");
    said.is_none_or(|said| said.text("status") != if ready { "True" } else { "False" })
}

/// The status without what changes at every beat.
fn comparable(status: &Value) -> Value {
    let mut status = status.clone();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if let Some(map) = condition.as_object_mut() {
            map.remove("lastHeartbeatTime");
            map.remove("lastTransitionTime");
        }
    }
    status
}

async fn report(shared: &Shared, status: Value) -> Result<(), ApiError> {
    let name = &shared.config.node_name;
    let patch = json!({"status": status});
    let node = bounded(shared.api.patch(place(name, "status"), PatchKind::Strategic, patch)).await?;
    shared.node.send_replace(Some(Arc::new(node)));
    Ok(())
}

async fn register(shared: &Shared, machine: &Machine) -> Result<(), ApiError> {
    let config = &shared.config;
    let name = &config.node_name;
    let labels = labels(shared, machine);
    let taints: Vec<Value> = config
        .node_taints
        .iter()
        .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
        .collect();
    match bounded(shared.api.get(place(name, ""))).await {
        Ok(known) => {
            let missing: serde_json::Map<String, Value> = labels
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, value)| known.at("metadata").at("labels").at(key) != *value)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let node = match missing.is_empty() {
                true => known,
                false => {
                    let patch = json!({"metadata": {"labels": missing}});
                    bounded(shared.api.patch(place(name, ""), PatchKind::Strategic, patch)).await?
                }
            };
            shared.node.send_replace(Some(Arc::new(node)));
            Ok(())
        }
        Err(error) if error.is_not_found() => {
            let (status, _) = status::of(shared, machine).await;
            let mut node = json!({"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": labels,
                    "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
                "spec": {}, "status": status});
            if !taints.is_empty() {
                node["spec"]["taints"] = taints.into();
            }
            if !config.provider_id.is_empty() {
                node["spec"]["providerID"] = config.provider_id.clone().into();
            }
            let made = bounded(shared.api.create(place("", ""), node)).await?;
            tracing::info!(node = name, at = moment_now().to_time(), "the node is registered");
            shared.node.send_replace(Some(Arc::new(made)));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn labels(shared: &Shared, machine: &Machine) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": shared.config.node_name.to_lowercase(),
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": machine.architecture,
    });
    for (key, value) in &shared.config.node_labels {
        labels[key] = value.clone().into();
    }
    labels
}
