//! [`Correlated`]: the value that an update replaces, found along the new one.

use serde_json::Value;

use super::super::rule::{ListRule, Rule};
use crate::view::View;

/// An old value and the structure it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correlated<'a> {
    pub(super) old: &'a Value,
    /// The structural rule of the value, whichever branch is being checked.
    pub(super) shape: &'a Rule,
}

impl<'a> Correlated<'a> {
    /// The old value of a field.
    pub(super) fn field(&self, name: &str) -> Option<Correlated<'a>> {
        Some(Correlated { old: self.old.as_object()?.get(name)?, shape: self.shape.field(name)? })
    }

    /// The old item with the keys of `item`; only lists with keys tell.
    pub(super) fn item(&self, item: &Value) -> Option<Correlated<'a>> {
        let ListRule::Map(keys) = &self.shape.list else { return None };
        let shape = self.shape.items.as_deref()?;
        if keys.is_empty() || !item.is_object() {
            return None;
        }
        let same = |old: &&Value| keys.iter().all(|key| old.at(key) == item.at(key));
        self.old.as_array()?.iter().find(same).map(|old| Correlated { old, shape })
    }
}
