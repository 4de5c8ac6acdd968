//! Validation of a definition's spec: group, scope, names, versions.

use serde_json::Value;

use super::parts::Parts;
use super::version::{self, Part};
use super::{conversion, label_complaint};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

pub(super) fn validate(parts: &Parts<'_>, errors: &mut ErrorList) {
    let (spec, path) = (parts.spec, Path::new("spec"));
    group(spec.text("group"), &path.child("group"), errors);
    let scope = spec.text("scope");
    if scope.is_empty() {
        errors.required(&path.child("scope"), "");
    } else if !matches!(scope, "Cluster" | "Namespaced") {
        errors.not_supported(&path.child("scope"), scope, &["Cluster", "Namespaced"]);
    }
    versions(parts, &path, errors);
    let at = path.child("names");
    for name in ["plural", "singular", "kind", "listKind"] {
        if spec.at("names").text(name).is_empty() {
            errors.required(&at.child(name), "");
        }
    }
    names(spec.at("names"), &at, errors);
    let top = Part {
        schema: parts.schema(),
        schema_path: "validation",
        subresources: parts.subresources(),
        columns: parts.columns(),
        selectable: parts.selectable(),
        status: parts.any_status(),
    };
    version::validate(&top, &path, errors);
    conversion::validate(spec.at("conversion"), &path.child("conversion"), errors);
}

fn group(group: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let complaints = names::check_dns1123_subdomain(group);
    if group.is_empty() {
        errors.required(path, "");
    } else if !complaints.is_empty() {
        errors.invalid_str(path, group, complaints.join(","));
    } else if !group.contains('.') {
        errors.invalid_str(path, group, "should be a domain with at least one dot");
    }
}

fn versions(parts: &Parts<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    let list = path.child("versions");
    let all = parts.spec.at("versions");
    let mut storage = 0;
    let mut unique = true;
    for (i, version) in parts.versions.iter().enumerate() {
        let at = list.index(i);
        let name = version.text("name");
        storage += usize::from(version.is_true("storage"));
        unique &= !parts.versions[..i].iter().any(|other| other.text("name") == name);
        if !version.at("schema").has("openAPIV3Schema") {
            let parent = at.child("schema");
            errors.required(&parent.child("openAPIV3Schema"), "schemas are required");
        }
        if let Some(why) = label_complaint(name) {
            errors.invalid_str(&at.child("name"), name, why);
        }
        version::deprecation(version, &at, errors);
        let part = Part {
            schema: parts.schema_of(version),
            schema_path: "schema",
            subresources: parts.subresources_of(version),
            columns: parts.columns_of(version),
            selectable: parts.selectable_of(version),
            status: version.at("subresources").has("status"),
        };
        version::validate(&part, &at, errors);
    }
    if !unique {
        errors.invalid(&list, all, "must contain unique version names");
    }
    if storage != 1 {
        errors.invalid(&list, all, "must have exactly one version marked as storage version");
    }
    let first = parts.versions.first().map_or("", |v| v.text("name"));
    if let Some(why) = label_complaint(first).filter(|_| !first.is_empty()) {
        errors.invalid_str(&path.child("version"), first, why);
    }
}

/// Names asked for or accepted; absent ones pass.
pub(super) fn names(names: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const MIXED: &str = "may have mixed case, but should otherwise match: ";
    for name in ["plural", "singular"] {
        let text = names.text(name);
        if let Some(why) = label_complaint(text).filter(|_| !text.is_empty()) {
            errors.invalid_str(&path.child(name), text, why);
        }
    }
    for name in ["kind", "listKind"] {
        let text = names.text(name);
        if let Some(why) = label_complaint(&text.to_lowercase()).filter(|_| !text.is_empty()) {
            errors.invalid_str(&path.child(name), text, format!("{MIXED}{why}"));
        }
    }
    let kind = names.text("kind");
    if !kind.is_empty() && kind == names.text("listKind") {
        errors.invalid_str(&path.child("listKind"), kind, "kind and listKind may not be the same");
    }
    for list in ["shortNames", "categories"] {
        let at = path.child(list);
        for (i, name) in names.list(list).iter().filter_map(Value::as_str).enumerate() {
            if let Some(why) = label_complaint(name) {
                errors.invalid_str(&at.index(i), name, why);
            }
        }
    }
}
