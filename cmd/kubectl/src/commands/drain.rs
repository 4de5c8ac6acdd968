//! `cordon`, `uncordon` and `drain`

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::found::Query;
use crate::arguments::{Drain, DryRun, Node};
use crate::catalogue::Kind;
use crate::error::{Failures, KubectlError};
use crate::output::write;
use crate::session::Session;

/// Pause before an eviction that a budget refused is tried again, as upstream.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Pause between two looks at whether a pod is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Marks nodes; gives their names.
pub(super) async fn cordon(
    session: &Session,
    node: &Node,
    wanted: bool,
) -> Result<Vec<String>, KubectlError> {
    let command = if wanted { "cordon" } else { "uncordon" };
    if node.nodes.is_empty() && node.selector.is_none() {
        return Err(KubectlError::see_help("USAGE: cordon NODE [flags]", command));
    }
    if !node.nodes.is_empty() && node.selector.is_some() {
        return Err(KubectlError::usage("error: cannot specify both a node name and a --selector option"));
    }
    let kind = session.catalogue().await?.find("nodes")?;
    let mut words = vec!["nodes".to_owned()];
    words.extend(node.nodes.iter().map(|name| name.trim_start_matches("node/").to_owned()));
    let mut failures = Failures::default();
    let query = Query { words: &words, selector: node.selector.as_deref(), ..Query::default() };
    let found = query.find(session, &mut failures).await?;
    let mut names = Vec::new();
    for one in &found {
        if failures.note(mark(session, kind, node, &one.name, wanted).await).is_some() {
            names.push(one.name.clone());
        }
    }
    failures.finish()?;
    Ok(names)
}

async fn mark(
    session: &Session,
    kind: &Kind,
    node: &Node,
    name: &str,
    wanted: bool,
) -> Result<(), KubectlError> {
    let live = session.get(kind, "", name).await?;
    let done = if wanted { "cordoned" } else { "uncordoned" };
    let note = node.dry.dry_run.note();
    if (live["spec"]["unschedulable"] == true) == wanted {
        return write(&format!("node/{name} already {done}{note}\n"));
    }
    if node.dry.dry_run != DryRun::Client {
        let patch = json!({"spec": {"unschedulable": if wanted { json!(true) } else { Value::Null }}});
        let path = Session::object(kind, "", name);
        let query: &[(&str, &str)] =
            if node.dry.dry_run == DryRun::Server { &[("dryRun", "All")] } else { &[] };
        session.patch(&path, "application/strategic-merge-patch+json", &patch, query).await?;
    }
    write(&format!("node/{name} {done}{note}\n"))
}

pub(super) async fn run(session: &Session, drain: &Drain) -> Result<(), KubectlError> {
    let names = cordon(session, &drain.node, true).await?;
    let until = (!drain.timeout.is_zero()).then(|| Instant::now() + drain.timeout);
    let pods = session.catalogue().await?.find("pods")?;
    for node in &names {
        let on_node = format!("spec.nodeName={node}");
        let mut query = vec![("fieldSelector", on_node.as_str())];
        query.extend(drain.pod_selector.as_deref().map(|text| ("labelSelector", text)));
        let found = session.list(pods, None, &query).await?;
        let leaving = judged(drain, node, found)?;
        let dry_run = drain.node.dry.dry_run;
        for pod in &leaving {
            if dry_run == DryRun::None {
                evict(session, drain, pod, until).await?;
            } else {
                write(&format!("evicting pod {}/{}{}\n", place(pod).0, place(pod).1, dry_run.note()))?;
            }
        }
        if dry_run == DryRun::None {
            for pod in &leaving {
                gone(session, pod, until).await?;
            }
        }
        write(&format!("node/{node} drained{}\n", dry_run.note()))?;
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
    let pod_path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    let path = format!("{pod_path}/eviction");
    loop {
        let asked = if drain.disable_eviction {
            let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
            if drain.grace_period >= 0 {
                options["gracePeriodSeconds"] = drain.grace_period.into();
            }
            session.send(Method::DELETE, &pod_path, &options, &[]).await
        } else {
            session.send(Method::POST, &path, &eviction, &[]).await
        };
        match asked {
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
