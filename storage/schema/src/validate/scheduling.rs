//! Validation of what places pods: tolerations, taints, affinity, topology spread, scheduling gates.

use serde_json::Value;

use super::util::{complain, label_selector};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

fn effect(effect: &str, optional: bool, path: &Path<'_>, errors: &mut ErrorList) {
    match effect {
        "" if optional => {}
        "" => errors.required(path, ""),
        e if EFFECTS.contains(&e) => {}
        other => errors.not_supported(path, other, &EFFECTS),
    }
}

pub(super) fn tolerations(list: &[Value], path: &Path<'_>, errors: &mut ErrorList) {
    for (i, toleration) in list.iter().enumerate() {
        let at = path.index(i);
        let (key, operator) = (toleration.text("key"), toleration.text("operator"));
        if !key.is_empty() {
            complain(&at.child("key"), key, names::check_qualified_name(key), errors);
        } else if operator != "Exists" {
            let text =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid_str(&at.child("operator"), operator, text);
        }
        if toleration.has("tolerationSeconds") && toleration.text("effect") != "NoExecute" {
            let text = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid_str(&at.child("effect"), toleration.text("effect"), text);
        }
        match operator {
            "Equal" | "" => {
                let value = toleration.text("value");
                if let Some(text) = names::check_label_value(value).first() {
                    errors.invalid_str(&at.child("operator"), value, text.clone());
                }
            }
            "Exists" => {
                if !toleration.text("value").is_empty() {
                    let text = "value must be empty when `operator` is 'Exists'";
                    errors.invalid_text(&at.child("operator"), toleration.to_string(), text);
                }
            }
            other => errors.not_supported(&at.child("operator"), other, &["Equal", "Exists"]),
        }
        effect(toleration.text("effect"), true, &at.child("effect"), errors);
    }
}

pub(super) fn taints(list: &[Value], path: &Path<'_>, errors: &mut ErrorList) {
    let mut seen = Vec::new();
    for (i, taint) in list.iter().enumerate() {
        let at = path.index(i);
        let key = taint.text("key");
        complain(&at.child("key"), key, names::check_qualified_name(key), errors);
        let value = taint.text("value");
        if let Some(text) = names::check_label_value(value).first() {
            errors.invalid_str(&at.child("value"), value, text.clone());
        }
        effect(taint.text("effect"), false, &at.child("effect"), errors);
        let pair = (key, taint.text("effect"));
        if seen.contains(&pair) {
            errors.duplicate_why(&at, taint, "taints must be unique by key and effect pair");
        }
        seen.push(pair);
    }
}

/// A node selector with at least one term.
pub(super) fn node_selector(selector: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let terms = path.child("nodeSelectorTerms");
    if selector.list("nodeSelectorTerms").is_empty() {
        errors.required(&terms, "must have at least one node selector term");
    }
    for (i, term) in selector.list("nodeSelectorTerms").iter().enumerate() {
        node_term(term, &terms.index(i), errors);
    }
}

fn node_term(term: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let list = path.child("matchExpressions");
    for (i, requirement) in term.list("matchExpressions").iter().enumerate() {
        let at = list.index(i);
        let values = requirement.list("values");
        match requirement.text("operator") {
            "In" | "NotIn" => {
                if values.is_empty() {
                    errors.required(
                        &at.child("values"),
                        "must be specified when `operator` is 'In' or 'NotIn'",
                    );
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    errors.forbidden(&at.child("values"), text);
                }
            }
            "Gt" | "Lt" => {
                if values.len() != 1 {
                    errors.required(
                        &at.child("values"),
                        "must be specified single value when `operator` is 'Lt' or 'Gt'",
                    );
                }
            }
            other => errors.invalid_str(&at.child("operator"), other, "not a valid selector operator"),
        }
        let key = requirement.text("key");
        complain(&at.child("key"), key, names::check_qualified_name(key), errors);
        let all = at.child("values");
        for (j, value) in values.iter().filter_map(Value::as_str).enumerate() {
            complain(&all.index(j), value, names::check_label_value(value), errors);
        }
    }
    let list = path.child("matchFields");
    for (i, requirement) in term.list("matchFields").iter().enumerate() {
        let at = list.index(i);
        let values = requirement.list("values");
        match requirement.text("operator") {
            "In" | "NotIn" => {
                if values.len() != 1 {
                    let text =
                        "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                    errors.required(&at.child("values"), text);
                }
            }
            other => errors.invalid_str(&at.child("operator"), other, "not a valid selector operator"),
        }
        if requirement.text("key") != "metadata.name" {
            errors.invalid_str(&at.child("key"), requirement.text("key"), "not a valid field selector key");
        } else {
            let all = at.child("values");
            for (j, value) in values.iter().filter_map(Value::as_str).enumerate() {
                complain(&all.index(j), value, names::check_dns1123_subdomain(value), errors);
            }
        }
    }
}

fn weight(term: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if !(1..=100).contains(&term.int("weight").unwrap_or(0)) {
        errors.invalid(&path.child("weight"), term.at("weight"), "must be in the range 1-100");
    }
}

pub(super) fn affinity(affinity: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let node = affinity.at("nodeAffinity");
    let at = path.child("nodeAffinity");
    if node.has(REQUIRED) {
        node_selector(node.at(REQUIRED), &at.child(REQUIRED), errors);
    }
    let list = at.child(PREFERRED);
    for (i, term) in node.list(PREFERRED).iter().enumerate() {
        let at = list.index(i);
        weight(term, &at, errors);
        node_term(term.at("preference"), &at.child("preference"), errors);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.at(name);
        let at = path.child(name);
        let list = at.child(REQUIRED);
        for (i, term) in pods.list(REQUIRED).iter().enumerate() {
            pod_term(term, &list.index(i), errors);
        }
        let list = at.child(PREFERRED);
        for (i, term) in pods.list(PREFERRED).iter().enumerate() {
            let at = list.index(i);
            weight(term, &at, errors);
            pod_term(term.at("podAffinityTerm"), &at.child("podAffinityTerm"), errors);
        }
    }
}

fn pod_term(term: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    label_selector(term.at("labelSelector"), &path.child("labelSelector"), errors);
    label_selector(term.at("namespaceSelector"), &path.child("namespaceSelector"), errors);
    for name in term.list("namespaces").iter().filter_map(Value::as_str) {
        complain(&path.child("namespace"), name, names::check_dns1123_label(name), errors);
    }
    let key = term.text("topologyKey");
    if key.is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    }
    complain(&path.child("topologyKey"), key, names::check_qualified_name(key), errors);
}

pub(super) fn gates(list: &[Value], path: &Path<'_>, errors: &mut ErrorList) {
    let mut seen = Vec::new();
    for (i, gate) in list.iter().enumerate() {
        let name = gate.text("name");
        let at = path.index(i);
        complain(&at, name, names::check_qualified_name(name), errors);
        if seen.contains(&name) {
            errors.duplicate(&at, gate.at("name"));
        }
        seen.push(name);
    }
}

pub(super) fn spread(list: &[Value], path: &Path<'_>, errors: &mut ErrorList) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (i, constraint) in list.iter().enumerate() {
        let at = path.index(i);
        if constraint.int("maxSkew").unwrap_or(0) <= 0 {
            errors.invalid(&at.child("maxSkew"), constraint.at("maxSkew"), "must be greater than zero");
        }
        let (key, when) = (constraint.text("topologyKey"), constraint.text("whenUnsatisfiable"));
        if key.is_empty() {
            errors.required(&at.child("topologyKey"), "can not be empty");
        } else {
            complain(&at.child("topologyKey"), key, names::check_qualified_name(key), errors);
        }
        if !matches!(when, "DoNotSchedule" | "ScheduleAnyway") {
            errors.not_supported(&at.child("whenUnsatisfiable"), when, &["DoNotSchedule", "ScheduleAnyway"]);
        }
        if list[i + 1..].iter().any(|o| (o.text("topologyKey"), o.text("whenUnsatisfiable")) == (key, when))
            && !seen.contains(&(key, when))
        {
            let text = format!("{{{key}, {when}}}");
            errors.duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), &Value::from(text));
        }
        seen.push((key, when));
        if let Some(domains) = constraint.int("minDomains") {
            if domains <= 0 {
                errors.invalid(
                    &at.child("minDomains"),
                    constraint.at("minDomains"),
                    "must be greater than zero",
                );
            }
            if when != "DoNotSchedule" {
                let text = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
                errors.invalid(&at.child("minDomains"), constraint.at("minDomains"), text);
            }
        }
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = constraint.text(name);
            if constraint.has(name) && !matches!(policy, "Honor" | "Ignore") {
                errors.not_supported(&at.child(name), policy, &["Honor", "Ignore"]);
            }
        }
        label_selector(constraint.at("labelSelector"), &at.child("labelSelector"), errors);
    }
}
