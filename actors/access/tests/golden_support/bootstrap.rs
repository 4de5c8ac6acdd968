//! The recorded default objects against those of this crate.

use serde_json::{Value, json};
use trireme_access::bootstrap::initial_objects;
use trireme_schema::view::same;

use super::world::Outcome;

/// Compares every GET of a case with the object the server would make.
pub(crate) fn compare_bootstrap(case: &Value) -> Outcome {
    let objects = initial_objects("2001-01-01T00:00:00Z");
    for step in case["steps"].as_array().expect("steps") {
        let path = step["path"].as_str().unwrap_or("");
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (namespace, resource, name) = match parts[..] {
            ["api" | "apis", .., "namespaces", name] => ("", "namespaces", name),
            ["api" | "apis", .., "namespaces", namespace, resource, name] => (namespace, resource, name),
            ["apis", _, _, resource, name] => ("", resource, name),
            _ => return Outcome::Skipped("not one object".to_owned()),
        };
        let found =
            objects.iter().find(|o| o.resource == resource && o.namespace() == namespace && o.name() == name);
        let Some(found) = found else {
            return Outcome::Skipped(format!("{resource} {name} is made elsewhere"));
        };
        let expected = &step["expect"]["body"];
        let (own, wanted) = match step["extract"].as_array() {
            Some(fields) => {
                let own =
                    fields.iter().fold(&found.object, |value, field| &value[field.as_str().unwrap_or("")]);
                (own.clone(), expected.clone())
            }
            None => (content(&found.object), content(expected)),
        };
        if !same(&with_defaults(own.clone()), &with_defaults(wanted.clone())) {
            return Outcome::Differs(format!("{own} is not {wanted}"));
        }
    }
    Outcome::Exact
}

fn content(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["creationTimestamp", "managedFields", "resourceVersion", "uid", "generation"] {
            metadata.remove(field);
        }
    }
    object
}

/// Fields that defaulting adds to what the crate hands out.
fn with_defaults(mut object: Value) -> Value {
    let map = object.as_object_mut();
    if let Some(map) = map.filter(|map| map.get("kind") == Some(&json!("Namespace"))) {
        map.remove("spec");
        map.remove("status");
        map["metadata"].as_object_mut().expect("metadata").remove("labels");
    }
    let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten() {
        if ["User", "Group"].contains(&subject["kind"].as_str().unwrap_or("")) {
            subject["apiGroup"] = json!("rbac.authorization.k8s.io");
        }
    }
    object
}
