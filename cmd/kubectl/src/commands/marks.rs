//! `label` and `annotate`

use serde_json::{Map, Value, json};

use super::found::{Found, Query};
use crate::arguments::{DryRun, Marks};
use crate::error::{Failures, KubectlError};
use crate::output::{Reporter, write};
use crate::session::Session;

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

impl Flavor {
    fn word(&self) -> &'static str {
        self.field.trim_end_matches('s')
    }
}

pub(super) async fn run(session: &Session, marks: &Marks, flavor: &Flavor) -> Result<(), KubectlError> {
    let is_change = |word: &String| word.contains('=') || (word.ends_with('-') && word.len() > 1);
    let first = marks.words.iter().position(is_change).unwrap_or(marks.words.len());
    let (about, changes) = marks.words.split_at(first);
    if about.is_empty() && marks.files.filename.is_empty() {
        return Err(KubectlError::usage(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ));
    }
    if changes.is_empty() && !marks.list {
        return Err(KubectlError::usage(format!("at least one {} update is required", flavor.word())));
    }
    let patch = changed(changes, flavor)?;
    let reporter = Reporter::new(&marks.writing.printing, marks.writing.dry.dry_run)?;
    let mut failures = Failures::default();
    let mut query = Query::of(about, &marks.files).selector(marks.selector.as_deref()).all(marks.all);
    query.field_selector = marks.field_selector.as_deref();
    query.all_namespaces = marks.all_namespaces;
    let found = query.find(session, &mut failures).await?;
    if found.len() > 1 && marks.resource_version.is_some() {
        return Err(KubectlError::usage("--resource-version may only be used with a single resource"));
    }
    for one in &found {
        let done = if marks.list && changes.is_empty() {
            list(session, one, flavor, found.len() > 1).await
        } else {
            change(session, marks, flavor, one, &patch, &reporter).await
        };
        let _ = failures.note(done);
    }
    failures.finish()
}

fn changed(changes: &[String], flavor: &Flavor) -> Result<Map<String, Value>, KubectlError> {
    let mut patch = Map::new();
    for change in changes {
        let before = match change.split_once('=') {
            Some((key, value)) => patch.insert(key.to_owned(), value.into()),
            None if change.ends_with('-') => {
                patch.insert(change.trim_end_matches('-').to_owned(), Value::Null)
            }
            None => return Err(KubectlError::usage(format!("unknown {} spec: {change}", flavor.word()))),
        };
        if let Some(before) = before
            && before.is_null() == change.contains('=')
        {
            return Err(KubectlError::usage(format!(
                "can not both modify and remove a {} in the same command",
                flavor.word()
            )));
        }
    }
    Ok(patch)
}

async fn list(session: &Session, one: &Found, flavor: &Flavor, several: bool) -> Result<(), KubectlError> {
    let live = one.live(session).await?;
    let mut text = String::new();
    let indent = if several {
        text = format!("Listing {} for {} {}:\n", flavor.field, one.kind.kind, one.shown());
        " "
    } else {
        ""
    };
    for (key, value) in live["metadata"][flavor.field].as_object().into_iter().flatten() {
        text.push_str(&format!("{indent}{key}={}\n", value.as_str().unwrap_or_default()));
    }
    write(&text)
}

async fn change(
    session: &Session,
    marks: &Marks,
    flavor: &Flavor,
    one: &Found,
    patch: &Map<String, Value>,
    reporter: &Reporter,
) -> Result<(), KubectlError> {
    let live = session.get(&one.kind, &one.namespace, &one.name).await?;
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
            write(&format!("{} \"{key}\" not found.\n", flavor.word()))?;
        }
    }
    let mut wanted = live.clone();
    let mut metadata = json!({flavor.field: patch});
    if let Some(version) = &marks.resource_version {
        metadata["resourceVersion"] = version.clone().into();
    }
    let change = json!({"metadata": metadata});
    trireme_schema::patch::apply_merge_patch(&mut wanted, &change);
    let after = if marks.writing.dry.dry_run == DryRun::Client {
        wanted
    } else {
        let query = marks.writing.query(flavor.manager);
        session.patch(&one.path(), "application/merge-patch+json", &change, &query).await?
    };
    let same = after["metadata"][flavor.field] == *there;
    let verb = match (same, patch.values().all(Value::is_null)) {
        (true, _) => format!("not {}", flavor.done),
        (false, true) => flavor.undone.to_owned(),
        (false, false) => flavor.done.to_owned(),
    };
    let listed = after["metadata"][flavor.field].clone();
    reporter.report(&one.kind, after, &verb)?;
    if marks.list {
        for (key, value) in listed.as_object().into_iter().flatten() {
            write(&format!("{key}={}\n", value.as_str().unwrap_or_default()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn changes_are_read() {
        let patch = changed(&words("a=b x.y/z- e="), &LABELS).unwrap();
        assert_eq!(Value::Object(patch), json!({"a": "b", "x.y/z": null, "e": ""}));
        assert!(changed(&words("a=b a-"), &LABELS).is_err());
        assert!(changed(&words("nonsense"), &LABELS).is_err());
    }
}
