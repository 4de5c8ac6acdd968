//! Bytes to JSON trees.

use serde_json::{Map, Number, Value};

use crate::DEPTH_MAX;
use crate::error::ProtobufError;
use crate::special::to_base64;
use crate::tags::{Count, Field, Form, message};
use crate::wire::{Raw, Reader};

/// Decodes a message of the table. Fields that the table does not know are skipped, as protobuf asks.
pub(crate) fn decode_message(bytes: &[u8], index: usize, depth: usize) -> Result<Value, ProtobufError> {
    if depth > DEPTH_MAX {
        return Err(ProtobufError::TooDeep { limit: DEPTH_MAX });
    }
    let of = message(index);
    if let Some(special) = of.special {
        return special.decode(bytes, of, depth);
    }
    let mut out = Map::new();
    decode_fields(bytes, index, depth, &mut out)?;
    Ok(Value::Object(out))
}

fn decode_fields(
    bytes: &[u8],
    index: usize,
    depth: usize,
    out: &mut Map<String, Value>,
) -> Result<(), ProtobufError> {
    let of = message(index);
    let mut reader = Reader::new(bytes);
    while let Some((number, raw)) = reader.field()? {
        let Some(field) = of.field(number) else { continue };
        match (&field.name, &field.form, raw) {
            (None, Form::Message(inner), Raw::Bytes(bytes)) if depth < DEPTH_MAX => {
                decode_fields(bytes, *inner, depth + 1, out)?;
            }
            (None, ..) => return Err(ProtobufError::TooDeep { limit: DEPTH_MAX }),
            (Some(name), ..) => decode_field(name, field, raw, depth, out)?,
        }
    }
    Ok(())
}

fn decode_field(
    name: &str,
    field: &Field,
    raw: Raw<'_>,
    depth: usize,
    out: &mut Map<String, Value>,
) -> Result<(), ProtobufError> {
    match (field.count, raw) {
        (Count::One, raw) => {
            let value = decode_value(name, &field.form, raw, depth)?;
            out.insert(name.to_owned(), value);
        }
        (Count::Many, Raw::Bytes(bytes)) if field.form == Form::Number => {
            // Packed numbers.
            let mut packed = Reader::new(bytes);
            while let Some(value) = packed.packed()? {
                list(out, name)?.push(Value::from(value.cast_signed()));
            }
        }
        (Count::Many, raw) => {
            let value = decode_value(name, &field.form, raw, depth)?;
            list(out, name)?.push(value);
        }
        (Count::Map, Raw::Bytes(bytes)) => {
            let (key, value) = decode_entry(name, bytes, &field.form, depth)?;
            let map = out.entry(name).or_insert_with(|| Value::Object(Map::new()));
            map.as_object_mut().ok_or_else(|| unfit(name))?.insert(key, value);
        }
        (Count::Map, _) => return Err(unfit(name)),
    }
    Ok(())
}

fn list<'a>(out: &'a mut Map<String, Value>, name: &str) -> Result<&'a mut Vec<Value>, ProtobufError> {
    out.entry(name).or_insert_with(|| Value::Array(Vec::new())).as_array_mut().ok_or_else(|| unfit(name))
}

fn unfit(name: &str) -> ProtobufError {
    ProtobufError::Unfit { field: name.to_owned() }
}

fn decode_entry(
    name: &str,
    bytes: &[u8],
    form: &Form,
    depth: usize,
) -> Result<(String, Value), ProtobufError> {
    let (mut key, mut value) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, raw)) = reader.field()? {
        match (number, raw) {
            (1, Raw::Bytes(bytes)) => key = read_text(bytes)?,
            (2, raw) => value = Some(decode_value(name, form, raw, depth)?),
            _ => {}
        }
    }
    // An entry without a value has its type's zero.
    let value = match value {
        Some(value) => value,
        None => decode_value(name, form, zero(form), depth)?,
    };
    Ok((key, value))
}

fn zero(form: &Form) -> Raw<'static> {
    match form {
        Form::Number | Form::Bool => Raw::Varint(0),
        Form::Double => Raw::Fixed64(0),
        Form::Text | Form::Bytes | Form::Message(_) => Raw::Bytes(b""),
    }
}

fn decode_value(name: &str, form: &Form, raw: Raw<'_>, depth: usize) -> Result<Value, ProtobufError> {
    match (form, raw) {
        (Form::Text, Raw::Bytes(bytes)) => Ok(Value::from(read_text(bytes)?)),
        (Form::Bytes, Raw::Bytes(bytes)) => Ok(to_base64(bytes)),
        (Form::Number, Raw::Varint(value)) => Ok(Value::from(value.cast_signed())),
        (Form::Bool, Raw::Varint(value)) => Ok(Value::from(value != 0)),
        (Form::Double, Raw::Fixed64(bits)) => {
            Number::from_f64(f64::from_bits(bits)).map(Value::Number).ok_or_else(|| unfit(name))
        }
        (Form::Message(index), Raw::Bytes(bytes)) => decode_message(bytes, *index, depth + 1),
        _ => Err(unfit(name)),
    }
}

/// Text in UTF-8.
pub(crate) fn read_text(bytes: &[u8]) -> Result<String, ProtobufError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ProtobufError::Malformed("a text is not UTF-8"))?;
    Ok(text.to_owned())
}
