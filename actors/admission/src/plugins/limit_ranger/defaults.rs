//! Default requests and limits of containers, and the annotation that tells of them.

use serde_json::{Map, Value};
use trireme_schema::view::{Edit, View};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Fills what a pod's containers leave open.
pub(super) fn fill(pod: &mut Value, range: &Value) {
    let mut requests = Map::new();
    let mut limits = Map::new();
    for limit in range.at("spec").list("limits").iter().filter(|limit| limit.text("type") == "Container") {
        requests.extend(limit.map("defaultRequest").cloned().into_iter().flatten());
        limits.extend(limit.map("default").cloned().into_iter().flatten());
    }
    let mut notes = Vec::new();
    if let Some(spec) = pod.get_some("spec") {
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            for container in spec.items(list) {
                let own = container.text("name").to_owned();
                let set_limits = merge(container, "limits", &limits);
                let set_requests = merge(container, "requests", &requests);
                for (set, side) in [(set_requests, "request"), (set_limits, "limit")] {
                    if !set.is_empty() {
                        notes.push(format!("{} {side} for {what} {own}", set.join(", ")));
                    }
                }
            }
        }
    }
    if notes.is_empty() {
        return;
    }
    let annotations = pod.object("metadata").and_then(|metadata| metadata.object("annotations"));
    if let Some(annotations) = annotations {
        annotations.put(ANNOTATION, format!("LimitRanger plugin set: {}", notes.join("; ")));
    }
}

/// Puts in what is absent; the names of it, sorted.
fn merge(container: &mut Value, side: &str, values: &Map<String, Value>) -> Vec<String> {
    let given = container.at("resources").map(side);
    let absent: Vec<(String, Value)> = values
        .iter()
        .filter(|(name, _)| given.is_none_or(|given| !given.contains_key(*name)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if absent.is_empty() {
        return Vec::new();
    }
    let list = container.object("resources").and_then(|resources| resources.object(side));
    let mut names = Vec::with_capacity(absent.len());
    if let Some(list) = list {
        for (name, value) in absent {
            list.put(&name, value);
            names.push(name);
        }
    }
    names.sort();
    names
}
