//! Messages into JSON.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use trireme_schema::kinds::parse_api_version;
use trireme_schema::time::Moment;
use trireme_schema::types::{Field, Node, Scalar, Schema, builtin, lookup, lookup_type};
use trireme_schema::view::is_empty;

use super::numbers::{Place, place};
use super::reader::{Malformed, Payload, Reader};
use super::{DEPTH_LIMIT, MAGIC};

/// Why a body cannot be read. Answer 400; not retryable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtobufError {
    /// The magic bytes are missing.
    NoMagic,
    /// The bytes are no message, or hold text that is no UTF-8, or JSON that does not parse.
    Malformed,
    /// Messages are nested deeper than any object is.
    TooDeep,
    /// The envelope names a kind that has no protobuf form here.
    UnknownKind {
        /// As in the envelope.
        api_version: String,
        /// As in the envelope.
        kind: String,
    },
}

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtobufError::NoMagic => {
                write!(f, "provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")
            }
            ProtobufError::Malformed => {
                write!(f, "the protobuf message is malformed; send it anew or as JSON")
            }
            ProtobufError::TooDeep => write!(f, "the protobuf message is nested deeper than {DEPTH_LIMIT}"),
            ProtobufError::UnknownKind { api_version, kind } => {
                write!(
                    f,
                    "no kind \"{kind}\" is registered for version \"{api_version}\" in protobuf; send JSON"
                )
            }
        }
    }
}

impl std::error::Error for ProtobufError {}

impl From<Malformed> for ProtobufError {
    fn from(_: Malformed) -> Self {
        ProtobufError::Malformed
    }
}

/// Reads a body: the object, with `apiVersion` and `kind`.
///
/// # Errors
/// The body is no protobuf, or of a kind that has no protobuf form.
pub fn decode(body: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = body.strip_prefix(&MAGIC).ok_or(ProtobufError::NoMagic)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = Reader::new(envelope);
    while let Some((number, payload)) = reader.field()? {
        match (number, payload) {
            (1, Payload::Bytes(bytes)) => {
                let mut names = Reader::new(bytes);
                while let Some((number, payload)) = names.field()? {
                    match number {
                        1 => api_version = text(payload)?,
                        2 => kind = text(payload)?,
                        _ => {}
                    }
                }
            }
            (2, Payload::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let found = parse_api_version(&api_version).and_then(|(group, version)| {
        lookup(group, version, &kind)
            .or_else(|| lookup_type(&format!("apimachinery.pkg.apis.meta.v1.{kind}")))
    });
    let Some(of_type) = found.and_then(|t| t.as_struct()) else {
        return Err(ProtobufError::UnknownKind { api_version, kind });
    };
    let schema = builtin();
    let id = schema.find(&of_type.name).ok_or(ProtobufError::Malformed)?;
    let mut object = Decoder { schema }.structure(id, &of_type.name, raw, 0)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

fn text(payload: Payload<'_>) -> Result<String, ProtobufError> {
    match payload {
        Payload::Bytes(bytes) => String::from_utf8(bytes.to_vec()).map_err(|_| ProtobufError::Malformed),
        Payload::Varint(_) | Payload::Fixed64(_) => Err(ProtobufError::Malformed),
    }
}

struct Decoder {
    schema: &'static Schema,
}

impl Decoder {
    /// The fields of a struct. `message` is the type whose numbers apply: its own, or one that stands in it.
    fn structure(
        &self,
        id: u32,
        message: &str,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Map<String, Value>, ProtobufError> {
        if depth > DEPTH_LIMIT {
            return Err(ProtobufError::TooDeep);
        }
        let of_type = self.schema.get(id);
        let mut out = Map::new();
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.field()? {
            match (place(message, number), payload) {
                // Newer clients may know more fields; protobuf passes over what it does not know.
                (None, _) => {}
                (Some(Place::Inline(inner)), Payload::Bytes(bytes)) => {
                    out.extend(self.structure(id, inner, bytes, depth + 1)?);
                }
                (Some(Place::Inline(_)), _) => return Err(ProtobufError::Malformed),
                (Some(Place::Field(name)), payload) => {
                    let field = of_type.field(name).ok_or(ProtobufError::Malformed)?;
                    self.field(field, &of_type.name, payload, depth, &mut out)?;
                }
            }
        }
        Ok(out)
    }

    fn field(
        &self,
        field: &Field,
        owner: &str,
        payload: Payload<'_>,
        depth: usize,
        out: &mut Map<String, Value>,
    ) -> Result<(), ProtobufError> {
        match (&field.node, payload) {
            (Node::List(list), payload) => {
                let items = out.entry(field.name.clone()).or_insert_with(|| json!([]));
                let items = items.as_array_mut().ok_or(ProtobufError::Malformed)?;
                self.items(&list.item, owner, &field.name, payload, depth, items)?;
            }
            (Node::Map(map), Payload::Bytes(bytes)) => {
                let entries = out.entry(field.name.clone()).or_insert_with(|| json!({}));
                let entries = entries.as_object_mut().ok_or(ProtobufError::Malformed)?;
                let (key, value) = self.entry(&map.value, owner, &field.name, bytes, depth)?;
                entries.insert(key, value);
            }
            (node, payload) => {
                let value = self.value(node, owner, &field.name, payload, depth)?;
                let omitted = matches!(node, Node::Scalar(_)) && !field.keep_zero && !field.required;
                if !(omitted && is_empty(&value)) {
                    out.insert(field.name.clone(), value);
                }
            }
        }
        Ok(())
    }

    /// One item, or several whole numbers packed into one payload.
    fn items(
        &self,
        node: &Node,
        owner: &str,
        field: &str,
        payload: Payload<'_>,
        depth: usize,
        out: &mut Vec<Value>,
    ) -> Result<(), ProtobufError> {
        let numeric = matches!(node, Node::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Bool));
        match payload {
            Payload::Bytes(bytes) if numeric => {
                let mut reader = Reader::new(bytes);
                while let Some(number) = reader.packed()? {
                    out.push(self.value(node, owner, field, Payload::Varint(number), depth)?);
                }
            }
            payload => out.push(self.value(node, owner, field, payload, depth)?),
        }
        Ok(())
    }

    /// An entry of a map; both halves may be left out when they are empty.
    fn entry(
        &self,
        node: &Node,
        owner: &str,
        field: &str,
        bytes: &[u8],
        depth: usize,
    ) -> Result<(String, Value), ProtobufError> {
        let (mut key, mut found) = (String::new(), None);
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.field()? {
            match number {
                1 => key = text(payload)?,
                2 => found = Some(payload),
                _ => {}
            }
        }
        let payload = found.unwrap_or(Payload::Bytes(&[]));
        Ok((key, self.value(node, owner, field, payload, depth)?))
    }

    fn value(
        &self,
        node: &Node,
        owner: &str,
        field: &str,
        payload: Payload<'_>,
        depth: usize,
    ) -> Result<Value, ProtobufError> {
        match (node, payload) {
            (Node::Scalar(scalar), payload) => scalar_value(*scalar, payload),
            (Node::Struct { id, .. }, Payload::Bytes(bytes)) => {
                let name = &self.schema.get(*id).name;
                Ok(Value::Object(self.structure(*id, name, bytes, depth + 1)?))
            }
            // A list as the value of a map is a message of its own.
            (Node::List(list), Payload::Bytes(bytes)) => {
                let mut items = Vec::new();
                let mut reader = Reader::new(bytes);
                while let Some((number, payload)) = reader.field()? {
                    if number == 1 {
                        self.items(&list.item, owner, field, payload, depth, &mut items)?;
                    }
                }
                Ok(Value::Array(items))
            }
            (Node::Any | Node::Deduced, Payload::Bytes(bytes)) => self.any(owner, field, bytes, depth),
            _ => Err(ProtobufError::Malformed),
        }
    }

    /// Any JSON: a message whose first field holds its bytes, but for the alternatives of JSON schemas.
    fn any(&self, owner: &str, field: &str, bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
        let alternatives = owner.ends_with(".JSONSchemaProps")
            && matches!(field, "additionalItems" | "additionalProperties" | "items" | "dependencies");
        let mut out = Value::Null;
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.field()? {
            let schema = |bytes: &[u8]| -> Result<Value, ProtobufError> {
                let id = self.schema.find(owner).ok_or(ProtobufError::Malformed)?;
                Ok(Value::Object(self.structure(id, owner, bytes, depth + 1)?))
            };
            match (alternatives, number, payload) {
                (false, 1, Payload::Bytes(raw)) => {
                    out = serde_json::from_slice(raw).map_err(|_| ProtobufError::Malformed)?;
                }
                (true, 1, Payload::Varint(allows)) => out = (allows != 0).into(),
                // One schema outweighs the truth value, which is written even when it is not meant.
                (true, 1, Payload::Bytes(bytes)) => out = schema(bytes)?,
                (true, 2, Payload::Bytes(bytes)) if field.starts_with("additional") => out = schema(bytes)?,
                (true, 2, Payload::Bytes(bytes)) => {
                    let item = match field {
                        "items" => schema(bytes)?,
                        _ => text(payload)?.into(),
                    };
                    match &mut out {
                        Value::Array(items) => items.push(item),
                        other => *other = json!([item]),
                    }
                }
                _ => {}
            }
        }
        Ok(out)
    }
}

fn scalar_value(scalar: Scalar, payload: Payload<'_>) -> Result<Value, ProtobufError> {
    Ok(match (scalar, payload) {
        (Scalar::Text, payload) => text(payload)?.into(),
        (Scalar::Int32 | Scalar::Int64, Payload::Varint(number)) => signed(number).into(),
        (Scalar::Bool, Payload::Varint(number)) => (number != 0).into(),
        (Scalar::Float, Payload::Fixed64(bits)) => f64::from_bits(bits).into(),
        (Scalar::Bytes, Payload::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Scalar::Quantity, Payload::Bytes(bytes)) => {
            let written = first(bytes)?.map(text).transpose()?.unwrap_or_default();
            if written.is_empty() { "0".into() } else { written.into() }
        }
        (Scalar::Time | Scalar::MicroTime, Payload::Bytes(bytes)) => time(scalar, bytes)?,
        (Scalar::IntOrString, Payload::Bytes(bytes)) => int_or_string(bytes)?,
        // The entry of a map whose value is its zero.
        (_, Payload::Bytes([])) => Value::Null,
        _ => return Err(ProtobufError::Malformed),
    })
}

/// Two's complement, as whole numbers are encoded.
fn signed(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

fn first(bytes: &[u8]) -> Result<Option<Payload<'_>>, ProtobufError> {
    Ok(Reader::new(bytes).field()?.filter(|(number, _)| *number == 1).map(|(_, payload)| payload))
}

/// An empty message is the zero time, which JSON writes as null.
fn time(scalar: Scalar, bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut seconds, mut nanos) = (None, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.field()? {
        match (number, payload) {
            (1, Payload::Varint(value)) => seconds = Some(signed(value)),
            (2, Payload::Varint(value)) => {
                nanos = u32::try_from(value).map_err(|_| ProtobufError::Malformed)?
            }
            _ => {}
        }
    }
    Ok(match seconds {
        None => Value::Null,
        Some(seconds) if scalar == Scalar::Time => Moment::from_unix(seconds, 0).to_time().into(),
        Some(seconds) => Moment::from_unix(seconds, nanos).to_micro_time().into(),
    })
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number, mut string) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((field, payload)) = reader.field()? {
        match (field, payload) {
            (1, Payload::Varint(value)) => is_text = value == 1,
            (2, Payload::Varint(value)) => number = signed(value),
            (3, payload) => string = text(payload)?,
            _ => {}
        }
    }
    Ok(if is_text { string.into() } else { number.into() })
}
