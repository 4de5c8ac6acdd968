//! `rollout history` and `rollout undo`

use serde_json::{Value, json};

use super::found::Found;
use super::rollout::REVISION;
use crate::arguments::DryRun;
use crate::catalogue::Kind;
use crate::error::KubectlError;
use crate::output::{Grid, Reporter, write};
use crate::session::Session;

const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

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
    let kept =
        session.list(catalogue.find(keeper)?, object["metadata"]["namespace"].as_str(), &query).await?;
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

pub(super) async fn history(session: &Session, one: &Found, revision: i64) -> Result<(), KubectlError> {
    let (kind, name) = (&one.kind, &one.name);
    let object = session.get(kind, &one.namespace, name).await?;
    has_history(kind, &object)?;
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
    write(&format!("\n{}\n", grid.narrow_text()))
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

pub(super) async fn undo(
    session: &Session,
    one: &Found,
    to: i64,
    reporter: &Reporter,
) -> Result<(), KubectlError> {
    let (kind, name) = (&one.kind, &one.name);
    let object = session.get(kind, &one.namespace, name).await?;
    has_history(kind, &object)?;
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
    let template = template(kind, item);
    if reporter.dry_run == DryRun::Client {
        let text = trireme_schema::yaml::print(&template);
        return write(&format!("{} Pod Template:\n{text}{}\n", one.shown(), reporter.dry_run.note()));
    }
    if same_template(&template, &object["spec"]["template"]) {
        return write(&format!(
            "{} skipped rollback (current template already matches revision {to})\n",
            one.shown()
        ));
    }
    let patch = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
    let mut query = vec![("fieldManager", "kubectl-rollout")];
    query.extend((reporter.dry_run == DryRun::Server).then_some(("dryRun", "All")));
    let after = session.patch(&one.path(), "application/json-patch+json", &patch, &query).await?;
    reporter.report(kind, after, "rolled back")
}

/// Only these kinds keep what they were.
fn has_history(kind: &Kind, object: &Value) -> Result<(), KubectlError> {
    if ["deployments", "daemonsets", "statefulsets"].contains(&kind.plural.as_str()) {
        return Ok(());
    }
    let kind = object["kind"].as_str().unwrap_or(&kind.kind);
    Err(KubectlError::usage(format!("no history viewer has been implemented for \"{kind}\"")))
}

fn same_template(kept: &Value, now: &Value) -> bool {
    kept["spec"] == now["spec"] && kept["metadata"] == now["metadata"]
}
