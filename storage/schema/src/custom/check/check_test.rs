//! The validator's findings follow upstream's order of checks and wording.

use serde_json::{Value, json};

use super::*;
use crate::custom::compile::compile_schema;
use crate::field::FieldError;

fn findings(schema: Value, value: Value) -> Vec<String> {
    update(schema, None, value)
}

fn update(schema: Value, old: Option<Value>, value: Value) -> Vec<String> {
    let rule = compile_schema(&schema).unwrap();
    let mut errors = ErrorList::new();
    check(&rule, &value, old.as_ref(), "", &mut errors);
    errors.iter().map(FieldError::message).collect()
}

#[test]
fn single_values() {
    let schema = |property: Value| json!({"type":"object","properties":{"a":property}});
    let cases = [
        (
            json!({"type":"string"}),
            json!(5),
            "a: Invalid value: \"integer\": a in body must be of type string: \"integer\"",
        ),
        (
            json!({"type":"integer"}),
            json!(1.5),
            "a: Invalid value: \"number\": a in body must be of type integer: \"number\"",
        ),
        (
            json!({"type":"string"}),
            json!(null),
            "a: Invalid value: \"null\": a in body must be of type string: \"null\"",
        ),
        (
            json!({"type":"integer","maximum":10}),
            json!(11),
            "a: Invalid value: 11: a in body should be less than or equal to 10",
        ),
        (
            json!({"type":"integer","minimum":1,"exclusiveMinimum":true}),
            json!(1),
            "a: Invalid value: 1: a in body should be greater than 1",
        ),
        (
            json!({"type":"number","multipleOf":0.5}),
            json!(1.3),
            "a: Invalid value: 1.3: a in body should be a multiple of 0.5",
        ),
        (
            json!({"type":"string","enum":["x","y"]}),
            json!("z"),
            "a: Unsupported value: \"z\": supported values: \"x\", \"y\"",
        ),
        (
            json!({"type":"string","pattern":"^[a-z]*$"}),
            json!("A"),
            "a: Invalid value: \"A\": a in body should match '^[a-z]*$'",
        ),
        (
            json!({"type":"string","minLength":2}),
            json!("é"),
            "a: Invalid value: \"é\": a in body should be at least 2 chars long",
        ),
        (
            json!({"type":"array","maxItems":1,"items":{"type":"integer"}}),
            json!([1, 2]),
            "a: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type":"object","minProperties":1}),
            json!({}),
            "a: Invalid value: 0: a in body should have at least 1 properties",
        ),
        (json!({"type":"object","required":["r"]}), json!({}), "a.r: Required value"),
        (
            json!({"type":"string","format":"date-time"}),
            json!("nope"),
            "a: Invalid value: \"nope\": a in body must be of type date-time: \"nope\"",
        ),
        (
            json!({"type":"object","additionalProperties":{"type":"integer"}}),
            json!({"k":"x"}),
            "a.k: Invalid value: \"string\": a.k in body must be of type integer: \"string\"",
        ),
    ];
    for (property, value, message) in cases {
        assert_eq!(findings(schema(property), json!({"a": value})), [message]);
    }
    for (property, value) in [
        (json!({"type":"integer"}), json!(2.0)),
        (json!({"type":"number"}), json!(2)),
        (json!({"type":"string","nullable":true}), json!(null)),
        (json!({"x-kubernetes-int-or-string":true,"pattern":"^a$"}), json!(7)),
        (json!({"type":"integer","enum":[5]}), json!(5.0)),
        (json!({"type":"number","multipleOf":0.01}), json!(4.35)),
    ] {
        assert_eq!(findings(schema(property), json!({"a": value})), [""; 0]);
    }
}

#[test]
fn composed_rules_name_the_object() {
    let one = json!({"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}]});
    let schema = json!({"type":"object","properties":{"one":one}});
    assert_eq!(
        findings(schema.clone(), json!({"one":{"a":1,"b":1}})),
        [
            "<nil>: Invalid value: \"\": \"one\" must validate one and only one schema (oneOf). Found 2 valid alternatives"
        ]
    );
    assert_eq!(
        findings(schema.clone(), json!({"one":{}})),
        [
            "<nil>: Invalid value: \"\": \"one\" must validate one and only one schema (oneOf). Found none valid",
            "one.a: Required value"
        ]
    );
    assert_eq!(findings(schema, json!({"one":{"b":1}})), [""; 0]);
    let all = json!({"type":"integer","allOf":[{"minimum":3},{"maximum":5}]});
    assert_eq!(
        findings(all, json!(9)),
        [
            "<nil>: Invalid value: 9:  in body should be less than or equal to 5",
            "<nil>: Invalid value: \"\": \"\" must validate all the schemas (allOf)"
        ]
    );
    assert_eq!(
        findings(json!({"type":"string","not":{"pattern":"bad"}}), json!("bad")),
        ["<nil>: Invalid value: \"\": \"\" must not validate the schema (not)"]
    );
}

#[test]
fn what_stayed_is_forgiven() {
    let schema = json!({"type":"object","properties":{
        "i":{"type":"integer","maximum":10},"j":{"type":"integer"},
        "l":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],
            "items":{"type":"object","properties":{"k":{"type":"string"},"v":{"type":"integer","maximum":1}}}},
        "plain":{"type":"array","items":{"type":"integer","maximum":1}}}});
    let old = json!({"i":500,"j":1,"l":[{"k":"a","v":9},{"k":"b","v":0}],"plain":[9]});
    let mut new = old.clone();
    new["j"] = json!(2);
    new["l"] = json!([{"k":"b","v":0},{"k":"a","v":9}]);
    assert_eq!(
        update(schema.clone(), Some(old.clone()), new.clone()),
        [""; 0],
        "moved items correlate by key"
    );
    new["i"] = json!(501);
    new["l"][1]["v"] = json!(10);
    new["plain"] = json!([9, 0]);
    assert_eq!(
        update(schema, Some(old), new),
        [
            "i: Invalid value: 501: i in body should be less than or equal to 10",
            "l[1].v: Invalid value: 10: l[1].v in body should be less than or equal to 1",
            "plain[0]: Invalid value: 9: plain[0] in body should be less than or equal to 1"
        ]
    );
}

#[test]
fn lists_with_keys_and_sets() {
    let rule = compile_schema(&json!({"type":"object","properties":{
        "s":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}},
        "m":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],
            "items":{"type":"object"}}}}))
    .unwrap();
    let value = json!({"s":["a","b","a","a"],"m":[{"k":"a"},{"k":"b"},{"k":"a"}]});
    let mut errors = ErrorList::new();
    check_lists(&value, &rule, &Path::new(""), &mut errors);
    let found: Vec<String> = errors.iter().map(FieldError::message).collect();
    assert_eq!(
        found,
        ["m[2]: Duplicate value: map[string]interface {}{\"k\":\"a\"}", "s[2]: Duplicate value: \"a\""]
    );
}

#[test]
fn time_is_bounded() {
    // Every item meets every branch.
    let branches: Vec<Value> = (0..5_000).map(|i| json!({"minLength": 10 + i})).collect();
    let schema = json!({"type":"array","items":{"type":"string","anyOf":branches}});
    let items = Value::Array(vec![json!("y"); 20_000]);
    let found = findings(schema, items);
    assert!(found[0].contains("cannot be validated"), "{found:?}");
}
