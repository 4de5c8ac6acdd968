//! Steps of field paths: how list items are named, and how steps print.

use serde_json::{Map, Value};

use crate::types::{ListKind, ListType, TypeRef};

/// The step of an item of a keyed or set list; `None` when the item lacks a key without default or is no scalar.
pub(super) fn item_step(list: &ListType, item: &Value) -> Option<String> {
    match list.kind {
        ListKind::Atomic => None,
        ListKind::Set => match item {
            Value::Object(_) | Value::Array(_) => None,
            scalar => Some(format!("v:{scalar}")),
        },
        ListKind::Map => {
            let item = item.as_object()?;
            let mut keys = Map::new();
            let mut found = false;
            for key in &list.keys {
                let given = item.get(&key.name).filter(|v| !v.is_null());
                found |= given.is_some();
                if let Some(value) = given.or(key.default.as_ref()) {
                    keys.insert(key.name.clone(), value.clone());
                } else {
                    return None;
                }
            }
            (found || keys.len() == list.keys.len()).then(|| format!("k:{}", Value::Object(keys)))
        }
    }
}

/// A step in canonical form; `None` when malformed.
pub(super) fn canonical(step: &str) -> Option<String> {
    let (kind, rest) = step.split_once(':')?;
    match kind {
        "f" => Some(step.to_owned()),
        "k" => {
            let value = crate::json::parse(rest.as_bytes()).ok()?.value;
            value.is_object().then(|| format!("k:{value}"))
        }
        "v" => Some(format!("v:{}", crate::json::parse(rest.as_bytes()).ok()?.value)),
        "i" => rest.parse::<u64>().ok().map(|i| format!("i:{i}")),
        _ => None,
    }
}

/// A step as messages print it.
pub(super) fn display(step: &str) -> String {
    let (kind, rest) = step.split_once(':').unwrap_or(("", step));
    match kind {
        "f" => format!(".{rest}"),
        "v" => format!("[={rest}]"),
        "k" => match serde_json::from_str::<Value>(rest) {
            Ok(Value::Object(keys)) => {
                let keys: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("[{}]", keys.join(","))
            }
            _ => format!("[{rest}]"),
        },
        _ => format!("[{rest}]"),
    }
}

/// The type below a step.
pub(super) fn step_type<'a>(of: TypeRef<'a>, step: &str) -> Option<TypeRef<'a>> {
    match step.strip_prefix("f:") {
        Some(name) => of.child(name),
        None => of.item(),
    }
}
