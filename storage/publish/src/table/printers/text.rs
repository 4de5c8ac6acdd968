//! Pieces of text that several printers share.

use serde_json::{Map, Value};
use trireme_schema::Quantity;
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::View;

/// How many entries a shortened list shows.
const SHOWN: usize = 3;

/// The text, or a stand-in when it is empty.
pub(super) fn or<'a>(text: &'a str, stand_in: &'a str) -> &'a str {
    if text.is_empty() { stand_in } else { text }
}

/// A number by value upstream: zero when absent.
pub(super) fn whole(object: &Value, name: &str) -> i64 {
    object.int(name).unwrap_or(0)
}

/// `a=1,b=2`, or `<none>`.
pub(super) fn labels(map: Option<&Map<String, Value>>) -> String {
    let pairs: Vec<String> =
        map.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or(""))).collect();
    or(&pairs.join(","), "<none>").to_owned()
}

/// A label selector struct; `<none>` when it is absent or empty.
pub(super) fn selector(value: &Value) -> String {
    if value.is_null() {
        return "<none>".to_owned();
    }
    match LabelSelector::from_object(value) {
        Ok(selector) => or(&selector.to_string(), "<none>").to_owned(),
        Err(_) => "<error>".to_owned(),
    }
}

/// Names and images of a pod spec's containers, comma-separated.
pub(super) fn containers(pod_spec: &Value) -> [Value; 2] {
    let column = |field: &str| -> Value {
        let parts: Vec<&str> = pod_spec.list("containers").iter().map(|c| c.text(field)).collect();
        parts.join(",").into()
    };
    [column("name"), column("image")]
}

/// A quantity in canonical form; `0` when absent.
pub(super) fn quantity(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    text.parse::<Quantity>().map_or_else(|_| or(&text, "0").to_owned(), |q| q.canonical())
}

/// The first three entries and how many more there are; `empty` when there are none.
pub(super) fn shortened(entries: &[String], empty: &str) -> String {
    let shown = entries[..entries.len().min(SHOWN)].join(",");
    if entries.len() > SHOWN {
        return format!("{shown} + {} more...", entries.len() - SHOWN);
    }
    or(&shown, empty).to_owned()
}

/// The texts of a list.
pub(super) fn texts<'a>(object: &'a Value, name: &str) -> Vec<&'a str> {
    object.list(name).iter().map(|v| v.as_str().unwrap_or("")).collect()
}

/// The status of the condition of that type; `None` when there is none.
pub(super) fn condition<'a>(conditions: &'a [Value], of_type: &str) -> Option<&'a Value> {
    conditions.iter().find(|c| c.text("type") == of_type)
}

/// The condition of that type is true.
pub(super) fn holds(conditions: &[Value], of_type: &str) -> bool {
    condition(conditions, of_type).is_some_and(|c| c.text("status") == "True")
}
