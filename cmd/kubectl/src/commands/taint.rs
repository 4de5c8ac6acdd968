//! `taint`

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::found::{Found, Query};
use crate::arguments::{DryRun, Taint};
use crate::error::{Failures, KubectlError};
use crate::output::Reporter;
use crate::session::Session;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// One change: a taint that comes, or those that go.
#[derive(Debug, PartialEq)]
enum Change {
    Add {
        key: String,
        value: String,
        effect: String,
    },
    /// No effect means all of the key.
    Remove {
        key: String,
        effect: String,
    },
}

pub(super) async fn run(session: &Session, taint: &Taint) -> Result<(), KubectlError> {
    let is_change = |word: &String| word.contains('=') || word.contains(':') || word.ends_with('-');
    let first = taint.words.iter().position(is_change).unwrap_or(taint.words.len());
    let (about, changes) = taint.words.split_at(first);
    if about.is_empty() {
        return Err(KubectlError::usage(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ));
    }
    if changes.is_empty() {
        return Err(KubectlError::usage("at least one taint update is required"));
    }
    let changes = changes.iter().map(|word| read(word)).collect::<Result<Vec<_>, _>>()?;
    let reporter = Reporter::new(&taint.writing.printing, taint.writing.dry.dry_run)?;
    let mut failures = Failures::default();
    let query =
        Query { words: about, selector: taint.selector.as_deref(), all: taint.all, ..Query::default() };
    for one in query.find(session, &mut failures).await? {
        if one.kind.full() != "nodes" {
            return Err(KubectlError::usage(format!(
                "invalid resource type {}, only node type is supported",
                one.kind.full()
            )));
        }
        let _ = failures.note(change(session, taint, &one, &changes, &reporter).await);
    }
    failures.finish()
}

fn read(word: &str) -> Result<Change, KubectlError> {
    let invalid = || KubectlError::usage(format!("invalid taint spec: {word}"));
    if let Some(gone) = word.strip_suffix('-') {
        let (key, effect) = gone.split_once(':').unwrap_or((gone, ""));
        let key = key.split('=').next().unwrap_or(key);
        if key.is_empty() || !(effect.is_empty() || EFFECTS.contains(&effect)) {
            return Err(invalid());
        }
        return Ok(Change::Remove { key: key.to_owned(), effect: effect.to_owned() });
    }
    let (pair, effect) = word.split_once(':').ok_or_else(invalid)?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    if key.is_empty() || effect.contains(':') {
        return Err(invalid());
    }
    if !EFFECTS.contains(&effect) {
        return Err(KubectlError::usage(format!("invalid taint effect: {effect}, unsupported taint effect")));
    }
    Ok(Change::Add { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}

/// The taints after the changes, and upstream's word for what happened.
fn changed(
    mut taints: Vec<Value>,
    changes: &[Change],
    overwrite: bool,
    node: &str,
) -> Result<(Vec<Value>, &'static str), KubectlError> {
    let (mut added, mut removed, mut missing, mut present) = (0, 0, String::new(), String::new());
    for change in changes {
        match change {
            Change::Add { key, value, effect } => {
                let there =
                    taints.iter().position(|taint| taint["key"] == **key && taint["effect"] == **effect);
                if there.is_some() && !overwrite {
                    let _ = write!(present, "{}{key}:{effect}", if present.is_empty() { "" } else { "," });
                    continue;
                }
                let mut taint = json!({"key": key, "effect": effect});
                if !value.is_empty() {
                    taint["value"] = value.clone().into();
                }
                added += 1;
                match there {
                    Some(at) => taints[at] = taint,
                    None => taints.push(taint),
                }
            }
            Change::Remove { key, effect } => {
                let before = taints.len();
                taints.retain(|taint| {
                    taint["key"] != **key || !(effect.is_empty() || taint["effect"] == **effect)
                });
                if taints.len() == before {
                    let mark = if effect.is_empty() { String::new() } else { format!(":{effect}") };
                    let _ = write!(
                        missing,
                        "{}taint \"{key}{mark}\" not found",
                        if missing.is_empty() { "" } else { ", " }
                    );
                }
                removed += before - taints.len();
            }
        }
    }
    if !present.is_empty() {
        return Err(KubectlError::usage(format!(
            "node {node} already has {present} taint(s) with same effect(s) and --overwrite is false"
        )));
    }
    if !missing.is_empty() {
        return Err(KubectlError::usage(missing));
    }
    Ok((
        taints,
        match (added, removed) {
            (0, _) => "untainted",
            (_, 0) => "tainted",
            _ => "modified",
        },
    ))
}

async fn change(
    session: &Session,
    taint: &Taint,
    one: &Found,
    changes: &[Change],
    reporter: &Reporter,
) -> Result<(), KubectlError> {
    let mut live = session.get(&one.kind, "", &one.name).await?;
    let now = live["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let (taints, verb) = changed(now, changes, taint.overwrite, &one.name)?;
    let after = if reporter.dry_run == DryRun::Client {
        live["spec"]["taints"] = taints.into();
        live
    } else {
        let mut query = taint.writing.query("kubectl-taint");
        query.push(("fieldValidation", taint.validate.validate.parameter()));
        // The version guards against a change in between: the list is written whole.
        let version = &live["metadata"]["resourceVersion"];
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
        session.patch(&one.path(), "application/merge-patch+json", &patch, &query).await?
    };
    reporter.report(&one.kind, after, verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_come_and_go() {
        let add = read("k=v:NoSchedule").unwrap();
        let (taints, verb) = changed(Vec::new(), std::slice::from_ref(&add), false, "n").unwrap();
        assert_eq!(
            (taints.clone(), verb),
            (vec![json!({"key": "k", "value": "v", "effect": "NoSchedule"})], "tainted")
        );
        let refused =
            changed(taints.clone(), std::slice::from_ref(&add), false, "n").unwrap_err().to_string();
        assert_eq!(
            refused,
            "error: node n already has k:NoSchedule taint(s) with same effect(s) and --overwrite is false"
        );
        assert_eq!(changed(taints.clone(), &[add], true, "n").unwrap().1, "tainted");
        assert_eq!(
            changed(taints.clone(), &[read("k:NoSchedule-").unwrap()], false, "n").unwrap(),
            (Vec::new(), "untainted")
        );
        let refused = changed(taints, &[read("x-").unwrap()], false, "n").unwrap_err().to_string();
        assert_eq!(refused, "error: taint \"x\" not found");
        assert!(read("k=v:Never").is_err() && read("k=v").is_err());
    }
}
