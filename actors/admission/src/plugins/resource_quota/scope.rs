//! Scopes: which objects a quota is about.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use trireme_schema::defaults::qos_class;
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::View;

use super::evaluator::Evaluator;

/// The requirements of a quota: its scopes, and its scope selector.
pub(super) fn of_quota(quota: &Value) -> Vec<Value> {
    let spec = quota.at("spec");
    let named = spec.list("scopes").iter().map(|scope| json!({"scopeName": scope, "operator": "Exists"}));
    named.chain(spec.at("scopeSelector").list("matchExpressions").iter().cloned()).collect()
}

/// Whether an object meets a requirement; only pods and claims have scopes at all.
pub(super) fn matches(evaluator: Evaluator, object: &Value, requirement: &Value) -> bool {
    let spec = object.at("spec");
    let scope = requirement.text("scopeName");
    match (evaluator, scope) {
        (Evaluator::Pods, "Terminating") => is_terminating(spec),
        (Evaluator::Pods, "NotTerminating") => !is_terminating(spec),
        (Evaluator::Pods, "BestEffort") => is_best_effort(object),
        (Evaluator::Pods, "NotBestEffort") => !is_best_effort(object),
        (Evaluator::Pods, "CrossNamespacePodAffinity") => crosses_namespaces(spec),
        (Evaluator::Pods, "PriorityClass") => selects(requirement, &[spec.text("priorityClassName")]),
        (Evaluator::Claims, "VolumeAttributesClass") => {
            let status = object.at("status");
            let classes = [
                spec.text("volumeAttributesClassName"),
                status.text("currentVolumeAttributesClassName"),
                status.at("modifyVolumeStatus").text("targetVolumeAttributesClassName"),
            ];
            selects(requirement, &classes)
        }
        _ => false,
    }
}

fn is_terminating(spec: &Value) -> bool {
    spec.int("activeDeadlineSeconds").is_some_and(|seconds| seconds >= 0)
}

fn is_best_effort(pod: &Value) -> bool {
    let known = pod.at("status").text("qosClass");
    if known.is_empty() { qos_class(pod) == "BestEffort" } else { known == "BestEffort" }
}

/// Whether one of an object's classes is selected; an object without any meets only negative requirements.
fn selects(requirement: &Value, classes: &[&str]) -> bool {
    let classes: BTreeSet<&str> = classes.iter().copied().filter(|class| !class.is_empty()).collect();
    let operator = requirement.text("operator");
    if operator == "Exists" {
        return !classes.is_empty();
    }
    let key = requirement.text("scopeName");
    let expression = json!({"key": key, "operator": operator, "values": requirement.at("values")});
    let Ok(selector) = LabelSelector::from_object(&json!({"matchExpressions": [expression]})) else {
        return false;
    };
    if classes.is_empty() {
        return selector.matches(None);
    }
    classes.into_iter().any(|class| {
        let labels = Map::from_iter([(key.to_owned(), class.into())]);
        selector.matches(Some(&labels))
    })
}

fn crosses_namespaces(spec: &Value) -> bool {
    let crosses = |term: &Value| !term.list("namespaces").is_empty() || term.has("namespaceSelector");
    ["podAffinity", "podAntiAffinity"].into_iter().any(|side| {
        let affinity = spec.at("affinity").at(side);
        affinity.list("requiredDuringSchedulingIgnoredDuringExecution").iter().any(crosses)
            || affinity
                .list("preferredDuringSchedulingIgnoredDuringExecution")
                .iter()
                .any(|weighted| crosses(weighted.at("podAffinityTerm")))
    })
}
