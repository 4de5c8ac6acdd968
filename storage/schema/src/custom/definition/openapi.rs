//! The parts of JSON schema that a definition may use, and how lists and maps declare their merging.

use serde_json::Value;

use crate::field::{ErrorList, Path};
use crate::view::{View, is_empty};

/// What is known on the way down.
#[derive(Clone, Debug, Default)]
struct Place {
    root: bool,
    /// Inside `metadata`, `kind` or `apiVersion` of an object.
    in_meta: bool,
    /// Why defaults may not be set here.
    no_defaults: Option<String>,
}

/// Findings about a whole schema.
pub(super) fn validate(schema: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    walk(schema, &Place { root: true, ..Place::default() }, path, errors);
}

/// Every schema inside `schema`, itself included, with its path.
fn each(schema: &Value, path: &Path<'_>, visit: &mut dyn FnMut(&Value, &Path<'_>)) {
    visit(schema, path);
    for name in ["items", "additionalProperties", "not"] {
        if schema.at(name).is_object() {
            each(schema.at(name), &path.child(name), visit);
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        let list = path.child(name);
        for (i, inner) in schema.list(name).iter().enumerate() {
            each(inner, &list.index(i), visit);
        }
    }
    let properties = path.child("properties");
    for (name, inner) in schema.map("properties").into_iter().flatten() {
        each(inner, &properties.key(name), visit);
    }
}

/// Rules in CEL cannot be enforced yet, so that a schema which relies on them is refused.
pub(super) fn refuse_rules(schema: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    each(schema, path, &mut |schema, path| {
        if !schema.list("x-kubernetes-validations").is_empty() {
            let why = "validation rules (CEL) are not built yet: this server refuses definitions with x-kubernetes-validations rather than leave their rules unenforced; remove them, or express them with the other keywords of the schema";
            errors.forbidden(&path.child("x-kubernetes-validations"), why);
        }
    });
}

fn walk(schema: &Value, place: &Place, path: &Path<'_>, errors: &mut ErrorList) {
    standard(schema, place, path, errors);
    if schema.is_true("uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&path.child("uniqueItems"), why);
    }
    let below = Place { root: false, ..place.clone() };
    fields(schema, place, path, errors);
    if schema.has("not") {
        walk(schema.at("not"), &below, &path.child("not"), errors);
    }
    for name in ["allOf", "oneOf", "anyOf"] {
        let list = path.child(name);
        for (i, inner) in schema.list(name).iter().enumerate() {
            walk(inner, &below, &list.index(i), errors);
        }
    }
    let definitions = path.child("definitions");
    for (name, inner) in schema.map("definitions").into_iter().flatten() {
        walk(inner, &below, &definitions.key(name), errors);
    }
    let items = path.child("items");
    match schema.at("items") {
        Value::Array(all) => {
            for (i, inner) in all.iter().enumerate() {
                walk(inner, &below, &items.index(i), errors);
            }
        }
        Value::Null => {}
        inner => walk(inner, &below, &items, errors),
    }
    if schema.at("x-kubernetes-preserve-unknown-fields") == &Value::Bool(false) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        errors.invalid(&at, &false.into(), "must be true or undefined");
    }
    map_type(schema, path, errors);
    list_type(schema, path, errors);
    rules(schema, path, errors);
}

fn fields(schema: &Value, place: &Place, path: &Path<'_>, errors: &mut ErrorList) {
    let named = schema.map("properties").filter(|map| !map.is_empty());
    let additional = schema.at("additionalProperties");
    if !additional.is_null() {
        let at = path.child("additionalProperties");
        if named.is_some() && additional != &Value::Bool(true) {
            errors.forbidden(&at, "additionalProperties and properties are mutual exclusive");
        }
        if additional.is_object() {
            let mut below = Place { root: false, ..place.clone() };
            if place.in_meta {
                below.no_defaults =
                    Some("inside additionalProperties applying to object metadata".to_owned());
            }
            walk(additional, &below, &at, errors);
        }
    }
    let whole = place.root || schema.is_true("x-kubernetes-embedded-resource");
    let properties = path.child("properties");
    for (name, inner) in named.into_iter().flatten() {
        let mut below = Place { root: false, ..place.clone() };
        if whole && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
            below.in_meta = true;
            if place.root {
                below.no_defaults = Some(format!("in top-level {name}"));
            }
        }
        walk(inner, &below, &properties.key(name), errors);
    }
}

/// Keywords that are not supported, and types.
fn standard(schema: &Value, place: &Place, path: &Path<'_>, errors: &mut ErrorList) {
    const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
    let kind = schema.text("type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.not_supported(&path.child("type"), kind, &TYPES);
    }
    if let Some(reason) = place.no_defaults.as_ref().filter(|_| schema.has("default")) {
        errors.forbidden(&path.child("default"), format!("must not be set {reason}"));
    }
    for name in ["id", "patternProperties", "definitions"] {
        if !is_empty(schema.at(name)) {
            errors.forbidden(&path.child(name), format!("{name} is not supported"));
        }
    }
    for name in ["additionalItems", "dependencies", "$ref"] {
        if schema.has(name) {
            errors.forbidden(&path.child(name), format!("{name} is not supported"));
        }
    }
    if kind == "null" {
        errors.forbidden(&path.child("type"), "type cannot be set to null, use nullable as an alternative");
    }
    if schema.at("items").as_array().is_some_and(|all| !all.is_empty()) {
        errors.forbidden(&path.child("items"), "items must be a schema object and not an array");
    }
    if place.in_meta && schema.is_true("x-kubernetes-embedded-resource") {
        let at = path.child("x-kubernetes-embedded-resource");
        errors.forbidden(&at, "must not be used inside of resource meta");
    }
}

/// A keyword demands a type.
fn demand_type(schema: &Value, wanted: &str, keyword: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let at = path.child("type");
    let why = format!("must be {wanted} if {keyword} is specified");
    match schema.text("type") {
        "" => errors.required(&at, why),
        kind => errors.invalid_str(&at, kind, why),
    }
}

fn map_type(schema: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const NAME: &str = "x-kubernetes-map-type";
    let Some(map_type) = schema.at(NAME).as_str() else { return };
    if schema.text("type") != "object" {
        demand_type(schema, "object", NAME, path, errors);
    }
    if !matches!(map_type, "atomic" | "granular") {
        errors.not_supported(&path.child(NAME), map_type, &["atomic", "granular"]);
    }
}

fn list_type(schema: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const NAME: &str = "x-kubernetes-list-type";
    const KEYS: &str = "x-kubernetes-list-map-keys";
    let keys = schema.list(KEYS);
    let Some(list_type) = schema.at(NAME).as_str() else {
        if !keys.is_empty() {
            errors.required(&path.child(NAME), format!("must be map if {KEYS} is non-empty"));
        }
        return;
    };
    let items = schema.at("items");
    if schema.text("type") != "array" {
        demand_type(schema, "array", NAME, path, errors);
    } else if list_type == "set" {
        set_items(items, &path.child("items"), errors);
    }
    if !matches!(list_type, "atomic" | "set" | "map") {
        errors.not_supported(&path.child(NAME), list_type, &["atomic", "set", "map"]);
    }
    if !keys.is_empty() && list_type != "map" {
        errors.invalid_str(&path.child(NAME), list_type, format!("must be map if {KEYS} is non-empty"));
    }
    if list_type == "map" {
        map_items(keys, items, path, errors);
    }
    if matches!(list_type, "set" | "map") && items.is_true("nullable") {
        let at = path.child("items");
        let why = format!("cannot be nullable when {NAME} is {list_type}");
        errors.forbidden(&at.child("nullable"), why);
    }
}

/// Items of a set are compared as wholes.
fn set_items(items: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const WHY: &str = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let (name, must_be_given) = match items.text("type") {
        "array" => ("x-kubernetes-list-type", false),
        "object" => ("x-kubernetes-map-type", true),
        _ => return,
    };
    let given = items.at(name).as_str();
    if given.map_or(must_be_given, |given| given != "atomic") {
        errors.invalid(&path.child(name), items.at(name), WHY);
    }
}

fn map_items(keys: &[Value], items: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let (keys_at, items_at) = (path.child("x-kubernetes-list-map-keys"), path.child("items"));
    if keys.is_empty() {
        errors.required(&keys_at, "must not be empty if x-kubernetes-list-type is map");
    }
    if items.is_null() {
        errors.required(&items_at, "must have a schema if x-kubernetes-list-type is map");
        return;
    }
    if items.is_array() {
        let why = "must only have a single schema if x-kubernetes-list-type is map";
        errors.invalid(&items_at, items, why);
        return;
    }
    let kind = items.text("type");
    if kind != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.invalid_str(&items_at.child("type"), kind, why);
        return;
    }
    let properties = items_at.child("properties");
    let shown = Value::Array(keys.to_vec());
    for (i, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or("");
        let property = items.at("properties").at(name);
        let at = properties.key(name);
        if property.is_null() {
            errors.invalid(&keys_at, &shown, "entries must all be names of item properties");
        } else if matches!(property.text("type"), "array" | "object") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.invalid_str(&at.child("type"), kind, why);
        }
        if keys[..i].contains(key) {
            errors.invalid(&keys_at, &shown, "must not contain duplicate entries");
        }
        if property.is_null() {
            continue;
        }
        if !items.list("required").contains(key) && !property.has("default") {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.required(&at.child("default"), why);
        }
        if property.is_true("nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.forbidden(&at.child("nullable"), why);
        }
    }
}

/// The form of rules in CEL; what they say is not looked at.
fn rules(schema: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    let list = path.child("x-kubernetes-validations");
    let lines = |text: &str| text.contains(['\n', '\r']);
    for (i, rule) in schema.list("x-kubernetes-validations").iter().enumerate() {
        let at = list.index(i);
        let (text, message) = (rule.text("rule").trim(), rule.text("message"));
        let trimmed = message.trim();
        if text.is_empty() {
            errors.required(&at.child("rule"), "rule is not specified");
        } else if !message.is_empty() && trimmed.is_empty() {
            errors.invalid_str(&at.child("message"), message, "must be non-empty if specified");
        } else if lines(trimmed) {
            errors.invalid_str(&at.child("message"), message, "message must not contain line breaks");
        } else if lines(text) && trimmed.is_empty() {
            let why = "message must be specified if rule contains line breaks";
            errors.required(&at.child("message"), why);
        }
        let expression = rule.text("messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            let why = "messageExpression must be non-empty if specified";
            errors.required(&at.child("messageExpression"), why);
        }
        if let Some(reason) = rule.at("reason").as_str().filter(|r| !REASONS.contains(r)) {
            errors.not_supported(&at.child("reason"), reason, &REASONS);
        }
        let field = rule.text("fieldPath");
        if !field.is_empty() && field.trim().is_empty() {
            errors.invalid_str(&at.child("fieldPath"), field, "must be non-empty if specified");
        }
        if lines(field) {
            errors.invalid_str(&at.child("fieldPath"), field, "must not contain line breaks");
        }
    }
}
