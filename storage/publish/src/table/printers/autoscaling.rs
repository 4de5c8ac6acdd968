//! HorizontalPodAutoscaler in both versions, and Scale.

use serde_json::{Value, json};
use trireme_schema::view::View;

use super::text::{quantity, whole};
use super::{Scene, name};

/// How many metrics are shown.
const SHOWN: usize = 2;

pub(super) fn autoscaler(object: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (object.at("spec"), object.at("status"));
    let target = spec.at("scaleTargetRef");
    let (metrics, current) = metrics_of(object);
    vec![
        name(object),
        format!("{}/{}", target.text("kind"), target.text("name")).into(),
        targets(&metrics, &current, scene.newer()).into(),
        spec.int("minReplicas").map_or_else(|| "<unset>".to_owned(), |n| n.to_string()).into(),
        whole(spec, "maxReplicas").into(),
        whole(status, "currentReplicas").into(),
        scene.age(object),
    ]
}

pub(super) fn scale(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![
        name(object),
        whole(object.at("spec"), "replicas").into(),
        whole(object.at("status"), "replicas").into(),
        scene.age(object),
    ]
}

/// Wanted and current metrics in the form of v2. In v1 CPU has fields of its own and other metrics are annotations.
fn metrics_of(object: &Value) -> (Vec<Value>, Vec<Value>) {
    let (spec, status) = (object.at("spec"), object.at("status"));
    if object.text("apiVersion") != "autoscaling/v1" {
        return (spec.list("metrics").to_vec(), status.list("currentMetrics").to_vec());
    }
    let cpu = |part: &str, number: &Value| -> Option<Value> {
        number.is_number().then(|| {
            let value = json!({ "type": "Utilization", "averageUtilization": number });
            json!({ "type": "Resource", "resource": { "name": "cpu", part: value } })
        })
    };
    let wanted = cpu("target", spec.at("targetCPUUtilizationPercentage"));
    let current = cpu("current", status.at("currentCPUUtilizationPercentage"));
    (wanted.into_iter().collect(), current.into_iter().collect())
}

fn targets(metrics: &[Value], current: &[Value], named: bool) -> String {
    if metrics.is_empty() {
        return "<none>".to_owned();
    }
    let texts: Vec<String> = metrics
        .iter()
        .enumerate()
        .take(SHOWN)
        .map(|(at, metric)| target(metric, current.get(at).unwrap_or(&Value::Null), named))
        .collect();
    let shown = texts.join(", ");
    if metrics.len() > SHOWN { format!("{shown} + {} more...", metrics.len() - SHOWN) } else { shown }
}

/// One metric: what is measured, slash, what is wanted.
fn target(metric: &Value, current: &Value, named: bool) -> String {
    let (source, average_suffix) = match metric.text("type") {
        "External" => ("external", " (avg)"),
        "Object" => ("object", " (avg)"),
        "Pods" => ("pods", ""),
        "Resource" => ("resource", ""),
        "ContainerResource" => ("containerResource", ""),
        _ => return "<unknown type>".to_owned(),
    };
    let (wanted, measured) = (metric.at(source).at("target"), current.at(source));
    let known = |field: &str| {
        let value = measured.at("current").at(field);
        if measured.is_null() || (value.is_null() && source != "pods") { None } else { Some(value) }
    };
    let unknown = || "<unknown>".to_owned();
    let resource = matches!(source, "resource" | "containerResource");
    let text = if wanted.has("averageValue") || source == "pods" {
        let now = known("averageValue").map_or_else(unknown, quantity);
        format!("{now}/{}{average_suffix}", quantity(wanted.at("averageValue")))
    } else if resource {
        let percent = |value: &Value| value.as_i64().map(|n| format!("{n}%"));
        let now = known("averageUtilization").and_then(percent).unwrap_or_else(unknown);
        let wanted = percent(wanted.at("averageUtilization")).unwrap_or_else(|| "<auto>".to_owned());
        format!("{now}/{wanted}")
    } else {
        let now = if measured.is_null() { unknown() } else { quantity(measured.at("current").at("value")) };
        format!("{now}/{}", quantity(wanted.at("value")))
    };
    if resource && named { format!("{}: {text}", metric.at(source).text("name")) } else { text }
}
