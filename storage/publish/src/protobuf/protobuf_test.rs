use serde_json::json;

use super::*;

/// A field with a length in front.
fn bytes(number: u8, inner: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = inner.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(inner);
    out
}

fn number(field: u8, value: u8) -> Vec<u8> {
    vec![field << 3, value]
}

fn body(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let names = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), bytes(1, &names), bytes(2, object)].concat()
}

fn metadata() -> Vec<u8> {
    // name, an empty generateName, a zero creationTimestamp, one label
    let label = [bytes(1, b"a"), bytes(2, b"b")].concat();
    bytes(1, &[bytes(1, b"x"), bytes(2, b""), bytes(8, b""), bytes(11, &label)].concat())
}

#[test]
fn objects_read_as_their_json() {
    let entry = |k: &[u8], v: &[u8]| bytes(2, &[bytes(1, k), bytes(2, v)].concat());
    let secret = [metadata(), entry(b"k", &[0, 255]), bytes(3, b"Opaque")].concat();
    assert_eq!(
        decode(&body("v1", "Secret", &secret)).unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "data": {"k": "AP8="},
            "type": "Opaque",
        })
    );
}

#[test]
fn what_stands_in_its_parent_is_found() {
    // A volume: its name, and a VolumeSource with an empty emptyDir.
    let volume = bytes(1, &[bytes(1, b"v"), bytes(2, &bytes(2, b""))].concat());
    // A container with a limit of two CPUs and a port.
    let quantity = bytes(1, b"2");
    let limits = bytes(8, &bytes(1, &[bytes(1, b"cpu"), bytes(2, &quantity)].concat()));
    let port = bytes(6, &[number(3, 80), bytes(4, b"TCP")].concat());
    let container = bytes(2, &[bytes(1, b"c"), bytes(2, b"i"), limits, port].concat());
    let pod = [metadata(), bytes(2, &[volume, container].concat())].concat();
    let object = decode(&body("v1", "Pod", &pod)).unwrap();
    assert_eq!(object["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
    let container = &object["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"], json!({"cpu": "2"}));
    assert_eq!(container["ports"], json!([{"containerPort": 80, "protocol": "TCP"}]));
}

#[test]
fn numbers_or_texts_times_and_raw_values() {
    // A disruption budget: minAvailable as text, maxUnavailable as number.
    let min = bytes(1, &[number(1, 1), bytes(3, b"50%")].concat());
    let max = bytes(3, &[number(1, 0), number(2, 3)].concat());
    let object = decode(&body("policy/v1", "PodDisruptionBudget", &bytes(2, &[min, max].concat()))).unwrap();
    assert_eq!(object["spec"], json!({"minAvailable": "50%", "maxUnavailable": 3}));
    let revision = [bytes(2, &bytes(1, b"{\"a\":1}")), number(3, 7)].concat();
    let object = decode(&body("apps/v1", "ControllerRevision", &revision)).unwrap();
    assert_eq!((&object["data"], &object["revision"]), (&json!({"a": 1}), &json!(7)));
    let lease = bytes(2, &[bytes(1, b"me"), bytes(3, &number(1, 5))].concat());
    let object = decode(&body("coordination.k8s.io/v1", "Lease", &lease)).unwrap();
    assert_eq!(object["spec"]["acquireTime"], "1970-01-01T00:00:05.000000Z");
}

#[test]
fn lists_in_maps_and_options_of_requests() {
    let extra = bytes(5, &[bytes(1, b"k"), bytes(2, &[bytes(1, b"a"), bytes(1, b"b")].concat())].concat());
    let review = bytes(2, &[bytes(3, b"me"), extra].concat());
    let object = decode(&body("authorization.k8s.io/v1", "SubjectAccessReview", &review)).unwrap();
    assert_eq!(object["spec"], json!({"user": "me", "extra": {"k": ["a", "b"]}}));
    let options = decode(&body("v1", "DeleteOptions", &number(1, 0))).unwrap();
    assert_eq!(options["gracePeriodSeconds"], 0);
}

#[test]
fn hostile_bodies_are_refused() {
    let unknown = decode(&body("v1", "Nothing", b"")).unwrap_err();
    assert!(matches!(unknown, ProtobufError::UnknownKind { .. }), "{unknown}");
    assert_eq!(decode(b"{}"), Err(ProtobufError::NoMagic));
    assert_eq!(decode(&body("v1", "Pod", &[0x0a, 0xff, 0xff, 0xff, 0x7f])), Err(ProtobufError::Malformed));
    assert_eq!(decode(&body("v1", "Pod", &[0xff; 11])), Err(ProtobufError::Malformed));
    assert_eq!(
        decode(&body("v1", "ConfigMap", &bytes(1, &bytes(1, &[0xff])))),
        Err(ProtobufError::Malformed)
    );
    // Schemas in schemas: field 28 ("not") has a key of two bytes.
    let mut deep = Vec::new();
    for _ in 0..DEPTH_LIMIT + 2 {
        let mut outer = vec![0xe2, 0x01];
        outer.extend_from_slice(&bytes(1, &deep)[1..]);
        deep = outer;
    }
    let crd = bytes(2, &bytes(7, &bytes(4, &bytes(1, &deep))));
    let refused = decode(&body("apiextensions.k8s.io/v1", "CustomResourceDefinition", &crd));
    assert_eq!(refused, Err(ProtobufError::TooDeep));
}
