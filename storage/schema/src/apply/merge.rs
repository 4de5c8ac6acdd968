//! Merging an applied configuration into the live object: the configuration wins, what it leaves out stays.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::element::item_step;
use crate::types::{ListKind, ListType, TypeRef};

/// The merged object.
pub fn merge(live: &Value, config: &Value, of: TypeRef<'_>) -> Value {
    both(Some(live), Some(config), of).unwrap_or(Value::Null)
}

fn both(live: Option<&Value>, config: Option<&Value>, of: TypeRef<'_>) -> Option<Value> {
    let (Some(old), Some(new)) = (live, config) else { return config.or(live).cloned() };
    match (old, new) {
        (Value::Object(a), Value::Object(b)) if !(of.is_atomic() || a.is_empty() && b.is_empty()) => {
            Some(maps(a, b, of))
        }
        (Value::Array(a), Value::Array(b)) if !(a.is_empty() && b.is_empty()) => match of.as_list() {
            Some(list) if list.kind != ListKind::Atomic => Some(Value::Array(lists(a, b, list, of))),
            _ => Some(new.clone()),
        },
        (Value::Object(a), Value::Null) if !of.is_atomic() && !a.is_empty() => Some(old.clone()),
        (Value::Array(a), Value::Null)
            if of.as_list().is_some_and(|l| l.kind != ListKind::Atomic) && !a.is_empty() =>
        {
            Some(old.clone())
        }
        _ => Some(new.clone()),
    }
}

fn maps(live: &Map<String, Value>, config: &Map<String, Value>, of: TypeRef<'_>) -> Value {
    let mut out = live.clone();
    for (name, value) in config {
        let merged = match (of.child(name), live.get(name)) {
            (Some(child), Some(old)) => both(Some(old), Some(value), child),
            _ => Some(value.clone()),
        };
        out.insert(name.clone(), merged.unwrap_or(Value::Null));
    }
    Value::Object(out)
}

fn steps<'a>(list: &ListType, items: &'a [Value]) -> (Vec<String>, BTreeMap<String, &'a Value>) {
    let mut order = Vec::with_capacity(items.len());
    let mut found = BTreeMap::new();
    for item in items {
        if let Some(step) = item_step(list, item)
            && found.insert(step.clone(), item).is_none()
        {
            order.push(step);
        }
    }
    (order, found)
}

/// Merges keyed lists. Items of both keep the configuration's order; items of one keep their neighbours.
fn lists(live: &[Value], config: &[Value], list: &ListType, of: TypeRef<'_>) -> Vec<Value> {
    let (left, in_left) = steps(list, live);
    let (right, in_right) = steps(list, config);
    let mut shared = right.iter().filter(|s| in_left.contains_key(*s)).peekable();
    let item = of.item();
    let merged = |step: &String| -> Option<Value> {
        let (a, b) = (in_left.get(step).copied(), in_right.get(step).copied());
        item.map_or_else(|| b.or(a).cloned(), |item| both(a, b, item))
    };
    let mut out = Vec::with_capacity(left.len().max(right.len()));
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() {
            if left[l] == right[r] {
                out.extend(merged(&left[l]));
                l += 1;
                r += 1;
                shared.next();
                continue;
            }
            if in_right.contains_key(&left[l]) && shared.peek().is_some_and(|s| **s != left[l]) {
                l += 1;
                continue;
            }
        }
        if l < left.len() && !in_right.contains_key(&left[l]) {
            out.extend(merged(&left[l]));
            l += 1;
            continue;
        }
        if r < right.len() {
            out.extend(merged(&right[r]));
            if shared.peek().is_some_and(|s| **s == right[r]) {
                shared.next();
            }
            r += 1;
        } else {
            // Only items already merged in the configuration's order are left.
            l += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::lookup;
    use serde_json::json;

    #[test]
    fn keyed_lists_merge_in_both_orders() {
        let spec = lookup("", "v1", "Pod").unwrap();
        let pod = |names: &[&str]| {
            let containers: Vec<Value> = names.iter().map(|n| json!({"name":n})).collect();
            json!({"spec":{"containers":containers}})
        };
        for (live, config, expected) in [
            (&["a", "b"][..], &["b", "a"][..], &["b", "a"][..]),
            (&["a", "b"], &["c"], &["a", "b", "c"]),
            (&["a", "b", "c"], &["c", "x"], &["a", "b", "c", "x"]),
            (&["a", "x", "b"], &["b", "a"], &["x", "b", "a"]),
        ] {
            let out = merge(&pod(live), &pod(config), spec);
            let names: Vec<&str> = out["spec"]["containers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["name"].as_str().unwrap())
                .collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn maps_merge_and_atomics_are_replaced() {
        let service = lookup("", "v1", "Service").unwrap();
        let live = json!({"metadata":{"labels":{"a":"1"}},"spec":{"selector":{"a":"b"}}});
        let config = json!({"metadata":{"labels":{"b":"2"}},"spec":{"selector":{"c":"d"}}});
        assert_eq!(
            merge(&live, &config, service),
            json!({"metadata":{"labels":{"a":"1","b":"2"}},"spec":{"selector":{"c":"d"}}})
        );
    }
}
