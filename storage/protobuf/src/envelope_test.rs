//! Objects through protobuf and back.

use super::*;
use serde_json::json;
use trireme_schema::types::{conform, lookup};

fn canonical(mut object: Value) -> Value {
    let api_version = object.text("apiVersion").to_owned();
    let (group, version) = trireme_schema::kinds::parse_api_version(&api_version).unwrap();
    let of = lookup(group, version, object.text("kind")).unwrap();
    conform(&mut object, of).unwrap();
    object
}

fn assert_survives(object: Value) {
    let object = canonical(object);
    let bytes = encode_object(&object).unwrap();
    let back = canonical(decode_object(&bytes).unwrap());
    assert_eq!(back, object);
}

#[test]
fn objects_survive() {
    assert_survives(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "p", "namespace": "d", "labels": {"a": "b", "empty": ""}, "generation": 3,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": false}],
            "managedFields": [{"manager": "m", "operation": "Update", "fieldsV1": {"f:spec": {".": {}}}}],
        },
        "spec": {
            "containers": [{
                "name": "c", "image": "i",
                "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}},
                "ports": [{"containerPort": 80}],
                "readinessProbe": {"httpGet": {"path": "/", "port": "web", "httpHeaders": [{"name": "a", "value": "b"}]}},
                "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 5},
                "env": [{"name": "E", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k", "optional": false}}}],
                "securityContext": {"runAsUser": 0, "privileged": false},
            }],
            "volumes": [
                {"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                {"name": "w", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3607}}]}},
            ],
            "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 0}],
            "securityContext": {"supplementalGroups": [1, 2, 300], "sysctls": []},
        },
        "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]},
    }));
    assert_survives(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "AAECAw==", "none": ""},
    }));
    assert_survives(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"a": "b"}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }));
    assert_survives(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"},
        "spec": {"group": "g", "scope": "Namespaced", "names": {"plural": "p", "kind": "K"}, "versions": [{
            "name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"a": {"type": "array", "items": {"type": "string"}, "default": ["x"], "maximum": 1.5}},
                "additionalProperties": false,
            }},
        }]},
    }));
    assert_survives(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"renewTime": "2026-01-02T03:04:05.000006Z", "leaseDurationSeconds": 15},
    }));
    assert_survives(json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "w"},
        "webhooks": [{"name": "a.b.c", "rules": [{"operations": ["CREATE"], "apiGroups": [""], "resources": ["pods"]}]}],
    }));
}

#[test]
fn a_text_map_of_lists_is_wrapped() {
    assert_survives(json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {"user": "u", "extra": {"scopes": ["a", "b"]}},
    }));
}

/// Bytes made by hand after the published field numbers, as a client would send them.
#[test]
fn a_clients_bytes_are_read() {
    let bytes = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x0b\x0a\x05\x0a\x03abc\x12\x00\x1a\x00\x1a\x00\x22\x00";
    let object = decode_object(bytes).unwrap();
    assert_eq!(object["metadata"]["name"], "abc");
    assert_eq!((object.text("apiVersion"), object.text("kind")), ("v1", "Namespace"));
}

#[test]
fn lists_and_watch_events_are_framed() {
    let list = json!({
        "apiVersion": "v1", "kind": "NamespaceList", "metadata": {"resourceVersion": "7"},
        "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
    });
    let bytes = encode_object(&list).unwrap();
    assert!(bytes.starts_with(b"k8s\0"));
    let event = encode_watch_event("ADDED", &json!({"apiVersion": "v1", "kind": "Namespace"})).unwrap();
    let len = u32::from_be_bytes(event[..4].try_into().unwrap());
    assert_eq!(usize::try_from(len).unwrap(), event.len() - 4);
}

#[test]
fn what_is_no_object_is_refused() {
    assert_eq!(decode_object(b"{}"), Err(ProtobufError::NoEnvelope));
    let unknown = b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Odd";
    assert!(matches!(decode_object(unknown), Err(ProtobufError::NoForm { .. })));
    assert!(matches!(
        encode_object(&json!({"kind": "Odd", "apiVersion": "v1"})),
        Err(ProtobufError::NoForm { .. })
    ));
    // A schema in a schema in a schema ...
    let mut nested = Vec::new();
    for _ in 0..DEEP {
        let mut outer = Vec::new();
        crate::wire::put_bytes(&mut outer, 28, &nested);
        nested = outer;
    }
    let index = named("apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps").unwrap();
    assert!(matches!(decode_message(&nested, index, 0), Err(ProtobufError::TooDeep { .. })));
}

/// Far beyond the limit, and small enough to build.
const DEEP: usize = 500;

/// Random damage never panics.
#[test]
fn damaged_bytes_never_panic() {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}]},
    });
    let bytes = encode_object(&object).unwrap();
    let mut state = 1_u64;
    for _ in 0..50_000 {
        let mut damaged = bytes.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(state >> 33).unwrap() % damaged.len();
            damaged[place] = u8::try_from((state >> 24) & 0xFF).unwrap();
        }
        let _whatever = decode_object(&damaged);
    }
}
