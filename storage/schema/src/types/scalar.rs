//! Decoding of scalars into their canonical form.

use serde_json::Value;

use super::conform::{DecodeError, Trail, Walk, json_name};
use super::node::{Scalar, TypeRef};
use crate::Quantity;
use crate::time::Moment;

pub(super) fn scalar(
    value: &mut Value,
    kind: Scalar,
    of: TypeRef<'_>,
    trail: &Trail<'_>,
) -> Result<(), DecodeError> {
    let number = |value: &Value| Walk::wrong_as(&format!("number {value}"), of, trail);
    match (kind, &mut *value) {
        (Scalar::Text, Value::String(_))
        | (Scalar::Bool, Value::Bool(_))
        | (Scalar::Float, Value::Number(_)) => Ok(()),
        (Scalar::Int32, Value::Number(n)) => {
            n.as_i64().and_then(|n| i32::try_from(n).ok()).map(|_| ()).ok_or_else(|| number(value))
        }
        (Scalar::Int64, Value::Number(n)) => n.as_i64().map(|_| ()).ok_or_else(|| number(value)),
        (Scalar::IntOrString, Value::String(_)) => Ok(()),
        (Scalar::IntOrString, Value::Number(n)) => {
            n.as_i64().and_then(|n| i32::try_from(n).ok()).map(|_| ()).ok_or_else(|| number(value))
        }
        (Scalar::Bytes, Value::String(text)) => match canonical_base64(text) {
            Ok(None) => Ok(()),
            Ok(Some(changed)) => {
                *text = changed;
                Ok(())
            }
            Err(at) => Err(DecodeError(format!("illegal base64 data at input byte {at}"))),
        },
        (Scalar::Quantity, Value::String(text)) => {
            let parsed = if text.is_empty() { Ok(Quantity::ZERO) } else { text.trim().parse::<Quantity>() };
            *text = parsed.map_err(|e| DecodeError(e.to_string()))?.canonical();
            Ok(())
        }
        (Scalar::Quantity, Value::Number(n)) => {
            let parsed = n.to_string().parse::<Quantity>().map_err(|e| DecodeError(e.to_string()))?;
            *value = parsed.canonical().into();
            Ok(())
        }
        (Scalar::Quantity, _) => Err(DecodeError(crate::quantity::QuantityError::Format.to_string())),
        (Scalar::Time, Value::String(text)) => {
            *text = Moment::parse_time(text).map_err(|e| DecodeError(e.to_string()))?.to_time();
            Ok(())
        }
        (Scalar::MicroTime, Value::String(text)) => {
            *text = Moment::parse_micro_time(text).map_err(|e| DecodeError(e.to_string()))?.to_micro_time();
            Ok(())
        }
        (Scalar::Time | Scalar::MicroTime, other) => {
            let what = json_name(other);
            Err(DecodeError(format!("json: cannot unmarshal {what} into Go value of type string")))
        }
        (_, Value::Number(_)) if !matches!(kind, Scalar::Text | Scalar::Bool | Scalar::Bytes) => {
            Err(number(value))
        }
        _ => Err(Walk::wrong(value, of, trail)),
    }
}

/// Checks standard base64 with padding; line breaks are dropped as Go does. `Err` carries the offending byte.
pub(super) fn canonical_base64(text: &str) -> Result<Option<String>, usize> {
    let b = text.as_bytes();
    let mut seen = 0usize;
    let mut padding = 0usize;
    let mut breaks = false;
    for (i, &c) in b.iter().enumerate() {
        match c {
            b'\r' | b'\n' => breaks = true,
            b'=' => {
                padding += 1;
                if seen % 4 < 2 || padding > 4 - seen % 4 {
                    return Err(i);
                }
            }
            _ if padding > 0 => return Err(i),
            c if c.is_ascii_alphanumeric() || c == b'+' || c == b'/' => seen += 1,
            _ => return Err(i),
        }
    }
    if !(seen + padding).is_multiple_of(4) {
        return Err(if padding == 0 { seen / 4 * 4 } else { b.len() });
    }
    Ok(breaks.then(|| text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect()))
}
