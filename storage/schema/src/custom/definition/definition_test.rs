//! Findings about definitions.

use serde_json::json;

use super::*;
use crate::field::FieldError;

fn definition(schema: Value) -> Value {
    json!({"metadata":{"name":"widgets.e.com"},
        "spec":{"group":"e.com","scope":"Namespaced","conversion":{"strategy":"None"},
            "names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},
            "versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":schema}}]},
        "status":{"storedVersions":["v1"]}})
}

fn findings(object: &Value) -> Vec<String> {
    let mut errors = ErrorList::new();
    validate(object, &mut errors);
    errors.iter().map(FieldError::message).collect()
}

fn of_property(property: Value) -> Vec<String> {
    let schema = json!({"type":"object","properties":{"a":property}});
    let found = findings(&definition(schema));
    found.iter().map(|f| f.replace("spec.validation.openAPIV3Schema.properties[a]", "a")).collect()
}

#[test]
fn a_good_definition_passes() {
    let schema = json!({"type":"object","properties":{
        "metadata":{"type":"object","properties":{"name":{"type":"string","maxLength":3}}},
        "spec":{"type":"object","default":{},"properties":{
            "p":{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]},
            "e":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true},
            "l":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],
                "items":{"type":"object","required":["k"],"properties":{"k":{"type":"string"}}}}}}}});
    assert_eq!(findings(&definition(schema)), [""; 0]);
}

#[test]
fn schemas_are_structural() {
    let cases = [
        (json!({}), "a.type: Required value: must not be empty for specified object fields"),
        (
            json!({"type":"string","anyOf":[{"type":"string"}]}),
            "a.anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            json!({"type":"string","pattern":"("}),
            "a.pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`",
        ),
        (json!({"type":"array"}), "a.items: Required value: must be specified"),
        (
            json!({"type":"string","default":5}),
            "a.default: Invalid value: \"integer\":  in body must be of type string: \"integer\"",
        ),
        (
            json!({"type":"object","properties":{"b":{"type":"string"}},"default":{"b":"x","c":"y"}}),
            "a.default: Invalid value: map[string]interface {}{\"b\":\"x\", \"c\":\"y\"}: must not have unknown fields",
        ),
        (
            json!({"type":"string","x-kubernetes-map-type":"atomic"}),
            "a.type: Invalid value: \"string\": must be object if x-kubernetes-map-type is specified",
        ),
        (
            json!({"type":"foo"}),
            "a.type: Unsupported value: \"foo\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
        ),
        (
            json!({"type":"string","uniqueItems":true}),
            "a.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (json!({"type":"string","$ref":"x"}), "a.$ref: Forbidden: $ref is not supported"),
        (
            json!({"type":"array","items":[{"type":"string"}]}),
            "a.items: Forbidden: items must be a schema object and not an array",
        ),
    ];
    for (property, message) in cases {
        assert_eq!(of_property(property), [message]);
    }
}

#[test]
fn rules_in_cel_are_refused_by_name() {
    let found = of_property(json!({"type":"integer","x-kubernetes-validations":[{"rule":"self > 1"}]}));
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .starts_with("a.x-kubernetes-validations: Forbidden: validation rules (CEL) are not built yet")
    );
    let empty = of_property(json!({"type":"integer","x-kubernetes-validations":[{"rule":" "}]}));
    assert_eq!(empty, ["a.x-kubernetes-validations[0].rule: Required value: rule is not specified"]);
}

#[test]
fn names_and_versions() {
    let good = definition(json!({"type":"object"}));
    let mut two = good.clone();
    two["spec"]["versions"] = json!([
        {"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}},
        {"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"string"}}}]);
    let found = findings(&two);
    assert!(found.iter().any(|f| f.ends_with("must contain unique version names")), "{found:?}");
    assert!(found.iter().any(|f| f.ends_with("must have exactly one version marked as storage version")));
    assert!(
        found.contains(&"spec.versions[1].schema.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root".to_owned()),
        "parts that differ are named by their version: {found:?}"
    );
    let mut bad = good.clone();
    bad["spec"]["group"] = json!("k8s.io");
    bad["metadata"]["name"] = json!("widgets.k8s.io");
    let found = findings(&bad);
    assert!(
        found[0].starts_with("metadata.annotations[api-approved.kubernetes.io]: Required value"),
        "{found:?}"
    );
    bad["metadata"]["annotations"] = json!({APPROVED:"https://example.com/1"});
    assert_eq!(findings(&bad), [""; 0]);
}

#[test]
fn updates_keep_what_storage_rests_on() {
    let mut old = definition(json!({"type":"object"}));
    let mut new = old.clone();
    new["spec"]["names"]["kind"] = json!("Gadget");
    new["spec"]["names"]["plural"] = json!("gadgets");
    let findings = |old: &Value, new: &Value| {
        let mut errors = ErrorList::new();
        validate_update(old, new, &mut errors);
        errors.iter().map(FieldError::message).collect::<Vec<_>>()
    };
    let plural = "spec.names.plural: Invalid value: \"gadgets\": field is immutable";
    assert_eq!(findings(&old, &new), [plural]);
    old["status"]["conditions"] = json!([{"type":"Established","status":"True"}]);
    assert_eq!(
        findings(&old, &new),
        ["spec.names.kind: Invalid value: \"Gadget\": field is immutable", plural]
    );
}

#[test]
fn nested_schemas_are_decoded() {
    let mut object = definition(json!({"type":"object","properties":{"l":{"type":"array",
        "items":{"type":"object","zork":1,"description":"","properties":{"m":{"type":"object",
            "additionalProperties":{"type":"string","zork":1}}}}}}}));
    conform_schemas("apiextensions.k8s.io", "CustomResourceDefinition", &mut object).unwrap();
    let items = &object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["l"]["items"];
    assert_eq!(
        items,
        &json!({"type":"object","properties":{"m":{"type":"object","additionalProperties":{"type":"string"}}}})
    );
}
