//! [`Set`]: a set of field paths, kept and compared in the FieldsV1 encoding of its steps.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};
use thiserror::Error;

use super::element;
use crate::limits::JSON_DEPTH_LEVELS;
use crate::types::TypeRef;

/// Why a FieldsV1 value is malformed. Not retryable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetError {
    /// Not an object.
    #[error("a set of fields must be a JSON object")]
    NotAnObject,
    /// A step of an unknown form.
    #[error("malformed step {0:?} in a set of fields")]
    Step(String),
    /// Nesting beyond the limit.
    #[error("a set of fields may nest {JSON_DEPTH_LEVELS} levels deep")]
    Depth,
}

/// A set of field paths. A step is `f:<field>`, `k:<JSON of the keys>`, `v:<JSON of the value>` or `i:<index>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set(pub(super) BTreeMap<String, Entry>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) member: bool,
    pub(super) children: Set,
}

impl Set {
    /// No paths.
    pub fn new() -> Self {
        Set(BTreeMap::new())
    }

    /// True when no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|e| !e.member && e.children.is_empty())
    }

    /// Adds the path itself of a step.
    pub(super) fn insert(&mut self, step: &str) {
        match self.0.get_mut(step) {
            Some(entry) => entry.member = true,
            None => {
                self.0.insert(step.to_owned(), Entry { member: true, children: Set::new() });
            }
        }
    }

    /// Puts paths below a step.
    pub(super) fn put_children(&mut self, step: &str, children: Set) {
        if children.0.is_empty() {
            return;
        }
        match self.0.get_mut(step) {
            Some(entry) => entry.children = entry.children.union(&children),
            None => {
                self.0.insert(step.to_owned(), Entry { member: false, children });
            }
        }
    }

    /// Adds a path of plain field names.
    pub fn insert_fields(&mut self, names: &[&str]) {
        let Some((first, rest)) = names.split_first() else { return };
        let entry = self.0.entry(format!("f:{first}")).or_default();
        if rest.is_empty() {
            entry.member = true;
        } else {
            entry.children.insert_fields(rest);
        }
    }

    /// The paths below a step.
    pub(super) fn below(&self, step: &str) -> Option<&Set> {
        self.0.get(step).map(|e| &e.children)
    }

    /// Whether the path of a step is a member.
    pub(super) fn has(&self, step: &str) -> bool {
        self.0.get(step).is_some_and(|e| e.member)
    }

    /// Paths in either set.
    pub fn union(&self, other: &Set) -> Set {
        let mut out = self.clone();
        for (step, theirs) in &other.0 {
            match out.0.get_mut(step) {
                Some(mine) => {
                    mine.member |= theirs.member;
                    if !theirs.children.0.is_empty() {
                        mine.children = mine.children.union(&theirs.children);
                    }
                }
                None => {
                    out.0.insert(step.clone(), theirs.clone());
                }
            }
        }
        out
    }

    /// Paths in both sets.
    pub fn intersection(&self, other: &Set) -> Set {
        let mut out = Set::new();
        for (step, mine) in &self.0 {
            let Some(theirs) = other.0.get(step) else { continue };
            let member = mine.member && theirs.member;
            let children = mine.children.intersection(&theirs.children);
            if member || !children.0.is_empty() {
                out.0.insert(step.clone(), Entry { member, children });
            }
        }
        out
    }

    /// Paths in this set and not in `other`.
    pub fn difference(&self, other: &Set) -> Set {
        let mut out = Set::new();
        for (step, mine) in &self.0 {
            let (member, children) = match other.0.get(step) {
                None => (mine.member, mine.children.clone()),
                Some(theirs) => (mine.member && !theirs.member, mine.children.difference(&theirs.children)),
            };
            if member || !children.0.is_empty() {
                out.0.insert(step.clone(), Entry { member, children });
            }
        }
        out
    }

    /// Paths in this set that are neither in `other` nor below one of its members.
    pub fn recursive_difference(&self, other: &Set) -> Set {
        let mut out = Set::new();
        for (step, mine) in &self.0 {
            let (member, children) = match other.0.get(step) {
                None => (mine.member, mine.children.clone()),
                Some(theirs) if theirs.member => continue,
                Some(theirs) => (mine.member, mine.children.recursive_difference(&theirs.children)),
            };
            if member || !children.0.is_empty() {
                out.0.insert(step.clone(), Entry { member, children });
            }
        }
        out
    }

    /// This set with every struct field that has paths below it made a member, as pruning needs.
    pub(super) fn with_named_fields(&self, of: Option<TypeRef<'_>>) -> Set {
        let mut out = Set::new();
        let is_struct = of.is_some_and(|t| t.as_struct().is_some());
        for (step, entry) in &self.0 {
            let child = of.and_then(|t| element::step_type(t, step));
            let named = is_struct && !entry.children.0.is_empty() && step.starts_with("f:");
            let children = entry.children.with_named_fields(child);
            out.0.insert(step.clone(), Entry { member: entry.member || named, children });
        }
        out
    }

    /// Reads FieldsV1.
    ///
    /// # Errors
    /// [`SetError`] for anything that upstream would not have written.
    pub fn from_value(value: &Value) -> Result<Set, SetError> {
        Self::read(value, 0)
    }

    fn read(value: &Value, depth: usize) -> Result<Set, SetError> {
        if depth > JSON_DEPTH_LEVELS {
            return Err(SetError::Depth);
        }
        let map = value.as_object().ok_or(SetError::NotAnObject)?;
        let mut out = Set::new();
        for (step, inner) in map {
            if step == "." {
                continue;
            }
            let step = element::canonical(step).ok_or_else(|| SetError::Step(step.clone()))?;
            let below = inner.as_object().ok_or(SetError::NotAnObject)?;
            let member = below.is_empty() || below.contains_key(".");
            out.0.insert(step, Entry { member, children: Self::read(inner, depth + 1)? });
        }
        Ok(out)
    }

    /// Writes FieldsV1.
    pub fn to_value(&self) -> Value {
        let mut out = Map::new();
        for (step, entry) in &self.0 {
            let mut inner = entry.children.to_value();
            let Value::Object(map) = &mut inner else { continue };
            if map.is_empty() && !entry.member {
                continue;
            }
            if entry.member && !map.is_empty() {
                map.insert(".".to_owned(), Value::Object(Map::new()));
            }
            out.insert(step.clone(), inner);
        }
        Value::Object(out)
    }

    /// Every path as text, such as `.spec.containers[name="a"].image`, in order.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        for (step, entry) in &self.0 {
            let mut path = prefix.to_owned();
            let _ = write!(path, "{}", element::display(step));
            if entry.member {
                out.push(path.clone());
            }
            entry.children.collect(&path, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: Value) -> Set {
        Set::from_value(&value).unwrap()
    }

    #[test]
    fn encoding_round_trips() {
        let value = json!({"f:metadata":{"f:labels":{".":{},"f:a":{}},"f:finalizers":{"v:\"x/y\"":{}}},
            "f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}},"f:l":{"i:0":{}}}});
        assert_eq!(set(value.clone()).to_value(), value);
        assert_eq!(
            set(value).paths(),
            [
                ".metadata.finalizers[=\"x/y\"]",
                ".metadata.labels",
                ".metadata.labels.a",
                ".spec.l[0]",
                ".spec.ports[port=80,protocol=\"TCP\"]",
                ".spec.ports[port=80,protocol=\"TCP\"].port"
            ]
        );
        for bad in [json!(1), json!({"x":{}}), json!({"k:nope":{}}), json!({"f:a":1}), json!({"i:x":{}})] {
            assert!(Set::from_value(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn algebra() {
        let a = set(json!({"f:a":{".":{},"f:x":{},"f:y":{}},"f:b":{}}));
        let b = set(json!({"f:a":{"f:x":{}},"f:c":{}}));
        assert_eq!(a.union(&b).to_value(), json!({"f:a":{".":{},"f:x":{},"f:y":{}},"f:b":{},"f:c":{}}));
        assert_eq!(a.intersection(&b).to_value(), json!({"f:a":{"f:x":{}}}));
        assert_eq!(a.difference(&b).to_value(), json!({"f:a":{".":{},"f:y":{}},"f:b":{}}));
        assert_eq!(a.recursive_difference(&set(json!({"f:a":{}}))).to_value(), json!({"f:b":{}}));
        assert!(a.difference(&a).is_empty());
    }
}
