//! YAML as upstream's parser and printer see it: version 1.1 in what counts as a text, merge keys resolved.

use serde_json::{Map, Number, Value};
use serde_yaml_ng::Value as Yaml;
use trireme_schema::status::{Failure, Status};

/// Deepest nesting taken, in levels.
const DEPTH_LEVELS: usize = trireme_schema::limits::JSON_DEPTH_LEVELS;

/// Most brackets that may be open at once (upstream's depth). The scanner looks at all of them at every token, so that
/// a body of nothing else would keep it for hours.
const OPEN_BRACKETS: usize = 10_000;

/// How many brackets are open at once at most. Those within texts count as well: more than any text has.
fn opens(text: &[u8]) -> usize {
    let (mut open, mut most) = (0usize, 0usize);
    for byte in text {
        match byte {
            b'[' | b'{' => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Reads one document; an empty one is an empty object.
///
/// # Errors
/// 400 in upstream's words.
pub(crate) fn parse(text: &[u8]) -> Result<Value, Failure> {
    let bad = |why: String| Status::bad_request(format!("error converting YAML to JSON: yaml: {why}"));
    if opens(text) > OPEN_BRACKETS {
        return Err(bad(format!("exceeded max depth of {OPEN_BRACKETS}")));
    }
    let mut document: Yaml = serde_yaml_ng::from_slice(text).map_err(|error| bad(error.to_string()))?;
    document.apply_merge().map_err(|error| bad(error.to_string()))?;
    match convert(document, 0).map_err(bad)? {
        Value::Null => Ok(Value::Object(Map::new())),
        value => Ok(value),
    }
}

fn convert(value: Yaml, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_LEVELS {
        return Err("exceeded max depth".to_owned());
    }
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => flag.into(),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => whole.into(),
            (None, Some(whole), _) => whole.into(),
            (None, None, Some(part)) => Number::from_f64(part).map_or(Value::Null, Value::Number),
            _ => Value::Null,
        },
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => {
            Value::Array(items.into_iter().map(|item| convert(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(entries) => {
            let mut out = Map::new();
            for (key, value) in entries {
                let key = match convert(key, depth + 1)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                out.insert(key, convert(value, depth + 1)?);
            }
            Value::Object(out)
        }
        Yaml::Tagged(tagged) => convert(tagged.value, depth + 1)?,
    })
}

/// Prints a value. Texts that YAML 1.1 would read as something else are quoted.
pub(crate) fn print(value: &Value) -> String {
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
    use serde_json::json;

    #[test]
    fn what_is_printed_reads_back() {
        let value = json!({
            "a": [], "b": {}, "c": [1, {"x": "y", "z": [true, null]}, ["n"]], "d": "yes", "e": "2020-01-01T00:00:00Z",
            "f:x": {".": {}}, "k{\"a\":1}": "multi\nline", "g": "", "h": 1.5, "i": "007", "j": [[], {}],
        });
        assert_eq!(parse(print(&value).as_bytes()).unwrap(), value);
        assert!(print(&value).contains("e: \"2020-01-01T00:00:00Z\"\n"));
    }

    #[test]
    fn merge_keys_and_empty_documents() {
        let text = b"base: &b {k: v}\ndata:\n  <<: *b\n  l: w\n";
        assert_eq!(parse(text).unwrap()["data"], json!({"k": "v", "l": "w"}));
        assert_eq!(parse(b"").unwrap(), json!({}));
        assert!(parse(b"a: [").is_err());
    }
}
