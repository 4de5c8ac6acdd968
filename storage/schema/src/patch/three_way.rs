//! The patch that client-side apply sends: what changed between the last configuration, the wanted one and the live object.

use serde_json::{Map, Value, json};

use crate::types::{Field, PatchRule, TypeRef};

/// A strategic merge patch that brings `live` to `wanted` and takes away what `last` had and `wanted` has not; fields
/// that only others set are left alone. An empty object when there is nothing to do.
pub fn three_way_patch(last: &Value, wanted: &Value, live: &Value, of: TypeRef<'_>) -> Value {
    Value::Object(maps(last, wanted, live, Some(of)))
}

fn maps(last: &Value, wanted: &Value, live: &Value, of: Option<TypeRef<'_>>) -> Map<String, Value> {
    let mut patch = Map::new();
    let empty = Map::new();
    let (last, wanted) = (last.as_object().unwrap_or(&empty), wanted.as_object().unwrap_or(&empty));
    for key in last.keys().filter(|key| !wanted.contains_key(*key) && live.get(key.as_str()).is_some()) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in wanted {
        let before = last.get(key).unwrap_or(&Value::Null);
        let Some(there) = live.get(key) else {
            if !value.is_null() {
                patch.insert(key.clone(), value.clone());
            }
            continue;
        };
        let rule = rule(of, key);
        let child = of.and_then(|of| of.child(key));
        match (value, there) {
            (Value::Object(_), Value::Object(_)) if !rule.replace => {
                let inner = maps(before, value, there, child);
                if !inner.is_empty() {
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (Value::Array(value), Value::Array(there)) if rule.merge => {
                lists(
                    key,
                    [items(before), value, there],
                    &rule,
                    child.and_then(|list| list.item()),
                    &mut patch,
                );
            }
            (value, there) if value == there => {}
            (value, _) => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    patch
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn rule(of: Option<TypeRef<'_>>, name: &str) -> PatchRule {
    let field: Option<&Field> = of.and_then(|of| of.as_struct()).and_then(|of| of.field(name));
    field.map(|field| field.patch.clone()).unwrap_or_default()
}

/// Changes of a list that merges, by key or by value.
fn lists(
    name: &str,
    [last, wanted, live]: [&[Value]; 3],
    rule: &PatchRule,
    item: Option<TypeRef<'_>>,
    patch: &mut Map<String, Value>,
) {
    let Some(key) = &rule.merge_key else {
        let added: Vec<Value> = wanted.iter().filter(|value| !live.contains(value)).cloned().collect();
        let gone = last.iter().filter(|value| !wanted.contains(value) && live.contains(value));
        let gone: Vec<Value> = gone.cloned().collect();
        if !gone.is_empty() {
            patch.insert(format!("$deleteFromPrimitiveList/{name}"), Value::Array(gone));
        }
        if !added.is_empty() {
            patch.insert(name.to_owned(), Value::Array(added));
        }
        return;
    };
    let find = |list: &[Value], id: &Value| list.iter().find(|value| &value[key.as_str()] == id).cloned();
    let mut changes = Vec::new();
    for value in wanted {
        let id = &value[key.as_str()];
        let Some(there) = find(live, id) else {
            changes.push(value.clone());
            continue;
        };
        let before = find(last, id).unwrap_or(Value::Null);
        let mut inner = maps(&before, value, &there, item);
        if !inner.is_empty() {
            inner.insert(key.clone(), id.clone());
            changes.push(Value::Object(inner));
        }
    }
    for value in last {
        let id = &value[key.as_str()];
        if find(wanted, id).is_none() && find(live, id).is_some() {
            changes.push(json!({"$patch": "delete", key.as_str(): id}));
        }
    }
    if !changes.is_empty() {
        patch.insert(name.to_owned(), Value::Array(changes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::apply_strategic_patch;
    use crate::types::lookup;

    fn pod(containers: Value, finalizers: Value) -> Value {
        json!({"metadata": {"name": "p", "finalizers": finalizers}, "spec": {"containers": containers}})
    }

    #[test]
    fn lists_merge_by_key_and_by_value() {
        let of = lookup("", "v1", "Pod").unwrap();
        let last = pod(
            json!([{"name": "a", "image": "a:1", "tty": true}, {"name": "old", "image": "o"}]),
            json!(["x/y"]),
        );
        let wanted =
            pod(json!([{"name": "a", "image": "a:2"}, {"name": "new", "image": "n"}]), json!(["x/z"]));
        let live = pod(
            json!([{"name": "a", "image": "a:1", "tty": true, "imagePullPolicy": "Always"}, {"name": "old", "image": "o"},
                   {"name": "injected", "image": "i"}]),
            json!(["x/y", "k/k"]),
        );
        let patch = three_way_patch(&last, &wanted, &live, of);
        let expected = json!({
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["x/y"], "finalizers": ["x/z"]},
            "spec": {"containers": [{"tty": null, "image": "a:2", "name": "a"}, {"name": "new", "image": "n"},
                                    {"$patch": "delete", "name": "old"}]}});
        assert_eq!(patch, expected);
        let mut after = live;
        apply_strategic_patch(&mut after, patch, of).unwrap();
        let names: Vec<&str> =
            items(&after["spec"]["containers"]).iter().filter_map(|c| c["name"].as_str()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.contains(&"injected") && names.contains(&"new") && !names.contains(&"old"));
        assert_eq!(three_way_patch(&wanted, &wanted, &after, of), json!({}));
    }
}
