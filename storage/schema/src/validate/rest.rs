//! Validation of the smaller groups.

use serde_json::Value;

use super::util::{IMMUTABLE, complain, label_selector, not_negative, number_or_percent, required};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

const SPEC: Path<'static> = Path::new("spec");

pub(super) fn disruption_budget(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        errors.invalid(&SPEC, spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for name in ["minAvailable", "maxUnavailable"] {
        let path = SPEC.child(name);
        number_or_percent(spec.at(name), &path, errors);
        super::util::at_most_hundred_percent(spec.at(name), &path, errors);
    }
    label_selector(spec.at("selector"), &SPEC.child("selector"), errors);
    let policy = spec.text("unhealthyPodEvictionPolicy");
    if spec.has("unhealthyPodEvictionPolicy") && !matches!(policy, "AlwaysAllow" | "IfHealthyBudget") {
        let choices = ["AlwaysAllow", "IfHealthyBudget"];
        errors.not_supported(&SPEC.child("unhealthyPodEvictionPolicy"), policy, &choices);
    }
}

pub(super) fn lease(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    if spec.int("leaseDurationSeconds").is_some_and(|d| d <= 0) {
        errors.invalid(
            &SPEC.child("leaseDurationSeconds"),
            spec.at("leaseDurationSeconds"),
            "must be greater than 0",
        );
    }
    not_negative(spec, "leaseTransitions", &SPEC, errors);
}

pub(super) fn priority_class(object: &Value, errors: &mut ErrorList) {
    const USER_MAXIMUM: i64 = 1_000_000_000;
    let name = object.at("metadata").text("name");
    let value = object.int("value").unwrap_or(0);
    if name.starts_with("system-") {
        if !matches!(name, "system-node-critical" | "system-cluster-critical") {
            let text = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
            );
            errors.forbidden(&Path::new("metadata").child("name"), text);
        }
    } else if value > USER_MAXIMUM {
        let text = format!("maximum allowed value of a user defined priority is {USER_MAXIMUM}");
        errors.forbidden(&Path::new("value"), text);
    }
    let policy = object.text("preemptionPolicy");
    if object.has("preemptionPolicy") && !matches!(policy, "PreemptLowerPriority" | "Never") {
        errors.not_supported(&Path::new("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
}

pub(super) fn priority_class_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if old.at("value") != new.at("value") {
        errors.forbidden(&Path::new("value"), "may not be changed in an update.");
    }
    if old.at("preemptionPolicy") != new.at("preemptionPolicy") {
        errors.invalid(&Path::new("preemptionPolicy"), new.at("preemptionPolicy"), IMMUTABLE);
    }
}

pub(super) fn runtime_class(object: &Value, errors: &mut ErrorList) {
    let handler = object.text("handler");
    complain(&Path::new("handler"), handler, names::check_dns1123_label(handler), errors);
    let scheduling = Path::new("scheduling");
    let outer = scheduling.child("tolerations");
    let inner = outer.child("tolerations");
    super::pod::tolerations(object.at("scheduling").list("tolerations"), &inner, errors);
    super::util::labels(
        object.at("scheduling").map("nodeSelector"),
        &scheduling.child("nodeSelector"),
        errors,
    );
}

pub(super) fn runtime_class_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if old.at("handler") != new.at("handler") {
        errors.invalid(&Path::new("handler"), new.at("handler"), IMMUTABLE);
    }
}

pub(super) fn webhooks(object: &Value, mutating: bool, errors: &mut ErrorList) {
    let list = Path::new("webhooks");
    let mut seen = Vec::new();
    for (i, hook) in object.list("webhooks").iter().enumerate() {
        let at = list.index(i);
        let name = hook.text("name");
        super::webhook::webhook(hook, mutating, &at, errors);
        if !name.is_empty() && seen.contains(&name) {
            errors.duplicate(&at.child("name"), hook.at("name"));
        }
        seen.push(name);
    }
}

pub(super) fn api_service(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let (group, version) = (spec.text("group"), spec.text("version"));
    let expected = format!("{version}.{group}");
    let name = object.at("metadata").text("name");
    let meta = Path::new("metadata");
    if !name.is_empty() && name != expected.trim_end_matches('.') && name != expected {
        let text = format!("must be `spec.version+\".\"+spec.group`: {}", crate::field::quote(&expected));
        errors.invalid_str(&meta.child("name"), name, text);
    }
    if !group.is_empty() {
        complain(&SPEC.child("group"), group, names::check_dns1123_subdomain(group), errors);
    }
    complain(&SPEC.child("version"), version, names::check_dns1035_label(version), errors);
    let local = !spec.has("service");
    for (field, limit, shown) in [("groupPriorityMinimum", 20_000, 20_000), ("versionPriority", 1000, 1000)] {
        let value = spec.int(field).unwrap_or(0);
        if value <= 0 || value > limit {
            let text = format!("must be positive and less than {shown}");
            errors.invalid(&SPEC.child(field), spec.at(field), text);
        }
    }
    if local {
        if !spec.text("caBundle").is_empty() {
            let text = "local APIServices may not have a caBundle";
            errors.invalid_text(
                &SPEC.child("caBundle"),
                format!("{} bytes", spec.text("caBundle").len()),
                text,
            );
        }
        if spec.is_true("insecureSkipTLSVerify") {
            let text = "local APIServices may not have insecureSkipTLSVerify";
            errors.invalid(&SPEC.child("insecureSkipTLSVerify"), spec.at("insecureSkipTLSVerify"), text);
        }
        return;
    }
    let service = spec.at("service");
    let at = SPEC.child("service");
    required(service, "namespace", &at, errors);
    required(service, "name", &at, errors);
    if let Some(text) = names::check_port_number(service.int("port").unwrap_or(0)) {
        errors.invalid(&at.child("port"), service.at("port"), format!("port is not valid: {text}"));
    }
    if spec.is_true("insecureSkipTLSVerify") && !spec.text("caBundle").is_empty() {
        let text = "may not be true if caBundle is present";
        errors.invalid(&SPEC.child("insecureSkipTLSVerify"), spec.at("insecureSkipTLSVerify"), text);
    }
}
