//! Validation of metadata.

use serde_json::Value;

use super::util::{IMMUTABLE, complain, labels};
use crate::field::{ErrorList, Path};
use crate::limits::ANNOTATIONS_BYTES;
use crate::names::{self, NameRule};
use crate::time::Moment;
use crate::view::View;

const META: Path<'static> = Path::new("metadata");

/// Checks the metadata of a whole object.
pub fn validate_meta(object: &Value, namespaced: bool, rule: NameRule, errors: &mut ErrorList) {
    let meta = object.at("metadata");
    validate_object_meta(meta, namespaced, rule, &META, errors);
    kube_finalizers(meta, errors);
}

/// Checks metadata that stands at `path`, for kinds of which nothing else is known.
pub fn validate_object_meta(
    meta: &Value,
    namespaced: bool,
    rule: NameRule,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let generate = meta.text("generateName");
    if !generate.is_empty() {
        complain(&path.child("generateName"), generate, rule(generate, true), errors);
    }
    let name = meta.text("name");
    if name.is_empty() {
        errors.required(&path.child("name"), "name or generateName is required");
    } else {
        complain(&path.child("name"), name, rule(name, false), errors);
    }
    let namespace = meta.text("namespace");
    if namespaced {
        if namespace.is_empty() {
            errors.required(&path.child("namespace"), "");
        } else {
            complain(&path.child("namespace"), namespace, names::check_dns1123_label(namespace), errors);
        }
    } else if !namespace.is_empty() {
        errors.forbidden(&path.child("namespace"), "not allowed on this type");
    }
    if meta.int("generation").is_some_and(|g| g < 0) {
        errors.invalid(&path.child("generation"), meta.at("generation"), super::util::NOT_NEGATIVE);
    }
    labels(meta.map("labels"), &path.child("labels"), errors);
    annotations(meta, path, errors);
    owners(meta, path, errors);
    finalizers(meta, path, errors);
}

fn annotations(meta: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let path = path.child("annotations");
    let mut total_bytes = 0;
    for (key, value) in meta.map("annotations").into_iter().flatten() {
        complain(&path, key, names::check_qualified_name(&key.to_lowercase()), errors);
        total_bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if total_bytes > ANNOTATIONS_BYTES {
        errors.too_long(&path, ANNOTATIONS_BYTES);
    }
}

fn owners(meta: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let path = path.child("ownerReferences");
    let mut controller = String::new();
    let all = meta.list("ownerReferences");
    for owner in all {
        let api_version = owner.text("apiVersion");
        let version = crate::kinds::parse_api_version(api_version).map_or("", |(_, v)| v);
        if version.is_empty() {
            errors.invalid_str(&path.child("apiVersion"), api_version, "version must not be empty");
        }
        for name in ["kind", "name", "uid"] {
            if owner.text(name).is_empty() {
                errors.invalid_str(&path.child(name), "", format!("{name} must not be empty"));
            }
        }
        if api_version == "v1" && owner.text("kind") == "Event" {
            let text = "/v1, Kind=Event is disallowed from being an owner";
            errors.invalid_text(&path, meta.at("ownerReferences").to_string(), text);
        }
        if owner.is_true("controller") {
            let this = format!("{}/{}", owner.text("kind"), owner.text("name"));
            if controller.is_empty() {
                controller = this;
            } else {
                let text = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {controller} and {this}"
                );
                errors.invalid(&path, meta.at("ownerReferences"), text);
            }
        }
    }
}

fn finalizers(meta: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let path = path.child("finalizers");
    let list = meta.list("finalizers");
    for finalizer in list.iter().filter_map(Value::as_str) {
        complain(&path, finalizer, names::check_qualified_name(finalizer), errors);
    }
    let has = |name: &str| list.iter().any(|f| f.as_str() == Some(name));
    if has("orphan") && has("foregroundDeletion") {
        let text = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.invalid(&path, meta.at("finalizers"), text);
    }
}

fn kube_finalizers(meta: &Value, errors: &mut ErrorList) {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let path = META.child("finalizers");
    for (i, finalizer) in meta.list("finalizers").iter().filter_map(Value::as_str).enumerate() {
        if !finalizer.contains('/') && !STANDARD.contains(&finalizer) {
            let text = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid_str(&path.index(i), finalizer, text);
        }
    }
}

/// What may not change in metadata; the registry's own check.
pub(super) fn generic_update(old: &Value, new: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (before, after) = (old.at("metadata"), new.at("metadata"));
    let generations = (before.int("generation").unwrap_or(0), after.int("generation").unwrap_or(0));
    if generations.1 < generations.0 {
        errors.invalid(&META.child("generation"), after.at("generation"), "must not be decremented");
    }
    for name in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        if before.at(name) != after.at(name) {
            let time = after.at(name).as_str().filter(|_| name.ends_with("Timestamp"));
            match time.and_then(|t| Moment::parse_time(t).ok()) {
                Some(moment) => errors.invalid_text(&META.child(name), moment.to_go_text(), IMMUTABLE),
                None => errors.invalid(&META.child(name), after.at(name), IMMUTABLE),
            }
        }
    }
    if before.has("deletionTimestamp") {
        let added: Vec<String> = after
            .list("finalizers")
            .iter()
            .filter(|f| !before.list("finalizers").contains(f))
            .filter_map(|f| f.as_str().map(crate::field::quote))
            .collect();
        if !added.is_empty() {
            let text = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.forbidden(&META.child("finalizers"), text);
        }
    }
    labels(after.map("labels"), &META.child("labels"), &mut errors);
    annotations(after, &META, &mut errors);
    owners(after, &META, &mut errors);
    errors
}

/// The same once more, as every built-in kind repeats it, with the rule for finalizer names.
pub(super) fn kube_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    errors.extend(generic_update(old, new));
    let meta = new.at("metadata");
    labels(meta.map("labels"), &META.child("labels"), errors);
    annotations(meta, &META, errors);
    kube_finalizers(new.at("metadata"), errors);
}

/// Findings about the metadata of an update, for kinds without rules of their own.
pub fn validate_meta_update(old: &Value, new: &Value) -> ErrorList {
    generic_update(old, new)
}
