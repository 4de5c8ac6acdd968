//! Short ways to the usual writes.

use serde_json::Value;
use trireme_schema::view::{View, is_empty};

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
    fn a_status_that_says_nothing_new_is_not_written() {
        let object = json!({"status": {"replicas": 1}});
        assert_eq!(update_status(&resources::PODS, &object, json!({"replicas": 1, "readyReplicas": 0})), None);
        assert!(update_status(&resources::PODS, &object, json!({"replicas": 2})).is_some());
    }
}
