//! `apply`: by a three-way patch made here, or in the server.

use http::Method;
use serde_json::{Map, Value, json};
use trireme_client::Ask;

use crate::arguments::{Apply, DryRun};
use crate::catalogue::Kind;
use crate::error::{Failures, KubectlError};
use crate::files;
use crate::output::Reporter;
use crate::session::Session;

/// Where the configuration that was applied last is kept.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

const NO_FILES: &str = "must specify one of -f and -k";

pub(super) async fn run(session: &Session, apply: &Apply) -> Result<(), KubectlError> {
    let from = &apply.from;
    if from.files.filename.is_empty() {
        return Err(KubectlError::usage(NO_FILES));
    }
    if apply.force_conflicts && !apply.server_side {
        return Err(KubectlError::usage("--force-conflicts only works with --server-side"));
    }
    if apply.server_side && from.writing.dry.dry_run == DryRun::Client {
        return Err(KubectlError::usage(
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)",
        ));
    }
    let reporter = Reporter::new(&from.writing.printing, from.writing.dry.dry_run)?;
    let mut objects = files::read(&from.files.filename, from.files.recursive)?;
    if let Some(selector) = &apply.selector {
        objects.retain(|object| files::selected(object, selector));
    }
    if objects.is_empty() {
        return Err(KubectlError::usage("no objects passed to apply"));
    }
    let mut failures = Failures::default();
    for object in objects {
        // One object that is refused does not keep the others back.
        let _ = failures.note(one(session, apply, &reporter, object).await);
    }
    failures.finish()
}

async fn one(
    session: &Session,
    apply: &Apply,
    reporter: &Reporter,
    mut object: Value,
) -> Result<(), KubectlError> {
    let kind = session.catalogue().await?.of(&object)?.clone();
    let place = Place::of(session, &kind, &object)?;
    // Upstream remembers the namespace as well.
    if kind.namespaced && object["metadata"]["namespace"].as_str().is_none_or(str::is_empty) {
        object["metadata"]["namespace"] = session.namespace.clone().into();
    }
    let (result, verb) = if apply.server_side {
        (server_side(session, apply, &place, &object).await?, "serverside-applied")
    } else {
        client_side(session, apply, &kind, &place, object).await?
    };
    reporter.report(&kind, result, verb)
}

/// Where an object of a file lives.
pub(super) struct Place {
    pub(super) collection: String,
    pub(super) path: String,
}

impl Place {
    pub(super) fn of(session: &Session, kind: &Kind, object: &Value) -> Result<Self, KubectlError> {
        let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let namespace = session.namespace_of(kind, own)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let collection = Session::collection(kind, Some(&namespace));
        Ok(Self { path: format!("{collection}/{name}"), collection })
    }
}

async fn server_side(
    session: &Session,
    apply: &Apply,
    place: &Place,
    object: &Value,
) -> Result<Value, KubectlError> {
    let mut query = apply.from.query("kubectl");
    query.extend(apply.force_conflicts.then_some(("force", "true")));
    session.patch(&place.path, "application/apply-patch+yaml", object, &query).await
}

async fn client_side(
    session: &Session,
    apply: &Apply,
    kind: &Kind,
    place: &Place,
    mut object: Value,
) -> Result<(Value, &'static str), KubectlError> {
    let query = apply.from.query("kubectl-client-side-apply");
    let live = match session.rest.json(&Ask::get(&place.path)).await {
        Ok(live) => Some(live),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error.into()),
    };
    remember(&mut object);
    let Some(live) = live else {
        if apply.from.writing.dry.dry_run == DryRun::Client {
            return Ok((object, "created"));
        }
        let made = session.send(Method::POST, &place.collection, &object, &query).await?;
        return Ok((made, "created"));
    };
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    if last.is_none() {
        eprintln!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl \
             apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl \
             apply. The missing annotation will be patched automatically.",
            kind.full(),
            live["metadata"]["name"].as_str().unwrap_or_default()
        );
    }
    let last: Value = last.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    let patch = three_way(&last, &object, &live);
    if patch.as_object().is_none_or(Map::is_empty) {
        return Ok((live, "unchanged"));
    }
    if apply.from.writing.dry.dry_run == DryRun::Client {
        return Ok((object, "configured"));
    }
    let content_type = if strategic(kind) {
        "application/strategic-merge-patch+json"
    } else {
        "application/merge-patch+json"
    };
    let patch =
        if strategic(kind) { strategic_patch(kind, &last, &object, &live).unwrap_or(patch) } else { patch };
    let before = live["metadata"]["resourceVersion"].clone();
    let after = session.patch(&place.path, content_type, &patch, &query).await?;
    let verb = if after["metadata"]["resourceVersion"] == before { "unchanged" } else { "configured" };
    Ok((after, verb))
}

/// Built-in kinds have merge keys; custom ones merge by whole lists.
fn strategic(kind: &Kind) -> bool {
    trireme_schema::types::lookup(&kind.group, &kind.version, &kind.kind).is_some()
}

fn strategic_patch(kind: &Kind, last: &Value, object: &Value, live: &Value) -> Option<Value> {
    let of = trireme_schema::types::lookup(&kind.group, &kind.version, &kind.kind)?;
    Some(trireme_schema::patch::three_way_patch(last, object, live, of))
}

/// Writes the configuration into its own annotation.
fn remember(object: &mut Value) {
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let mut kept = object.clone();
    if let Some(metadata) = kept["metadata"].as_object_mut() {
        metadata.entry("annotations").or_insert_with(|| json!({}));
    }
    let text = format!("{kept}\n");
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[LAST_APPLIED] = text.into();
}

/// A merge patch that brings `live` to `wanted` and takes away what `last` had and `wanted` has not.
pub(super) fn three_way(last: &Value, wanted: &Value, live: &Value) -> Value {
    let mut patch = Map::new();
    let empty = Map::new();
    let (last_map, wanted_map) = (last.as_object().unwrap_or(&empty), wanted.as_object().unwrap_or(&empty));
    for key in last_map.keys().filter(|key| !wanted_map.contains_key(*key)) {
        if live.get(key).is_some() {
            patch.insert(key.clone(), Value::Null);
        }
    }
    for (key, value) in wanted_map {
        match (value, live.get(key)) {
            (Value::Object(_), Some(there @ Value::Object(_))) => {
                let inner = three_way(last_map.get(key).unwrap_or(&Value::Null), value, there);
                if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                    patch.insert(key.clone(), inner);
                }
            }
            (Value::Null, None) => {}
            (value, Some(there)) if value == there => {}
            (value, _) => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_way_patches() {
        let last = json!({"a": 1, "gone": 1, "m": {"x": 1, "old": 2}});
        let wanted = json!({"a": 2, "m": {"x": 1, "new": 3}, "l": [1]});
        let live = json!({"a": 1, "gone": 1, "m": {"x": 1, "old": 2, "theirs": 5}, "server": true, "l": [1]});
        assert_eq!(
            three_way(&last, &wanted, &live),
            json!({"gone": null, "a": 2, "m": {"old": null, "new": 3}})
        );
        assert_eq!(
            three_way(&wanted, &wanted, &json!({"a": 2, "m": {"x": 1, "new": 3}, "l": [1], "s": 0})),
            json!({})
        );
    }

    #[test]
    fn the_last_configuration_is_remembered_without_itself() {
        let mut object =
            json!({"kind": "X", "metadata": {"name": "a", "annotations": {LAST_APPLIED: "old"}}});
        remember(&mut object);
        let text = object["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap();
        assert_eq!(text, "{\"kind\":\"X\",\"metadata\":{\"annotations\":{},\"name\":\"a\"}}\n");
    }
}
