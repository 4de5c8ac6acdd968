use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::kinds::Kind;

use super::*;
use crate::discovery::{Catalogue, ServedKind};

fn widget() -> CustomKind {
    let words = |list: &[&str]| list.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
    let kind = Kind {
        group: "example.com".to_owned(),
        version: "v1".to_owned(),
        kind: "Widget".to_owned(),
        plural: "widgets".to_owned(),
        singular: "widget".to_owned(),
        namespaced: true,
        verbs: words(&["create", "delete", "get", "list", "patch", "update", "watch"]),
        short_names: Vec::new(),
        categories: Vec::new(),
        subresources: Vec::new(),
    };
    let schema = json!({
        "type": "object",
        "description": "a widget",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["a"],
                "properties": {
                    "a": {"type": "string", "nullable": true},
                    "b": {"type": "integer", "minimum": 1, "default": 3},
                    "c": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                },
            },
        },
    });
    CustomKind {
        served: ServedKind::custom(kind, "v1"),
        schema: Arc::new(schema),
        selectable_fields: json!([{"jsonPath": ".spec.a"}]),
    }
}

fn open_api() -> OpenApi {
    let custom = vec![widget()];
    let kinds = ServedKind::all_built_in().chain(custom.iter().map(|c| c.served.clone()));
    let catalogue = Arc::new(Catalogue::new(kinds));
    OpenApi::new(OpenApiInput { catalogue, custom, version: "v1.35.0".to_owned() })
}

fn read(packed: &Packed) -> Value {
    let plain = packed.plain();
    assert_eq!(plain.len(), packed.plain_bytes);
    serde_json::from_slice(&plain).unwrap()
}

/// Every reference leads somewhere.
fn dangling(document: &Value, prefix: &str, known: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                // A property may itself be called $ref; then it is no text.
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let name = reference.strip_prefix(prefix).unwrap_or(reference);
                    if known.get(name).is_none() {
                        out.push(reference.clone());
                    }
                }
                open.extend(map.values());
            }
            _ => {}
        }
    }
    out
}

#[test]
fn v3_documents_are_closed() {
    let open_api = open_api();
    let index = open_api.v3_index();
    for (path, entry) in index["paths"].as_object().unwrap() {
        let packed = open_api.v3(path).unwrap();
        let url = entry["serverRelativeURL"].as_str().unwrap();
        assert!(url.starts_with(&format!("/openapi/v3/{path}?hash=")), "{url}");
        let document = read(&packed);
        assert_eq!(document["openapi"], "3.0.0");
        let known = &document["components"]["schemas"];
        assert_eq!(dangling(&document, "#/components/schemas/", known), Vec::<String>::new(), "{path}");
    }
    assert!(open_api.v3("apis/nothing/v1").is_none());
}

#[test]
fn v2_is_closed_and_has_no_defaults() {
    let document = read(&open_api().v2(V2Form::Json));
    let known = &document["definitions"];
    assert_eq!(dangling(&document, "#/definitions/", known), Vec::<String>::new());
    assert_eq!(known["io.k8s.api.core.v1.Container"]["properties"]["name"].get("default"), None);
    let widget = &known["com.example.v1.Widget"];
    let spec = &widget["properties"]["spec"]["properties"];
    assert_eq!(spec["a"], json!({}));
    assert_eq!(spec["b"], json!({"type": "integer", "minimum": 1}));
    assert_eq!(spec["c"], json!({"x-kubernetes-int-or-string": true}));
}

#[test]
fn schemas_say_how_lists_merge() {
    let document = read(&open_api().v3("api/v1").unwrap());
    let container = &document["components"]["schemas"]["io.k8s.api.core.v1.Container"];
    let ports = &container["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-list-type"], "map");
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    assert_eq!(ports["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(ports["items"]["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.ContainerPort");
    assert_eq!(
        container["properties"]["imagePullPolicy"]["enum"],
        json!(["Always", "IfNotPresent", "Never"])
    );
    assert_eq!(container["required"], json!(["name"]));
    let volumes = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"];
    assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
}

/// kubectl looks for the parameters of the patch of a kind before it asks for a dry run or for validation.
#[test]
fn patches_name_their_kind_and_parameters() {
    let document = read(&open_api().v3("apis/example.com/v1").unwrap());
    let patch = &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Widget");
    let names: Vec<&Value> = patch["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(widget["x-kubernetes-selectable-fields"], json!([{"fieldPath": "spec.a"}]));
    assert_eq!(widget["properties"]["spec"]["properties"]["b"]["default"], 3);
    assert!(widget["properties"]["metadata"]["allOf"].is_array());
}

#[test]
fn the_same_kinds_give_the_same_bytes() {
    let (one, two) = (open_api(), open_api());
    assert_eq!(one.v3("apis/apps/v1"), two.v3("apis/apps/v1"));
    assert_eq!(one.v2(V2Form::Protobuf).hash, two.v2(V2Form::Protobuf).hash);
}

#[test]
fn the_index_changes_with_the_schemas() {
    let with = |schema: Value| {
        let mut kind = widget();
        kind.schema = Arc::new(schema);
        let catalogue = Arc::new(Catalogue::new([kind.served.clone()]));
        let input = OpenApiInput { catalogue, custom: vec![kind], version: "v1.35.0".to_owned() };
        OpenApi::new(input).v3_index()["paths"]["apis/example.com/v1"]["serverRelativeURL"].clone()
    };
    assert_eq!(with(json!({"type": "object"})), with(json!({"type": "object"})));
    assert_ne!(with(json!({"type": "object"})), with(json!({"type": "object", "title": "x"})));
}

#[test]
fn accept_chooses_the_form_of_v2() {
    let asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    assert_eq!(negotiate_v2(asked), Some(V2Form::Protobuf));
    assert_eq!(negotiate_v2("application/json, */*"), Some(V2Form::Json));
    assert_eq!(negotiate_v2(""), Some(V2Form::Json));
    assert_eq!(negotiate_v2("text/html"), None);
}
