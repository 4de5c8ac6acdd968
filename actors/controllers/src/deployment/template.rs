//! Templates of ReplicaSets: equality, hash, and the set that a Deployment wants.

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View, same};

use crate::owner::controller_reference;
use crate::suffix::digits_of_hash;

/// The label that tells the sets of a Deployment apart.
pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// Whether two templates are the same but for the hash label.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    same(&without_hash(a), &without_hash(b))
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.get_some("metadata").and_then(|metadata| metadata.get_some("labels")) {
        labels.remove(HASH_LABEL);
    }
    template
}

/// The hash of a template in the characters of generated names. `collisions` moves it away from a name that is taken.
///
/// FNV-1a (32 bits) over the canonical JSON of the stored template, so it does not depend on the API version used.
pub(super) fn hash(template: &Value, collisions: i64) -> String {
    let mut text = template.to_string();
    if collisions > 0 {
        text.push_str(&collisions.to_string());
    }
    digits_of_hash(&text)
}

/// The ReplicaSet for a Deployment's template, without replicas and annotations.
pub(super) fn new_set(deployment: &Value, hash: &str) -> Value {
    let mut template = deployment.at("spec").at("template").clone();
    if let Some(labels) = template.object("metadata").and_then(|metadata| metadata.object("labels")) {
        labels.put(HASH_LABEL, hash);
    }
    let mut selector = deployment.at("spec").at("selector").clone();
    if let Some(labels) = selector.object("matchLabels") {
        labels.put(HASH_LABEL, hash);
    }
    let metadata = deployment.at("metadata");
    let mut spec = json!({"selector": selector, "template": template});
    if let Some(seconds) = deployment.at("spec").int("minReadySeconds").filter(|seconds| *seconds > 0) {
        spec.put("minReadySeconds", seconds);
    }
    let labels = spec.at("template").at("metadata").at("labels").clone();
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", metadata.text("name")),
            "namespace": metadata.text("namespace"),
            "labels": labels,
            "ownerReferences": [controller_reference("apps/v1", "Deployment", deployment)],
        },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_label_does_not_count() {
        let plain = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}});
        let labelled = json!({"metadata": {"labels": {"a": "b", HASH_LABEL: "z"}}, "spec": {"x": 1}});
        assert!(equal(&plain, &labelled));
        assert!(!equal(&plain, &json!({"metadata": {"labels": {"a": "b"}}, "spec": {"x": 2}})));
        assert!(equal(&json!({"metadata": {"labels": {HASH_LABEL: "z"}}}), &json!({"metadata": {}})));
    }

    #[test]
    fn collisions_move_the_hash() {
        let template = json!({"spec": {}});
        assert_eq!(hash(&template, 0), hash(&template, 0));
        assert_ne!(hash(&template, 0), hash(&template, 1));
    }
}
