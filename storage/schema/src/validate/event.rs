//! Validation of events, in core/v1 and events.k8s.io/v1.

use serde_json::{Value, json};

use super::util::{IMMUTABLE, complain};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, same};

/// Longest note, reason, action and instance of an event, in bytes.
const EVENT_LIMITS: [(&str, usize); 3] = [("reason", 128), ("action", 128), ("reportingInstance", 128)];

pub(super) fn event(group: &str, object: &Value, errors: &mut ErrorList) {
    let core = group.is_empty();
    let controller_field = if core { "reportingComponent" } else { "reportingController" };
    let about = if core { "involvedObject" } else { "regarding" };
    let namespace = object.at("metadata").text("namespace");
    let other = object.at(about).text("namespace");
    if core && !other.is_empty() && other != namespace {
        errors.invalid_str(
            &Path::new("involvedObject").child("namespace"),
            other,
            "does not match event.namespace",
        );
    }
    let fresh = object.has("eventTime");
    if core && !fresh {
        return;
    }
    if !fresh {
        errors.required(&Path::new("eventTime"), "");
    }
    let controller = object.text(controller_field);
    let path = Path::new("reportingController");
    if controller.is_empty() {
        errors.required(&path, "");
    }
    complain(&path, controller, names::check_qualified_name(controller), errors);
    for (name, limit) in EVENT_LIMITS {
        let text = object.text(name);
        if text.is_empty() {
            errors.required(&Path::new(name), "");
        } else if text.len() > limit {
            errors.invalid_str(&Path::new(name), "", format!("can have at most {limit} characters"));
        }
    }
    if core {
        return;
    }
    if object.text("note").len() > 1024 {
        errors.invalid_str(&Path::new("message"), "", "can have at most 1024 characters");
    }
    let kind = object.text("type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.invalid_str(&Path::new("type"), "", format!("has invalid value: {kind}"));
    }
    if object.has("series") && object.at("series").int("count").unwrap_or(0) < 2 {
        errors.invalid_str(&Path::new("series").child("count"), "", "should be at least 2");
    }
    for (field, shown) in [
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
    ] {
        if object.has(field) && object.at(field) != &json!(0) {
            errors.invalid_str(&Path::new(shown), "", "needs to be unset");
        }
    }
    if object.at("deprecatedSource").as_object().is_some_and(|s| !s.is_empty()) {
        errors.invalid_str(&Path::new("source"), "", "needs to be unset");
    }
}

pub(super) fn event_update(group: &str, old: &Value, new: &Value, errors: &mut ErrorList) {
    if group.is_empty() {
        return;
    }
    for (field, shown) in [
        ("regarding", "involvedObject"),
        ("reason", "reason"),
        ("note", "message"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingController", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        if !same(old.at(field), new.at(field)) {
            errors.invalid(&Path::new(shown), new.at(field), IMMUTABLE);
        }
    }
}
