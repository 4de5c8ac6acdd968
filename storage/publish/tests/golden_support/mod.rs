//! What the recorded steps ask of this crate, and how answers are compared.

mod compare;
mod tables;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_publish::discovery::{Catalogue, Form, negotiate};
use trireme_publish::openapi::{OpenApi, OpenApiInput, V2Form};
use trireme_publish::table::Release;

use compare::{compare, dig, superset};
use tables::Objects;

/// The outcome of one step.
pub(crate) enum Outcome {
    Exact,
    /// Not a step that this crate answers.
    Skipped,
    Differs(String),
}

/// Everything published, for the built-in kinds.
pub(crate) struct World {
    catalogue: Arc<Catalogue>,
    open_api: OpenApi,
    documents: OnceCell<BTreeMap<String, Value>>,
    release: Release,
}

impl World {
    pub(crate) fn new(release: Release) -> Self {
        let catalogue = Arc::new(Catalogue::built_in());
        let input =
            OpenApiInput { catalogue: catalogue.clone(), custom: Vec::new(), version: "v1.35.0".to_owned() };
        World { catalogue, open_api: OpenApi::new(input), documents: OnceCell::new(), release }
    }

    /// One outcome for every step that asks for something.
    pub(crate) fn run(&self, case: &Value) -> Vec<Outcome> {
        let mut objects = Objects::new(self.release);
        let steps = case["steps"].as_array().expect("a case has steps");
        steps.iter().filter(|s| s["expect"].is_object()).map(|step| self.step(step, &mut objects)).collect()
    }

    fn step(&self, step: &Value, objects: &mut Objects) -> Outcome {
        let accept = step["accept"].as_str().unwrap_or("");
        let path = step["path"].as_str().unwrap_or("");
        let answer = if accept.contains("as=Table") || accept.contains("as=Partial") {
            objects.show(step)
        } else if step["method"] == "GET" {
            self.document(path, accept)
        } else {
            objects.write(step);
            None
        };
        match answer {
            None => Outcome::Skipped,
            Some(answer) => judge(step, answer),
        }
    }

    /// The document at a path; null for 404 and 406.
    fn document(&self, path: &str, accept: &str) -> Option<Value> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        if path.contains('$') {
            return None;
        }
        match parts[..] {
            [""] => Some(self.catalogue.root_paths([])),
            ["api" | "apis"] => Some(match negotiate(accept) {
                None => Value::Null,
                Some(Form::Legacy) if parts[0] == "api" => self.catalogue.api_versions("10.0.0.1:6443"),
                Some(Form::Legacy) => self.catalogue.api_group_list(),
                Some(Form::Aggregated(version)) => {
                    let core = parts[0] == "api";
                    let document = match core {
                        true => self.catalogue.aggregated_core(version),
                        false => self.catalogue.aggregated_groups(version),
                    };
                    serde_json::from_slice(&document.body).expect("a JSON document")
                }
            }),
            ["api", version] => Some(self.catalogue.api_resource_list("", version).unwrap_or(Value::Null)),
            ["apis", group] => Some(self.catalogue.api_group(group).unwrap_or(Value::Null)),
            ["apis", group, version] => {
                Some(self.catalogue.api_resource_list(group, version).unwrap_or(Value::Null))
            }
            ["openapi", "v3"] => Some(self.open_api.v3_index()),
            ["openapi", "v2"] => Some(self.open_api_document("v2")),
            ["openapi", "v3", ref rest @ ..] => Some(self.open_api_document(&rest.join("/"))),
            _ => None,
        }
    }

    /// Each is parsed once: several steps ask for the same.
    fn open_api_document(&self, path: &str) -> Value {
        let all = self.documents.get_or_init(|| {
            let index = self.open_api.v3_index();
            let names = index["paths"].as_object().expect("an index").keys();
            let mut all: BTreeMap<String, Value> = names
                .map(|name| (name.clone(), self.open_api.v3(name).expect("the index names it").plain()))
                .map(|(name, plain)| (name, serde_json::from_slice(&plain).expect("a JSON document")))
                .collect();
            let v2 =
                serde_json::from_slice(&self.open_api.v2(V2Form::Json).plain()).expect("a JSON document");
            all.insert("v2".to_owned(), v2);
            all
        });
        all.get(path).cloned().unwrap_or(Value::Null)
    }
}

fn judge(step: &Value, answer: Value) -> Outcome {
    let expect = &step["expect"];
    if expect["status"].as_u64() != Some(200) {
        // Refusals are the pipeline's; here they are the absence of a document.
        return if answer.is_null() { Outcome::Exact } else { Outcome::Differs("an answer".to_owned()) };
    }
    let empty = json!([]);
    let extract = step["extract"].as_array().or(empty.as_array()).expect("a list");
    let answer = dig(&answer, extract);
    let different = match step["check"].as_str() {
        Some("superset") => superset(&expect["body"], &answer),
        Some("status") => Vec::new(),
        _ => compare(&expect["body"], &answer),
    };
    match different.first() {
        None => Outcome::Exact,
        Some(why) => Outcome::Differs(format!("{} {why}", step["path"])),
    }
}
