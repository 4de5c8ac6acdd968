//! Messages whose JSON is not an object of their fields: times, quantities, raw values, wrapped lists.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use trireme_schema::time::Moment;

use crate::decode::{decode_message, read_text};
use crate::encode::encode_message;
use crate::error::ProtobufError;
use crate::tags::{Form, Message};
use crate::wire::{Raw, Reader, put_bytes, put_number};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// A text in field 1.
    Quantity,
    /// Seconds and nanoseconds.
    Time,
    /// The same, printed with microseconds.
    MicroTime,
    /// JSON in field 1.
    Json,
    /// Kind, number, text.
    IntOrString,
    /// A list in field 1.
    Items,
    /// A truth value in field 1, or a schema in field 2.
    SchemaOrBool,
    /// A schema in field 1, or a list of them in field 2.
    SchemaOrArray,
    /// A schema in field 1, or a list of texts in field 2.
    SchemaOrTexts,
}

impl Special {
    /// The special form of a message by its full name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name.rsplit('.').next().unwrap_or("") {
            "Quantity" => Self::Quantity,
            "Time" => Self::Time,
            "MicroTime" => Self::MicroTime,
            "RawExtension" | "FieldsV1" | "Json" => Self::Json,
            "IntOrString" => Self::IntOrString,
            "ExtraValue" | "Verbs" => Self::Items,
            "JsonSchemaPropsOrBool" => Self::SchemaOrBool,
            "JsonSchemaPropsOrArray" => Self::SchemaOrArray,
            "JsonSchemaPropsOrStringArray" => Self::SchemaOrTexts,
            _ => return None,
        })
    }

    pub(crate) fn decode(self, bytes: &[u8], of: &Message, depth: usize) -> Result<Value, ProtobufError> {
        match self {
            Self::Quantity => {
                Ok(Value::from(Parts::read(bytes)?.texts.into_iter().next_back().unwrap_or_default()))
            }
            Self::Time | Self::MicroTime => decode_time(bytes, self == Self::MicroTime),
            Self::Json => decode_json(bytes),
            Self::IntOrString => decode_int_or_string(bytes),
            Self::Items => {
                let texts = Parts::read(bytes)?.texts;
                Ok(Value::from(texts))
            }
            Self::SchemaOrBool | Self::SchemaOrArray | Self::SchemaOrTexts => {
                self.decode_schema(bytes, of, depth)
            }
        }
    }

    fn decode_schema(self, bytes: &[u8], of: &Message, depth: usize) -> Result<Value, ProtobufError> {
        let schema = of.fields.iter().find_map(|field| match field.form {
            Form::Message(index) => Some(index),
            _ => None,
        });
        let schema = schema.expect("the wrapper of a schema has one");
        let mut allows = None;
        let mut list = Vec::new();
        let mut one = None;
        let mut reader = Reader::new(bytes);
        while let Some((number, raw)) = reader.field()? {
            match (self, number, raw) {
                (Self::SchemaOrBool, 1, Raw::Varint(value)) => allows = Some(value != 0),
                (Self::SchemaOrBool, 2, Raw::Bytes(bytes)) | (_, 1, Raw::Bytes(bytes)) => {
                    one = Some(decode_message(bytes, schema, depth + 1)?);
                }
                (Self::SchemaOrArray, 2, Raw::Bytes(bytes)) => {
                    list.push(decode_message(bytes, schema, depth + 1)?);
                }
                (Self::SchemaOrTexts, 2, Raw::Bytes(bytes)) => list.push(Value::from(read_text(bytes)?)),
                _ => {}
            }
        }
        Ok(match (one, self) {
            (Some(schema), _) => schema,
            (None, Self::SchemaOrBool) => Value::from(allows.unwrap_or(false)),
            (None, _) => Value::from(list),
        })
    }

    pub(crate) fn encode(self, value: &Value, of: &Message, depth: usize) -> Result<Vec<u8>, ProtobufError> {
        let mut out = Vec::new();
        let unfit = || ProtobufError::Unfit { field: String::new() };
        match self {
            Self::Quantity => {
                // Some quantities come as plain numbers.
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                put_bytes(&mut out, 1, text.as_bytes());
            }
            Self::Time | Self::MicroTime => encode_time(value.as_str().ok_or_else(unfit)?, &mut out)?,
            Self::Json => put_bytes(&mut out, 1, value.to_string().as_bytes()),
            Self::IntOrString => match value {
                Value::String(text) => {
                    put_number(&mut out, 1, 1);
                    put_number(&mut out, 2, 0);
                    put_bytes(&mut out, 3, text.as_bytes());
                }
                number => {
                    put_number(&mut out, 1, 0);
                    put_number(&mut out, 2, number.as_i64().ok_or_else(unfit)?.cast_unsigned());
                    put_bytes(&mut out, 3, b"");
                }
            },
            Self::Items => {
                for item in value.as_array().ok_or_else(unfit)? {
                    put_bytes(&mut out, 1, item.as_str().ok_or_else(unfit)?.as_bytes());
                }
            }
            Self::SchemaOrBool | Self::SchemaOrArray | Self::SchemaOrTexts => {
                self.encode_schema(value, of, depth, &mut out)?;
            }
        }
        Ok(out)
    }

    fn encode_schema(
        self,
        value: &Value,
        of: &Message,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtobufError> {
        let schema_field = of.fields.iter().find(|field| matches!(field.form, Form::Message(_)));
        let Some(Form::Message(index)) = schema_field.map(|field| &field.form) else {
            return Err(ProtobufError::Malformed("the wrapper of a schema has none"));
        };
        let schema = |value: &Value| encode_message(value, *index, depth + 1);
        match (self, value) {
            (Self::SchemaOrBool, Value::Bool(allows)) => put_number(out, 1, u64::from(*allows)),
            (Self::SchemaOrBool, other) => {
                put_number(out, 1, 1);
                put_bytes(out, 2, &schema(other)?);
            }
            (Self::SchemaOrArray, Value::Array(items)) => {
                for item in items {
                    put_bytes(out, 2, &schema(item)?);
                }
            }
            (Self::SchemaOrTexts, Value::Array(items)) => {
                for item in items {
                    put_bytes(out, 2, item.as_str().unwrap_or_default().as_bytes());
                }
            }
            (_, other) => put_bytes(out, 1, &schema(other)?),
        }
        Ok(())
    }
}

/// Numbers by field, and texts in order.
#[derive(Default)]
struct Parts {
    numbers: [Option<u64>; 3],
    texts: Vec<String>,
}

impl Parts {
    fn read(bytes: &[u8]) -> Result<Self, ProtobufError> {
        let mut out = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, raw)) = reader.field()? {
            match raw {
                Raw::Varint(value) => {
                    if let Some(place) = usize::try_from(number).ok().and_then(|n| out.numbers.get_mut(n)) {
                        *place = Some(value);
                    }
                }
                Raw::Bytes(bytes) => out.texts.push(read_text(bytes)?),
                Raw::Fixed64(_) | Raw::Fixed32 => {}
            }
        }
        Ok(out)
    }
}

/// An empty message is no time at all.
fn decode_time(bytes: &[u8], micro: bool) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let parts = Parts::read(bytes)?;
    let seconds = parts.numbers[1].unwrap_or(0).cast_signed();
    let nanos = u32::try_from(parts.numbers[2].unwrap_or(0)).unwrap_or(0);
    let moment = Moment::from_unix(seconds, nanos);
    Ok(Value::from(if micro { moment.to_micro_time() } else { moment.to_time() }))
}

fn encode_time(text: &str, out: &mut Vec<u8>) -> Result<(), ProtobufError> {
    let moment = Moment::parse_time(text).map_err(|_| ProtobufError::Unfit { field: text.to_owned() })?;
    put_number(out, 1, moment.unix_seconds().cast_unsigned());
    put_number(out, 2, u64::from(moment.nanos()));
    Ok(())
}

fn decode_json(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut reader = Reader::new(bytes);
    let mut out = Value::Null;
    while let Some((number, raw)) = reader.field()? {
        if let (1, Raw::Bytes(raw)) = (number, raw)
            && !raw.is_empty()
        {
            out = match raw.strip_prefix(&crate::envelope::MAGIC) {
                Some(_) => crate::envelope::decode_object(raw)?,
                None => {
                    trireme_schema::json::parse(raw)
                        .map_err(|_| ProtobufError::Malformed("a raw value is no JSON"))?
                        .value
                }
            };
        }
    }
    Ok(out)
}

fn decode_int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let parts = Parts::read(bytes)?;
    Ok(match parts.numbers[1].unwrap_or(0) {
        0 => Value::from(parts.numbers[2].unwrap_or(0).cast_signed()),
        _ => Value::from(parts.texts.into_iter().next_back().unwrap_or_default()),
    })
}

/// Bytes as JSON has them.
pub(crate) fn to_base64(bytes: &[u8]) -> Value {
    Value::from(BASE64_STANDARD.encode(bytes))
}

/// Bytes from JSON.
pub(crate) fn from_base64(value: &Value) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(value.as_str()?).ok()
}
