//! A schema is structural: types are given outside of `allOf` and its like, and the parts that the server itself
//! reads (metadata, embedded objects) are as it expects them.

use serde_json::Value;

use crate::custom::limits::PATTERN_PROGRAM_BYTES;
use crate::custom::pattern::Pattern;
use crate::field::{ErrorList, Path};
use crate::view::{View, is_empty};

/// Where a schema stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Why a schema has no structural form at all: it uses parts of JSON schema that upstream cannot represent.
pub(super) fn unsupported(schema: &Value) -> Option<String> {
    for (name, shown) in [
        ("id", "id"),
        ("$schema", "schema"),
        ("$ref", "$ref"),
        ("patternProperties", "patternProperties"),
        ("dependencies", "dependencies"),
        ("additionalItems", "additionalItems"),
        ("definitions", "definitions"),
    ] {
        let set = schema.has(name) && (name == "additionalItems" || !is_empty(schema.at(name)));
        if set {
            return Some(format!("OpenAPIV3Schema '{shown}' is not supported"));
        }
    }
    if schema.at("items").is_array() {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned());
    }
    if schema.at("x-kubernetes-preserve-unknown-fields") == &Value::Bool(false) {
        return Some(
            "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined".to_owned(),
        );
    }
    parts(schema).find_map(unsupported)
}

/// The schemas directly inside a schema.
fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let single = ["items", "additionalProperties", "not"].into_iter().map(|name| schema.at(name));
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|name| schema.list(name));
    let named = schema.map("properties").into_iter().flat_map(|map| map.values());
    single.chain(lists).chain(named).filter(|v| v.is_object())
}

/// Findings about the whole schema of a version.
pub(super) fn validate(schema: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    invariants(schema, Level::Root, path, errors);
    // Only the branches at the root are held against the structure; deeper ones never were.
    branches(schema, path, &mut |branch, at| {
        completeness(branch, schema, path, at, errors);
    });
}

/// Calls `visit` for each branch of a schema.
fn branches(schema: &Value, path: &Path<'_>, visit: &mut dyn FnMut(&Value, &Path<'_>)) {
    for name in ["anyOf", "allOf", "oneOf"] {
        let list = path.child(name);
        for (i, branch) in schema.list(name).iter().enumerate() {
            visit(branch, &list.index(i));
        }
    }
    if schema.has("not") {
        visit(schema.at("not"), &path.child("not"));
    }
}

fn invariants(schema: &Value, level: Level, path: &Path<'_>, errors: &mut ErrorList) {
    if schema.text("type") == "array" && !schema.has("items") {
        errors.required(&path.child("items"), "must be specified");
    }
    if schema.has("items") {
        invariants(schema.at("items"), Level::Item, &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, inner) in schema.map("properties").into_iter().flatten() {
        invariants(inner, Level::Field, &properties.key(name), errors);
    }
    if schema.has("additionalProperties") {
        let at = path.child("additionalProperties");
        if level == Level::Root {
            errors.forbidden(&at, "must not be used at the root");
        }
        if schema.at("additionalProperties").is_object() {
            invariants(schema.at("additionalProperties"), Level::Field, &at, errors);
        }
    }
    extensions(schema, path, errors);
    checks(schema, is_int_or_string(schema), first_is_int_or_string(schema), path, errors);
    types(schema, level, path, errors);
    metadata(schema, level, path, errors);
}

fn extensions(schema: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if !schema.is_true("x-kubernetes-int-or-string") {
        return;
    }
    for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if schema.is_true(name) {
            let why = "must be false if x-kubernetes-int-or-string is true";
            errors.invalid(&path.child(name), schema.at(name), why);
        }
    }
}

fn types(schema: &Value, level: Level, path: &Path<'_>, errors: &mut ErrorList) {
    let kind = schema.text("type");
    let at = path.child("type");
    let embedded = schema.is_true("x-kubernetes-embedded-resource");
    if embedded && kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        if kind.is_empty() { errors.required(&at, why) } else { errors.invalid_str(&at, kind, why) }
    } else if kind.is_empty()
        && !schema.is_true("x-kubernetes-int-or-string")
        && !schema.is_true("x-kubernetes-preserve-unknown-fields")
    {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.required(&at, why);
    }
    if embedded && schema.has("additionalProperties") {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        errors.forbidden(&path.child("additionalProperties"), why);
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.invalid_str(&at, kind, "must be object at the root");
    }
    let bare = schema.map("properties").is_none_or(serde_json::Map::is_empty);
    if embedded && bare && !schema.is_true("x-kubernetes-preserve-unknown-fields") {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.required(&path.child("properties"), why);
    }
}

/// What the schema says about the parts that every object has.
fn metadata(schema: &Value, level: Level, path: &Path<'_>, errors: &mut ErrorList) {
    let whole = level == Level::Root || schema.is_true("x-kubernetes-embedded-resource");
    let properties = path.child("properties");
    if !whole {
        return;
    }
    for name in ["kind", "apiVersion"] {
        let inner = schema.at("properties").at(name);
        if inner.is_object() && inner.text("type") != "string" {
            let at = properties.key(name);
            errors.invalid_str(&at.child("type"), inner.text("type"), "must be string");
        }
    }
    let inner = schema.at("properties").at("metadata");
    if !inner.is_object() {
        return;
    }
    let at = properties.key("metadata");
    if inner.text("type") != "object" {
        errors.invalid_str(&at.child("type"), inner.text("type"), "must be object");
    }
    if level == Level::Root && restricts_more_than_names(inner) {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.forbidden(&at, why);
    }
}

fn restricts_more_than_names(metadata: &Value) -> bool {
    let names_only = metadata
        .map("properties")
        .is_none_or(|map| map.keys().all(|name| matches!(name.as_str(), "name" | "generateName")));
    let other = metadata
        .as_object()
        .into_iter()
        .flatten()
        .any(|(name, v)| !matches!(name.as_str(), "type" | "default" | "properties") && !is_empty(v));
    !names_only || other
}

fn is_int_or_string(schema: &Value) -> bool {
    let only = |branch: &Value, kind: &str| {
        branch.as_object().is_some_and(|m| m.len() == 1) && branch.text("type") == kind
    };
    matches!(schema.list("anyOf"), [a, b] if only(a, "integer") && only(b, "string"))
}

fn first_is_int_or_string(schema: &Value) -> bool {
    schema.list("allOf").first().is_some_and(is_int_or_string)
}

/// The checks of a schema or branch. `skip_any`: its `anyOf` is the usual form of int-or-string; `skip_first`: so is
/// that of its first `allOf`.
fn checks(schema: &Value, skip_any: bool, skip_first: bool, path: &Path<'_>, errors: &mut ErrorList) {
    for name in ["anyOf", "allOf", "oneOf"] {
        if name == "anyOf" && skip_any {
            continue;
        }
        let list = path.child(name);
        for (i, inner) in schema.list(name).iter().enumerate() {
            branch(inner, name == "allOf" && skip_first && i == 0, &list.index(i), errors);
        }
    }
    if schema.has("not") {
        branch(schema.at("not"), false, &path.child("not"), errors);
    }
    let pattern = schema.text("pattern");
    if !pattern.is_empty() {
        let most = PATTERN_PROGRAM_BYTES.into_iter().max().unwrap_or(0);
        if let Err(error) = Pattern::compile(pattern, most) {
            let why = format!("must be a valid regular expression, but isn't: {error}");
            errors.invalid_str(&path.child("pattern"), pattern, why);
        }
    }
}

/// What a branch of `allOf` and its like must leave to the structure.
fn branch(schema: &Value, skip_any: bool, path: &Path<'_>, errors: &mut ErrorList) {
    const EMPTY: &str = "must be empty to be structural";
    const UNDEFINED: &str = "must be undefined to be structural";
    const FALSE: &str = "must be false to be structural";
    checks(schema, skip_any, false, path, errors);
    if schema.at("items").is_object() {
        branch(schema.at("items"), false, &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, inner) in schema.map("properties").into_iter().flatten() {
        branch(inner, false, &properties.key(name), errors);
    }
    if schema.has("additionalProperties") && schema.at("additionalProperties") != &Value::Bool(false) {
        errors.forbidden(&path.child("additionalProperties"), UNDEFINED);
    }
    for (name, why) in [
        ("type", EMPTY),
        ("default", UNDEFINED),
        ("title", EMPTY),
        ("description", EMPTY),
        ("nullable", FALSE),
        ("x-kubernetes-preserve-unknown-fields", FALSE),
        ("x-kubernetes-embedded-resource", FALSE),
        ("x-kubernetes-int-or-string", FALSE),
        ("x-kubernetes-list-map-keys", EMPTY),
        ("x-kubernetes-list-type", UNDEFINED),
        ("x-kubernetes-map-type", UNDEFINED),
        ("x-kubernetes-validations", EMPTY),
    ] {
        let value = schema.at(name);
        let set = if why == UNDEFINED { !value.is_null() } else { !is_empty(value) };
        if set {
            errors.forbidden(&path.child(name), why);
        }
    }
    if schema.at("properties").has("metadata") {
        errors.forbidden(&properties.key("metadata"), "must not be specified in a nested context");
    }
}

/// Whatever a branch speaks of exists in the structure.
fn completeness(
    branch: &Value,
    structure: &Value,
    structure_path: &Path<'_>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    if branch.at("items").is_object() {
        let (at, from) = (structure_path.child("items"), path.child("items"));
        if structure.at("items").is_object() {
            completeness(branch.at("items"), structure.at("items"), &at, &from, errors);
        } else {
            errors.required(&at, format!("because it is defined in {from}"));
        }
    }
    let (here, there) = (structure_path.child("properties"), path.child("properties"));
    for (name, inner) in branch.map("properties").into_iter().flatten() {
        let (at, from) = (here.key(name), there.key(name));
        let known = structure.at("properties").at(name);
        if known.is_object() {
            completeness(inner, known, &at, &from, errors);
        } else {
            errors.required(&at, format!("because it is defined in {from}"));
        }
    }
    branches(branch, path, &mut |inner, at| completeness(inner, structure, structure_path, at, errors));
}
