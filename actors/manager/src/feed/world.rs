//! [`FeedWorld`]: the index as controllers read it.

use std::sync::Arc;

use serde_json::Value;
use trireme_apiserver::records::Records;
use trireme_controllers::{Resource, World};
use trireme_mvcc::Key;
use trireme_schema::objects::Objects;
use trireme_schema::view::View;

use super::applied::decode;
use super::index::{Entry, Index};
use super::uid::Uid;
use crate::kinds::{Kinds, prefix};

/// Every object at one revision. What is damaged reads as absent and is logged.
pub struct FeedWorld<'a> {
    pub(super) index: &'a Index,
    pub(super) records: &'a Records,
    pub(super) kinds: Arc<Kinds>,
}

impl FeedWorld<'_> {
    /// The revision: every change up to it is here, none after.
    pub fn at(&self) -> u64 {
        self.index.revision
    }

    /// How many objects there are, all resources together.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn decode(&self, entry: &Entry) -> Option<Arc<Value>> {
        decode(self.records, &entry.object)
    }

    fn with_resource(&self, key: &Key, entry: &Entry) -> Option<(Resource, Arc<Value>)> {
        Some((self.index.resource_of(key)?, self.decode(entry)?))
    }
}

fn refers(object: &Value, owner_uid: &str, controlling: bool) -> bool {
    let references = object.at("metadata").list("ownerReferences");
    let wanted = |reference: &&Value| !controlling || reference.is_true("controller");
    let mut found = references.iter().filter(wanted);
    // An object has at most one controlling owner.
    if controlling {
        found.next().is_some_and(|reference| reference.text("uid") == owner_uid)
    } else {
        found.any(|reference| reference.text("uid") == owner_uid)
    }
}

impl Objects for FeedWorld<'_> {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let resource = Resource::named(group, resource);
        let key = prefix(&resource, namespace) + name;
        self.decode(self.index.get(key.as_bytes())?)
    }

    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let prefix = prefix(&Resource::named(group, resource), namespace.unwrap_or(""));
        let found = self.index.range(prefix.as_bytes(), None);
        found.filter_map(|(_, entry)| self.decode(entry)).collect()
    }

    fn revision(&self, _: &str, _: &str) -> u64 {
        self.index.revision
    }
}

impl World for FeedWorld<'_> {
    fn controlled_by(&self, resource: &Resource, namespace: &str, owner_uid: &str) -> Vec<Arc<Value>> {
        let Some(uid) = Uid::of(owner_uid) else { return Vec::new() };
        let prefix = prefix(resource, namespace);
        let here = self
            .index
            .dependents(uid)
            .filter(|(key, entry)| entry.head.controller == Some(uid) && key.starts_with(prefix.as_bytes()));
        let decoded = here.filter_map(|(_, entry)| self.decode(entry));
        decoded.filter(|object| refers(object, owner_uid, true)).collect()
    }

    fn uncontrolled(&self, resource: &Resource, namespace: &str) -> Vec<Arc<Value>> {
        let prefix = prefix(resource, namespace);
        self.index.uncontrolled(prefix.as_bytes()).filter_map(|entry| self.decode(entry)).collect()
    }

    fn by_uid(&self, uid: &str) -> Option<(Resource, Arc<Value>)> {
        let (key, entry) = self.index.by_uid(Uid::of(uid)?)?;
        self.with_resource(key, entry).filter(|(_, object)| object.at("metadata").text("uid") == uid)
    }

    fn dependents(&self, owner_uid: &str) -> Vec<(Resource, Arc<Value>)> {
        let Some(uid) = Uid::of(owner_uid) else { return Vec::new() };
        let found = self.index.dependents(uid).filter_map(|(key, entry)| self.with_resource(key, entry));
        found.filter(|(_, object)| refers(object, owner_uid, false)).collect()
    }

    fn namespaced_resources(&self) -> Vec<Resource> {
        self.kinds.namespaced().to_vec()
    }

    fn resource_of(&self, api_version: &str, kind: &str) -> Option<Resource> {
        self.kinds.of_kind(api_version, kind)
    }
}
