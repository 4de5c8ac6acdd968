use serde_json::{Value, json};

use super::conform;
use crate::types::lookup;

fn decode(group: &str, kind: &str, mut value: Value) -> Result<(Value, Vec<String>), String> {
    let of = lookup(group, "v1", kind).unwrap();
    conform(&mut value, of).map(|r| (value, r.unknown)).map_err(|e| e.to_string())
}

#[test]
fn empty_optional_fields_go_and_required_zeros_come() {
    let (pod, unknown) = decode(
        "",
        "Pod",
        json!({"metadata":{"name":"x","labels":{}},"spec":{"hostNetwork":false,"priority":0,"tolerations":[],
            "containers":[{"name":"a","env":[],"resources":{"limits":{"cpu":"1000m","memory":1024}},
                "livenessProbe":{"periodSeconds":0,"httpGet":{"port":"http"}}}]}}),
    )
    .unwrap();
    assert!(unknown.is_empty());
    assert_eq!(
        pod,
        json!({"metadata":{"name":"x","creationTimestamp":null},"spec":{"priority":0,
            "containers":[{"name":"a","resources":{"limits":{"cpu":"1","memory":"1024"}},
                "livenessProbe":{"httpGet":{"port":"http"}}}]},"status":{}})
    );
}

#[test]
fn unknown_fields_are_dropped_and_named() {
    let (map, unknown) =
        decode("", "ConfigMap", json!({"zork":1,"metadata":{"name":"x","Foo":{}},"data":{"k":"v"}})).unwrap();
    assert_eq!(unknown, ["metadata.Foo", "zork"]);
    assert_eq!(map["data"], json!({"k":"v"}));
    assert!(map.get("zork").is_none());
    let (_, unknown) = decode("", "Pod", json!({"spec":{"containers":[{"name":"a"},{"nope":1}]}})).unwrap();
    assert_eq!(unknown, ["spec.containers[1].nope"]);
}

#[test]
fn wrong_types_speak_go() {
    for (group, kind, value, message) in [
        (
            "",
            "ConfigMap",
            json!({"metadata":"x"}),
            "json: cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
        ),
        (
            "",
            "ConfigMap",
            json!({"metadata":{"labels":{"a":5}}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "",
            "ConfigMap",
            json!({"metadata":{"labels":["a"]}}),
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            "",
            "ConfigMap",
            json!({"metadata":{"name":5}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
        ),
        (
            "",
            "ConfigMap",
            json!({"metadata":{"generation":1.0}}),
            "json: cannot unmarshal number 1.0 into Go struct field ObjectMeta.metadata.generation of type int64",
        ),
        (
            "apps",
            "Deployment",
            json!({"spec":{"replicas":"1"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "",
            "Pod",
            json!({"spec":{"containers":{}}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "scheduling.k8s.io",
            "PriorityClass",
            json!({"value":99999999999i64}),
            "json: cannot unmarshal number 99999999999 into Go struct field PriorityClass.value of type int32",
        ),
        ("", "Secret", json!({"data":{"a":"*"}}), "illegal base64 data at input byte 0"),
    ] {
        assert_eq!(decode(group, kind, value).unwrap_err(), message);
    }
}

#[test]
fn every_field_of_pod_refuses_a_wrong_type_without_a_panic() {
    // Any JSON type at every path of a schema either decodes or is refused with a message.
    fn walk(path: &mut Vec<String>, of: crate::types::TypeRef<'_>, depth: usize, checked: &mut usize) {
        for bad in
            [json!(1.5), json!("x"), json!([1]), json!({"a":1}), json!(true), Value::Null, json!(1e300)]
        {
            let mut value = bad;
            for name in path.iter().rev() {
                value = if name == "[]" { json!([value]) } else { json!({ name.as_str(): value }) };
            }
            let _ = decode("", "Pod", value);
            *checked += 1;
        }
        if depth > 9 {
            return;
        }
        if let Some(this) = of.as_struct() {
            for field in &this.fields {
                path.push(field.name.clone());
                walk(path, of.child(&field.name).unwrap(), depth + 1, checked);
                path.pop();
            }
        } else if let Some(item) = of.item() {
            path.push("[]".to_owned());
            walk(path, item, depth + 1, checked);
            path.pop();
        }
    }
    let mut checked = 0;
    walk(&mut Vec::new(), lookup("", "v1", "Pod").unwrap(), 0, &mut checked);
    assert!(checked > 5_000, "{checked}");
}

#[test]
fn base64_is_checked_as_go_does() {
    use crate::types::scalar::canonical_base64;
    assert_eq!(canonical_base64("AAECAw=="), Ok(None));
    assert_eq!(canonical_base64("AAEC\nAw=="), Ok(Some("AAECAw==".to_owned())));
    for bad in ["A", "AAA", "====", "AA=A", "é"] {
        assert!(canonical_base64(bad).is_err(), "{bad}");
    }
}
