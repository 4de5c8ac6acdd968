//! The paths that a configuration names, and the check that its type declares them.

use serde_json::Value;

use super::element::{display, item_step};
use super::set::Set;
use crate::types::{ListKind, Node, Scalar, TypeRef};

/// The set of fields that `value` sets: leaves, atomic values as a whole, and the items of keyed lists.
pub fn field_set(value: &Value, of: TypeRef<'_>) -> Set {
    let mut out = Set::new();
    below(value, of, &mut out);
    out
}

fn below(value: &Value, of: TypeRef<'_>, out: &mut Set) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let Some(child) = of.child(name) else { continue };
                let step = format!("f:{name}");
                let declared = of.as_struct().is_some_and(|s| s.field(name).is_some());
                let hollow = inner.is_null() || inner.as_object().is_some_and(serde_json::Map::is_empty);
                if hollow || !declared || is_leaf(inner, child) {
                    out.insert(&step);
                }
                children(&step, inner, child, out);
            }
        }
        Value::Array(items) => {
            let (Some(list), Some(item_type)) = (of.as_list(), of.item()) else { return };
            for item in items {
                let Some(step) = item_step(list, item) else { continue };
                out.insert(&step);
                children(&step, item, item_type, out);
            }
        }
        _ => {}
    }
}

fn children(step: &str, value: &Value, of: TypeRef<'_>, out: &mut Set) {
    if !is_leaf(value, of) {
        let mut inner = Set::new();
        below(value, of, &mut inner);
        out.put_children(step, inner);
    }
}

/// Owned as a whole. An empty keyed list owns nothing.
fn is_leaf(value: &Value, of: TypeRef<'_>) -> bool {
    match value {
        Value::Object(_) => of.is_atomic(),
        Value::Array(_) => of.as_list().is_none_or(|l| l.kind == ListKind::Atomic),
        _ => true,
    }
}

/// Whether every item of a keyed list has its keys and sets hold no value twice; ownership of other objects cannot be
/// tracked.
pub(super) fn is_trackable(value: &Value, of: TypeRef<'_>) -> bool {
    match value {
        Value::Object(map) => {
            map.iter().all(|(name, inner)| of.child(name).is_none_or(|c| is_trackable(inner, c)))
        }
        Value::Array(items) => {
            let (Some(list), Some(item_type)) = (of.as_list(), of.item()) else { return true };
            let mut seen = Vec::new();
            items.iter().all(|item| {
                let known = match list.kind {
                    ListKind::Atomic => true,
                    ListKind::Map => item_step(list, item).is_some(),
                    ListKind::Set => item_step(list, item).is_some_and(|step| {
                        let fresh = !seen.contains(&step);
                        seen.push(step);
                        fresh
                    }),
                };
                known && is_trackable(item, item_type)
            })
        }
        _ => true,
    }
}

/// Checks an applied configuration: declared fields only, right JSON types, no two items with the same key.
///
/// # Errors
/// The complaint in upstream's words, starting with the path.
pub fn check_declared(value: &Value, of: TypeRef<'_>) -> Result<(), String> {
    check(value, of, "")
}

fn expected(path: &str, what: &str, value: &Value) -> String {
    let got = match value {
        Value::Array(_) | Value::Object(_) => format!("&{{{}}}", crate::patch::go_value(value)),
        scalar => format!("&value.valueUnstructured{{Value:{scalar}}}"),
    };
    format!("{path}: expected {what}, got {got}")
}

fn check(value: &Value, of: TypeRef<'_>, path: &str) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    if of.as_struct().is_some() || of.as_map().is_some() {
        let Value::Object(map) = value else { return Err(expected(path, "map", value)) };
        for (name, inner) in map {
            let at = format!("{path}.{name}");
            let Some(child) = of.child(name) else {
                return Err(format!("{at}: field not declared in schema"));
            };
            check(inner, child, &at)?;
        }
        return Ok(());
    }
    if let (Some(list), Some(item_type)) = (of.as_list(), of.item()) {
        let Value::Array(items) = value else { return Err(expected(path, "list", value)) };
        let mut seen: Vec<String> = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let at = if list.kind == ListKind::Atomic {
                format!("{path}[{i}]")
            } else {
                let step = item_step(list, item).ok_or_else(|| missing_key(path, i, item, list))?;
                let shown = display(&step);
                if seen.contains(&step) {
                    return Err(format!("{path}: duplicate entries for key {shown}"));
                }
                seen.push(step);
                format!("{path}{shown}")
            };
            check(item, item_type, &at)?;
        }
        return Ok(());
    }
    let TypeRef::Other { node: Node::Scalar(kind), .. } = of else { return Ok(()) };
    let ok = match kind {
        Scalar::Text | Scalar::Bytes | Scalar::Time | Scalar::MicroTime => value.is_string(),
        Scalar::Int32 | Scalar::Int64 | Scalar::Float => value.is_number(),
        Scalar::Bool => value.is_boolean(),
        Scalar::Quantity | Scalar::IntOrString => value.is_string() || value.is_number(),
    };
    let what = match kind {
        Scalar::Int32 | Scalar::Int64 | Scalar::Float => "numeric (int or float)",
        Scalar::Bool => "boolean",
        _ => "string",
    };
    if ok { Ok(()) } else { Err(expected(path, what, value)) }
}

fn missing_key(path: &str, index: usize, item: &Value, list: &crate::types::ListType) -> String {
    let key = list.keys.iter().find(|k| k.default.is_none() && item.get(&k.name).is_none());
    match key {
        Some(key) => format!(
            "{path}: element {index}: associative list with keys has an element that omits key field \"{}\" (and doesn't have default value)",
            key.name
        ),
        None => format!("{path}: element {index}: associative list with keys may not have non-map elements"),
    }
}
