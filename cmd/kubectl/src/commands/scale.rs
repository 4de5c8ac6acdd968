//! `scale`

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use trireme_client::Ask;

use super::found::{Found, Query};
use crate::arguments::{DryRun, Scale};
use crate::error::{Failures, KubectlError};
use crate::output::Reporter;
use crate::session::Session;

/// Pause between two looks at whether the replicas are there.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn run(session: &Session, scale: &Scale) -> Result<(), KubectlError> {
    let reporter = Reporter::new(&scale.printing, scale.dry.dry_run)?;
    let mut failures = Failures::default();
    let query = Query::of(&scale.words, &scale.files).selector(scale.selector.as_deref()).all(scale.all);
    let found = query.find(session, &mut failures).await?;
    if found.is_empty() && failures.is_empty() {
        return Err(KubectlError::usage("no objects passed to scale"));
    }
    for one in &found {
        let _ = failures.note(change(session, scale, one, &reporter).await);
    }
    failures.finish()
}

async fn change(
    session: &Session,
    scale: &Scale,
    one: &Found,
    reporter: &Reporter,
) -> Result<(), KubectlError> {
    let path = format!("{}/scale", one.path());
    if !one.kind.subresources.iter().any(|name| name == "scale") {
        // An object that is not there is told first.
        session.get(&one.kind, &one.namespace, &one.name).await?;
        return Err(KubectlError::Plain(
            "Error from server (NotFound): the server could not find the requested resource".to_owned(),
        ));
    }
    let now = session.rest.json(&Ask::get(&path)).await?;
    let replicas = now["spec"]["replicas"].as_u64().unwrap_or(0);
    if let Some(expected) = scale.current_replicas.filter(|expected| u64::from(*expected) != replicas) {
        return Err(KubectlError::usage(format!("Expected replicas to be {expected}, was {replicas}")));
    }
    let mut patch = json!({"spec": {"replicas": scale.replicas}});
    if let Some(wanted) = &scale.resource_version {
        let version = now["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if version != wanted {
            return Err(KubectlError::usage(format!(
                "Expected resource version to be {wanted}, was {version}"
            )));
        }
        patch["metadata"] = json!({"resourceVersion": wanted});
    }
    let mut after = now;
    if scale.dry.dry_run != DryRun::Client {
        let mut query = vec![("fieldManager", "kubectl-scale")];
        query.extend((scale.dry.dry_run == DryRun::Server).then_some(("dryRun", "All")));
        after = session.patch(&path, "application/merge-patch+json", &patch, &query).await?;
        if scale.dry.dry_run == DryRun::None && !scale.timeout.is_zero() {
            arrived(session, scale, one).await?;
        }
    }
    if reporter.is_line() {
        after = json!({"metadata": {"name": one.name}});
    } else if scale.dry.dry_run != DryRun::Client {
        after = session.get(&one.kind, &one.namespace, &one.name).await?;
    }
    reporter.report(&one.kind, after, "scaled")
}

/// Waits until as many replicas are there as are wanted.
async fn arrived(session: &Session, scale: &Scale, one: &Found) -> Result<(), KubectlError> {
    let until = Instant::now().checked_add(scale.timeout);
    loop {
        let now = session.get(&one.kind, &one.namespace, &one.name).await?;
        let observed = now["status"]["observedGeneration"].as_i64();
        let seen =
            observed.is_none_or(|seen| now["metadata"]["generation"].as_i64().is_none_or(|now| seen >= now));
        if seen && now["status"]["replicas"].as_u64().unwrap_or(0) == u64::from(scale.replicas) {
            return Ok(());
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(KubectlError::usage("timed out waiting for the condition"));
        }
        sleep(LOOK_AGAIN).await;
    }
}
