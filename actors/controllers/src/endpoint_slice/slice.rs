//! Slices as objects: labels, owner, names.

use serde_json::{Map, Value, json};
use trireme_schema::view::{Edit, View};

use super::endpoint::is_headless;
use crate::owner::controller_reference;

/// Label: whose slice it is.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label: who looks after it.
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Annotation: when what it tells of happened.
pub(crate) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// What this controller writes into [`MANAGED_BY`].
pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Longest name of an EndpointSlice, its suffix included, in bytes.
const NAME_BYTES: usize = 253;

/// The labels of a Service's slices: those of the Service and the controller's own.
pub(super) fn labels(service: &Value) -> Map<String, Value> {
    let mut labels = service.at("metadata").map("labels").cloned().unwrap_or_default();
    labels.retain(|name, _| !matches!(name.as_str(), SERVICE_NAME | MANAGED_BY | HEADLESS));
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), "".into());
    }
    labels.insert(SERVICE_NAME.to_owned(), service.at("metadata").text("name").into());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    labels
}

/// A slice without a name and without endpoints.
pub(super) fn empty(service: &Value, family: &str, ports: &[Value]) -> Value {
    let metadata = service.at("metadata");
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": metadata.text("namespace"), "labels": labels(service),
            "ownerReferences": [controller_reference("v1", "Service", service)],
        },
        "addressType": family, "endpoints": [], "ports": ports,
    })
}

/// What the names of an object's slices begin with.
pub(crate) fn name_prefix(name: &str) -> String {
    // A dash makes it prettier, where there is room.
    if name.len() + "-".len() < NAME_BYTES { format!("{name}-") } else { name.to_owned() }
}

/// Sets the moment of what a slice tells of; an older moment than the slice told before is nobody's.
pub(super) fn set_trigger(slice: &mut Value, moment: &str) {
    let before = slice.at("metadata").at("annotations").text(TRIGGER_TIME).to_owned();
    let Some(annotations) = slice.object("metadata").and_then(|metadata| metadata.object("annotations"))
    else {
        return;
    };
    if moment > before.as_str() {
        annotations.put(TRIGGER_TIME, moment);
    } else {
        annotations.remove(TRIGGER_TIME);
    }
    if annotations.as_object().is_some_and(Map::is_empty) {
        slice["metadata"].remove("annotations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_the_service_but_for_the_reserved_ones() {
        let service = json!({
            "metadata": {"name": "s", "labels": {"a": "b", MANAGED_BY: "somebody"}}, "spec": {"clusterIP": "None"},
        });
        let labels = Value::Object(labels(&service));
        assert_eq!(labels, json!({"a": "b", MANAGED_BY: MANAGER, SERVICE_NAME: "s", HEADLESS: ""}));
    }

    #[test]
    fn only_a_later_moment_is_told() {
        let mut slice = json!({"metadata": {}});
        set_trigger(&mut slice, "2026-01-01T00:00:02Z");
        assert_eq!(slice["metadata"]["annotations"][TRIGGER_TIME], "2026-01-01T00:00:02Z");
        set_trigger(&mut slice, "2026-01-01T00:00:02Z");
        assert!(slice["metadata"].get("annotations").is_none());
    }
}
