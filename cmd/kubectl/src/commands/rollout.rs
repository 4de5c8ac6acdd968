//! `rollout`

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::get::write;
use crate::arguments::{Rollout, Selection};
use crate::catalogue::Kind;
use crate::error::KubectlError;
use crate::output::{Grid, now};
use crate::session::Session;
use crate::target;

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const REVISION: &str = "deployment.kubernetes.io/revision";
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

pub(super) async fn run(session: &Session, rollout: &Rollout) -> Result<(), KubectlError> {
    match rollout {
        Rollout::Status { selection, timeout, watch } => {
            let limit = super::duration(timeout)?;
            for (kind, name) in objects(session, selection).await? {
                status(session, &kind, &name, limit, *watch).await?;
            }
        }
        Rollout::History { selection, revision } => {
            for (kind, name) in objects(session, selection).await? {
                history(session, &kind, &name, *revision).await?;
            }
        }
        Rollout::Undo { selection, to_revision } => {
            for (kind, name) in objects(session, selection).await? {
                undo(session, &kind, &name, *to_revision).await?;
            }
        }
        Rollout::Restart(selection) => {
            let now = now().to_time();
            let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}});
            change(session, selection, &patch, "restarted").await?;
        }
        Rollout::Pause(selection) => {
            change(session, selection, &json!({"spec": {"paused": true}}), "paused").await?
        }
        Rollout::Resume(selection) => {
            change(session, selection, &json!({"spec": {"paused": null}}), "resumed").await?
        }
    }
    Ok(())
}

async fn objects(session: &Session, selection: &Selection) -> Result<Vec<(Kind, String)>, KubectlError> {
    let mut found = Vec::new();
    for target in target::read(&selection.words, session.catalogue().await?)? {
        if !["deployments", "daemonsets", "statefulsets"].contains(&target.kind.plural.as_str()) {
            return Err(KubectlError::usage(format!(
                "no status viewer has been implemented for {}",
                target.kind.full()
            )));
        }
        for name in super::delete::names(session, &target, selection).await? {
            found.push((target.kind.clone(), name));
        }
    }
    Ok(found)
}

async fn change(
    session: &Session,
    selection: &Selection,
    patch: &Value,
    verb: &str,
) -> Result<(), KubectlError> {
    for (kind, name) in objects(session, selection).await? {
        let path = Session::object(&kind, &session.namespace, &name);
        if verb != "restarted" {
            if kind.plural != "deployments" {
                let word = verb.trim_end_matches('d');
                return Err(KubectlError::usage(format!(
                    "{} \"{name}\" {word} is not supported",
                    kind.full()
                )));
            }
            let live = session.get(&kind, &session.namespace, &name).await?;
            let paused = live["spec"]["paused"] == true;
            if paused == (verb == "paused") {
                let state = if paused { "is already paused" } else { "is not paused" };
                return Err(KubectlError::usage(format!("{} \"{name}\" {state}", kind.full())));
            }
        }
        let query = [("fieldManager", "kubectl-rollout")];
        session.patch(&path, "application/strategic-merge-patch+json", patch, &query).await?;
        write(&format!("{}/{name} {verb}\n", kind.shown()))?;
    }
    Ok(())
}

async fn status(
    session: &Session,
    kind: &Kind,
    name: &str,
    limit: Duration,
    watch: bool,
) -> Result<(), KubectlError> {
    let until = (!limit.is_zero()).then(|| Instant::now() + limit);
    let mut shown = String::new();
    loop {
        let object = session.get(kind, &session.namespace, name).await?;
        let (text, done) = progress(kind, name, &object)?;
        if text != shown {
            write(&text)?;
            shown = text;
        }
        if done || !watch {
            return Ok(());
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(KubectlError::usage("timed out waiting for the condition"));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// How far a rollout is, and whether it is through.
fn progress(kind: &Kind, name: &str, object: &Value) -> Result<(String, bool), KubectlError> {
    let status = |field: &str| object["status"][field].as_i64().unwrap_or(0);
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    match kind.plural.as_str() {
        "deployments" => {
            if generation > status("observedGeneration") {
                return Ok(("Waiting for deployment spec update to be observed...\n".to_owned(), false));
            }
            let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
            if conditions
                .into_iter()
                .any(|c| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded")
            {
                return Err(KubectlError::usage(format!(
                    "deployment \"{name}\" exceeded its progress deadline"
                )));
            }
            let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
            let (updated, all, available) =
                (status("updatedReplicas"), status("replicas"), status("availableReplicas"));
            let waiting = |what: String| {
                (format!("Waiting for deployment \"{name}\" rollout to finish: {what}...\n"), false)
            };
            Ok(if updated < wanted {
                waiting(format!("{updated} out of {wanted} new replicas have been updated"))
            } else if all > updated {
                waiting(format!("{} old replicas are pending termination", all - updated))
            } else if available < updated {
                waiting(format!("{available} of {updated} updated replicas are available"))
            } else {
                (format!("deployment \"{name}\" successfully rolled out\n"), true)
            })
        }
        "daemonsets" => {
            if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
                return Err(KubectlError::usage(
                    "rollout status is only available for RollingUpdate strategy type",
                ));
            }
            if generation > status("observedGeneration") {
                return Ok(("Waiting for daemon set spec update to be observed...\n".to_owned(), false));
            }
            let wanted = status("desiredNumberScheduled");
            let (updated, available) = (status("updatedNumberScheduled"), status("numberAvailable"));
            let waiting = |what: String| {
                (format!("Waiting for daemon set \"{name}\" rollout to finish: {what}...\n"), false)
            };
            Ok(if updated < wanted {
                waiting(format!("{updated} out of {wanted} new pods have been updated"))
            } else if available < wanted {
                waiting(format!("{available} of {wanted} updated pods are available"))
            } else {
                (format!("daemon set \"{name}\" successfully rolled out\n"), true)
            })
        }
        _ => stateful(object, generation),
    }
}

fn stateful(object: &Value, generation: i64) -> Result<(String, bool), KubectlError> {
    let status = |field: &str| object["status"][field].as_i64().unwrap_or(0);
    let strategy = &object["spec"]["updateStrategy"];
    if strategy["type"] == "OnDelete" {
        return Err(KubectlError::usage("rollout status is only available for RollingUpdate strategy type"));
    }
    let observed = status("observedGeneration");
    if observed == 0 || generation > observed {
        return Ok(("Waiting for statefulset spec update to be observed...\n".to_owned(), false));
    }
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let ready = status("readyReplicas");
    if ready < wanted {
        return Ok((format!("Waiting for {} pods to be ready...\n", wanted - ready), false));
    }
    let partition = strategy["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
    if partition > 0 {
        let (updated, due) = (status("updatedReplicas"), wanted - partition);
        if updated < due {
            let text = format!(
                "Waiting for partitioned roll out to finish: {updated} out of {due} new pods have been updated...\n"
            );
            return Ok((text, false));
        }
        return Ok((
            format!("partitioned roll out complete: {updated} new pods have been updated...\n"),
            true,
        ));
    }
    let (update, current) = (&object["status"]["updateRevision"], &object["status"]["currentRevision"]);
    if update != current {
        let text = format!(
            "waiting for statefulset rolling update to complete {} pods at revision {}...\n",
            status("updatedReplicas"),
            update.as_str().unwrap_or_default()
        );
        return Ok((text, false));
    }
    let pods = status("currentReplicas");
    let text = format!(
        "statefulset rolling update complete {pods} pods at revision {}...\n",
        current.as_str().unwrap_or_default()
    );
    Ok((text, true))
}

/// The revisions of an object, oldest first: number and what keeps the template.
async fn revisions(
    session: &Session,
    kind: &Kind,
    object: &Value,
) -> Result<Vec<(i64, Value)>, KubectlError> {
    let catalogue = session.catalogue().await?;
    let selector = super::pods::selector_of(object).unwrap_or_default();
    let keeper = if kind.plural == "deployments" { "replicasets.apps" } else { "controllerrevisions.apps" };
    let query = [("labelSelector", selector.as_str())];
    let kept = session.list(catalogue.find(keeper)?, Some(&session.namespace), &query).await?;
    let uid = &object["metadata"]["uid"];
    let owned = |item: &Value| {
        item["metadata"]["ownerReferences"].as_array().into_iter().flatten().any(|o| &o["uid"] == uid)
    };
    let number = |item: &Value| {
        item["revision"].as_i64().or_else(|| item["metadata"]["annotations"][REVISION].as_str()?.parse().ok())
    };
    let mut found: Vec<(i64, Value)> =
        kept.into_iter().filter(owned).filter_map(|item| Some((number(&item)?, item))).collect();
    found.sort_by_key(|(number, _)| *number);
    Ok(found)
}

async fn history(session: &Session, kind: &Kind, name: &str, revision: i64) -> Result<(), KubectlError> {
    let object = session.get(kind, &session.namespace, name).await?;
    let found = revisions(session, kind, &object).await?;
    write(&format!("{}/{name} ", kind.shown()))?;
    if revision > 0 {
        let (_, item) = found.iter().find(|(number, _)| *number == revision).ok_or_else(|| {
            KubectlError::usage(format!("unable to find the specified revision {revision} in history"))
        })?;
        write(&format!(
            "with revision #{revision}\nPod Template:\n{}",
            trireme_schema::yaml::print(&template(kind, item))
        ))?;
        return Ok(());
    }
    let mut grid = Grid::new(&["REVISION", "CHANGE-CAUSE"]);
    for (number, item) in &found {
        let cause = item["metadata"]["annotations"][CHANGE_CAUSE].as_str().unwrap_or("<none>");
        grid.rows.push(vec![number.to_string(), cause.to_owned()]);
    }
    // Two blanks, where Tables have three.
    let text: String = grid.text(true).lines().map(|line| line.replacen("   ", "  ", 1) + "\n").collect();
    write(&format!("\n{text}\n"))
}

fn template(kind: &Kind, item: &Value) -> Value {
    if kind.plural != "deployments" {
        return item["data"]["spec"]["template"].clone();
    }
    let mut template = item["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove("pod-template-hash");
    }
    template
}

async fn undo(session: &Session, kind: &Kind, name: &str, to: i64) -> Result<(), KubectlError> {
    let object = session.get(kind, &session.namespace, name).await?;
    if object["spec"]["paused"] == true {
        return Err(KubectlError::usage(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again",
        ));
    }
    let found = revisions(session, kind, &object).await?;
    let wanted = if to > 0 {
        found.iter().find(|(number, _)| *number == to)
    } else {
        found.len().checked_sub(2).and_then(|at| found.get(at))
    };
    let (_, item) = wanted.ok_or_else(|| {
        KubectlError::usage(if to > 0 {
            format!("unable to find specified revision {to} in history")
        } else {
            format!("no rollout history found for {} \"{name}\"", kind.shown())
        })
    })?;
    let path = Session::object(kind, &session.namespace, name);
    let template = template(kind, item);
    if same_template(&template, &object["spec"]["template"]) {
        return write(&format!(
            "{}/{name} skipped rollback (current template already matches revision {to})\n",
            kind.shown()
        ));
    }
    let patch = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
    session
        .patch(&path, "application/json-patch+json", &patch, &[("fieldManager", "kubectl-rollout")])
        .await?;
    write(&format!("{}/{name} rolled back\n", kind.shown()))
}

fn same_template(kept: &Value, now: &Value) -> bool {
    kept["spec"] == now["spec"] && kept["metadata"] == now["metadata"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_deployments() {
        let kind = Kind { plural: "deployments".to_owned(), ..Kind::default() };
        let at = |observed: i64, updated: i64, all: i64, available: i64| {
            let object = json!({"metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": {"observedGeneration": observed,
                "updatedReplicas": updated, "replicas": all, "availableReplicas": available}});
            progress(&kind, "web", &object).unwrap()
        };
        assert!(at(1, 3, 3, 3).0.contains("spec update to be observed"));
        assert!(at(2, 1, 3, 3).0.contains("1 out of 3 new replicas have been updated"));
        assert!(at(2, 3, 4, 3).0.contains("1 old replicas are pending termination"));
        assert!(at(2, 3, 3, 2).0.contains("2 of 3 updated replicas are available"));
        assert_eq!(at(2, 3, 3, 3), ("deployment \"web\" successfully rolled out\n".to_owned(), true));
    }
}
