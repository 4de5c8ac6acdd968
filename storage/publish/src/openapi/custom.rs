//! [`CustomKind`]: a version of a custom kind with its schema, and how it is published.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use trireme_schema::view::View;

use super::descriptions::Descriptions;
use super::flavor::Flavor;
use super::paths::custom_type;
use super::types::META;
use crate::discovery::ServedKind;

/// Deepest schema published; what is nested deeper is shown as any value.
const DEPTH_LIMIT: usize = 64;
/// Where the texts of `apiVersion` and `kind` are taken from.
const ANY_KIND: &str = "api.core.v1.Pod";

/// A served version of a custom kind.
#[derive(Clone, Debug)]
pub struct CustomKind {
    /// The kind.
    pub served: ServedKind,
    /// `spec.versions[].schema.openAPIV3Schema`; null when the definition has none.
    pub schema: Arc<Value>,
    /// `spec.versions[].selectableFields`; null when there are none.
    pub selectable_fields: Value,
}

impl CustomKind {
    /// Full name of the type.
    pub(super) fn type_name(&self) -> String {
        let kind = &self.served.kind;
        custom_type(&kind.group, &kind.version, &kind.kind)
    }

    /// The published schema.
    pub(super) fn publish(&self, flavor: Flavor, texts: &Descriptions) -> Value {
        let open = self.schema.is_true("x-kubernetes-preserve-unknown-fields");
        // A root that takes anything is published as any object in v2, whose readers would refuse unknown fields.
        let mut out = match flavor {
            Flavor::V2 if open || self.schema.is_null() => json!({ "type": "object" }),
            Flavor::V2 => reduce(&self.schema, 0),
            Flavor::V3 if self.schema.is_null() => json!({ "type": "object" }),
            Flavor::V3 => (*self.schema).clone(),
        };
        if let Some(body) = out.as_object_mut() {
            if flavor == Flavor::V3 || !(open || self.schema.is_null()) {
                let properties = body.entry("properties").or_insert_with(|| json!({}));
                if let Some(properties) = properties.as_object_mut() {
                    self.add_common(properties, flavor, texts);
                }
            }
            let kind = &self.served.kind;
            let named = json!([{ "group": kind.group, "version": kind.version, "kind": kind.kind }]);
            body.insert("x-kubernetes-group-version-kind".to_owned(), named);
            if self.selectable_fields.as_array().is_some_and(|fields| !fields.is_empty()) {
                let paths: Vec<Value> =
                    self.selectable_fields.as_array().into_iter().flatten().map(field_path).collect();
                body.insert("x-kubernetes-selectable-fields".to_owned(), paths.into());
            }
        }
        out
    }

    /// `apiVersion`, `kind` and `metadata` are the same for every kind, whatever the definition says of them.
    fn add_common(&self, properties: &mut Map<String, Value>, flavor: Flavor, texts: &Descriptions) {
        for field in ["apiVersion", "kind"] {
            let text = texts.of(ANY_KIND, field).unwrap_or_default();
            properties.insert(field.to_owned(), json!({ "description": text, "type": "string" }));
        }
        let mut beside = Map::new();
        let text = texts.of(ANY_KIND, "metadata").unwrap_or_default();
        beside.insert("description".to_owned(), text.into());
        let metadata = flavor.reference_with(&format!("{META}ObjectMeta"), beside);
        properties.insert("metadata".to_owned(), metadata);
    }

    /// The schema of the kind's list.
    pub(super) fn publish_list(&self, flavor: Flavor, texts: &Descriptions) -> Value {
        let kind = &self.served.kind;
        let text = |field: &str| json!({ "description": texts.of(ANY_KIND, field), "type": "string" });
        let mut beside = Map::new();
        beside.insert("description".to_owned(), texts.of(ANY_KIND, "metadata").into());
        json!({
            "description": format!("A list of objects of kind {}.", kind.kind),
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": text("apiVersion"),
                "kind": text("kind"),
                "metadata": flavor.reference_with(&format!("{META}ListMeta"), beside),
                "items": {
                    "description": "The objects.",
                    "type": "array",
                    "items": flavor.reference(&self.type_name()),
                },
            },
            "x-kubernetes-group-version-kind":
                [{ "group": kind.group, "version": kind.version, "kind": format!("{}List", kind.kind) }],
        })
    }
}

fn field_path(field: &Value) -> Value {
    json!({ "fieldPath": field.text("jsonPath").trim_start_matches('.') })
}

/// A schema in the words that OpenAPI v2 has: alternatives and nullable go, and so does the structure of what may
/// also be of another form.
fn reduce(schema: &Value, depth: usize) -> Value {
    let Some(map) = schema.as_object() else {
        return schema.clone();
    };
    if depth > DEPTH_LIMIT {
        return json!({});
    }
    let mut out = Map::new();
    for (name, value) in map {
        let reduced = match name.as_str() {
            "anyOf"
            | "oneOf"
            | "not"
            | "nullable"
            | "allOf"
            | "default"
            | "example"
            | "x-kubernetes-validations" => continue,
            "properties" => {
                let fields = value.as_object().into_iter().flatten();
                fields.map(|(k, v)| (k.clone(), reduce(v, depth + 1))).collect::<Map<_, _>>().into()
            }
            "items" | "additionalProperties" => reduce(value, depth + 1),
            _ => value.clone(),
        };
        out.insert(name.clone(), reduced);
    }
    let nullable = schema.is_true("nullable");
    let open = schema.is_true("x-kubernetes-preserve-unknown-fields");
    let either = schema.is_true("x-kubernetes-int-or-string");
    if nullable || open || either {
        // Readers of v2 know no null, no open objects and no alternatives: they must not check these at all.
        for name in ["type", "items", "properties", "additionalProperties", "required"] {
            out.remove(name);
        }
    }
    Value::Object(out)
}
