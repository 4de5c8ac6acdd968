//! `rollout`

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::found::{Found, Query};
use crate::arguments::{DryRun, Printing, Rollout, RolloutObjects};
use crate::catalogue::Kind;
use crate::error::{Failures, KubectlError};
use crate::output::{Reporter, now, write};
use crate::session::Session;

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

pub(super) async fn run(session: &Session, rollout: &Rollout) -> Result<(), KubectlError> {
    let mut failures = Failures::default();
    match rollout {
        Rollout::Status { objects, timeout, revision, watch } => {
            let found = found(session, objects, &mut failures).await?;
            let until = (!timeout.is_zero()).then(|| Instant::now() + *timeout);
            for one in &found {
                let _ = failures.note(status(session, one, *revision, until, *watch).await);
            }
        }
        Rollout::History { objects, revision } => {
            for one in found(session, objects, &mut failures).await? {
                let _ = failures.note(super::rollout_history::history(session, &one, *revision).await);
            }
        }
        Rollout::Undo { objects, to_revision, dry, printing } => {
            let reporter = Reporter::new(printing, dry.dry_run)?;
            for one in found(session, objects, &mut failures).await? {
                let _ =
                    failures.note(super::rollout_history::undo(session, &one, *to_revision, &reporter).await);
            }
        }
        Rollout::Restart { objects, printing } => {
            let now = now().to_time();
            let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}});
            change(session, objects, printing, &patch, "restarted", &mut failures).await?;
        }
        Rollout::Pause { objects, printing } => {
            let patch = json!({"spec": {"paused": true}});
            change(session, objects, printing, &patch, "paused", &mut failures).await?;
        }
        Rollout::Resume { objects, printing } => {
            let patch = json!({"spec": {"paused": null}});
            change(session, objects, printing, &patch, "resumed", &mut failures).await?;
        }
    }
    failures.finish()
}

async fn found(
    session: &Session,
    objects: &RolloutObjects,
    failures: &mut Failures,
) -> Result<Vec<Found>, KubectlError> {
    if objects.words.is_empty() && objects.files.filename.is_empty() {
        return Err(KubectlError::usage("required resource not specified"));
    }
    // A type alone means all of it, as upstream.
    let selector = objects.selector.as_deref();
    let query = Query::of(&objects.words, &objects.files).selector(selector).all(selector.is_none());
    query.find(session, failures).await
}

fn is_workload(kind: &Kind) -> bool {
    kind.group == "apps" && ["deployments", "daemonsets", "statefulsets"].contains(&kind.plural.as_str())
}

async fn change(
    session: &Session,
    objects: &RolloutObjects,
    printing: &Printing,
    patch: &Value,
    verb: &str,
    failures: &mut Failures,
) -> Result<(), KubectlError> {
    let reporter = Reporter::new(printing, DryRun::None)?;
    for one in found(session, objects, failures).await? {
        let done = change_one(session, &one, patch, verb).await;
        if let Some(after) = failures.note(done) {
            let _ = failures.note(reporter.report(&one.kind, after, verb));
        }
    }
    Ok(())
}

async fn change_one(
    session: &Session,
    one: &Found,
    patch: &Value,
    verb: &str,
) -> Result<Value, KubectlError> {
    let live = session.get(&one.kind, &one.namespace, &one.name).await?;
    let fails = |why: &str| KubectlError::usage(format!("{} \"{}\" {why}", one.kind.full(), one.name));
    let paused = live["spec"]["paused"] == true;
    let deployment = one.kind.plural == "deployments";
    match verb {
        "restarted" if !is_workload(&one.kind) => return Err(fails("restarting is not supported")),
        "restarted" if paused => {
            return Err(fails("can't restart paused deployment (run rollout resume first)"));
        }
        "paused" if !deployment => return Err(fails("pausing is not supported")),
        "resumed" if !deployment => return Err(fails("resuming is not supported")),
        "paused" if paused => return Err(fails("is already paused")),
        "resumed" if !paused => return Err(fails("is not paused")),
        _ => {}
    }
    let query = [("fieldManager", "kubectl-rollout")];
    session.patch(&one.path(), "application/strategic-merge-patch+json", patch, &query).await
}

async fn status(
    session: &Session,
    one: &Found,
    revision: i64,
    until: Option<Instant>,
    watch: bool,
) -> Result<(), KubectlError> {
    if !is_workload(&one.kind) {
        session.get(&one.kind, &one.namespace, &one.name).await?;
        let kind = format!("{{{} {}}}", one.kind.group, one.kind.kind);
        return Err(KubectlError::usage(format!("no status viewer has been implemented for {kind}")));
    }
    let mut shown = String::new();
    loop {
        let object = session.get(&one.kind, &one.namespace, &one.name).await?;
        if revision > 0 && one.kind.plural == "deployments" {
            let now = object["metadata"]["annotations"][REVISION].as_str().unwrap_or("0");
            if now != revision.to_string() {
                return Err(KubectlError::usage(format!(
                    "desired revision ({revision}) is different from the running revision ({now})"
                )));
            }
        }
        let (text, done) = progress(&one.kind, &one.name, &object)?;
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
