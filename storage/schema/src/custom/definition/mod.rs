//! Validation of CustomResourceDefinitions, with upstream's field paths and wording.
//!
//! Upstream validates its internal form, in which parts that all versions share (with one version: every part) stand
//! at the top of `spec` under other names. [`Parts`] is that view, so that paths come out alike.
//!
//! # Deliberate absences
//! `x-kubernetes-validations` is refused once nothing else is wrong with the schema: rules in CEL are not built yet.
//! The CA bundle of a conversion webhook is not looked at, since webhooks are not called yet.

mod conform;
mod conversion;
mod defaults;
mod openapi;
mod parts;
mod spec;
mod structural;
mod version;

use serde_json::Value;

use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

pub(crate) use conform::conform_schemas;
use parts::Parts;

const APPROVED: &str = "api-approved.kubernetes.io";

/// Findings about a new definition, besides those about its metadata.
pub fn validate(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let wanted = format!("{}.{}", spec.at("names").text("plural"), spec.text("group"));
    let name = object.at("metadata").text("name");
    if !name.is_empty() && name != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.invalid_str(&Path::new("metadata").child("name"), name, why);
    }
    whole(object, errors);
    approval(None, object, errors);
    if spec.is_true("preserveUnknownFields") {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.invalid(&Path::new("spec").child("preserveUnknownFields"), &true.into(), why);
    }
}

/// Findings about an update of a definition, besides those about its metadata.
pub fn validate_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    const IMMUTABLE: &str = "field is immutable";
    whole(new, errors);
    approval(Some(old), new, errors);
    let path = Path::new("spec");
    let (before, after) = (old.at("spec"), new.at("spec"));
    let mut same = |name: &[&str]| {
        let (before, after) = (before.below(name), after.below(name));
        if before != after {
            let parent = path.child(name[0]);
            let at = if name.len() > 1 { parent.child(name[1]) } else { parent };
            errors.invalid(&at, after, IMMUTABLE);
        }
    };
    if super::status::is_true(old, "Established") {
        same(&["scope"]);
        same(&["names", "kind"]);
    }
    same(&["group"]);
    same(&["names", "plural"]);
}

/// Findings about an update of a definition through `status`.
pub fn validate_status(new: &Value, errors: &mut ErrorList) {
    let path = Path::new("status");
    spec::names(new.at("status").at("acceptedNames"), &path.child("acceptedNames"), errors);
}

fn whole(object: &Value, errors: &mut ErrorList) {
    let parts = Parts::of(object.at("spec"));
    spec::validate(&parts, errors);
    validate_status(object, errors);
    stored_versions(object, errors);
}

fn stored_versions(object: &Value, errors: &mut ErrorList) {
    let path = Path::new("status");
    let at = path.child("storedVersions");
    let stored = object.at("status").list("storedVersions");
    if stored.is_empty() {
        errors.invalid_text(&at, "[]string(nil)", "must have at least one stored version");
        return;
    }
    let versions = object.at("spec").list("versions");
    for version in versions.iter().filter(|v| v.is_true("storage") && !stored.contains(v.at("name"))) {
        let why = format!("must have the storage version {}", version.text("name"));
        errors.invalid(&at, object.at("status").at("storedVersions"), why);
    }
    for (i, name) in stored.iter().enumerate() {
        if !versions.iter().any(|v| v.at("name") == name) {
            let name = name.as_str().unwrap_or("");
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.invalid_str(&at.index(i), name, why);
        }
    }
}

/// Whether a group belongs to the Kubernetes project.
pub(super) fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|root| group == *root || group.strip_suffix(root).is_some_and(|rest| rest.ends_with('.')))
}

/// What the approval annotation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approval {
    Missing,
    Bypassed,
    Approved,
    Invalid,
}

pub(super) fn approval_of(object: &Value) -> (Approval, String) {
    const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";
    let text = object.below(&["metadata", "annotations"]).text(APPROVED);
    let with_host = text.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.split(['/', '?', '#']).next().unwrap_or("").is_empty()
    });
    match text {
        "" => (
            Approval::Missing,
            format!("protected groups must have approval annotation \"{APPROVED}\", {SEE}"),
        ),
        _ if text.starts_with("unapproved") => (Approval::Bypassed, format!("not approved: \"{text}\"")),
        _ if with_host => (Approval::Approved, format!("approved in {text}")),
        _ => (
            Approval::Invalid,
            format!(
                "protected groups must have approval annotation \"{APPROVED}\" with either a URL or a reason starting with \"unapproved\", {SEE}"
            ),
        ),
    }
}

fn approval(old: Option<&Value>, new: &Value, errors: &mut ErrorList) {
    if !is_protected(new.at("spec").text("group")) {
        return;
    }
    let (state, why) = approval_of(new);
    if old.is_some_and(|old| approval_of(old).0 == state) {
        return;
    }
    let path = Path::new("metadata");
    let parent = path.child("annotations");
    let at = parent.key(APPROVED);
    match state {
        Approval::Missing => errors.required(&at, why),
        Approval::Invalid => {
            errors.invalid_str(&at, new.below(&["metadata", "annotations"]).text(APPROVED), why);
        }
        Approval::Bypassed | Approval::Approved => {}
    }
}

/// Complaints about a DNS-1035 label, joined as upstream joins them; `None` when there are none.
fn label_complaint(text: &str) -> Option<String> {
    let complaints = names::check_dns1035_label(text);
    (!complaints.is_empty()).then(|| complaints.join(","))
}

#[cfg(test)]
#[path = "definition_test.rs"]
mod tests;
