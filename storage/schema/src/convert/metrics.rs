//! Metrics of autoscalers: autoscaling/v2 knows all of them, autoscaling/v1 keeps those it has no field for as JSON in
//! annotations, in a shape of its own.

use serde_json::{Map, Value, json};

use super::ordered::Ordered;
use crate::view::{Edit, View};

/// Where a metric's numbers stand: what is wanted, or what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// `spec.metrics`
    Wanted,
    /// `status.currentMetrics`
    Measured,
}

impl Side {
    /// Name of the numbers in v2.
    fn numbers(self) -> &'static str {
        match self {
            Side::Wanted => "target",
            Side::Measured => "current",
        }
    }

    /// A name of v1: `targetValue`, `currentAverageValue`.
    fn named(self, what: &str) -> String {
        format!("{}{what}", self.numbers())
    }
}

fn reference(target: &Value) -> String {
    let out = Ordered::new().field("kind", target.at("kind")).field("name", target.at("name"));
    out.full("apiVersion", target.at("apiVersion")).end()
}

/// A metric of v2 as v1 writes it.
pub(super) fn to_v1(metric: &Value, side: Side) -> String {
    let zero = json!("0");
    let mut out = Ordered::new().field("type", metric.at("type"));
    let value = |numbers: &Value| match numbers.at("value") {
        Value::Null => zero.clone(),
        value => value.clone(),
    };
    if let source @ Value::Object(_) = metric.at("object") {
        let (numbers, id) = (source.at(side.numbers()), source.at("metric"));
        let inner = Ordered::new()
            .raw("target", &reference(source.at("describedObject")))
            .field("metricName", id.at("name"))
            .field(&side.named("Value"), &value(numbers))
            .selector("selector", id.at("selector"))
            .some("averageValue", numbers.at("averageValue"));
        out = out.raw("object", &inner.end());
    }
    if let source @ Value::Object(_) = metric.at("pods") {
        let (numbers, id) = (source.at(side.numbers()), source.at("metric"));
        let average = if numbers.has("averageValue") { numbers.at("averageValue") } else { &zero };
        let inner = Ordered::new()
            .field("metricName", id.at("name"))
            .field(&side.named("AverageValue"), average)
            .selector("selector", id.at("selector"));
        out = out.raw("pods", &inner.end());
    }
    for name in ["resource", "containerResource"] {
        if let source @ Value::Object(_) = metric.at(name) {
            let numbers = source.at(side.numbers());
            let mut inner = Ordered::new()
                .field("name", source.at("name"))
                .some(&side.named("AverageUtilization"), numbers.at("averageUtilization"));
            inner = match side {
                Side::Wanted => inner.some("targetAverageValue", numbers.at("averageValue")),
                Side::Measured => {
                    let average = numbers.at("averageValue");
                    inner.field("currentAverageValue", if average.is_null() { &zero } else { average })
                }
            };
            out = out.raw(name, &inner.full("container", source.at("container")).end());
        }
    }
    if let source @ Value::Object(_) = metric.at("external") {
        let (numbers, id) = (source.at(side.numbers()), source.at("metric"));
        let mut inner =
            Ordered::new().field("metricName", id.at("name")).selector("metricSelector", id.at("selector"));
        inner = match side {
            Side::Wanted => inner.some("targetValue", numbers.at("value")),
            Side::Measured => inner.field("currentValue", &value(numbers)),
        };
        out = out.raw("external", &inner.some(&side.named("AverageValue"), numbers.at("averageValue")).end());
    }
    out.end()
}

/// Copies a field that is there.
fn copy(from: &Value, name: &str, to: &mut Value, as_name: &str) {
    if from.has(name) {
        to.put(as_name, from.at(name).clone());
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// A metric of v1's annotation in the shape of v2.
pub(super) fn to_v2(metric: &Value, side: Side) -> Value {
    let mut out = json!({"type": metric.at("type")});
    let identity = |source: &Value, selector: &str| {
        let mut id = json!({"name": source.at("metricName")});
        copy(source, selector, &mut id, "selector");
        id
    };
    let (value, average) = (side.named("Value"), side.named("AverageValue"));
    let target_type = |numbers: &mut Value, name: &str| {
        if side == Side::Wanted {
            numbers.put("type", name);
        }
    };
    if let source @ Value::Object(_) = metric.at("object") {
        let mut numbers = empty();
        target_type(&mut numbers, if source.has("averageValue") { "AverageValue" } else { "Value" });
        copy(source, &value, &mut numbers, "value");
        copy(source, "averageValue", &mut numbers, "averageValue");
        out["object"] = json!({"describedObject": source.at("target"), "metric": identity(source, "selector"),
            side.numbers(): numbers});
    }
    if let source @ Value::Object(_) = metric.at("pods") {
        let mut numbers = empty();
        target_type(&mut numbers, "AverageValue");
        copy(source, &average, &mut numbers, "averageValue");
        out["pods"] = json!({"metric": identity(source, "selector"), side.numbers(): numbers});
    }
    for name in ["resource", "containerResource"] {
        if let source @ Value::Object(_) = metric.at(name) {
            let utilization = side.named("AverageUtilization");
            let mut numbers = empty();
            target_type(&mut numbers, if source.has(&utilization) { "Utilization" } else { "AverageValue" });
            copy(source, &utilization, &mut numbers, "averageUtilization");
            copy(source, &average, &mut numbers, "averageValue");
            out[name] = json!({"name": source.at("name"), side.numbers(): numbers});
            copy(source, "container", &mut out[name], "container");
        }
    }
    if let source @ Value::Object(_) = metric.at("external") {
        let mut numbers = empty();
        target_type(&mut numbers, if source.has(&value) { "Value" } else { "AverageValue" });
        copy(source, &value, &mut numbers, "value");
        copy(source, &average, &mut numbers, "averageValue");
        out["external"] = json!({"metric": identity(source, "metricSelector"), side.numbers(): numbers});
    }
    out
}
