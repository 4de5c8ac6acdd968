//! Pruning: what the schema does not name is dropped.

use serde_json::Value;

use super::rule::{Additional, Rule};
use crate::field::Path;
use crate::limits::STRICT_ERRORS;

/// The fields that every object has.
pub(super) const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops what `rule` does not name from a whole object and returns the paths of what went, sorted, at most
/// [`STRICT_ERRORS`]. The object's own `apiVersion`, `kind` and `metadata` stay.
pub fn prune(object: &mut Value, rule: &Rule) -> Vec<String> {
    let mut pruner = Pruner { unknown: Vec::new() };
    let root = Path::new("");
    pruner.walk(object, Some(rule), true, false, &root);
    pruner.unknown.sort();
    pruner.unknown
}

/// Drops what `rule` does not name from a value inside an object.
pub fn prune_value(value: &mut Value, rule: &Rule) {
    let root = Path::new("");
    Pruner { unknown: Vec::new() }.walk(value, Some(rule), rule.embedded, false, &root);
}

struct Pruner {
    unknown: Vec<String>,
}

impl Pruner {
    fn drop_field(&mut self, path: &Path<'_>) {
        if self.unknown.len() < STRICT_ERRORS {
            self.unknown.push(path.to_string());
        }
    }

    /// `embedded`: the value is a whole object. `keep`: the list around it keeps unknown fields. Without a rule
    /// everything below goes.
    fn walk(&mut self, value: &mut Value, rule: Option<&Rule>, embedded: bool, keep: bool, path: &Path<'_>) {
        let keep = keep || rule.is_some_and(|r| r.preserve_unknown);
        match value {
            Value::Object(map) => map.retain(|name, inner| {
                if embedded && META_FIELDS.contains(&name.as_str()) {
                    return true;
                }
                let here = path.child(name);
                let Some(rule) = rule else {
                    self.drop_field(&here);
                    return false;
                };
                match (rule.properties.get(name), &rule.additional) {
                    (Some(field), _) => self.walk(inner, Some(field), field.embedded, false, &here),
                    (None, Additional::Each(each)) => {
                        self.walk(inner, Some(each), each.embedded, false, &here);
                    }
                    (None, Additional::Any | Additional::Forbidden) => {
                        self.walk(inner, None, false, false, &here);
                    }
                    (None, Additional::Unsaid) if keep => {}
                    (None, Additional::Unsaid) => {
                        self.drop_field(&here);
                        return false;
                    }
                }
                true
            }),
            Value::Array(items) => {
                let item_rule = rule.and_then(|r| r.items.as_deref());
                if keep && item_rule.is_none() {
                    return;
                }
                let embedded = item_rule.is_some_and(|r| r.embedded);
                for (i, item) in items.iter_mut().enumerate() {
                    self.walk(item, item_rule, embedded, keep, &path.index(i));
                }
            }
            _ => {}
        }
    }
}

/// Drops nulls that may not stand and that no default replaces.
pub fn drop_nulls(value: &mut Value, rule: &Rule) {
    match value {
        Value::Object(map) => map.retain(|name, inner| {
            let Some(field) = rule.field(name) else { return true };
            if inner.is_null() && field.rejects_null() {
                return false;
            }
            drop_nulls(inner, field);
            true
        }),
        Value::Array(items) => {
            if let Some(item_rule) = rule.items.as_deref() {
                items.iter_mut().for_each(|item| drop_nulls(item, item_rule));
            }
        }
        _ => {}
    }
}

/// Whether pruning would change a value.
pub(super) fn has_unknown(value: &Value, rule: &Rule) -> bool {
    let mut pruned = value.clone();
    prune_value(&mut pruned, rule);
    pruned != *value
}

#[cfg(test)]
mod tests {
    use super::super::compile::compile_schema;
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_go_where_nothing_keeps_them() {
        let rule = compile_schema(&json!({"type":"object","properties":{
            "spec":{"type":"object","properties":{"a":{"type":"string"},
                "l":{"type":"array","items":{"type":"object","properties":{"c":{"type":"boolean"}}}},
                "any":{"type":"object","additionalProperties":true},
                "open":{"type":"object","x-kubernetes-preserve-unknown-fields":true,
                    "properties":{"p":{"type":"object"}}}}}}}))
        .unwrap();
        let mut object = json!({"apiVersion":"e/v1","kind":"K","metadata":{"name":"a"},
            "spec":{"z":1,"l":[{"c":true,"z":1},{}],"any":{"k":{"gone":1},"s":5},"open":{"x":{"y":1},"p":{"q":1}}},
            "zork":{}});
        let unknown = prune(&mut object, &rule);
        assert_eq!(unknown, ["spec.any.k.gone", "spec.l[0].z", "spec.open.p.q", "spec.z", "zork"]);
        assert_eq!(
            object["spec"],
            json!({"l":[{"c":true},{}],"any":{"k":{},"s":5},"open":{"x":{"y":1},"p":{}}})
        );
        assert_eq!(object["metadata"], json!({"name":"a"}));
    }

    #[test]
    fn nulls_go_unless_nullable_or_defaulted() {
        let rule = compile_schema(&json!({"type":"object","properties":{
            "a":{"type":"string"},"b":{"type":"string","nullable":true},"c":{"type":"string","default":"x"}}}))
        .unwrap();
        let mut object = json!({"a":null,"b":null,"c":null,"d":null});
        drop_nulls(&mut object, &rule);
        assert_eq!(object, json!({"b":null,"c":null,"d":null}));
    }
}
