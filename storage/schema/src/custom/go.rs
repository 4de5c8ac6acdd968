//! Values as Go prints them in messages.

use std::fmt::Write as _;

use serde_json::Value;

use crate::field::quote;

/// A decoded JSON value in Go's `%#v` notation, as field errors print it.
pub(super) fn syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => quote(text),
        Value::Bool(_) => value.to_string(),
        Value::Number(number) => number.as_i64().map_or_else(|| float(number.as_f64()), |n| n.to_string()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(k, v)| format!("{}:{}", quote(k), syntax(v))).collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
    }
}

/// A float in Go's shortest notation (`%v`): an exponent below 1e-4 and from 1e21 on.
pub(super) fn float(value: Option<f64>) -> String {
    let Some(value) = value else { return String::new() };
    let size = value.abs();
    if size == 0.0 || (1e-4..1e21).contains(&size) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(out, "{mantissa}e{sign}{digits:0>2}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_go_prints() {
        assert_eq!(
            syntax(&json!({"b":"x","c":[1,null,1.5]})),
            "map[string]interface {}{\"b\":\"x\", \"c\":[]interface {}{1, interface {}(nil), 1.5}}"
        );
        for (value, text) in [(10.0, "10"), (0.5, "0.5"), (1e21, "1e+21"), (1e-7, "1e-07"), (-2.0, "-2")] {
            assert_eq!(float(Some(value)), text);
        }
    }
}
