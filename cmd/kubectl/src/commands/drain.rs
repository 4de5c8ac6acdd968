//! `cordon`, `uncordon` and `drain`

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::get::write;
use crate::arguments::Drain;
use crate::error::KubectlError;
use crate::session::Session;

/// Pause before an eviction that a budget refused is tried again, as upstream.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Pause between two looks at whether a pod is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub(super) async fn cordon(session: &Session, nodes: &[String], wanted: bool) -> Result<(), KubectlError> {
    if nodes.is_empty() {
        return Err(KubectlError::usage("one or more node names are expected"));
    }
    let kind = session.catalogue().await?.find("nodes")?;
    for name in nodes {
        let node = session.get(kind, "", name).await?;
        let done = if wanted { "cordoned" } else { "uncordoned" };
        if (node["spec"]["unschedulable"] == true) == wanted {
            write(&format!("node/{name} already {done}\n"))?;
            continue;
        }
        let patch = json!({"spec": {"unschedulable": if wanted { json!(true) } else { Value::Null }}});
        let path = Session::object(kind, "", name);
        session.patch(&path, "application/strategic-merge-patch+json", &patch, &[]).await?;
        write(&format!("node/{name} {done}\n"))?;
    }
    Ok(())
}

pub(super) async fn run(session: &Session, drain: &Drain) -> Result<(), KubectlError> {
    cordon(session, &drain.nodes, true).await?;
    let limit = super::duration(&drain.timeout)?;
    let until = (!limit.is_zero()).then(|| Instant::now() + limit);
    let pods = session.catalogue().await?.find("pods")?;
    for node in &drain.nodes {
        let on_node = format!("spec.nodeName={node}");
        let found = session.list(pods, None, &[("fieldSelector", &on_node)]).await?;
        let leaving = judged(drain, node, found)?;
        for pod in &leaving {
            evict(session, drain, pod, until).await?;
        }
        for pod in &leaving {
            gone(session, pod, until).await?;
        }
        write(&format!("node/{node} drained\n"))?;
    }
    Ok(())
}

/// The pods that go; an error when some may not without being told.
fn judged(drain: &Drain, node: &str, pods: Vec<Value>) -> Result<Vec<Value>, KubectlError> {
    let (mut leaving, mut daemons, mut unmanaged, mut local) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for pod in pods {
        let shown = format!("{}/{}", place(&pod).0, place(&pod).1);
        if pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string() {
            continue;
        }
        let finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let controller = owners.into_iter().find(|owner| owner["controller"] == true);
        if controller.is_some_and(|owner| owner["kind"] == "DaemonSet") && !finished {
            daemons.push(shown);
            continue;
        }
        if controller.is_none() && !finished {
            unmanaged.push(shown.clone());
        }
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        if volumes.into_iter().any(|volume| volume["emptyDir"].is_object()) && !finished {
            local.push(shown);
        }
        leaving.push(pod);
    }
    let mut why = Vec::new();
    if !daemons.is_empty() && !drain.ignore_daemonsets {
        why.push(format!(
            "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): {}",
            daemons.join(", ")
        ));
    }
    if !local.is_empty() && !drain.delete_emptydir_data {
        why.push(format!(
            "cannot delete Pods with local storage (use --delete-emptydir-data to override): {}",
            local.join(", ")
        ));
    }
    if !unmanaged.is_empty() && !drain.force {
        why.push(format!(
            "cannot delete Pods that declare no controller (use --force to override): {}",
            unmanaged.join(", ")
        ));
    }
    if !why.is_empty() {
        return Err(KubectlError::usage(format!(
            "unable to drain node \"{node}\" due to error: [{}]",
            why.join(", ")
        )));
    }
    if !daemons.is_empty() {
        eprintln!("Warning: ignoring DaemonSet-managed Pods: {}", daemons.join(", "));
    }
    Ok(leaving)
}

async fn evict(
    session: &Session,
    drain: &Drain,
    pod: &Value,
    until: Option<Instant>,
) -> Result<(), KubectlError> {
    let (namespace, name) = place(pod);
    write(&format!("evicting pod {namespace}/{name}\n"))?;
    let mut eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}});
    if drain.grace_period >= 0 {
        eviction["deleteOptions"] = json!({"gracePeriodSeconds": drain.grace_period});
    }
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
    loop {
        match session.send(Method::POST, &path, &eviction, &[]).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(KubectlError::Server(error)) if error.code() == Some(429) => {
                eprintln!(
                    "error when evicting pods/\"{name}\" -n \"{namespace}\" (will retry after 5s): {error}"
                );
            }
            Err(error) => return Err(error),
        }
        late(until, name)?;
        sleep(REFUSED_PAUSE).await;
    }
}

async fn gone(session: &Session, pod: &Value, until: Option<Instant>) -> Result<(), KubectlError> {
    let (namespace, name) = place(pod);
    let kind = session.catalogue().await?.find("pods")?;
    loop {
        match session.get(kind, namespace, name).await {
            Err(error) if error.is_not_found() => break,
            Err(error) => return Err(error),
            Ok(now) if now["metadata"]["uid"] != pod["metadata"]["uid"] => break,
            Ok(_) => late(until, name)?,
        }
        sleep(LOOK_AGAIN).await;
    }
    write(&format!("pod/{name} evicted\n"))
}

fn late(until: Option<Instant>, name: &str) -> Result<(), KubectlError> {
    if until.is_some_and(|until| Instant::now() >= until) {
        return Err(KubectlError::usage(format!(
            "error when waiting for pod \"{name}\" to terminate: global timeout reached"
        )));
    }
    Ok(())
}

fn place(pod: &Value) -> (&str, &str) {
    let text = |name: &str| pod["metadata"][name].as_str().unwrap_or_default();
    (text("namespace"), text("name"))
}
