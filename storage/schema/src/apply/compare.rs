//! What changed between two objects, as sets of paths.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::element::item_step;
use super::set::Set;
use crate::types::{ListKind, ListType, TypeRef};

/// The paths that differ. Containers that appear or vanish are named themselves besides what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// In the new object only.
    pub added: Set,
    /// In both, with different values.
    pub modified: Set,
    /// In the old object only.
    pub removed: Set,
}

impl Comparison {
    /// Nothing differs.
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    fn wrap(self, step: &str, out: &mut Comparison) {
        out.added.put_children(step, self.added);
        out.modified.put_children(step, self.modified);
        out.removed.put_children(step, self.removed);
    }
}

/// Compares two objects of one type.
pub fn compare(old: &Value, new: &Value, of: TypeRef<'_>) -> Comparison {
    let mut out = Comparison::default();
    inside(Some(old), Some(new), of, &mut out);
    out
}

fn empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

fn is_leaf(old: Option<&Value>, new: Option<&Value>, of: TypeRef<'_>) -> bool {
    let container = |v: &&Value| v.is_object() || v.is_array();
    let some = new.filter(container).or(old.filter(container));
    match some {
        None => true,
        Some(Value::Array(_)) => {
            (empty(old) && empty(new)) || of.as_list().is_none_or(|l| l.kind == ListKind::Atomic)
        }
        Some(_) => (empty(old) && empty(new)) || of.is_atomic(),
    }
}

fn mixed(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (Some(a), Some(b)) => {
            !a.is_null() && !b.is_null() && std::mem::discriminant(a) != std::mem::discriminant(b)
        }
        _ => false,
    }
}

fn visit(step: &str, old: Option<&Value>, new: Option<&Value>, of: TypeRef<'_>, out: &mut Comparison) {
    if old.is_none() && new.is_none() {
        return;
    }
    match (old, new) {
        (None, _) => out.added.insert(step),
        (_, None) => out.removed.insert(step),
        (Some(a), Some(b)) => {
            if a == b {
                return;
            }
            if is_leaf(old, new, of) || mixed(old, new) {
                out.modified.insert(step);
                return;
            }
        }
    }
    if !is_leaf(old, new, of) {
        let mut below = Comparison::default();
        inside(old, new, of, &mut below);
        below.wrap(step, out);
    }
}

fn object(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn inside(old: Option<&Value>, new: Option<&Value>, of: TypeRef<'_>, out: &mut Comparison) {
    if of.as_list().is_some() {
        return lists(old, new, of, out);
    }
    let (before, after) = (object(old), object(new));
    for (name, value) in before.into_iter().flatten() {
        let now = after.and_then(|m| m.get(name));
        if now == Some(value) {
            continue;
        }
        if let Some(child) = of.child(name) {
            visit(&format!("f:{name}"), Some(value), now, child, out);
        }
    }
    for (name, value) in after.into_iter().flatten() {
        if before.is_some_and(|m| m.contains_key(name)) {
            continue;
        }
        if let Some(child) = of.child(name) {
            visit(&format!("f:{name}"), None, Some(value), child, out);
        }
    }
}

fn lists(old: Option<&Value>, new: Option<&Value>, of: TypeRef<'_>, out: &mut Comparison) {
    let (Some(list), Some(item_type)) = (of.as_list(), of.item()) else { return };
    let (before, after) = (index(list, old), index(list, new));
    for (step, (item, twice)) in &before {
        match after.get(step) {
            Some((now, now_twice)) if *twice || *now_twice => {
                if now != item {
                    out.modified.insert(step);
                }
            }
            now => visit(step, Some(item), now.map(|n| n.0), item_type, out),
        }
    }
    for (step, (item, twice)) in &after {
        match (before.contains_key(step), twice) {
            (true, _) => {}
            (false, true) => out.added.insert(step),
            (false, false) => visit(step, None, Some(item), item_type, out),
        }
    }
}

/// Items by their step, and whether the step occurs twice; such items are owned as a whole.
fn index<'a>(list: &ListType, value: Option<&'a Value>) -> BTreeMap<String, (&'a Value, bool)> {
    let items = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut out: BTreeMap<String, (&Value, bool)> = BTreeMap::new();
    for item in items {
        if let Some(step) = item_step(list, item) {
            out.entry(step).and_modify(|e| e.1 = true).or_insert((item, false));
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
    fn names_what_appeared_changed_and_vanished() {
        let pod = lookup("", "v1", "Pod").unwrap();
        let old = json!({"metadata":{"labels":{"a":"1","b":"2"}},"spec":{"containers":[{"name":"a","image":"i","args":["x"]}]}});
        let new = json!({"metadata":{"labels":{"a":"2"},"annotations":{"n":"x"}},"spec":{"containers":[
            {"name":"a","image":"i","args":["x","y"]},{"name":"b"}]}});
        let diff = compare(&old, &new, pod);
        assert_eq!(
            diff.added.paths(),
            [
                ".metadata.annotations",
                ".metadata.annotations.n",
                ".spec.containers[name=\"b\"]",
                ".spec.containers[name=\"b\"].name"
            ]
        );
        assert_eq!(diff.modified.paths(), [".metadata.labels.a", ".spec.containers[name=\"a\"].args"]);
        assert_eq!(diff.removed.paths(), [".metadata.labels.b"]);
        assert!(compare(&new, &new, pod).is_same());
    }
}
