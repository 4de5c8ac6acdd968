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

fn is_leaf(value: &Value, of: TypeRef<'_>) -> bool {
    match value {
        Value::Object(map) => map.is_empty() || of.is_atomic(),
        Value::Array(items) => items.is_empty() || of.as_list().is_none_or(|l| l.kind == ListKind::Atomic),
        _ => true,
    }
}

fn visit(step: &str, value: &Value, of: TypeRef<'_>, out: &mut Set) {
    if is_leaf(value, of) {
        out.insert(step);
        return;
    }
    let mut children = Set::new();
    below(value, of, &mut children);
    out.put_children(step, children);
}

fn below(value: &Value, of: TypeRef<'_>, out: &mut Set) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if let Some(child) = of.child(name) {
                    visit(&format!("f:{name}"), inner, child, out);
                }
            }
        }
        Value::Array(items) => {
            let (Some(list), Some(item_type)) = (of.as_list(), of.item()) else { return };
            for item in items {
                let Some(step) = item_step(list, item) else { continue };
                out.insert(&step);
                if !is_leaf(item, item_type) {
                    let mut children = Set::new();
                    below(item, item_type, &mut children);
                    out.put_children(&step, children);
                }
            }
        }
        _ => {}
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
            let Some(child) = of.child(name) else { return Err(format!("{at}: field not declared in schema")) };
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
