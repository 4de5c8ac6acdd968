//! Short ways to the usual writes.

use serde_json::Value;
use trireme_schema::view::{Edit, View, is_empty};

use crate::controller::{Resource, resources};
use crate::plan::{Propagation, Write};

/// Tells people what happened to an object.
pub(crate) fn event(about: &Value, kind: &'static str, reason: &'static str, message: String) -> Write {
    Write::Event { about: about.clone(), kind, reason, message }
}

/// Creates an object.
pub(crate) fn create(resource: &Resource, object: Value) -> Write {
    Write::Create { resource: resource.clone(), object }
}

/// Replaces an object.
pub(crate) fn update(resource: &Resource, object: Value) -> Write {
    Write::Update { resource: resource.clone(), subresource: "", object }
}

/// Turns an object into another by a merge patch, which is refused if the object is not what it was.
pub(crate) fn patch(resource: &Resource, subresource: &'static str, before: &Value, after: &Value) -> Write {
    let metadata = before.at("metadata");
    let mut patch = difference(before, after);
    if let Some(own) = patch.object("metadata") {
        own.put("uid", metadata.text("uid"));
        own.put("resourceVersion", metadata.text("resourceVersion"));
    }
    Write::Patch {
        resource: resource.clone(),
        subresource,
        namespace: metadata.text("namespace").to_owned(),
        name: metadata.text("name").to_owned(),
        patch,
    }
}

/// The merge patch that turns `before` into `after`: what is gone is null, lists are replaced.
fn difference(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return after.clone() };
    let mut out = serde_json::Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        out.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        match old.get(name) {
            Some(same) if same == value => {}
            Some(other) => drop(out.insert(name.clone(), difference(other, value))),
            None => drop(out.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(out)
}

/// Replaces an object's status if it says something new.
pub(crate) fn update_status(resource: &Resource, object: &Value, status: Value) -> Option<Write> {
    if alike(object.at("status"), &status) {
        return None;
    }
    let mut object = object.clone();
    object["status"] = status;
    Some(Write::Update { resource: resource.clone(), subresource: "status", object })
}

/// Deletes exactly the object that was seen.
pub(crate) fn delete(resource: &Resource, object: &Value, propagation: Propagation) -> Write {
    let metadata = object.at("metadata");
    Write::Delete {
        resource: resource.clone(),
        namespace: metadata.text("namespace").to_owned(),
        name: metadata.text("name").to_owned(),
        uid: metadata.text("uid").to_owned(),
        resource_version: None,
        propagation,
    }
}

/// Deletes a pod, in the background.
pub(crate) fn delete_pod(pod: &Value) -> Write {
    delete(&resources::PODS, pod, Propagation::Background)
}

/// Equality in which whatever an encoder leaves out (absent, null, 0, false, `""`, empty) is the same.
pub(crate) fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            x.iter().all(|(name, value)| alike(value, y.get(name).unwrap_or(&Value::Null)))
                && y.iter().all(|(name, value)| x.contains_key(name) || vacant(value))
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| alike(x, y)),
        _ => a == b || (vacant(a) && vacant(b)),
    }
}

/// Nothing but what an encoder leaves out, at every depth.
fn vacant(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(vacant),
        other => is_empty(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn zero_and_absent_are_alike() {
        assert!(alike(&json!({"a": 0, "b": {"c": ""}}), &json!({"d": false})));
        assert!(!alike(&json!({"a": 1}), &json!({})));
        assert!(!alike(&json!({}), &json!({"a": [0]})));
    }

    #[test]
    fn a_patch_says_what_changes_and_what_was_seen() {
        let before = json!({
            "metadata": {"name": "p", "namespace": "d", "uid": "u", "resourceVersion": "7", "finalizers": ["x"]},
            "spec": {"a": 1, "b": {"c": 2}},
        });
        let mut after = before.clone();
        after["metadata"].remove("finalizers");
        after["spec"]["b"]["c"] = json!(3);
        let Write::Patch { patch, name, .. } = patch(&resources::PODS, "", &before, &after) else { panic!() };
        let seen = json!({"uid": "u", "resourceVersion": "7", "finalizers": null});
        assert_eq!((name.as_str(), patch), ("p", json!({"metadata": seen, "spec": {"b": {"c": 3}}})));
    }

    #[test]
    fn a_status_that_says_nothing_new_is_not_written() {
        let object = json!({"status": {"replicas": 1}});
        assert_eq!(
            update_status(&resources::PODS, &object, json!({"replicas": 1, "readyReplicas": 0})),
            None
        );
        assert!(update_status(&resources::PODS, &object, json!({"replicas": 2})).is_some());
    }
}
