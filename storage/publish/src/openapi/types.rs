//! Full names of types, and which types the schema crate has no structure for.

use trireme_schema::types::{Node, Scalar, lookup};

/// In front of every name that `types.tsv` abbreviates.
pub(super) const PREFIX: &str = "io.k8s.";
/// `metav1` types.
pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const JSON_SCHEMA: &str = "apiextensions-apiserver.pkg.apis.apiextensions.v1.";

/// The full name of a built-in kind's type; `None` when it has no structure (options of connect requests).
pub(super) fn kind_type(group: &str, version: &str, kind: &str) -> Option<String> {
    let found = lookup(group, version, kind)?;
    found.as_struct().map(|s| format!("{PREFIX}{}", s.name))
}

/// The type that stands for a scalar which is more than a JSON type.
pub(super) fn scalar_type(scalar: Scalar) -> Option<String> {
    match scalar {
        Scalar::Quantity => Some(format!("{PREFIX}apimachinery.pkg.api.resource.Quantity")),
        Scalar::Time => Some(format!("{META}Time")),
        Scalar::MicroTime => Some(format!("{META}MicroTime")),
        Scalar::IntOrString => Some(format!("{PREFIX}apimachinery.pkg.util.intstr.IntOrString")),
        _ => None,
    }
}

/// The type of a field that holds any JSON: which one depends on the field.
pub(super) fn any_type(owner: &str, field: &str) -> String {
    let special = match (owner.strip_prefix(JSON_SCHEMA), field) {
        (Some("JSONSchemaProps"), "additionalItems" | "additionalProperties") => "JSONSchemaPropsOrBool",
        (Some("JSONSchemaProps"), "items") => "JSONSchemaPropsOrArray",
        (Some("JSONSchemaProps"), "dependencies") => "JSONSchemaPropsOrStringArray",
        (Some("JSONSchemaProps"), _) => "JSON",
        (_, "fieldsV1") => return format!("{META}FieldsV1"),
        _ => return format!("{PREFIX}apimachinery.pkg.runtime.RawExtension"),
    };
    format!("{PREFIX}{JSON_SCHEMA}{special}")
}

/// The name of the list type of a kind's type.
pub(super) fn list_type(name: &str) -> String {
    format!("{name}List")
}

/// JSON type and format of a plain scalar.
pub(super) fn scalar_form(scalar: Scalar) -> (&'static str, Option<&'static str>) {
    match scalar {
        Scalar::Int32 => ("integer", Some("int32")),
        Scalar::Int64 => ("integer", Some("int64")),
        Scalar::Float => ("number", Some("double")),
        Scalar::Bool => ("boolean", None),
        Scalar::Bytes => ("string", Some("byte")),
        _ => ("string", None),
    }
}

/// The zero value that an unset field of that type has upstream; `None` when it has none of its own in JSON.
pub(super) fn zero(node: &Node) -> Option<serde_json::Value> {
    match node {
        Node::Scalar(Scalar::Text) => Some("".into()),
        Node::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Float) => Some(0.into()),
        Node::Scalar(Scalar::Bool) => Some(false.into()),
        Node::Scalar(Scalar::Bytes) | Node::List(_) | Node::Map(_) => None,
        Node::Scalar(_) | Node::Struct { .. } | Node::Any | Node::Deduced => Some(serde_json::json!({})),
    }
}
