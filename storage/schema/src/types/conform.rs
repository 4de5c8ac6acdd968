//! Decoding against a type: wrong JSON types are refused in the words of upstream's decoder, unknown fields dropped
//! and reported, and the object brought into the canonical form that upstream prints (empty optional fields left
//! out, zeros of required ones spelled out, quantities and times normalised).

use serde_json::{Map, Value};
use thiserror::Error;

use super::node::{Field, Node, Scalar, StructType, TypeRef};
use super::scalar::scalar;
use crate::limits::STRICT_ERRORS;

/// Why a value does not fit its type, in the words of upstream's decoder. Never retryable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// What decoding found besides the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Paths of unknown fields, at most [`STRICT_ERRORS`].
    pub unknown: Vec<String>,
}

/// Brings `value` into canonical form in place.
///
/// # Errors
/// [`DecodeError`] at the first value of a wrong type; the value is then half done and must be dropped.
pub fn conform(value: &mut Value, of: TypeRef<'_>) -> Result<Report, DecodeError> {
    let mut walk = Walk { report: Report::default() };
    if let Some(top) = of.as_struct() {
        if !value.is_object() {
            let go = format!("Go value of type {}", go_type(of));
            return Err(DecodeError(format!("json: cannot unmarshal {} into {go}", json_name(value))));
        }
        walk.object(value, of, top, &Trail { parent: None, step: Step::Top, owner: top.short_name() })?;
    } else {
        walk.value(value, of, &Trail { parent: None, step: Step::Top, owner: "" })?;
    }
    Ok(walk.report)
}

/// Brings an object into the form in which it is stored: there an empty list is not told from an absent one.
pub fn settle(value: &mut Value, of: TypeRef<'_>) {
    match (of.as_struct(), value) {
        (Some(this), Value::Object(map)) if !this.dynamic => {
            for field in this.fields.iter().filter(|f| !matches!(f.node, Node::Scalar(_) | Node::Any)) {
                let Some(inner) = map.get_mut(&field.name) else { continue };
                if field.required
                    && matches!(field.node, Node::List(_) | Node::Map(_))
                    && crate::view::is_empty(inner)
                {
                    *inner = Value::Null;
                } else {
                    settle(inner, TypeRef::of(of.schema(), &field.node));
                }
            }
        }
        (None, Value::Array(items)) => {
            if let Some(item) = of.item().filter(|i| i.as_struct().is_some()) {
                items.iter_mut().for_each(|v| settle(v, item));
            }
        }
        _ => {}
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Top,
    Name(&'a str),
    Index(usize),
}

pub(super) struct Trail<'a> {
    parent: Option<&'a Trail<'a>>,
    step: Step<'a>,
    /// Go name of the struct that holds the current field.
    owner: &'a str,
}

impl Trail<'_> {
    /// `spec.containers[0].name`
    fn path(&self) -> String {
        let mut out = self.parent.map(Trail::path).unwrap_or_default();
        match self.step {
            Step::Top => {}
            Step::Name(name) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
        out
    }

    /// `Container.spec.containers.name`, as Go's decoder names fields: without indexes and map keys.
    fn go_field(&self) -> String {
        let mut names = Vec::new();
        let mut at = Some(self);
        while let Some(trail) = at {
            if let Step::Name(name) = trail.step {
                names.push(name);
            }
            at = trail.parent;
        }
        names.push(self.owner);
        names.reverse();
        names.join(".")
    }
}

pub(super) fn json_name(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

fn go_type(of: TypeRef<'_>) -> String {
    match of {
        TypeRef::Struct { schema, id, .. } => {
            let mut parts = schema.get(id).name.rsplit('.');
            let (name, package) = (parts.next().unwrap_or(""), parts.next().unwrap_or("v1"));
            format!("{package}.{name}")
        }
        TypeRef::Other { schema, node } => match node {
            Node::Scalar(scalar) => match scalar {
                Scalar::Text => "string",
                Scalar::Int32 | Scalar::IntOrString => "int32",
                Scalar::Int64 => "int64",
                Scalar::Float => "float64",
                Scalar::Bool => "bool",
                Scalar::Bytes => "[]uint8",
                Scalar::Quantity => "resource.Quantity",
                Scalar::Time => "v1.Time",
                Scalar::MicroTime => "v1.MicroTime",
            }
            .to_owned(),
            Node::Any | Node::Deduced => "runtime.RawExtension".to_owned(),
            Node::List(list) => format!("[]{}", go_type(TypeRef::of(schema, &list.item))),
            Node::Map(map) => match map.value {
                Node::Scalar(Scalar::Quantity) => "v1.ResourceList".to_owned(),
                _ => format!("map[string]{}", go_type(TypeRef::of(schema, &map.value))),
            },
            Node::Struct { id, atomic } => go_type(TypeRef::Struct { schema, id: *id, atomic: *atomic }),
        },
    }
}

pub(super) struct Walk {
    report: Report,
}

impl Walk {
    pub(super) fn wrong(value: &Value, of: TypeRef<'_>, trail: &Trail<'_>) -> DecodeError {
        Self::wrong_as(&json_name(value), of, trail)
    }

    pub(super) fn wrong_as(what: &str, of: TypeRef<'_>, trail: &Trail<'_>) -> DecodeError {
        let field = trail.go_field();
        DecodeError(format!(
            "json: cannot unmarshal {what} into Go struct field {field} of type {}",
            go_type(of)
        ))
    }

    fn unknown(&mut self, trail: &Trail<'_>) {
        if self.report.unknown.len() < STRICT_ERRORS {
            self.report.unknown.push(trail.path());
        }
    }

    fn object(
        &mut self,
        value: &mut Value,
        of: TypeRef<'_>,
        this: &StructType,
        trail: &Trail<'_>,
    ) -> Result<(), DecodeError> {
        let Value::Object(map) = value else { return Err(Self::wrong(value, of, trail)) };
        let owner = if this.dynamic { trail.owner } else { this.short_name() };
        let mut failed = None;
        map.retain(|name, inner| {
            if failed.is_some() {
                return true;
            }
            let here = Trail { parent: Some(trail), step: Step::Name(name), owner };
            let Some(field) = this.field(name) else {
                if !this.open {
                    self.unknown(&here);
                }
                return this.open;
            };
            let child = TypeRef::of(of.schema(), &field.node);
            if this.dynamic {
                if let Err(error) = self.value_dynamic(inner, child, &here) {
                    failed = Some(error);
                }
                return true;
            }
            if inner.is_null() {
                return false;
            }
            if let Err(error) = self.value(inner, child, &here) {
                failed = Some(error);
                return true;
            }
            keeps(field, inner)
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if !this.dynamic {
            for field in &this.fields {
                if (field.required || field.always) && !map.contains_key(&field.name) {
                    map.insert(field.name.clone(), zero(field, of));
                }
            }
        }
        Ok(())
    }

    /// A value inside a custom kind: only pruned, except where a built-in struct (metadata) stands.
    fn value_dynamic(
        &mut self,
        value: &mut Value,
        of: TypeRef<'_>,
        trail: &Trail<'_>,
    ) -> Result<(), DecodeError> {
        match of {
            TypeRef::Struct { schema, id, .. } => {
                let this = schema.get(id);
                if value.is_object() {
                    self.object(value, of, this, trail)
                } else if this.dynamic || value.is_null() {
                    Ok(())
                } else {
                    Err(Self::wrong(value, of, trail))
                }
            }
            TypeRef::Other { schema, node } => {
                match (node, value) {
                    (Node::List(list), Value::Array(items)) => {
                        for (i, item) in items.iter_mut().enumerate() {
                            let here =
                                Trail { parent: Some(trail), step: Step::Index(i), owner: trail.owner };
                            self.value_dynamic(item, TypeRef::of(schema, &list.item), &here)?;
                        }
                    }
                    (Node::Map(map), Value::Object(entries)) => {
                        for (name, entry) in entries.iter_mut() {
                            let here =
                                Trail { parent: Some(trail), step: Step::Name(name), owner: trail.owner };
                            self.value_dynamic(entry, TypeRef::of(schema, &map.value), &here)?;
                        }
                    }
                    _ => {}
                }
                Ok(())
            }
        }
    }

    fn value(&mut self, value: &mut Value, of: TypeRef<'_>, trail: &Trail<'_>) -> Result<(), DecodeError> {
        match of {
            TypeRef::Struct { schema, id, .. } => self.object(value, of, schema.get(id), trail),
            TypeRef::Other { schema, node } => match node {
                Node::Any | Node::Deduced => Ok(()),
                Node::Scalar(kind) => scalar(value, *kind, of, trail),
                Node::List(list) => {
                    let Value::Array(items) = value else { return Err(Self::wrong(value, of, trail)) };
                    let item_type = TypeRef::of(schema, &list.item);
                    for (i, item) in items.iter_mut().enumerate() {
                        if item.is_null() {
                            *item = zero_of(item_type);
                        }
                        let here = Trail { parent: Some(trail), step: Step::Index(i), owner: trail.owner };
                        self.value(item, item_type, &here)?;
                    }
                    Ok(())
                }
                Node::Map(map) => {
                    let Value::Object(entries) = value else { return Err(Self::wrong(value, of, trail)) };
                    let entry_type = TypeRef::of(schema, &map.value);
                    for entry in entries.values_mut() {
                        if entry.is_null() {
                            *entry = zero_of(entry_type);
                        }
                        self.value(entry, entry_type, trail)?;
                    }
                    Ok(())
                }
                Node::Struct { .. } => {
                    Err(DecodeError("a struct reference must be resolved before".to_owned()))
                }
            },
        }
    }
}

/// Whether upstream's encoder prints a field with this value.
fn keeps(field: &Field, value: &Value) -> bool {
    if field.required || field.keep_zero || field.always {
        return true;
    }
    match &field.node {
        Node::Scalar(
            Scalar::Text | Scalar::Int32 | Scalar::Int64 | Scalar::Float | Scalar::Bool | Scalar::Bytes,
        )
        | Node::List(_)
        | Node::Map(_) => !crate::view::is_empty(value),
        Node::Scalar(Scalar::Quantity | Scalar::Time | Scalar::MicroTime | Scalar::IntOrString)
        | Node::Any
        | Node::Deduced
        | Node::Struct { .. } => !value.is_null(),
    }
}

fn zero(field: &Field, of: TypeRef<'_>) -> Value {
    if field.keep_zero {
        return Value::Null;
    }
    zero_of(TypeRef::of(of.schema(), &field.node))
}

/// Go's zero value of a type, as its encoder prints it.
fn zero_of(of: TypeRef<'_>) -> Value {
    match of {
        TypeRef::Struct { schema, id, .. } => {
            let this = schema.get(id);
            let printed = this.fields.iter().filter(|f| f.required || f.always);
            Value::Object(printed.map(|f| (f.name.clone(), zero(f, of))).collect::<Map<_, _>>())
        }
        TypeRef::Other { node, .. } => match node {
            Node::Scalar(scalar) => match scalar {
                Scalar::Text => "".into(),
                Scalar::Int32 | Scalar::Int64 | Scalar::Float | Scalar::IntOrString => 0.into(),
                Scalar::Bool => false.into(),
                Scalar::Quantity => "0".into(),
                Scalar::Bytes | Scalar::Time | Scalar::MicroTime => Value::Null,
            },
            _ => Value::Null,
        },
    }
}

#[cfg(test)]
#[path = "conform_test.rs"]
mod tests;
