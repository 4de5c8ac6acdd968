//! Values as Go prints them in messages about patches.

use std::fmt::Write as _;

use serde_json::Value;

use super::strategic::Object;

/// A map as Go prints it: `map[a:1 b:x]`.
pub(super) fn go_map(map: &Object) -> String {
    let mut out = String::from("map[");
    for (i, (name, value)) in map.iter().enumerate() {
        let _ = write!(out, "{}{name}:{}", if i > 0 { " " } else { "" }, go_value(value));
    }
    out.push(']');
    out
}

pub(super) fn go_list(items: &[Value]) -> String {
    let items: Vec<String> = items.iter().map(go_value).collect();
    format!("[{}]", items.join(" "))
}

/// A value as Go's `%v` prints it.
pub(crate) fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(s) => s.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => go_list(items),
        Value::Object(map) => go_map(map),
    }
}
