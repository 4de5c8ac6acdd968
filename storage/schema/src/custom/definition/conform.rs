//! Schemas nested where the built-in types say "any JSON" (`items`, `additionalProperties`) are decoded like the rest.

use serde_json::Value;

use crate::custom::limits::SCHEMA_DEPTH_LEVELS;
use crate::types::{DecodeError, TypeRef, conform, lookup_type};
use crate::view::Edit;

fn schema_type() -> TypeRef<'static> {
    let name = "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    lookup_type(name).expect("JSONSchemaProps is among the built-in types")
}

/// Brings the schemas of a definition into canonical form; unknown fields inside go without a word, as upstream's do.
/// Other kinds are left alone.
///
/// # Errors
/// The first value of a wrong type.
pub(crate) fn conform_schemas(group: &str, kind: &str, object: &mut Value) -> Result<(), DecodeError> {
    if (group, kind) != ("apiextensions.k8s.io", "CustomResourceDefinition") {
        return Ok(());
    }
    let Some(spec) = object.get_some("spec") else { return Ok(()) };
    for version in spec.items("versions") {
        if let Some(schema) = version.get_some("schema").and_then(|s| s.get_some("openAPIV3Schema")) {
            nested(schema, 0)?;
        }
    }
    Ok(())
}

/// Walks a schema that is canonical itself, down to those that are not.
fn nested(schema: &mut Value, depth: usize) -> Result<(), DecodeError> {
    if depth > SCHEMA_DEPTH_LEVELS {
        let why = format!(
            "the schema is nested deeper than {SCHEMA_DEPTH_LEVELS} levels; flatten it, or cut it off with x-kubernetes-preserve-unknown-fields"
        );
        return Err(DecodeError(why));
    }
    let depth = depth + 1;
    for name in ["items", "additionalProperties", "additionalItems"] {
        match schema.get_some(name) {
            Some(inner @ Value::Object(_)) => {
                conform(inner, schema_type())?;
                nested(inner, depth)?;
            }
            Some(Value::Array(all)) => {
                for inner in all {
                    conform(inner, schema_type())?;
                    nested(inner, depth)?;
                }
            }
            Some(_) | None => {}
        }
    }
    for name in ["properties", "patternProperties", "definitions"] {
        for inner in schema.get_some(name).and_then(Value::as_object_mut).into_iter().flatten() {
            nested(inner.1, depth)?;
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for inner in schema.items(name) {
            nested(inner, depth)?;
        }
    }
    match schema.get_some("not") {
        Some(inner) => nested(inner, depth),
        None => Ok(()),
    }
}
