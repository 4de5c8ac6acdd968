//! Builds a type tree from the structural OpenAPI schema of a CustomResourceDefinition.

use serde_json::Value;

use super::load::builtin;
use super::node::{Field, Key, ListKind, ListType, MapType, Node, PatchRule, Scalar, Schema, StructType};
use crate::limits::JSON_DEPTH_LEVELS;
use crate::view::View;

/// The schema and root struct of a custom kind. `openapi` is `spec.versions[].schema.openAPIV3Schema` (null when the
/// version has none, which keeps everything when `preserve_unknown` is set).
pub fn from_openapi(openapi: &Value, preserve_unknown: bool) -> (Schema, u32) {
    let mut schema = metadata_only();
    let mut fields = vec![
        plain("apiVersion", Node::Scalar(Scalar::Text)),
        plain("kind", Node::Scalar(Scalar::Text)),
        plain("metadata", metadata(&schema)),
    ];
    for (name, property) in openapi.map("properties").into_iter().flatten() {
        if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            fields.push(field(&mut schema, name, property, 0));
        }
    }
    let open = preserve_unknown || openapi.is_true("x-kubernetes-preserve-unknown-fields");
    let id = push(&mut schema, fields, open);
    (schema, id)
}

/// A schema with the parts of `metadata` alone, so that a custom kind does not carry every built-in type.
fn metadata_only() -> Schema {
    let all = builtin();
    let names = ["ManagedFieldsEntry", "OwnerReference", "ObjectMeta"];
    let mut out = Schema::default();
    for name in names.map(|n| format!("apimachinery.pkg.apis.meta.v1.{n}")) {
        let id = all.find(&name).expect("the parts of metadata are among the built-in types");
        let mut copy = all.get(id).clone();
        for field in &mut copy.fields {
            if let Node::List(list) = &mut field.node
                && let Node::Struct { id, .. } = &mut list.item
            {
                *id = out.find(&all.get(*id).name).expect("parts come before the struct that lists them");
            }
        }
        out.by_name.insert(name, u32::try_from(out.structs.len()).expect("three parts"));
        out.structs.push(copy);
    }
    out
}

fn metadata(schema: &Schema) -> Node {
    let id = schema
        .find("apimachinery.pkg.apis.meta.v1.ObjectMeta")
        .expect("ObjectMeta is among the built-in types");
    Node::Struct { id, atomic: false }
}

fn plain(name: &str, node: Node) -> Field {
    Field {
        name: name.to_owned(),
        node,
        required: false,
        keep_zero: false,
        always: false,
        nullable: false,
        patch: PatchRule::default(),
        default: None,
    }
}

fn push(schema: &mut Schema, mut fields: Vec<Field>, open: bool) -> u32 {
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    let id = u32::try_from(schema.structs.len()).expect("a schema below 3 MiB has fewer parts");
    schema.structs.push(StructType { name: String::new(), fields, atomic: false, open, dynamic: true });
    id
}

fn field(schema: &mut Schema, name: &str, property: &Value, depth: usize) -> Field {
    let node = node(schema, property, depth + 1);
    let mut out = plain(name, node);
    out.nullable = property.is_true("nullable");
    out.default = property.has("default").then(|| property.at("default").clone());
    out
}

fn node(schema: &mut Schema, property: &Value, depth: usize) -> Node {
    if depth > JSON_DEPTH_LEVELS {
        return Node::Any;
    }
    if property.is_true("x-kubernetes-int-or-string") {
        return Node::Scalar(Scalar::IntOrString);
    }
    let open = property.is_true("x-kubernetes-preserve-unknown-fields");
    let embedded = property.is_true("x-kubernetes-embedded-resource");
    let atomic = property.text("x-kubernetes-map-type") == "atomic";
    match property.text("type") {
        "array" => list(schema, property, depth),
        "object" if property.has("properties") || embedded => {
            let mut fields = Vec::new();
            for (name, inner) in property.map("properties").into_iter().flatten() {
                fields.push(field(schema, name, inner, depth));
            }
            if embedded {
                fields.retain(|f| !matches!(f.name.as_str(), "apiVersion" | "kind" | "metadata"));
                fields.push(plain("apiVersion", Node::Scalar(Scalar::Text)));
                fields.push(plain("kind", Node::Scalar(Scalar::Text)));
                let metadata = metadata(schema);
                fields.push(plain("metadata", metadata));
            }
            let id = push(schema, fields, open);
            Node::Struct { id, atomic }
        }
        "object" => match property.at("additionalProperties") {
            value @ Value::Object(_) => {
                Node::Map(Box::new(MapType { value: node(schema, value, depth + 1), atomic }))
            }
            Value::Bool(true) => Node::Map(Box::new(MapType { value: Node::Deduced, atomic })),
            _ if open => Node::Deduced,
            _ => {
                let id = push(schema, Vec::new(), false);
                Node::Struct { id, atomic }
            }
        },
        "string" => Node::Scalar(Scalar::Text),
        "integer" => Node::Scalar(Scalar::Int64),
        "number" => Node::Scalar(Scalar::Float),
        "boolean" => Node::Scalar(Scalar::Bool),
        _ if open => Node::Deduced,
        _ => Node::Any,
    }
}

fn list(schema: &mut Schema, property: &Value, depth: usize) -> Node {
    let items = property.at("items");
    let item = node(schema, items, depth + 1);
    let kind = match property.text("x-kubernetes-list-type") {
        "set" => ListKind::Set,
        "map" => ListKind::Map,
        _ => ListKind::Atomic,
    };
    let keys = property.list("x-kubernetes-list-map-keys").iter().filter_map(Value::as_str).map(|name| {
        let default = items.at("properties").at(name).at("default");
        Key { name: name.to_owned(), default: (!default.is_null()).then(|| default.clone()) }
    });
    Node::List(Box::new(ListType { item, kind, keys: keys.collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::conform;
    use serde_json::json;

    #[test]
    fn custom_objects_are_pruned_but_keep_their_values() {
        let (schema, id) = from_openapi(
            &json!({"type":"object","properties":{"spec":{"type":"object","properties":{
                "n":{"type":"integer"},"open":{"type":"object","x-kubernetes-preserve-unknown-fields":true},
                "items":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],
                    "items":{"type":"object","properties":{"k":{"type":"string"}}}}}}}}),
            false,
        );
        let mut value = json!({"apiVersion":"e/v1","kind":"X","metadata":{"name":"a","bad":1},
            "spec":{"n":0,"zork":1,"open":{"a":{"b":null}},"items":[{"k":"","z":1}]}});
        let report = conform(&mut value, schema.root(id)).unwrap();
        assert_eq!(report.unknown, ["metadata.bad", "spec.items[0].z", "spec.zork"]);
        assert_eq!(value["spec"], json!({"n":0,"open":{"a":{"b":null}},"items":[{"k":""}]}));
        let items = schema.root(id).child("spec").unwrap().child("items").unwrap();
        assert_eq!(items.as_list().unwrap().kind, ListKind::Map);
    }
}
