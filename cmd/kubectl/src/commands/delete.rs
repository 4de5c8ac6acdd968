//! `delete`

use std::io::BufRead;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use trireme_client::Ask;

use super::get::write;
use crate::arguments::{Delete, Selection};
use crate::catalogue::Kind;
use crate::error::KubectlError;
use crate::files;
use crate::session::Session;
use crate::target::{self, Target};

/// Pause between two looks at whether an object is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a delete is waited for when no limit is given: a week, as upstream.
const DEFAULT_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// One object to delete.
struct Doomed {
    kind: Kind,
    namespace: String,
    name: String,
}

pub(super) async fn run(session: &Session, delete: &Delete) -> Result<(), KubectlError> {
    let grace = grace(delete)?;
    let doomed = doomed(session, delete).await?;
    if doomed.is_empty() {
        if !delete.ignore_not_found {
            eprintln!("No resources found");
        }
        return Ok(());
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
    let mut waiting = Vec::new();
    let mut first_error = None;
    for one in doomed {
        match remove(session, delete, &one, grace).await {
            Ok(uid) => waiting.push((one, uid)),
            Err(error) if error.is_not_found() && delete.ignore_not_found => {}
            Err(error) if first_error.is_none() => first_error = Some(error),
            Err(error) => eprintln!("{error}"),
        }
    }
    if delete.wait && !delete.force && delete.dry_run == "none" {
        gone(session, delete, waiting).await?;
    }
    first_error.map_or(Ok(()), Err)
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

async fn doomed(session: &Session, delete: &Delete) -> Result<Vec<Doomed>, KubectlError> {
    let catalogue = session.catalogue().await?;
    let selection = &delete.selection;
    if !selection.filename.is_empty() {
        let objects = files::read(&selection.filename, selection.recursive)?;
        let one = |object: &Value| {
            let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
            let own = text("namespace");
            Ok(Doomed {
                kind: catalogue.of(object)?.clone(),
                namespace: if own.is_empty() { session.namespace.clone() } else { own },
                name: text("name"),
            })
        };
        return objects.iter().map(one).collect();
    }
    let mut found = Vec::new();
    for target in target::read(&selection.words, catalogue)? {
        let selected = selection.selector.is_some() || selection.field_selector.is_some() || delete.all;
        if target.names.is_empty() && !selected {
            return Err(KubectlError::usage("resource(s) were provided, but no name was specified"));
        }
        if !target.names.is_empty() {
            let named = |name: &String| Doomed {
                kind: target.kind.clone(),
                namespace: session.namespace.clone(),
                name: name.clone(),
            };
            found.extend(target.names.iter().map(named));
            continue;
        }
        for item in selected_items(session, &target, selection).await? {
            let text = |name: &str| item["metadata"][name].as_str().unwrap_or_default().to_owned();
            found.push(Doomed {
                kind: target.kind.clone(),
                namespace: text("namespace"),
                name: text("name"),
            });
        }
    }
    Ok(found)
}

async fn selected_items(
    session: &Session,
    target: &Target,
    selection: &Selection,
) -> Result<Vec<Value>, KubectlError> {
    let mut query = Vec::new();
    query.extend(selection.selector.as_deref().map(|text| ("labelSelector", text)));
    query.extend(selection.field_selector.as_deref().map(|text| ("fieldSelector", text)));
    let namespace = (!selection.all_namespaces).then_some(session.namespace.as_str());
    session.list(&target.kind, namespace, &query).await
}

/// The names a target stands for: those given, or those a selector finds.
pub(super) async fn names(
    session: &Session,
    target: &Target,
    selection: &Selection,
) -> Result<Vec<String>, KubectlError> {
    if !target.names.is_empty() {
        return Ok(target.names.clone());
    }
    let items = selected_items(session, target, selection).await?;
    Ok(items.iter().filter_map(|item| item["metadata"]["name"].as_str()).map(str::to_owned).collect())
}

/// `-i`: shows what goes, and asks.
fn confirmed(doomed: &[Doomed]) -> Result<bool, KubectlError> {
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
    one: &Doomed,
    grace: Option<i64>,
) -> Result<String, KubectlError> {
    let path = Session::object(&one.kind, &one.namespace, &one.name);
    let policy = match delete.cascade.as_str() {
        "orphan" | "false" => "Orphan",
        "foreground" => "Foreground",
        "background" | "true" => "Background",
        other => {
            return Err(KubectlError::usage(format!(
                "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""
            )));
        }
    };
    let mut uid = String::new();
    if delete.dry_run == "client" {
        session.rest.json(&Ask::get(&path)).await?;
    } else {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        if let Some(seconds) = grace {
            options["gracePeriodSeconds"] = seconds.into();
        }
        let query: &[(&str, &str)] = if delete.dry_run == "server" { &[("dryRun", "All")] } else { &[] };
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
        let note = super::apply::dry_run_text(&delete.dry_run);
        write(&format!("{} \"{}\" {verb}{place}{note}\n", one.kind.shown(), one.name))?;
    }
    Ok(uid)
}

/// Waits until the objects are gone (or others of the same name).
async fn gone(
    session: &Session,
    delete: &Delete,
    waiting: Vec<(Doomed, String)>,
) -> Result<(), KubectlError> {
    let limit = super::duration(&delete.timeout)?;
    let until = Instant::now() + if limit.is_zero() { DEFAULT_WAIT } else { limit };
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
