//! HorizontalPodAutoscalers of autoscaling/v2 (the hub) and autoscaling/v1.
//!
//! v1 has a field for the utilisation of processors alone; everything else goes round through annotations, which v2
//! never shows.

use serde_json::{Map, Value, json};

use super::metrics::{Side, to_v1, to_v2};
use super::ordered::{Ordered, list};
use crate::view::{Edit, View, is_empty};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Utilisation in percent that an autoscaler of v1 without any metric aims at.
const DEFAULT_UTILIZATION: i64 = 80;

fn is_cpu(metric: &Value) -> bool {
    metric.text("type") == "Resource" && metric.at("resource").text("name") == "cpu"
}

fn cpu_metric(numbers: &'static str, numbers_value: Value) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", numbers: numbers_value}})
}

/// Takes the annotations that carry fields out.
fn take_annotations(object: &mut Value) -> Map<String, Value> {
    let mut out = Map::new();
    let Some(metadata) = object.get_some("metadata") else { return out };
    if let Some(annotations) = metadata.get_some("annotations").and_then(Value::as_object_mut) {
        for name in [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR] {
            out.extend(annotations.remove_entry(name));
        }
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    out
}

/// The JSON list in an annotation; none when it is absent or malformed.
fn list_in(annotations: &Map<String, Value>, name: &str) -> Option<Vec<Value>> {
    let text = annotations.get(name)?.as_str()?;
    crate::json::parse(text.as_bytes()).ok()?.value.as_array().cloned()
}

/// To autoscaling/v1.
pub(super) fn v2_to_v1(object: &mut Value) {
    let mut annotations = Map::new();
    let mut note = |name: &str, items: Vec<String>| {
        if !items.is_empty() {
            annotations.insert(name.to_owned(), list(&items).into());
        }
    };
    if let Some(spec) = object.object("spec") {
        let metrics = spec.list("metrics").to_vec();
        let utilization = |m: &Value| m.below(&["resource", "target"]).at("averageUtilization").clone();
        let other = metrics.iter().filter(|m| !is_cpu(m) || utilization(m).is_null());
        note(METRICS, other.map(|m| to_v1(m, Side::Wanted)).collect());
        if let Some(value) = metrics.iter().find(|m| is_cpu(m)).map(utilization).filter(|v| !v.is_null()) {
            spec.put("targetCPUUtilizationPercentage", value);
        }
        spec.remove("metrics");
    }
    if let Some(status) = object.object("status") {
        let current = status.list("currentMetrics").to_vec();
        note(CURRENT_METRICS, current.iter().map(|m| to_v1(m, Side::Measured)).collect());
        let utilization = current
            .iter()
            .filter(|m| is_cpu(m))
            .map(|m| m.below(&["resource", "current"]).at("averageUtilization").clone())
            .rfind(|v| !v.is_null());
        if let Some(value) = utilization {
            status.put("currentCPUUtilizationPercentage", value);
        }
        note(CONDITIONS, status.list("conditions").iter().map(condition).collect());
        status.remove("currentMetrics");
        status.remove("conditions");
    }
    let behavior = object.get_some("spec").and_then(|spec| spec.remove("behavior"));
    if let Some(behavior) = behavior.filter(|b| !b.is_null()) {
        annotations.insert(BEHAVIOR.to_owned(), behavior_to_v1(&behavior).into());
    }
    if annotations.is_empty() {
        return;
    }
    if let Some(all) = object.object("metadata").and_then(|m| m.object("annotations")) {
        annotations.into_iter().for_each(|(name, value)| all.put(&name, value));
    }
}

fn condition(condition: &Value) -> String {
    let out = Ordered::new().field("type", condition.at("type")).field("status", condition.at("status"));
    out.field("lastTransitionTime", condition.at("lastTransitionTime"))
        .full("reason", condition.at("reason"))
        .full("message", condition.at("message"))
        .end()
}

/// Upstream writes its internal struct, whose names start in capitals.
fn behavior_to_v1(behavior: &Value) -> String {
    let rules = |rules: &Value| {
        if rules.is_null() {
            return "null".to_owned();
        }
        let policies: Vec<String> = rules
            .list("policies")
            .iter()
            .map(|p| {
                let out = Ordered::new().field("Type", p.at("type")).field("Value", p.at("value"));
                out.field("PeriodSeconds", p.at("periodSeconds")).end()
            })
            .collect();
        Ordered::new()
            .field("StabilizationWindowSeconds", rules.at("stabilizationWindowSeconds"))
            .field("SelectPolicy", rules.at("selectPolicy"))
            .raw("Policies", &if rules.has("policies") { list(&policies) } else { "null".to_owned() })
            .some("Tolerance", rules.at("tolerance"))
            .end()
    };
    let out = Ordered::new().raw("ScaleUp", &rules(behavior.at("scaleUp")));
    out.raw("ScaleDown", &rules(behavior.at("scaleDown"))).end()
}

/// To autoscaling/v2.
pub(super) fn v1_to_v2(object: &mut Value) {
    let annotations = take_annotations(object);
    if let Some(spec) = object.object("spec") {
        let mut metrics: Vec<Value> = list_in(&annotations, METRICS)
            .map(|all| all.iter().map(|m| to_v2(m, Side::Wanted)).collect())
            .unwrap_or_default();
        let utilization = |percent: Value| {
            cpu_metric("target", json!({"type": "Utilization", "averageUtilization": percent}))
        };
        if let Some(percent) = spec.remove("targetCPUUtilizationPercentage").filter(|v| !v.is_null()) {
            metrics.push(utilization(percent));
        }
        if metrics.is_empty() {
            metrics.push(utilization(DEFAULT_UTILIZATION.into()));
        }
        spec.put("metrics", metrics);
        let behavior = annotations.get(BEHAVIOR).and_then(Value::as_str);
        let behavior = behavior.and_then(|text| crate::json::parse(text.as_bytes()).ok());
        if let Some(behavior) = behavior.map(|b| behavior_to_v2(&b.value)).filter(|b| !is_empty(b)) {
            spec.put("behavior", behavior);
        }
    }
    let Some(status) = object.object("status") else { return };
    if let Some(percent) = status.remove("currentCPUUtilizationPercentage").filter(|v| !v.is_null()) {
        let numbers = json!({"averageUtilization": percent});
        status.put("currentMetrics", vec![cpu_metric("current", numbers)]);
    }
    if let Some(all) = list_in(&annotations, CURRENT_METRICS) {
        let all: Vec<Value> = all.iter().map(|m| to_v2(m, Side::Measured)).collect();
        status.put("currentMetrics", all);
    }
    if let Some(all) = list_in(&annotations, CONDITIONS) {
        status.put("conditions", all);
    }
}

/// A field whatever the case of its first letter.
fn any_case<'a>(object: &'a Value, name: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v).next().unwrap_or(&NULL)
}

fn behavior_to_v2(behavior: &Value) -> Value {
    let mut out = Value::Object(Map::new());
    for side in ["scaleUp", "scaleDown"] {
        let rules = any_case(behavior, side);
        if !rules.is_object() {
            continue;
        }
        let mut inner = Value::Object(Map::new());
        for name in ["stabilizationWindowSeconds", "selectPolicy", "tolerance"] {
            if !any_case(rules, name).is_null() {
                inner.put(name, any_case(rules, name).clone());
            }
        }
        if let Value::Array(policies) = any_case(rules, "policies") {
            let policy = |p: &Value| {
                json!({"type": any_case(p, "type"), "value": any_case(p, "value"),
                    "periodSeconds": any_case(p, "periodSeconds")})
            };
            inner.put("policies", policies.iter().map(policy).collect::<Vec<_>>());
        }
        out.put(side, inner);
    }
    out
}
