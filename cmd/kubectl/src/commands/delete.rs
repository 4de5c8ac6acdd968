//! `delete`

use std::io::BufRead;
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};
use trireme_client::Ask;

use super::found::{Found, Query};
use crate::arguments::{Delete, DryRun};
use crate::error::{Failures, KubectlError};
use crate::output::write;
use crate::session::Session;

/// Pause between two looks at whether an object is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a delete is waited for when no limit is given: a week, as upstream.
const DEFAULT_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) async fn run(session: &Session, delete: &Delete) -> Result<(), KubectlError> {
    let grace = grace(delete)?;
    let policy = policy(&delete.cascade)?;
    if delete.output.as_deref().is_some_and(|output| !output.is_empty() && output != "name") {
        return Err(KubectlError::usage(format!(
            "unexpected -o output mode: {}. We only support '-o name'",
            delete.output.as_deref().unwrap_or_default()
        )));
    }
    if delete.interactive && delete.dry.dry_run != DryRun::None {
        return Err(KubectlError::usage("--interactive can not be used with --dry-run"));
    }
    let mut failures = Failures::default();
    let selected = delete.selector.is_some() || delete.field_selector.is_some();
    if delete.all && selected {
        return Err(KubectlError::usage("cannot set --all and --selector at the same time"));
    }
    let mut query =
        Query::of(&delete.words, &delete.files).selector(delete.selector.as_deref()).all(delete.all);
    query.field_selector = delete.field_selector.as_deref();
    query.all_namespaces = delete.all_namespaces;
    let doomed = query.find(session, &mut failures).await?;
    if doomed.is_empty() {
        if !delete.ignore_not_found && failures.is_empty() {
            write("No resources found\n")?;
        }
        return failures.finish();
    }
    if delete.interactive && !confirmed(&doomed)? {
        return write("deletion is cancelled\n");
    }
    if delete.force && grace == Some(0) {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The \
             resource may continue to run on the cluster indefinitely."
        );
    }
    // What a selector finds may be gone a moment later.
    let forgiving = delete.ignore_not_found || delete.all || selected;
    let mut waiting = Vec::new();
    for one in doomed {
        match remove(session, delete, &one, grace, policy).await {
            Ok(uid) => waiting.push((one, uid)),
            Err(error) if error.is_not_found() && forgiving => {}
            Err(error) => _ = failures.note::<()>(Err(error)),
        }
    }
    if delete.wait && !delete.force && delete.dry.dry_run == DryRun::None {
        let _ = failures.note(gone(session, delete, waiting).await);
    }
    failures.finish()
}

/// What becomes of dependents.
fn policy(cascade: &str) -> Result<&'static str, KubectlError> {
    match cascade {
        "orphan" | "false" => Ok("Orphan"),
        "foreground" => Ok("Foreground"),
        "background" | "true" => Ok("Background"),
        other => Err(KubectlError::usage(format!(
            "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""
        ))),
    }
}

fn grace(delete: &Delete) -> Result<Option<i64>, KubectlError> {
    match (delete.now, delete.force, delete.grace_period) {
        (true, _, given) if given >= 0 => {
            Err(KubectlError::usage("--now and --grace-period cannot be specified together"))
        }
        (true, _, _) => Ok(Some(1)),
        (_, true, given) if given < 0 => Ok(Some(0)),
        (_, true, given) if given > 0 => {
            Err(KubectlError::usage("--force and --grace-period greater than 0 cannot be specified together"))
        }
        // Without --force, the shortest grace is a second.
        (_, false, 0) => Ok(Some(1)),
        (_, _, given) => Ok((given >= 0).then_some(given)),
    }
}

/// `-i`: shows what goes, and asks.
fn confirmed(doomed: &[Found]) -> Result<bool, KubectlError> {
    write(&format!("You are about to delete the following {} resource(s):\n", doomed.len()))?;
    for one in doomed {
        write(&format!("{}/{}\n", one.kind.shown(), one.name))?;
    }
    write("Do you want to continue? (y/n): ")?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| KubectlError::Io(format!("standard input: {error}")))?;
    Ok(answer.trim() == "y" || answer.trim() == "Y")
}

/// Deletes one object; gives its uid.
async fn remove(
    session: &Session,
    delete: &Delete,
    one: &Found,
    grace: Option<i64>,
    policy: &str,
) -> Result<String, KubectlError> {
    let path = Session::object(&one.kind, &one.namespace, &one.name);
    let mut uid = String::new();
    if delete.dry.dry_run == DryRun::Client {
        session.rest.json(&Ask::get(&path)).await?;
    } else {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        if let Some(seconds) = grace {
            options["gracePeriodSeconds"] = seconds.into();
        }
        let query: &[(&str, &str)] =
            if delete.dry.dry_run == DryRun::Server { &[("dryRun", "All")] } else { &[] };
        let answer = session.send(Method::DELETE, &path, &options, query).await?;
        let found = answer["metadata"]["uid"].as_str().or(answer["details"]["uid"].as_str());
        found.unwrap_or_default().clone_into(&mut uid);
    }
    if delete.output.as_deref() == Some("name") {
        write(&format!("{}/{}\n", one.kind.shown(), one.name))?;
    } else {
        let verb = if delete.force { "force deleted" } else { "deleted" };
        let place =
            if one.kind.namespaced { format!(" from {} namespace", one.namespace) } else { String::new() };
        let note = delete.dry.dry_run.note();
        write(&format!("{} \"{}\" {verb}{place}{note}\n", one.kind.shown(), one.name))?;
    }
    Ok(uid)
}

/// Waits until the objects are gone (or others of the same name).
async fn gone(session: &Session, delete: &Delete, waiting: Vec<(Found, String)>) -> Result<(), KubectlError> {
    let limit = if delete.timeout.is_zero() { DEFAULT_WAIT } else { delete.timeout.min(DEFAULT_WAIT) };
    let until = Instant::now() + limit;
    for (one, uid) in waiting {
        loop {
            match session.get(&one.kind, &one.namespace, &one.name).await {
                Err(error) if error.is_not_found() => break,
                Err(error) => return Err(error),
                Ok(object) if object["metadata"]["uid"].as_str().is_some_and(|now| now != uid) => break,
                Ok(_) if Instant::now() >= until => {
                    return Err(KubectlError::usage(format!(
                        "timed out waiting for the condition on {}/{}",
                        one.kind.plural, one.name
                    )));
                }
                Ok(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }
    Ok(())
}
