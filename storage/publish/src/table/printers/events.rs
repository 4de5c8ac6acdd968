//! Events of both groups; they name their fields differently.

use serde_json::Value;
use trireme_schema::view::View;

use super::super::duration::since;
use super::text::{or, whole};
use super::{Scene, name};

/// Where the two groups keep the same facts.
struct Fields {
    first: &'static str,
    last: &'static str,
    count: &'static str,
    object: &'static str,
    source: &'static str,
    controller: &'static str,
    message: &'static str,
}

const CORE: Fields = Fields {
    first: "firstTimestamp",
    last: "lastTimestamp",
    count: "count",
    object: "involvedObject",
    source: "source",
    controller: "reportingComponent",
    message: "message",
};

const EVENTS: Fields = Fields {
    first: "deprecatedFirstTimestamp",
    last: "deprecatedLastTimestamp",
    count: "deprecatedCount",
    object: "regarding",
    source: "deprecatedSource",
    controller: "reportingController",
    message: "note",
};

pub(super) fn event(object: &Value, scene: &Scene) -> Vec<Value> {
    let f = if object.text("apiVersion").starts_with("events.k8s.io/") { &EVENTS } else { &CORE };
    let first = if object.has(f.first) { object.at(f.first) } else { object.at("eventTime") };
    let mut last = if object.has(f.last) { object.at(f.last) } else { first };
    let mut count = whole(object, f.count).max(1);
    if object.has("series") {
        last = object.at("series").at("lastObservedTime");
        count = whole(object.at("series"), "count");
    }
    let regarding = object.at(f.object);
    let mut target = regarding.text("kind").to_lowercase();
    if !regarding.text("name").is_empty() {
        target = format!("{target}/{}", regarding.text("name"));
    }
    vec![
        since(last, scene.now).into(),
        object.text("type").into(),
        object.text("reason").into(),
        target.into(),
        regarding.text("fieldPath").into(),
        source(object, f).into(),
        object.text(f.message).trim().into(),
        since(first, scene.now).into(),
        count.into(),
        name(object),
    ]
}

fn source(object: &Value, f: &Fields) -> String {
    let source = object.at(f.source);
    let component = or(source.text("component"), object.text(f.controller));
    match or(source.text("host"), object.text("reportingInstance")) {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    }
}
