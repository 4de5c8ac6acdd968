//! `label` and `annotate`

use serde_json::{Map, Value, json};

use super::get::write;
use crate::arguments::{Marks, Selection};
use crate::error::KubectlError;
use crate::session::Session;
use crate::target;

/// Which of the two.
pub(super) struct Flavor {
    field: &'static str,
    done: &'static str,
    undone: &'static str,
    manager: &'static str,
}

pub(super) const LABELS: Flavor =
    Flavor { field: "labels", done: "labeled", undone: "unlabeled", manager: "kubectl-label" };
pub(super) const ANNOTATIONS: Flavor =
    Flavor { field: "annotations", done: "annotated", undone: "annotated", manager: "kubectl-annotate" };

pub(super) async fn run(session: &Session, marks: &Marks, flavor: &Flavor) -> Result<(), KubectlError> {
    let is_change = |word: &String| word.contains('=') || (word.ends_with('-') && word.len() > 1);
    let first = marks.words.iter().position(is_change).unwrap_or(marks.words.len());
    let (about, changes) = marks.words.split_at(first);
    if changes.is_empty() {
        return Err(KubectlError::usage(format!(
            "at least one {} update is required",
            flavor.field.trim_end_matches('s')
        )));
    }
    let mut patch = Map::new();
    for change in changes {
        match change.split_once('=') {
            Some((key, value)) => patch.insert(key.to_owned(), value.into()),
            None => patch.insert(change.trim_end_matches('-').to_owned(), Value::Null),
        };
    }
    let selection =
        Selection { words: about.to_vec(), selector: marks.selector.clone(), ..Selection::default() };
    for target in target::read(about, session.catalogue().await?)? {
        if target.names.is_empty() && marks.selector.is_none() && !marks.all {
            return Err(KubectlError::usage(
                "one or more resources must be specified as <resource> <name> or <resource>/<name>",
            ));
        }
        for name in super::delete::names(session, &target, &selection).await? {
            one(session, marks, flavor, &target, &name, &patch).await?;
        }
    }
    Ok(())
}

async fn one(
    session: &Session,
    marks: &Marks,
    flavor: &Flavor,
    target: &target::Target,
    name: &str,
    patch: &Map<String, Value>,
) -> Result<(), KubectlError> {
    let live = session.get(&target.kind, &session.namespace, name).await?;
    let there = &live["metadata"][flavor.field];
    for (key, value) in patch {
        let now = there[key].as_str();
        if now.is_some() && value.as_str().is_some_and(|wanted| Some(wanted) != now) && !marks.overwrite {
            return Err(KubectlError::usage(format!(
                "'{key}' already has a value ({}), and --overwrite is false",
                now.unwrap_or_default()
            )));
        }
        if value.is_null() && now.is_none() {
            eprintln!("{} \"{key}\" not found.", flavor.field.trim_end_matches('s'));
        }
    }
    let path = Session::object(&target.kind, &session.namespace, name);
    let change = json!({"metadata": {flavor.field: patch}});
    let query = [("fieldManager", flavor.manager)];
    let after = session.patch(&path, "application/merge-patch+json", &change, &query).await?;
    let same = after["metadata"][flavor.field] == *there;
    let verb = match (same, patch.values().all(Value::is_null)) {
        (true, _) => format!("not {}", flavor.done),
        (false, true) => flavor.undone.to_owned(),
        (false, false) => flavor.done.to_owned(),
    };
    write(&format!("{}/{name} {verb}\n", target.kind.shown()))
}
