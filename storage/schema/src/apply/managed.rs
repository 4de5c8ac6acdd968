//! [`Managed`]: the owners of an object's fields, read from and written to `metadata.managedFields`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::set::{Set, SetError};
use crate::limits::UPDATE_MANAGERS;
use crate::view::View;

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other write.
    Update,
}

/// A manager: appliers are one per name and subresource, updaters one per API version besides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManagerId {
    /// The kind of writes.
    pub operation: Operation,
    /// The name the client gave.
    pub name: String,
    /// API version; empty for appliers.
    pub api_version: String,
    /// Subresource written through, or empty.
    pub subresource: String,
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The fields.
    pub set: Set,
    /// API version at which the set was recorded.
    pub api_version: String,
    /// Time of the last change, as `metav1.Time`.
    pub time: Option<String>,
}

/// All owners of an object's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed(pub(super) BTreeMap<ManagerId, Owned>);

impl Managed {
    /// Nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The owners, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&ManagerId, &Owned)> {
        self.0.iter()
    }

    /// Reads `metadata.managedFields`.
    ///
    /// # Errors
    /// [`SetError`] for an entry that upstream could not decode either.
    pub fn from_value(value: &Value) -> Result<Managed, SetError> {
        let mut out = BTreeMap::new();
        for entry in value.as_array().map_or(&[][..], Vec::as_slice) {
            let operation = match entry.text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                other => return Err(SetError::Step(other.to_owned())),
            };
            if !matches!(entry.text("fieldsType"), "FieldsV1") || entry.text("apiVersion").is_empty() {
                return Err(SetError::Step(entry.text("fieldsType").to_owned()));
            }
            let api_version = entry.text("apiVersion").to_owned();
            let id = ManagerId {
                operation,
                name: entry.text("manager").to_owned(),
                api_version: if operation == Operation::Apply { String::new() } else { api_version.clone() },
                subresource: entry.text("subresource").to_owned(),
            };
            let fields = entry.at("fieldsV1");
            let set = if fields.is_null() { Set::new() } else { Set::from_value(fields)? };
            let time = entry.at("time").as_str().map(str::to_owned);
            out.insert(id, Owned { set, api_version, time });
        }
        Ok(Managed(out))
    }

    /// Writes `metadata.managedFields`: appliers first, then by time.
    pub fn to_value(&self) -> Value {
        let mut entries: Vec<(&ManagerId, &Owned)> = self.0.iter().collect();
        entries.sort_by(|(a, x), (b, y)| {
            (a.operation, &x.time, &a.name, &x.api_version, &a.subresource).cmp(&(
                b.operation,
                &y.time,
                &b.name,
                &y.api_version,
                &b.subresource,
            ))
        });
        entries.into_iter().map(|(id, owned)| entry(id, owned)).collect()
    }

    /// Folds the oldest updaters into one entry per API version when there are more than [`UPDATE_MANAGERS`].
    pub(super) fn cap_updaters(&mut self) {
        let mut updaters: Vec<ManagerId> =
            self.0.keys().filter(|id| id.operation == Operation::Update).cloned().collect();
        if updaters.len() <= UPDATE_MANAGERS {
            return;
        }
        updaters.sort_by_key(|id| (self.0[id].time.clone(), id.name.clone()));
        let mut count = updaters.len();
        let mut buckets: BTreeMap<String, ManagerId> = BTreeMap::new();
        for id in updaters {
            if count <= UPDATE_MANAGERS {
                break;
            }
            let Some(owned) = self.0.remove(&id) else { continue };
            let target = ManagerId { name: "ancient-changes".to_owned(), ..id.clone() };
            let target = buckets.entry(id.api_version.clone()).or_insert(target).clone();
            match self.0.get_mut(&target) {
                Some(bucket) => {
                    bucket.set = bucket.set.union(&owned.set);
                    bucket.time = owned.time.or(bucket.time.take());
                    count -= 1;
                }
                None => {
                    self.0.insert(target, owned);
                }
            }
        }
    }
}

fn entry(id: &ManagerId, owned: &Owned) -> Value {
    let mut map = Map::new();
    let operation = if id.operation == Operation::Apply { "Apply" } else { "Update" };
    map.insert("apiVersion".to_owned(), owned.api_version.clone().into());
    map.insert("fieldsType".to_owned(), "FieldsV1".into());
    map.insert("fieldsV1".to_owned(), owned.set.to_value());
    if !id.name.is_empty() {
        map.insert("manager".to_owned(), id.name.clone().into());
    }
    map.insert("operation".to_owned(), operation.into());
    if !id.subresource.is_empty() {
        map.insert("subresource".to_owned(), id.subresource.clone().into());
    }
    if let Some(time) = &owned.time {
        map.insert("time".to_owned(), time.clone().into());
    }
    Value::Object(map)
}
