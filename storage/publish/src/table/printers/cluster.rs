//! Nodes, namespaces, configuration, quotas, classes, flow control.

use std::collections::BTreeSet;

use serde_json::Value;
use trireme_schema::view::View;

use super::text::{condition, holds, or, quantity, whole};
use super::{Scene, name};

/// Labels that carry a node's roles: the role is the rest of the key, or the value of the second.
const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub(super) fn node(object: &Value, scene: &Scene) -> Vec<Value> {
    let (status, info) = (object.at("status"), object.at("status").at("nodeInfo"));
    let mut state = match condition(status.list("conditions"), "Ready") {
        Some(ready) if ready.text("status") == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object.at("spec").is_true("unschedulable") {
        state.push_str(",SchedulingDisabled");
    }
    let address = |of_type: &str| -> Value {
        let found = status.list("addresses").iter().find(|a| a.text("type") == of_type);
        found.map_or("<none>", |a| a.text("address")).into()
    };
    vec![
        name(object),
        state.into(),
        roles(object).into(),
        scene.age(object),
        info.text("kubeletVersion").into(),
        address("InternalIP"),
        address("ExternalIP"),
        or(info.text("osImage"), "<unknown>").into(),
        or(info.text("kernelVersion"), "<unknown>").into(),
        or(info.text("containerRuntimeVersion"), "<unknown>").into(),
    ]
}

fn roles(node: &Value) -> String {
    let mut roles = BTreeSet::new();
    for (key, value) in node.at("metadata").map("labels").into_iter().flatten() {
        let role = match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => role,
            None if key == ROLE_LABEL => value.as_str().unwrap_or(""),
            None => "",
        };
        roles.extend(Some(role).filter(|r| !r.is_empty()));
    }
    or(&roles.into_iter().collect::<Vec<_>>().join(","), "<none>").to_owned()
}

pub(super) fn namespace(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), object.at("status").text("phase").into(), scene.age(object)]
}

pub(super) fn component_status(object: &Value, _: &Scene) -> Vec<Value> {
    let conditions = object.list("conditions");
    let Some(health) = condition(conditions, "Healthy") else {
        return vec![name(object), "Unknown".into(), "".into(), "".into()];
    };
    let state = if holds(conditions, "Healthy") { "Healthy" } else { "Unhealthy" };
    vec![name(object), state.into(), health.text("message").into(), health.text("error").into()]
}

fn entries(object: &Value, field: &str) -> usize {
    object.map(field).map_or(0, |m| m.len())
}

pub(super) fn config_map(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), (entries(object, "data") + entries(object, "binaryData")).into(), scene.age(object)]
}

pub(super) fn secret(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), object.text("type").into(), entries(object, "data").into(), scene.age(object)]
}

pub(super) fn service_account(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), object.list("secrets").len().into(), scene.age(object)]
}

pub(super) fn resource_quota(object: &Value, scene: &Scene) -> Vec<Value> {
    let status = object.at("status");
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in status.map("hard").into_iter().flatten() {
        let text = format!("{resource}: {}/{}", quantity(status.at("used").at(resource)), quantity(hard));
        if resource.starts_with("limits.") { limits.push(text) } else { requests.push(text) }
    }
    let (requests, limits) = (requests.join(", ").into(), limits.join(", ").into());
    match scene.newer() {
        true => vec![name(object), requests, limits, scene.age(object)],
        false => vec![name(object), scene.age(object), requests, limits],
    }
}

pub(super) fn lease(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), object.at("spec").text("holderIdentity").into(), scene.age(object)]
}

pub(super) fn priority_class(object: &Value, scene: &Scene) -> Vec<Value> {
    let mut cells = vec![
        name(object),
        whole(object, "value").into(),
        object.is_true("globalDefault").into(),
        scene.age(object),
    ];
    if scene.newer() {
        cells.push(object.text("preemptionPolicy").into());
    }
    cells
}

pub(super) fn runtime_class(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), object.text("handler").into(), scene.age(object)]
}

pub(super) fn flow_schema(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    let dangling = condition(object.at("status").list("conditions"), "Dangling");
    vec![
        name(object),
        spec.at("priorityLevelConfiguration").text("name").into(),
        whole(spec, "matchingPrecedence").into(),
        spec.at("distinguisherMethod").at("type").as_str().unwrap_or("<none>").into(),
        scene.age(object),
        dangling.map_or("?", |c| c.text("status")).into(),
    ]
}

pub(super) fn priority_level(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    let queuing = spec.at("limited").at("limitResponse").at("queuing");
    let number = |holder: &Value, field: &str| -> Value {
        if holder.is_null() { "<none>".into() } else { whole(holder, field).into() }
    };
    vec![
        name(object),
        spec.text("type").into(),
        number(spec.at("limited"), "nominalConcurrencyShares"),
        number(queuing, "queues"),
        number(queuing, "handSize"),
        number(queuing, "queueLengthLimit"),
        scene.age(object),
    ]
}

pub(super) fn status(object: &Value, _: &Scene) -> Vec<Value> {
    vec![object.text("status").into(), object.text("reason").into(), object.text("message").into()]
}
