//! The document of v2, in JSON and in protobuf.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::custom::CustomKind;
use super::descriptions::Descriptions;
use super::flavor::Flavor;
use super::gzip::Packed;
use super::operation::Paths;
use super::proto::{DocumentWriter, encode_schema};
use super::render::path_item;
use super::schemas::{Gvk, Schemas};
use super::v3::{Out, bearer_token, encode_json, encode_schemas};

/// `Content-Type` of the JSON form.
pub const V2_JSON: &str = "application/json";
/// `Content-Type` of the protobuf form.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The name under which clients ask for the protobuf form; it is no valid media type, but they do.
const V2_PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The encoding of the v2 document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V2Form {
    /// JSON.
    Json,
    /// The protobuf messages of gnostic's `openapi.v2`.
    Protobuf,
}

/// The form an `Accept` header asks for, the first that is known; an empty header takes JSON. `None` is answered 406.
pub fn negotiate_v2(accept: &str) -> Option<V2Form> {
    if accept.trim().is_empty() {
        return Some(V2Form::Json);
    }
    accept.split(',').take(64).find_map(|clause| match clause.split(';').next().map(str::trim) {
        Some(V2_PROTOBUF | V2_PROTOBUF_ASKED) => Some(V2Form::Protobuf),
        Some("application/json" | "application/*" | "*/*") => Some(V2Form::Json),
        _ => None,
    })
}

/// Writes the document.
pub(super) fn document(
    form: V2Form,
    version: &str,
    paths: &Paths,
    custom: &[&CustomKind],
    kinds: &BTreeMap<String, Vec<Gvk>>,
    texts: &Descriptions,
) -> Packed {
    let mut met = BTreeSet::new();
    let schemas = Schemas::new(Flavor::V2, texts, kinds);
    match form {
        V2Form::Json => {
            let mut out = Out::new();
            out.text("{\"swagger\":\"2.0\",\"info\":");
            out.value(&json!({ "title": "Kubernetes", "version": version }));
            out.text(",\"paths\":{");
            for (at, (path, operations)) in paths.iter().enumerate() {
                out.entry(at, path, &path_item(Flavor::V2, operations, &mut met));
            }
            out.text("},\"definitions\":{");
            let encoded = encode_schemas(schemas, custom, texts, met, encode_json);
            for (at, (name, schema)) in encoded.iter().enumerate() {
                out.encoded_entry(at, name, schema);
            }
            out.text("},\"securityDefinitions\":");
            out.value(&json!({ "BearerToken": bearer_token() }));
            out.text(",\"security\":[{\"BearerToken\":[]}]}");
            Packed::new(&out.bytes, V2_JSON)
        }
        V2Form::Protobuf => {
            let mut writer = DocumentWriter::new("Kubernetes", version);
            for (path, operations) in paths {
                writer.path(path, &path_item(Flavor::V2, operations, &mut met));
            }
            for (name, schema) in encode_schemas(schemas, custom, texts, met, encode_schema) {
                writer.definition(&name, &schema);
            }
            Packed::new(&writer.finish(&bearer_token()), V2_PROTOBUF)
        }
    }
}
