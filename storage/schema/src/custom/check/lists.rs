//! Items of sets and of lists with keys are distinct.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::custom::go;
use crate::custom::limits::FINDINGS;
use crate::custom::rule::{ListRule, Rule};
use crate::field::{ErrorList, Path};

/// Findings about repeated items.
pub(in crate::custom) fn check_lists(value: &Value, rule: &Rule, path: &Path<'_>, errors: &mut ErrorList) {
    if errors.len() >= FINDINGS {
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if let Some(field) = rule.properties.get(name) {
                    check_lists(inner, field, &path.child(name), errors);
                } else if let Some(each) = rule.field(name) {
                    check_lists(inner, each, &path.key(name), errors);
                }
            }
        }
        Value::Array(items) => {
            match &rule.list {
                ListRule::Atomic => {}
                ListRule::Set => {
                    for i in repeated(items.iter().cloned()) {
                        duplicate(&path.index(i), &items[i], errors);
                    }
                }
                ListRule::Map(keys) => keyed(items, keys, path, errors),
            }
            if let Some(item_rule) = rule.items.as_deref() {
                for (i, item) in items.iter().enumerate() {
                    check_lists(item, item_rule, &path.index(i), errors);
                }
            }
        }
        _ => {}
    }
}

fn duplicate(path: &Path<'_>, value: &Value, errors: &mut ErrorList) {
    errors.push(crate::field::FieldError {
        kind: crate::field::ErrorType::Duplicate,
        field: path.to_string(),
        value: go::syntax(value),
        detail: String::new(),
    });
}

/// The place of the second occurrence of each repeated value.
fn repeated(values: impl Iterator<Item = Value>) -> Vec<usize> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = Vec::new();
    for (i, value) in values.enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            out.push(i);
        }
    }
    out
}

fn keyed(items: &[Value], keys: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    if let Some((i, item)) = items.iter().enumerate().find(|(_, item)| !item.is_object() && !item.is_null()) {
        errors.invalid_text(
            &path.index(i),
            go::syntax(item),
            "must be an object for an array of list-type map",
        );
        return;
    }
    let key_of = |item: &Value| {
        let fields = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
        Value::Object(Map::from_iter(fields))
    };
    for i in repeated(items.iter().map(key_of)) {
        duplicate(&path.index(i), &key_of(&items[i]), errors);
    }
}
