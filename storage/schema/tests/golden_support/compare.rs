//! Compares an answer with the recorded one.

use serde_json::{Value, json};

use super::Tally;
use super::world::Answer;

/// Exact status and body; messages are only counted.
pub(crate) fn check(answer: &Answer, step: &Value, tally: &mut Tally) -> Result<(), String> {
    let expect = &step["expect"];
    let wanted = expect["status"].as_u64().unwrap_or(0);
    if u64::from(answer.status) != wanted {
        return Err(format!("status {} instead of {wanted}: {}", answer.status, brief(&answer.body)));
    }
    if step["check"] == "status" {
        return Ok(());
    }
    let warnings = expect["warnings"].as_array().map_or(0, Vec::len);
    if warnings != answer.warnings.len() {
        return Err(format!(
            "{} warnings instead of {warnings}: {:?}",
            answer.warnings.len(),
            answer.warnings
        ));
    }
    let Some(body) = expect.get("body") else { return Ok(()) };
    let mut got = answer.body.clone();
    let mut wanted = body.clone();
    if wanted["kind"] == "Status" && wanted["status"] == "Failure" {
        tally.messages += 1;
        canonical_message(&mut got);
        if matches_text(got["message"].as_str().unwrap_or(""), wanted["message"].as_str().unwrap_or("")) {
            tally.messages_same += 1;
        } else if std::env::var("GOLDEN_SHOW").is_ok_and(|s| s == "messages") {
            tally
                .notes
                .push(format!("MESSAGE got    {}\nMESSAGE wanted {}", got["message"], wanted["message"]));
        }
        for value in [&mut got, &mut wanted] {
            strip_messages(value);
        }
    }
    if let Some(extract) = step["extract"].as_array() {
        for name in extract {
            got = got[name.as_str().unwrap_or("")].take();
        }
    }
    let pod_generation = step["path"].as_str().is_some_and(|p| p.contains("/pods/")) && got.is_number();
    if pod_generation && wanted.is_null() {
        return Ok(());
    }
    sort_managed(&mut got);
    sort_managed(&mut wanted);
    drop_newer(&mut got, &wanted);
    same(&got, &wanted, "")
}

/// Several causes come in no promised order; the recorded message has them sorted.
fn canonical_message(status: &mut Value) {
    let text = status["message"].as_str().unwrap_or("").to_owned();
    let Some(at) = text.find(" is invalid: [").filter(|_| text.ends_with(']')) else { return };
    let causes = status.pointer("/details/causes").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut parts: Vec<String> = causes
        .iter()
        .map(|c| format!("{}: {}", c["field"].as_str().unwrap_or(""), c["message"].as_str().unwrap_or("")))
        .collect();
    parts.sort();
    status["message"] = format!("{} is invalid: [{}]", &text[..at], parts.join(", ")).into();
}

fn strip_messages(status: &mut Value) {
    status["message"] = Value::Null;
    if let Some(causes) = status.pointer_mut("/details/causes").and_then(Value::as_array_mut) {
        for cause in causes.iter_mut() {
            cause["message"] = Value::Null;
        }
        causes.sort_by_key(|c| format!("{}{}", c["field"], c["reason"]));
    }
}

fn sort_managed(object: &mut Value) {
    for pointer in ["/metadata/managedFields", "/managedFields"] {
        if let Some(entries) = object.pointer_mut(pointer).and_then(Value::as_array_mut) {
            entries.sort_by_key(|e| {
                format!("{}{}{}{}", e["manager"], e["operation"], e["subresource"], e["apiVersion"])
            });
        }
    }
}

/// Fields that 1.35 has and the recorded 1.28 has not.
fn drop_newer(got: &mut Value, wanted: &Value) {
    if got["kind"] == "Pod" && wanted.pointer("/metadata/generation").is_none() {
        got["metadata"].as_object_mut().map(|m| m.remove("generation"));
    }
    if got["kind"] == "Job" && wanted.pointer("/spec/podReplacementPolicy").is_none() {
        got["spec"].as_object_mut().map(|m| m.remove("podReplacementPolicy"));
    }
    drop_key(got, "f:podReplacementPolicy");
    if !wanted.to_string().contains("ipMode") {
        drop_key(got, "ipMode");
    }
    if wanted.get("generation").is_none() && got.get("managedFields").is_some() {
        let pod = got["managedFields"].to_string().contains("f:containers");
        if pod {
            got.as_object_mut().map(|m| m.remove("generation"));
        }
    }
}

fn drop_key(value: &mut Value, key: &str) {
    match value {
        Value::Object(map) => {
            map.remove(key);
            map.values_mut().for_each(|v| drop_key(v, key));
        }
        Value::Array(items) => items.iter_mut().for_each(|v| drop_key(v, key)),
        _ => {}
    }
}

fn brief(value: &Value) -> String {
    let text = value.get("message").filter(|m| m.is_string()).unwrap_or(value).to_string();
    text.chars().take(300).collect()
}

fn same(got: &Value, wanted: &Value, path: &str) -> Result<(), String> {
    match (got, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in b {
                let at = format!("{path}.{key}");
                same(
                    a.get(key).ok_or_else(|| format!("{at} is missing, wanted {}", brief(value)))?,
                    value,
                    &at,
                )?;
            }
            match a.iter().find(|(key, _)| !b.contains_key(*key)) {
                Some((key, value)) => Err(format!("{path}.{key} is not wanted: {}", brief(value))),
                None => Ok(()),
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                let (a, b) = (json!(a), json!(b));
                return Err(format!("{path} differs: {} instead of {}", brief(&a), brief(&b)));
            }
            a.iter().zip(b).enumerate().try_for_each(|(i, (a, b))| same(a, b, &format!("{path}[{i}]")))
        }
        (Value::String(a), Value::String(b)) if matches_text(a, b) => Ok(()),
        _ if got == wanted => Ok(()),
        (_, Value::String(b)) if b.starts_with('$') => Ok(()),
        _ => Err(format!("{path}: {} instead of {}", brief(got), brief(wanted))),
    }
}

/// Whether a text fits a pattern in which `$name` stands for anything.
fn matches_text(text: &str, pattern: &str) -> bool {
    if !pattern.contains('$') {
        return text == pattern;
    }
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('$') {
        parts.push(&rest[..at]);
        let tail = &rest[at + 1..];
        rest = tail
            .trim_start_matches(|c: char| c.is_ascii_lowercase())
            .trim_start_matches(|c: char| c.is_ascii_digit());
    }
    parts.push(rest);
    let mut at = 0;
    for (i, part) in parts.iter().enumerate() {
        match text.get(at..).and_then(|t| t.find(part)) {
            Some(found) if i > 0 || found == 0 => at += found + part.len(),
            _ => return false,
        }
    }
    at == text.len() || parts.last().is_some_and(|p| p.is_empty())
}
