//! The envelope around an object: four bytes, then its kind and its bytes (upstream's `runtime.Unknown`).

use serde_json::Value;
use trireme_schema::view::View;

use crate::decode::{decode_message, read_text};
use crate::encode::encode_message;
use crate::error::ProtobufError;
use crate::tags::{message_of, named};
use crate::wire::{Raw, Reader, put_bytes};

/// What an object in protobuf begins with.
pub(crate) const MAGIC: [u8; 4] = *b"k8s\0";
/// What lists carry about themselves.
const LIST_META: &str = "apimachinery.pkg.apis.meta.v1.ListMeta";

/// Decodes an object in its envelope.
///
/// # Errors
/// When the bytes are no such thing, or the kind has no protobuf form.
pub fn decode_object(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let body = bytes.strip_prefix(&MAGIC).ok_or(ProtobufError::NoEnvelope)?;
    let (mut api_version, mut kind) = (String::new(), String::new());
    let (mut raw_object, mut content) = (&b""[..], String::new());
    let mut reader = Reader::new(body);
    while let Some((number, raw)) = reader.field()? {
        match (number, raw) {
            (1, Raw::Bytes(bytes)) => {
                let mut of = Reader::new(bytes);
                while let Some((number, raw)) = of.field()? {
                    match (number, raw) {
                        (1, Raw::Bytes(text)) => api_version = read_text(text)?,
                        (2, Raw::Bytes(text)) => kind = read_text(text)?,
                        _ => {}
                    }
                }
            }
            (2, Raw::Bytes(bytes)) => raw_object = bytes,
            (3 | 4, Raw::Bytes(bytes)) if !bytes.is_empty() => content = read_text(bytes)?,
            _ => {}
        }
    }
    if content == "application/json" {
        let document = trireme_schema::json::parse(raw_object);
        return Ok(document.map_err(|_| ProtobufError::Malformed("the enveloped JSON is none"))?.value);
    }
    if !content.is_empty() && content != "application/vnd.kubernetes.protobuf" {
        return Err(ProtobufError::Content(content));
    }
    let Some(index) = message_of(&api_version, &kind) else {
        return Err(ProtobufError::NoForm { api_version, kind });
    };
    let mut object = decode_message(raw_object, index, 0)?;
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), Value::from(api_version));
        fields.insert("kind".to_owned(), Value::from(kind));
    }
    Ok(object)
}

/// Encodes an object, or a list of objects, in its envelope.
///
/// # Errors
/// When the kind has no protobuf form, or a field does not fit its type.
pub fn encode_object(object: &Value) -> Result<Vec<u8>, ProtobufError> {
    let (api_version, kind) = (object.text("apiVersion"), object.text("kind"));
    let raw = match message_of(api_version, kind) {
        Some(index) => encode_message(object, index, 0)?,
        None => encode_list(object)?,
    };
    let mut of = Vec::with_capacity(api_version.len() + kind.len() + 4);
    put_bytes(&mut of, 1, api_version.as_bytes());
    put_bytes(&mut of, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + of.len() + 24);
    out.extend_from_slice(&MAGIC);
    put_bytes(&mut out, 1, &of);
    put_bytes(&mut out, 2, &raw);
    put_bytes(&mut out, 3, b"");
    put_bytes(&mut out, 4, b"");
    Ok(out)
}

/// All lists have their own metadata in field 1 and their items in field 2.
fn encode_list(list: &Value) -> Result<Vec<u8>, ProtobufError> {
    let (api_version, kind) = (list.text("apiVersion"), list.text("kind"));
    let no_form = || ProtobufError::NoForm { api_version: api_version.to_owned(), kind: kind.to_owned() };
    let item =
        kind.strip_suffix("List").and_then(|kind| message_of(api_version, kind)).ok_or_else(no_form)?;
    let metadata = named(LIST_META).ok_or_else(no_form)?;
    let mut out = Vec::new();
    put_bytes(&mut out, 1, &encode_message(list.at("metadata"), metadata, 1)?);
    for object in list.list("items") {
        put_bytes(&mut out, 2, &encode_message(object, item, 1)?);
    }
    Ok(out)
}

/// One frame of a watch: its length in four bytes (big end first), then the event, with the object in its envelope.
///
/// # Errors
/// As [`encode_object`].
pub fn encode_watch_event(kind: &str, object: &Value) -> Result<Vec<u8>, ProtobufError> {
    let mut raw = Vec::new();
    put_bytes(&mut raw, 1, &encode_object(object)?);
    let mut event = Vec::with_capacity(raw.len() + kind.len() + 16);
    put_bytes(&mut event, 1, kind.as_bytes());
    put_bytes(&mut event, 2, &raw);
    let len = u32::try_from(event.len()).map_err(|_| ProtobufError::Malformed("an event of 4 GiB"))?;
    let mut out = len.to_be_bytes().to_vec();
    out.extend_from_slice(&event);
    Ok(out)
}

#[cfg(test)]
#[path = "envelope_test.rs"]
mod tests;
