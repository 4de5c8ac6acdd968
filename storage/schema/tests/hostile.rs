//! Hostile and random input: whatever the bytes, the answer is an object or a typed error, never a panic.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use trireme_schema::apply::Set;
use trireme_schema::request::{
    Context, FieldValidation, PatchType, Target, apply_object, begin_create, decode, finish_create,
    patch_object,
};
use trireme_schema::{Quantity, json as text_json, kinds};

const SEED: [u8; 32] = [7; 32];

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED))
}

fn target(group: &str, kind: &str) -> Target<'static> {
    Target::builtin(kinds::by_kind(group, "v1", kind).expect("a built-in kind")).expect("its type")
}

/// JSON with the field names, directives and scalars that real objects have.
fn values() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "metadata",
        "name",
        "labels",
        "spec",
        "containers",
        "template",
        "selector",
        "matchLabels",
        "ports",
        "port",
        "containerPort",
        "protocol",
        "image",
        "resources",
        "limits",
        "cpu",
        "env",
        "value",
        "volumes",
        "status",
        "conditions",
        "type",
        "finalizers",
        "ownerReferences",
        "uid",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$deleteFromPrimitiveList/finalizers",
        "managedFields",
        "fieldsV1",
        "replicas",
        "data",
        "annotations",
        "tolerations",
        "key",
        "strategy",
        "rollingUpdate",
        "maxSurge",
        "generateName",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        prop::sample::select(vec![
            "", "a", "TCP", "10%", "1Gi", "delete", "replace", "merge", "é\u{0}", "9e99", "x/y"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

#[test]
fn random_bytes_decode_or_fail() {
    runner(4_000)
        .run(&prop::collection::vec(any::<u8>(), 0..200), |bytes| {
            let _ = text_json::parse(&bytes);
            let _ = decode(&bytes, &target("", "Pod"), FieldValidation::Strict);
            let _ = String::from_utf8_lossy(&bytes).parse::<Quantity>();
            Ok(())
        })
        .expect("no panic");
}

#[test]
fn random_objects_are_created_or_refused() {
    let kinds: Vec<Target<'static>> = kinds::all().iter().filter_map(Target::builtin).collect();
    let context = Context {
        namespace: "ns",
        uid: "u",
        time: "2026-01-01T00:00:00Z",
        suffix: "abcde",
        manager: "m",
        ..Context::default()
    };
    runner(1_500)
        .run(&(values(), 0..kinds.len()), |(value, at)| {
            let kind = &kinds[at];
            if let Ok(decoded) = decode(value.to_string().as_bytes(), kind, FieldValidation::Warn) {
                let mut object = decoded.object;
                if begin_create(&mut object, kind, &context).is_ok() {
                    let _ = finish_create(&mut object, kind, &context);
                }
            }
            Ok(())
        })
        .expect("no panic");
}

#[test]
fn random_patches_apply_or_fail() {
    let deployment = target("apps", "Deployment");
    let context = Context {
        namespace: "ns",
        name: "x",
        time: "2026-01-01T00:00:00Z",
        manager: "m",
        ..Context::default()
    };
    let old = json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x","namespace":"ns","uid":"u",
        "labels":{"a":"b"},"finalizers":["x/y"]},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":
        {"labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"i","ports":[{"containerPort":1}]}]}}}});
    runner(3_000)
        .run(&values(), |patch| {
            let body = patch.to_string();
            for kind in [PatchType::Json, PatchType::Merge, PatchType::Strategic] {
                let _ = patch_object(&old, body.as_bytes(), kind, &deployment, FieldValidation::Warn);
            }
            let mut config = patch.clone();
            if let Value::Object(map) = &mut config {
                map.insert("apiVersion".to_owned(), "apps/v1".into());
                map.insert("kind".to_owned(), "Deployment".into());
            }
            let _ = apply_object(Some(&old), &config, &deployment, &context, true, FieldValidation::Warn);
            let _ = Set::from_value(&patch);
            Ok(())
        })
        .expect("no panic");
}

#[test]
fn deep_and_large_documents_are_refused() {
    let pod = target("", "Pod");
    for text in
        ["[".repeat(100_000), "{\"a\":".repeat(100_000), format!("{}{}", "[".repeat(1000), "]".repeat(1000))]
    {
        let error = decode(text.as_bytes(), &pod, FieldValidation::Warn).expect_err("too deep");
        assert_eq!(error.code, 400);
    }
    let terms = vec!["a=b"; 100_000].join(",");
    assert!(trireme_schema::selector::LabelSelector::parse(&terms).is_err());
    let digits = format!("{}.{}Ki", "9".repeat(1_000_000), "9".repeat(1_000_000));
    assert!(digits.parse::<Quantity>().is_ok());
}
