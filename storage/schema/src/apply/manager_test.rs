use serde_json::{Value, json};

use super::{ApplyError, Set, Writer, apply, update_managers};
use crate::types::{from_openapi, lookup};

fn status_reset() -> Set {
    let mut set = Set::new();
    set.insert_fields(&["status"]);
    set
}

fn writer<'a>(manager: &'a str, reset: &'a Set) -> Writer<'a> {
    Writer { manager, api_version: "v1", subresource: "", time: "2026-01-01T00:00:00Z", reset }
}

fn config(data: Value) -> Value {
    json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":data})
}

fn applied(live: Option<&Value>, manager: &str, data: Value, force: bool) -> Result<Value, ApplyError> {
    let reset = Set::new();
    let of = lookup("", "v1", "ConfigMap").unwrap();
    let empty = json!({"metadata":{"creationTimestamp":null}});
    apply(live, &empty, &config(data), of, &writer(manager, &reset), force).map(|a| a.object)
}

#[test]
fn ownership_conflict_force_and_removal() {
    let first = applied(None, "m1", json!({"a":"1","b":"2"}), false).unwrap();
    assert_eq!(first["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:data":{"f:a":{},"f:b":{}}}));
    let error = applied(Some(&first), "m2", json!({"a":"9"}), false).unwrap_err();
    assert_eq!(error.to_status().message, "Apply failed with 1 conflict: conflict with \"m1\": .data.a");
    let forced = applied(Some(&first), "m2", json!({"a":"9"}), true).unwrap();
    assert_eq!(forced["data"], json!({"a":"9","b":"2"}));
    assert_eq!(forced["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:data":{"f:b":{}}}));
    // m1 gives up b: it goes, a stays with m2.
    let pruned = applied(Some(&forced), "m1", json!({}), false).unwrap();
    assert_eq!(pruned["data"], json!({"a":"9"}));
    // Shared fields survive one owner's leaving.
    let shared = applied(Some(&first), "m2", json!({"a":"1"}), false).unwrap();
    let left = applied(Some(&shared), "m1", json!({"b":"2"}), false).unwrap();
    assert_eq!(left["data"], json!({"a":"1","b":"2"}));
}

#[test]
fn updates_are_tracked() {
    let reset = status_reset();
    let of = lookup("", "v1", "ConfigMap").unwrap();
    let empty = json!({"metadata":{"creationTimestamp":null}});
    let mut object = config(json!({"a":"1"}));
    update_managers(&empty, &mut object, of, &writer("golden", &reset));
    assert_eq!(object["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:data":{".":{},"f:a":{}}}));
    object["metadata"]["uid"] = json!("u");
    let mut next = object.clone();
    next["data"] = json!({"a":"2"});
    update_managers(&object, &mut next, of, &writer("other", &reset));
    let entries = next["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    let conflict = applied(Some(&next), "m1", json!({"a":"3"}), false).unwrap_err();
    assert_eq!(
        conflict.to_status().message,
        "Apply failed with 1 conflict: conflict with \"other\" using v1: .data.a"
    );
}

#[test]
fn untyped_configurations_are_refused() {
    let of = lookup("", "v1", "Pod").unwrap();
    let reset = Set::new();
    let empty = json!({});
    for (spec, complaint) in [
        (
            json!({"containers":[{"name":"a","zork":1}]}),
            ".spec.containers[name=\"a\"].zork: field not declared in schema",
        ),
        (json!({"containers":{"a":"b"}}), ".spec.containers: expected list, got &{map[a:b]}"),
        (
            json!({"containers":[{"name":"a"},{"name":"a"}]}),
            ".spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (
            json!({"containers":[{"name":"a","image":5}]}),
            ".spec.containers[name=\"a\"].image: expected string, got &value.valueUnstructured{Value:5}",
        ),
    ] {
        let config = json!({"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":spec});
        let error = apply(None, &empty, &config, of, &writer("m", &reset), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("failed to create typed patch object (/x; /v1, Kind=Pod): {complaint}")
        );
    }
}

#[test]
fn custom_kinds_apply_alike() {
    let (schema, id) = from_openapi(
        &json!({"type":"object","properties":{"spec":{"type":"object","properties":{"items":{"type":"array",
            "x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],
            "items":{"type":"object","properties":{"k":{"type":"string"},"v":{"type":"integer"}}}}}}}}),
        false,
    );
    let of = schema.root(id);
    let reset = Set::new();
    let one =
        |items: Value| json!({"apiVersion":"e/v1","kind":"X","metadata":{"name":"x"},"spec":{"items":items}});
    let empty = json!({});
    let first =
        apply(None, &empty, &one(json!([{"k":"a","v":1}])), of, &writer("m1", &reset), false).unwrap();
    let both = apply(Some(&first.object), &empty, &one(json!([{"k":"b"}])), of, &writer("m2", &reset), false)
        .unwrap();
    assert_eq!(both.object["spec"]["items"], json!([{"k":"a","v":1},{"k":"b"}]));
    let gone = apply(Some(&both.object), &empty, &one(json!([])), of, &writer("m1", &reset), false).unwrap();
    assert_eq!(gone.object["spec"]["items"], json!([{"k":"b"}]));
}
