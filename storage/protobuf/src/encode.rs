//! JSON trees to bytes.

use serde_json::{Map, Value};

use crate::DEPTH_MAX;
use crate::error::ProtobufError;
use crate::special::from_base64;
use crate::tags::{Count, Field, Form, message};
use crate::wire::{put_bytes, put_double, put_number};

/// Encodes a value as a message of the table.
pub(crate) fn encode_message(value: &Value, index: usize, depth: usize) -> Result<Vec<u8>, ProtobufError> {
    if depth > DEPTH_MAX {
        return Err(ProtobufError::TooDeep { limit: DEPTH_MAX });
    }
    let of = message(index);
    if let Some(special) = of.special {
        return special.encode(value, of, depth);
    }
    let mut out = Vec::new();
    if let Some(fields) = value.as_object() {
        encode_fields(fields, index, depth, &mut out)?;
    }
    Ok(out)
}

fn encode_fields(
    fields: &Map<String, Value>,
    index: usize,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtobufError> {
    for field in &message(index).fields {
        match (&field.name, &field.form) {
            (Some(name), _) => {
                if let Some(value) = fields.get(name).filter(|value| !value.is_null()) {
                    encode_field(name, field, value, depth, out)?;
                }
            }
            (None, Form::Message(inner)) => {
                let mut embedded = Vec::new();
                encode_fields(fields, *inner, depth + 1, &mut embedded)?;
                put_bytes(out, field.number, &embedded);
            }
            (None, _) => {}
        }
    }
    Ok(())
}

fn unfit(name: &str) -> ProtobufError {
    ProtobufError::Unfit { field: name.to_owned() }
}

fn encode_field(
    name: &str,
    field: &Field,
    value: &Value,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtobufError> {
    match field.count {
        Count::One => encode_value(name, field.number, &field.form, value, depth, out),
        Count::Many => {
            let items = value.as_array().ok_or_else(|| unfit(name))?;
            items.iter().try_for_each(|item| encode_value(name, field.number, &field.form, item, depth, out))
        }
        Count::Map => {
            for (key, value) in value.as_object().ok_or_else(|| unfit(name))? {
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, key.as_bytes());
                encode_value(name, 2, &field.form, value, depth, &mut entry)?;
                put_bytes(out, field.number, &entry);
            }
            Ok(())
        }
    }
}

fn encode_value(
    name: &str,
    number: u32,
    form: &Form,
    value: &Value,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtobufError> {
    match form {
        Form::Text => put_bytes(out, number, value.as_str().ok_or_else(|| unfit(name))?.as_bytes()),
        Form::Bytes => put_bytes(out, number, &from_base64(value).ok_or_else(|| unfit(name))?),
        Form::Number => put_number(out, number, value.as_i64().ok_or_else(|| unfit(name))?.cast_unsigned()),
        Form::Bool => put_number(out, number, u64::from(value.as_bool().ok_or_else(|| unfit(name))?)),
        Form::Double => put_double(out, number, value.as_f64().ok_or_else(|| unfit(name))?),
        Form::Message(index) => put_bytes(out, number, &encode_message(value, *index, depth + 1)?),
    }
    Ok(())
}
