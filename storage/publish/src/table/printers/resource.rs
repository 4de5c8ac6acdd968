//! Dynamic resource allocation.

use serde_json::Value;
use trireme_schema::view::View;

use super::{Scene, name};

pub(super) fn name_and_age(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), scene.age(object)]
}

pub(super) fn claim(object: &Value, scene: &Scene) -> Vec<Value> {
    let status = object.at("status");
    let mut states = Vec::new();
    let ending = object.at("metadata").has("deletionTimestamp");
    if ending {
        states.push("deleted");
    }
    match status.at("allocation") {
        Value::Null if ending => {}
        Value::Null => states.push("pending"),
        _ => {
            states.push("allocated");
            if !status.list("reservedFor").is_empty() {
                states.push("reserved");
            }
        }
    }
    vec![name(object), states.join(",").into(), scene.age(object)]
}

pub(super) fn slice(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    vec![
        name(object),
        spec.text("nodeName").into(),
        spec.text("driver").into(),
        spec.at("pool").text("name").into(),
        scene.age(object),
    ]
}
