use serde_json::{Value, json};

use super::{PatchError, apply_strategic_patch};
use crate::types::lookup;

fn patched(group: &str, kind: &str, mut object: Value, patch: Value) -> Result<Value, PatchError> {
    apply_strategic_patch(&mut object, patch, lookup(group, "v1", kind).unwrap()).map(|()| object)
}

fn pod(containers: Value) -> Value {
    json!({"spec":{"containers":containers,"nodeSelector":{"a":"1"},"tolerations":[{"key":"k"}]}})
}

fn names(pod: &Value) -> Vec<&str> {
    pod["spec"]["containers"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect()
}

#[test]
fn lists_merge_by_key() {
    let start = || pod(json!([{"name":"a","image":"i:1","args":["x"]},{"name":"b"}]));
    let out =
        patched("", "Pod", start(), json!({"spec":{"containers":[{"name":"a","image":"i:2"}]}})).unwrap();
    assert_eq!(out["spec"]["containers"], json!([{"name":"a","image":"i:2","args":["x"]},{"name":"b"}]));
    let out = patched("", "Pod", start(), json!({"spec":{"containers":[{"name":"c","env":null}]}})).unwrap();
    assert_eq!(names(&out), ["c", "a", "b"]);
    assert_eq!(out["spec"]["containers"][0], json!({"name":"c"}));
    let out =
        patched("", "Pod", start(), json!({"spec":{"containers":[{"name":"b","$patch":"delete"}]}})).unwrap();
    assert_eq!(names(&out), ["a"]);
    let patch = json!({"spec":{"containers":[{"$patch":"replace"},{"name":"z"}]}});
    assert_eq!(names(&patched("", "Pod", start(), patch).unwrap()), ["z"]);
    let patch = json!({"spec":{"tolerations":[{"key":"other"}]}});
    assert_eq!(patched("", "Pod", start(), patch).unwrap()["spec"]["tolerations"], json!([{"key":"other"}]));
}

#[test]
fn order_directive() {
    let start = || pod(json!([{"name":"a"},{"name":"b"},{"name":"c"}]));
    let patch = json!({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"a","image":"q"}]}});
    let out = patched("", "Pod", start(), patch).unwrap();
    assert_eq!(names(&out), ["b", "a", "c"]);
    let patch = json!({"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"c","image":"n"}]}});
    let message = patched("", "Pod", start(), patch).unwrap_err().to_string();
    assert_eq!(
        message,
        "The order in patch list:\n[map[image:n name:c]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n"
    );
    let bad = patched("", "Pod", start(), json!({"spec":{"$setElementOrder/containers":5}})).unwrap_err();
    assert_eq!(bad.to_string(), "expected a []interface {}, but received a int64");
}

#[test]
fn directives_on_maps() {
    let start = || pod(json!([{"name":"a"}]));
    let out =
        patched("", "Pod", start(), json!({"spec":{"nodeSelector":{"$patch":"replace","q":"r"}}})).unwrap();
    assert_eq!(out["spec"]["nodeSelector"], json!({"q":"r"}));
    let out = patched("", "Pod", start(), json!({"spec":{"nodeSelector":{"$patch":"delete"}}})).unwrap();
    assert_eq!(out["spec"]["nodeSelector"], json!({}));
    let bad =
        patched("", "Pod", start(), json!({"spec":{"nodeSelector":{"$patch":"frob","q":"r"}}})).unwrap_err();
    assert_eq!(bad.to_string(), "unknown patch type: frob in map: map[$patch:frob q:r]");
    let bad = patched("", "Pod", start(), json!({"spec":{"containers":[{"image":"q"}]}})).unwrap_err();
    assert_eq!(bad.to_string(), "map: map[image:q] does not contain declared merge key: name");
}

#[test]
fn retain_keys_and_primitive_lists() {
    let start =
        json!({"spec":{"volumes":[{"name":"v","emptyDir":{}}]},"metadata":{"finalizers":["a/a","b/b"]}});
    let patch = json!({"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/h"}}]},
        "metadata":{"$deleteFromPrimitiveList/finalizers":["a/a"],"finalizers":["c/c"]}});
    let out = patched("", "Pod", start.clone(), patch).unwrap();
    assert_eq!(out["spec"]["volumes"], json!([{"name":"v","hostPath":{"path":"/h"}}]));
    assert_eq!(out["metadata"]["finalizers"], json!(["c/c", "b/b"]));
    let bad = json!({"spec":{"volumes":[{"name":"v","$retainKeys":["name"],"hostPath":{"path":"/h"}}]}});
    let error = patched("", "Pod", start, bad).unwrap_err();
    assert_eq!(error, PatchError::Malformed("invalid patch format of retainKeys".to_owned()));
}

#[test]
fn replace_strategy_takes_the_patch_as_it_is() {
    let start = json!({"spec":{"selector":{"matchLabels":{"a":"b"}}}});
    let patch = json!({"spec":{"selector":{"matchLabels":{"z":"y"}}}});
    let out = patched("policy", "PodDisruptionBudget", start, patch).unwrap();
    assert_eq!(out["spec"]["selector"], json!({"matchLabels":{"z":"y"}}));
}
