//! Operations as JSON, in both flavors.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::flavor::Flavor;
use super::operation::{Body, Operation, Parameter, Place, shared};

/// A path with its verbs; notes the types referred to in `met`.
pub(super) fn path_item(flavor: Flavor, operations: &[Operation], met: &mut BTreeSet<String>) -> Value {
    let common = shared(operations);
    let mut item = Map::new();
    for one in operations {
        item.insert(one.method.to_owned(), operation(flavor, one, &common, met));
    }
    if !common.is_empty() {
        item.insert("parameters".to_owned(), common.iter().map(|p| parameter(flavor, p)).collect());
    }
    Value::Object(item)
}

fn parameter(flavor: Flavor, parameter: &Parameter) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
    };
    let mut out = json!({ "name": parameter.name, "in": place });
    if !parameter.description.is_empty() {
        out["description"] = parameter.description.clone().into();
    }
    if parameter.place == Place::Path {
        out["required"] = true.into();
    }
    match flavor {
        Flavor::V2 => {
            out["type"] = parameter.of_type.into();
            out["uniqueItems"] = true.into();
        }
        Flavor::V3 => out["schema"] = json!({ "type": parameter.of_type, "uniqueItems": true }),
    }
    out
}

fn operation(flavor: Flavor, of: &Operation, common: &[Parameter], met: &mut BTreeSet<String>) -> Value {
    let mut out = json!({ "description": of.description, "operationId": of.id, "tags": [of.tag] });
    let mut parameters: Vec<Value> =
        of.parameters.iter().filter(|p| !common.contains(p)).map(|p| parameter(flavor, p)).collect();
    if let Some((name, required)) = &of.body {
        met.insert(name.clone());
        let schema = flavor.reference(name);
        match flavor {
            Flavor::V2 => {
                let mut body = json!({ "name": "body", "in": "body", "schema": schema });
                if *required {
                    body["required"] = true.into();
                }
                parameters.insert(0, body);
            }
            Flavor::V3 => out["requestBody"] = request_body(of.consumes, &schema, *required),
        }
    }
    if !parameters.is_empty() {
        out["parameters"] = parameters.into();
    }
    out["responses"] = responses(flavor, of, met);
    if flavor == Flavor::V2 {
        out["consumes"] = json!(of.consumes);
        out["produces"] = json!(of.produces);
        out["schemes"] = json!(["https"]);
    }
    if let Some(action) = of.action {
        out["x-kubernetes-action"] = action.into();
    }
    if let Some((group, version, kind)) = &of.kind {
        out["x-kubernetes-group-version-kind"] = json!({ "group": group, "version": version, "kind": kind });
    }
    out
}

fn request_body(types: &[&str], schema: &Value, required: bool) -> Value {
    let mut body = json!({ "content": content(types, schema) });
    if required {
        body["required"] = true.into();
    }
    body
}

fn content(types: &[&str], schema: &Value) -> Value {
    types.iter().map(|t| ((*t).to_owned(), json!({ "schema": schema }))).collect::<Map<_, _>>().into()
}

fn responses(flavor: Flavor, of: &Operation, met: &mut BTreeSet<String>) -> Value {
    let mut out = json!({ "401": { "description": "Unauthorized" } });
    for (code, body) in &of.answers {
        let description = match code {
            201 => "Created",
            202 => "Accepted",
            _ => "OK",
        };
        let mut answer = json!({ "description": description });
        if let Some(body) = body {
            let schema = match body {
                Body::Type(name) => {
                    met.insert(name.clone());
                    flavor.reference(name)
                }
                Body::Text => json!({ "type": "string" }),
            };
            match flavor {
                Flavor::V2 => answer["schema"] = schema,
                Flavor::V3 => answer["content"] = content(of.produces, &schema),
            }
        }
        out[code.to_string()] = answer;
    }
    out
}
