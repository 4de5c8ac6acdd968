//! Comparing as `replay.py` does, as far as this crate's answers need it.

use serde_json::Value;

/// What releases after the recorded one serve besides.
const NEWER: [&str; 17] = [
    "v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "validatingadmissionpolicies",
    "validatingadmissionpolicies/status",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "pods/resize",
    "resize",
    "servicecidrs",
    "servicecidrs/status",
    "ipaddresses",
    "resource.k8s.io",
    "volumeattributesclasses",
    "clustertrustbundles",
    "certificates.k8s.io/v1beta1",
    "admissionregistration.k8s.io/v1beta1",
];
/// Lists whose order is not promised, with the fields that tell their items apart.
const KEYED: [(&str, &[&str]); 5] = [
    ("resources", &["/name", "/resource"]),
    ("groups", &["/name"]),
    ("versions", &["/groupVersion", "/version"]),
    ("subresources", &["/subresource"]),
    ("items", &["/metadata/name"]),
];

/// The part of a document that a step compares.
pub(crate) fn dig(value: &Value, path: &[Value]) -> Value {
    let Some((step, rest)) = path.split_first() else {
        return value.clone();
    };
    let next = match step {
        Value::String(name) => value.get(name).cloned(),
        Value::Number(at) => at.as_u64().and_then(|i| value.get(usize::try_from(i).ok()?).cloned()),
        Value::Object(selector) => {
            let (key, want) = selector.iter().next().expect("one entry");
            match key.as_str() {
                "$keys" => value.as_object().map(|m| m.keys().cloned().collect()),
                "$pluck" => {
                    let path = want.as_array().expect("a path");
                    value.as_array().map(|items| items.iter().map(|item| dig(item, path)).collect())
                }
                _ => {
                    let path: Vec<Value> = key.split('.').map(Value::from).collect();
                    value.as_array().and_then(|items| items.iter().find(|i| dig(i, &path) == *want).cloned())
                }
            }
        }
        _ => None,
    };
    next.map_or(Value::Null, |value| dig(&value, rest))
}

/// Which of the wanted items are missing.
pub(crate) fn superset(want: &Value, got: &Value) -> Vec<String> {
    let items = got.as_array().cloned().unwrap_or_default();
    let lacking = want.as_array().into_iter().flatten().filter(|w| !items.contains(w));
    lacking.map(|w| format!("lacks {w}")).collect()
}

/// Differences, each with its path.
pub(crate) fn compare(want: &Value, got: &Value) -> Vec<String> {
    let mut out = Vec::new();
    go(want, got, "", &mut out);
    out
}

fn go(want: &Value, got: &Value, path: &str, out: &mut Vec<String>) {
    match (want, got) {
        // What storing adds to the metadata of objects is not this crate's.
        (Value::Object(want), Value::Object(_))
            if want.get("creationTimestamp") == Some(&"$created".into()) => {}
        (Value::Object(want), Value::Object(got)) => {
            for (name, value) in want {
                let path = format!("{path}.{name}");
                match got.get(name) {
                    None => out.push(format!("{path} is missing")),
                    Some(Value::String(_)) if name == "description" && value.is_string() => {}
                    Some(other) => go(value, other, &path, out),
                }
            }
            let extra = got.keys().filter(|name| !want.contains_key(*name));
            out.extend(extra.map(|name| format!("{path}.{name} is unexpected")));
        }
        (Value::Array(want), Value::Array(got)) => list(want, got, path, out),
        (Value::String(want), got) if want.contains('$') => {
            // Ages, times, hashes and generated names; a case's namespace keeps its placeholder here.
            if got.is_null() {
                out.push(format!("{path}: {want} against null"));
            }
        }
        _ if want == got => {}
        _ => out.push(format!("{path}: want {want}, got {got}")),
    }
}

fn list(want: &[Value], got: &[Value], path: &str, out: &mut Vec<String>) {
    let last = path.rsplit('.').next().unwrap_or("");
    if let Some((_, keys)) = KEYED.iter().find(|(name, _)| *name == last && want.iter().all(Value::is_object))
    {
        let key = |item: &Value| keys.iter().find_map(|k| item.pointer(k)).cloned().unwrap_or(Value::Null);
        for item in want {
            match got.iter().find(|g| key(g) == key(item)) {
                None => out.push(format!("{path}: {} is missing", key(item))),
                Some(other) => go(item, other, &format!("{path}[{}]", key(item)), out),
            }
        }
        let extra = got.iter().map(key).filter(|k| !want.iter().any(|w| key(w) == *k));
        let known =
            |k: &Value| k.as_str().is_some_and(|k| NEWER.contains(&k) || k.starts_with("resource.k8s.io"));
        out.extend(extra.filter(|k| !known(k)).map(|k| format!("{path}: {k} is unexpected")));
        return;
    }
    if ["verbs", "shortNames", "categories"].contains(&last) {
        let sorted = |list: &[Value]| {
            let mut list: Vec<String> = list.iter().map(Value::to_string).collect();
            list.sort();
            list
        };
        if sorted(want) != sorted(got) {
            out.push(format!("{path}: want {want:?}, got {got:?}"));
        }
        return;
    }
    if want.len() != got.len() {
        out.push(format!("{path}: {} items against {}", want.len(), got.len()));
    }
    for (at, (want, got)) in want.iter().zip(got).enumerate() {
        go(want, got, &format!("{path}[{at}]"), out);
    }
}
