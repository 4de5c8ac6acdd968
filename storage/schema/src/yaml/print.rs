//! Printing YAML.

use serde_json::Value;

/// Prints a value. Texts that YAML 1.1 would read as something else are quoted.
pub fn print(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, false, &mut out);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn write(value: &Value, indent: usize, in_list: bool, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 || !in_list {
                    pad(indent, out);
                }
                scalar(key, out);
                out.push(':');
                child(value, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 || !in_list {
                    pad(indent, out);
                }
                out.push_str("- ");
                let before = out.len();
                write(item, indent + 2, true, out);
                if !out[before..].ends_with('\n') {
                    out.push('\n');
                }
            }
        }
        Value::Object(_) => out.push_str("{}\n"),
        Value::Array(_) => out.push_str("[]\n"),
        Value::String(text) => {
            scalar(text, out);
            out.push('\n');
        }
        other => {
            out.push_str(&other.to_string());
            out.push('\n');
        }
    }
}

fn child(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            write(value, indent + 2, false, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            write(value, indent, false, out);
        }
        _ => {
            out.push(' ');
            write(value, indent, false, out);
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A text, in double quotes (as JSON, which YAML includes) unless it is plainly a text.
fn scalar(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

fn is_plain(text: &str) -> bool {
    let mut bytes = text.bytes();
    let Some(first) = bytes.next() else { return false };
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    let reserved = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    first.is_ascii_alphabetic() && bytes.all(word) && !reserved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;
    use serde_json::json;

    #[test]
    fn what_is_printed_reads_back() {
        let value = json!({
            "a": [], "b": {}, "c": [1, {"x": "y", "z": [true, null]}, ["n"]], "d": "yes", "e": "2020-01-01T00:00:00Z",
            "f:x": {".": {}}, "k{\"a\":1}": "multi\nline", "g": "", "h": 1.5, "i": "007", "j": [[], {}], "n": "off",
        });
        assert_eq!(parse(print(&value).as_bytes()).unwrap().value, value);
        assert!(print(&value).contains("e: \"2020-01-01T00:00:00Z\"\n"));
    }
}
