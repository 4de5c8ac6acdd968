//! Hostile schemas and objects of custom kinds: whatever a definition says and whatever an object holds, the answer is
//! an object or a typed error, never a panic; and pruning and defaulting do what they promise. Work that is not bounded
//! would not end here.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use trireme_schema::custom::{
    CustomKind, Rule, compile_schema, definition, drop_nulls, fill_defaults, prune, read_stored, to_stored,
};
use trireme_schema::field::ErrorList;
use trireme_schema::kinds;
use trireme_schema::request::{FieldValidation, Target, decode};

const SEED: [u8; 32] = [11; 32];

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED))
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..12).prop_map(Value::from),
        Just(json!(1.5)),
        prop::sample::select(vec!["", "a", "b", "é", "2020-01-01", "10.0.0.0/8"]).prop_map(Value::from),
    ]
}

/// Objects with the field names of the schemas below.
fn objects() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["a", "b", "c", "metadata", "kind", "apiVersion", "zork"]);
    scalars().prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..4)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>()),
        ]
    })
}

/// Schemas that mostly make sense.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type":"string","pattern":"^a*$","maxLength":3})),
        Just(json!({"type":"string","nullable":true,"enum":["a","b"],"default":"a"})),
        Just(json!({"type":"integer","minimum":0,"maximum":10,"exclusiveMaximum":true,"default":3})),
        Just(json!({"type":"number","multipleOf":0.5})),
        Just(json!({"x-kubernetes-int-or-string":true})),
        Just(json!({"type":"string","format":"date"})),
        Just(json!({"x-kubernetes-preserve-unknown-fields":true})),
        Just(
            json!({"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true})
        ),
    ];
    leaf.prop_recursive(4, 30, 3, |inner| {
        let fields =
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), inner.clone(), 0..3);
        prop_oneof![
            (fields, any::<bool>()).prop_map(|(fields, filled)| {
                let map: Map<String, Value> = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
                let mut out = json!({"type":"object","properties":map,"required":["a"]});
                if filled {
                    out["default"] = json!({});
                }
                out
            }),
            inner
                .clone()
                .prop_map(|items| json!({"type":"array","items":items,"x-kubernetes-list-type":"set"})),
            inner.clone().prop_map(|each| json!({"type":"object","additionalProperties":each})),
            inner.prop_map(
                |not| json!({"type":"object","not":not,"anyOf":[{"required":["a"]},{"required":["b"]}]})
            ),
        ]
    })
}

fn settled(rule: &Rule, object: &Value) -> Value {
    let mut out = object.clone();
    prune(&mut out, rule);
    drop_nulls(&mut out, rule);
    fill_defaults(&mut out, rule).expect("small defaults");
    out
}

#[test]
fn pruning_and_defaulting_settle() {
    let strategy = (schemas(), objects());
    let run = runner(1_500).run(&strategy, |(schema, object)| {
        let rule = compile_schema(&schema).expect("a schema of known parts");
        let once = settled(&rule, &object);
        let mut again = once.clone();
        let unknown = prune(&mut again, &rule);
        prop_assert_eq!(&unknown, &Vec::<String>::new(), "what was pruned stays pruned");
        fill_defaults(&mut again, &rule).expect("small defaults");
        prop_assert_eq!(&settled(&rule, &again), &again, "a settled object stays as it is");
        Ok(())
    });
    run.expect("every case holds");
}

fn widget(schema: &Value) -> Value {
    json!({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.e.com"},
        "spec":{"group":"e.com","scope":"Namespaced",
            "names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},
            "versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":schema},
                "subresources":{"status":{},"scale":{"specReplicasPath":".spec.a","statusReplicasPath":".status.b"}}}]}})
}

#[test]
fn objects_of_any_shape_are_answered() {
    let strategy = (schemas(), objects(), objects());
    let run = runner(1_500).run(&strategy, |(schema, old, new)| {
        let schema = json!({"type":"object","properties":{"spec":schema}});
        let kinds = CustomKind::compile(&widget(&schema)).expect("a schema of known parts");
        let whole = |spec: &Value| {
            json!({"apiVersion":"e.com/v1","kind":"Widget","metadata":{"name":"x","namespace":"n"},"spec":spec})
        };
        let decoded = |spec: &Value| {
            let body = whole(spec).to_string();
            decode(body.as_bytes(), &kinds[0].target(), FieldValidation::Warn).ok().map(|d| d.object)
        };
        let (Some(old), Some(new)) = (decoded(&old), decoded(&new)) else { return Ok(()) };
        let fresh = kinds[0].validate_create(&new);
        let update = kinds[0].validate_update(&old, &new);
        prop_assert!(fresh.is_empty() <= update.is_empty(), "an update is held to no more than a create");
        if old == new {
            let of_schema = update.iter().any(|e| e.detail.contains(" in body "));
            prop_assert!(!of_schema, "what stayed is forgiven");
        }
        let stored = to_stored(&kinds, new).expect("one version");
        let read = read_stored(&kinds, &kinds[0], stored.clone()).expect("one version");
        prop_assert_eq!(to_stored(&kinds, read.clone()).expect("one version"), read, "reading settles");
        Ok(())
    });
    run.expect("every case holds");
}

/// JSON with the keywords of schemas in any place.
fn noise() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "type",
        "properties",
        "items",
        "additionalProperties",
        "anyOf",
        "allOf",
        "oneOf",
        "not",
        "pattern",
        "default",
        "enum",
        "required",
        "format",
        "nullable",
        "metadata",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
        "x-kubernetes-validations",
        "rule",
        "maximum",
        "multipleOf",
        "uniqueItems",
        "$ref",
        "definitions",
        "minLength",
    ]);
    let words =
        prop::sample::select(vec!["object", "array", "string", "integer", "map", "set", "(", "[a-", "a{9}"]);
    let leaf = prop_oneof![scalars(), words.prop_map(Value::from)];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>()),
        ]
    })
}

#[test]
fn definitions_of_any_shape_are_answered() {
    let kind = kinds::by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition").expect("built in");
    let target = Target::builtin(kind).expect("its type");
    let run = runner(3_000).run(&noise(), |schema| {
        let raw = widget(&schema);
        let mut errors = ErrorList::new();
        definition::validate(&raw, &mut errors);
        let _ = CustomKind::compile(&raw);
        let body = raw.to_string();
        let Ok(decoded) = decode(body.as_bytes(), &target, FieldValidation::Warn) else { return Ok(()) };
        let mut errors = ErrorList::new();
        definition::validate(&decoded.object, &mut errors);
        let accepted = errors.iter().all(|e| e.field.starts_with("status."));
        prop_assert!(!accepted || CustomKind::compile(&decoded.object).is_ok(), "what is accepted compiles");
        Ok(())
    });
    run.expect("every case holds");
}

fn messages(schema: &Value, value: &Value) -> Vec<String> {
    let mut definition = widget(&json!({"type":"object","properties":{"spec":schema}}));
    definition["spec"]["versions"][0]["subresources"] = Value::Null;
    let kinds = CustomKind::compile(&definition).expect("a schema that compiles");
    let object =
        json!({"apiVersion":"e.com/v1","kind":"Widget","metadata":{"name":"x","namespace":"n"},"spec":value});
    kinds[0].validate_create(&object).iter().map(trireme_schema::field::FieldError::message).collect()
}

#[test]
fn a_huge_enumeration_over_a_long_list() {
    let choices: Vec<Value> = (0..20_000).map(|i| json!(format!("c{i}"))).collect();
    let schema = json!({"type":"array","items":{"type":"string","enum":choices}});
    let value = Value::Array(vec![json!("c19999"); 2_000]);
    assert_eq!(messages(&schema, &value), [""; 0]);
}

#[test]
fn a_heavy_pattern_over_a_long_text() {
    let schema = json!({"type":"string","pattern":"(?:a?){300}(?:[a-z]{1,300}b){3}$"});
    let value = json!("a".repeat(2_000_000));
    let found = messages(&schema, &value);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn deep_nesting_is_refused_when_it_is_declared() {
    let mut schema = json!({"type":"string"});
    for _ in 0..200 {
        schema = json!({"type":"array","items":schema});
    }
    let kind = kinds::by_kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition").expect("built in");
    let target = Target::builtin(kind).expect("its type");
    let body = widget(&json!({"type":"object","properties":{"spec":schema}})).to_string();
    let refused = decode(body.as_bytes(), &target, FieldValidation::Warn).expect_err("too deep");
    assert_eq!(refused.code, 400);
    assert!(refused.message.contains("nested deeper than"), "{}", refused.message);
}

#[test]
fn deep_objects_meet_open_schemas() {
    let mut value = json!(1);
    for _ in 0..450 {
        value = json!({"a": value});
    }
    let schema = json!({"type":"object","x-kubernetes-preserve-unknown-fields":true});
    assert_eq!(messages(&schema, &value), [""; 0]);
}
