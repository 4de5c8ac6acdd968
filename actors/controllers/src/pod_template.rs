//! Pods made from templates.

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

/// A pod from a template for an owner, without a name. Its labels and annotations are there, empty or not.
pub(crate) fn pod_of(template: &Value, namespace: &str, reference: &Value) -> Value {
    let mut metadata = json!({
        "namespace": namespace, "labels": {}, "annotations": {}, "ownerReferences": [reference],
    });
    for name in ["labels", "annotations", "finalizers"] {
        if template.at("metadata").has(name) {
            metadata.put(name, template.at("metadata").at(name).clone());
        }
    }
    let spec = if template.has("spec") { template.at("spec").clone() } else { json!({}) };
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}
