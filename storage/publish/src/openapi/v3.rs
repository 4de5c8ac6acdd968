//! The documents of v3, each for one group and version.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::custom::CustomKind;
use super::descriptions::Descriptions;
use super::flavor::Flavor;
use super::gzip::Packed;
use super::operation::Paths;
use super::render::path_item;
use super::schemas::{Gvk, Schemas};
use super::types::{META, list_type};

/// Writes one document: `paths`, and every type they lead to.
pub(super) fn document(
    version: &str,
    paths: &Paths,
    custom: &[&CustomKind],
    kinds: &BTreeMap<String, Vec<Gvk>>,
    texts: &Descriptions,
) -> Packed {
    let mut met = BTreeSet::new();
    let mut out = Out::new();
    out.text("{\"openapi\":\"3.0.0\",\"info\":");
    out.value(&json!({ "title": "Kubernetes", "version": version }));
    out.text(",\"paths\":{");
    for (at, (path, operations)) in paths.iter().enumerate() {
        out.entry(at, path, &path_item(Flavor::V3, operations, &mut met));
    }
    out.text("},\"components\":{\"schemas\":{");
    let schemas = Schemas::new(Flavor::V3, texts, kinds);
    for (at, (name, schema)) in encode_schemas(schemas, custom, texts, met, encode_json).iter().enumerate() {
        out.encoded_entry(at, name, schema);
    }
    out.text("},\"securitySchemes\":");
    out.value(&json!({ "BearerToken": bearer_token() }));
    out.text("}}");
    Packed::new(&out.bytes, "application/json")
}

/// Encodes the types met and, in turn, the types those refer to, by name.
pub(super) fn encode_schemas(
    mut schemas: Schemas<'_>,
    custom: &[&CustomKind],
    texts: &Descriptions,
    met: BTreeSet<String>,
    encode: impl Fn(&Value) -> Vec<u8>,
) -> BTreeMap<String, Vec<u8>> {
    let flavor = schemas.flavor();
    let mut done = BTreeMap::new();
    let mut open = met;
    while let Some(name) = open.pop_first() {
        if done.contains_key(&name) {
            continue;
        }
        let of_custom = custom.iter().find_map(|c| {
            if c.type_name() == name {
                Some(c.publish(flavor, texts))
            } else if list_type(&c.type_name()) == name {
                open.insert(c.type_name());
                Some(c.publish_list(flavor, texts))
            } else {
                None
            }
        });
        if of_custom.is_some() {
            open.extend(["ObjectMeta", "ListMeta"].map(|meta| format!("{META}{meta}")));
        }
        let schema = of_custom.unwrap_or_else(|| schemas.write(&name));
        open.extend(schemas.take_met());
        done.insert(name, encode(&schema));
    }
    done
}

/// A value as JSON bytes.
pub(super) fn encode_json(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a JSON value always encodes")
}

/// How clients prove who they are.
pub(super) fn bearer_token() -> Value {
    json!({ "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header" })
}

/// A JSON document under construction.
pub(super) struct Out {
    pub(super) bytes: Vec<u8>,
}

impl Out {
    pub(super) fn new() -> Self {
        Out { bytes: Vec::new() }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(super) fn value(&mut self, value: &Value) {
        serde_json::to_writer(&mut self.bytes, value).expect("a Vec takes every write");
    }

    /// The `at`-th entry of an object.
    pub(super) fn entry(&mut self, at: usize, name: &str, value: &Value) {
        self.encoded_entry(at, name, &encode_json(value));
    }

    /// The `at`-th entry of an object, its value encoded already.
    pub(super) fn encoded_entry(&mut self, at: usize, name: &str, value: &[u8]) {
        if at > 0 {
            self.text(",");
        }
        self.value(&name.into());
        self.text(":");
        self.bytes.extend_from_slice(value);
    }
}
