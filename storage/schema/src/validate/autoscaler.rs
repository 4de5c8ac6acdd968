//! Validation of horizontal pod autoscalers.

use serde_json::Value;

use super::util::{complain, quantity};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

const SPEC: Path<'static> = Path::new("spec");

pub(super) fn autoscaler(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let minimum = spec.int("minReplicas");
    let maximum = spec.int("maxReplicas").unwrap_or(0);
    let external = spec.list("metrics").iter().any(|m| matches!(m.text("type"), "Object" | "External"));
    if minimum.is_some_and(|m| m < i64::from(!external)) {
        let least = i64::from(!external);
        let text =
            format!("must be greater than or equal to {}", if minimum == Some(0) { 1 } else { least.max(1) });
        errors.invalid(&SPEC.child("minReplicas"), spec.at("minReplicas"), text);
    }
    if minimum == Some(0) && !external {
        let text = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden(&SPEC.child("metrics"), text);
    }
    if maximum < 1 {
        errors.invalid(&SPEC.child("maxReplicas"), spec.at("maxReplicas"), "must be greater than 0");
    }
    if minimum.is_some_and(|m| maximum < m) {
        let text = "must be greater than or equal to `minReplicas`";
        errors.invalid(&SPEC.child("maxReplicas"), spec.at("maxReplicas"), text);
    }
    let target = SPEC.child("scaleTargetRef");
    for name in ["kind", "name"] {
        let value = spec.at("scaleTargetRef").text(name);
        if value.is_empty() {
            errors.required(&target.child(name), "");
        } else {
            complain(&target.child(name), value, names::check_path_segment(value, false), errors);
        }
    }
    let metrics = SPEC.child("metrics");
    for (i, metric) in spec.list("metrics").iter().enumerate() {
        metric_spec(metric, &metrics.index(i), errors);
    }
    let behavior = SPEC.child("behavior");
    for direction in ["scaleUp", "scaleDown"] {
        if spec.at("behavior").has(direction) {
            scaling_rules(spec.at("behavior").at(direction), &behavior.child(direction), errors);
        }
    }
}

fn metric_spec(metric: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const SOURCES: [(&str, &str); 5] = [
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
        ("External", "external"),
        ("ContainerResource", "containerResource"),
    ];
    let kind = metric.text("type");
    if kind.is_empty() {
        errors.required(&path.child("type"), "must specify a metric source type");
    }
    let Some((_, wanted)) = SOURCES.iter().find(|(k, _)| *k == kind) else {
        if !kind.is_empty() {
            let choices = ["ContainerResource", "External", "Object", "Pods", "Resource"];
            errors.not_supported(&path.child("type"), kind, &choices);
        }
        return;
    };
    if !metric.has(wanted) {
        errors.required(&path.child(wanted), "must populate information for the given metric source");
    }
    for (_, other) in SOURCES {
        if other != *wanted && metric.has(other) {
            errors.forbidden(&path.child(other), "must populate the given metric source only");
        }
    }
    if metric.has(wanted) {
        metric_source(metric.at(wanted), wanted, &path.child(wanted), errors);
    }
}

/// Identity and target of a metric.
fn metric_source(source: &Value, wanted: &str, at: &Path<'_>, errors: &mut ErrorList) {
    let target = source.at("target");
    let place = at.child("target");
    match wanted {
        "resource" | "containerResource" => {
            if source.text("name").is_empty() {
                errors.required(&at.child("name"), "must specify a resource name");
            }
            if wanted == "containerResource" && source.text("container").is_empty() {
                errors.required(&at.child("container"), "must specify a container");
            }
            let (utilization, average) = (target.has("averageUtilization"), target.has("averageValue"));
            if !utilization && !average {
                let text = "must set either a target raw value or a target utilization";
                errors.required(&place.child("averageUtilization"), text);
            } else if utilization && average {
                let text = "may not set both a target raw value and a target utilization";
                errors.forbidden(&place.child("averageValue"), text);
            }
            if target.int("averageUtilization").is_some_and(|u| u < 1) {
                errors.invalid(
                    &place.child("averageUtilization"),
                    target.at("averageUtilization"),
                    "must be greater than 0",
                );
            }
        }
        _ => {
            let name = source.at("metric").text("name");
            if name.is_empty() {
                errors.required(&at.child("metric").child("name"), "must specify a metric name");
            }
            let positive = |v: &Value| quantity(v).is_some_and(|q| !q.is_negative() && !q.is_zero());
            if wanted == "pods" && !positive(target.at("averageValue")) {
                errors.required(&place.child("averageValue"), "must specify a positive target averageValue");
            } else if wanted != "pods" && !target.has("value") && !target.has("averageValue") {
                let text = "must set either a target value for metric or a per-pod target";
                errors.required(&place.child("averageValue"), text);
            }
        }
    }
    if !matches!(target.text("type"), "Utilization" | "Value" | "AverageValue") {
        if target.text("type").is_empty() {
            errors.required(&place.child("type"), "must specify a metric target type");
        } else {
            let text = "must be either Utilization, Value, or AverageValue";
            errors.invalid_str(&place.child("type"), target.text("type"), text);
        }
    }
}

fn scaling_rules(rules: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let window = rules.at("stabilizationWindowSeconds");
    if let Some(seconds) = window.as_i64() {
        let at = path.child("stabilizationWindowSeconds");
        if seconds < 0 {
            errors.invalid(&at, window, "must be greater than or equal to zero");
        }
        if seconds > 3600 {
            errors.invalid(&at, window, "must be less than or equal to 3600");
        }
    }
    let policy = rules.text("selectPolicy");
    if rules.has("selectPolicy") && !matches!(policy, "Max" | "Min" | "Disabled") {
        errors.not_supported(&path.child("selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    let list = path.child("policies");
    if rules.list("policies").is_empty() {
        errors.required(&list, "must specify at least one Policy");
    }
    for (i, policy) in rules.list("policies").iter().enumerate() {
        let at = list.index(i);
        if !matches!(policy.text("type"), "Pods" | "Percent") {
            errors.not_supported(&at.child("type"), policy.text("type"), &["Percent", "Pods"]);
        }
        for name in ["value", "periodSeconds"] {
            if policy.int(name).unwrap_or(0) <= 0 {
                errors.invalid(&at.child(name), policy.at(name), "must be greater than zero");
            }
        }
        if policy.int("periodSeconds").is_some_and(|p| p > 1800) {
            errors.invalid(
                &at.child("periodSeconds"),
                policy.at("periodSeconds"),
                "must be less than or equal to 1800",
            );
        }
    }
}
