//! Taking fields out of an object by their paths.

use serde_json::{Map, Value};

use super::element::item_step;
use super::set::Set;
use crate::types::{ListKind, TypeRef};

/// The object without the paths in `set`; containers that become empty turn null or vanish.
pub fn remove_items(value: &Value, set: &Set, of: TypeRef<'_>) -> Value {
    match value {
        Value::Object(map) => {
            if map.is_empty() || of.is_atomic() {
                return Value::Null;
            }
            let mut out = Map::new();
            for (name, inner) in map {
                let step = format!("f:{name}");
                if set.has(&step) {
                    continue;
                }
                let kept = match (set.below(&step).filter(|s| !s.is_empty()), of.child(name)) {
                    (Some(below), Some(child)) => remove_items(inner, below, child),
                    _ => inner.clone(),
                };
                out.insert(name.clone(), kept);
            }
            if out.is_empty() { Value::Null } else { Value::Object(out) }
        }
        Value::Array(items) => {
            let Some(list) = of.as_list().filter(|l| l.kind != ListKind::Atomic) else { return Value::Null };
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                let Some(step) = item_step(list, item) else {
                    out.push(item.clone());
                    continue;
                };
                if set.has(&step) {
                    continue;
                }
                out.push(match (set.below(&step).filter(|s| !s.is_empty()), of.item()) {
                    (Some(below), Some(item_type)) => remove_items(item, below, item_type),
                    _ => item.clone(),
                });
            }
            if out.is_empty() { Value::Null } else { Value::Array(out) }
        }
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::lookup;
    use serde_json::json;

    #[test]
    fn removes_fields_and_items() {
        let pod = lookup("", "v1", "Pod").unwrap();
        let value = json!({"metadata":{"labels":{"a":"1","b":"2"}},"spec":{"containers":[{"name":"a","image":"i"},{"name":"b"}]}});
        let set = Set::from_value(&json!({"f:metadata":{"f:labels":{"f:a":{}}},
            "f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{"f:image":{}},"k:{\"name\":\"b\"}":{}}}}));
        assert_eq!(
            remove_items(&value, &set.unwrap(), pod),
            json!({"metadata":{"labels":{"b":"2"}},"spec":{"containers":[{"name":"a"}]}})
        );
    }
}
