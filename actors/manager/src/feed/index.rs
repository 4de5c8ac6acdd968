//! [`Index`]: every object at one revision, and what leads to it.
//!
//! It holds no copies: an entry shares the stored bytes with the state machine, and costs about 200 bytes besides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use trireme_apiserver::records::Record;
use trireme_controllers::Resource;
use trireme_mvcc::{Change, Key, Object};

use super::head::Head;
use super::uid::Uid;
use crate::kinds::Interned;

/// One object.
pub(crate) struct Entry {
    pub(crate) object: Arc<Object>,
    pub(crate) head: Head,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Index {
    /// All changes up to here are in it, none after.
    pub(crate) revision: u64,
    entries: BTreeMap<Key, Entry>,
    by_uid: HashMap<Uid, Key>,
    /// By owner, controlling or not.
    dependents: HashMap<Uid, BTreeSet<Key>>,
    /// Objects that no owner controls.
    uncontrolled: BTreeSet<Key>,
    interned: Interned,
}

/// What a change did to the index.
pub(crate) struct Taken {
    pub(crate) resource: Arc<Resource>,
    pub(crate) metadata: bool,
}

impl Index {
    /// Over all objects of a revision.
    pub(crate) fn new(revision: u64, objects: impl IntoIterator<Item = Arc<Object>>) -> Self {
        let mut index = Self { revision, ..Self::default() };
        for object in objects {
            // Resources are known before anybody asks for the resource of an object that is here.
            if index.interned.of(object.key()).is_some() {
                let head = head(&object);
                index.insert(object, head);
            }
        }
        index
    }

    /// Takes in the next change; `None` when it is about no object, or in already: of two incarnations of the actor, the
    /// old one may still have been at it.
    pub(crate) fn take(&mut self, change: &Change) -> Option<Taken> {
        if change.revision().get() <= self.revision {
            return None;
        }
        self.revision = change.revision().get();
        let resource = self.interned.of(change.key())?;
        let old = self.remove(change.key());
        let new = change.object().map(|object| {
            let head = head(object);
            self.insert(object.clone(), head.clone());
            head
        });
        Some(Taken { resource, metadata: old != new })
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(crate) fn by_uid(&self, uid: Uid) -> Option<(&Key, &Entry)> {
        let key = self.by_uid.get(&uid)?;
        self.entries.get(key).map(|entry| (key, entry))
    }

    /// The resource of a stored key.
    pub(crate) fn resource_of(&self, key: &[u8]) -> Option<Resource> {
        self.interned.known(key).map(|resource| (**resource).clone())
    }

    /// Objects whose keys begin so, behind `after`, by key.
    pub(crate) fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a Key, &'a Entry)> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let range = self.entries.range::<[u8], _>((from, Bound::Unbounded));
        range.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Objects with an owner, by key.
    pub(crate) fn dependents(&self, owner: Uid) -> impl Iterator<Item = (&Key, &Entry)> {
        let keys = self.dependents.get(&owner).into_iter().flatten();
        keys.filter_map(|key| self.entries.get(key).map(|entry| (key, entry)))
    }

    /// Objects that no owner controls and whose keys begin so, by key.
    pub(crate) fn uncontrolled<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a Entry> {
        let keys = self.uncontrolled.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        let keys = keys.take_while(move |key| key.starts_with(prefix));
        keys.filter_map(|key| self.entries.get(key))
    }

    fn insert(&mut self, object: Arc<Object>, head: Head) {
        let key = object.key().clone();
        if let Some(uid) = head.uid {
            self.by_uid.insert(uid, key.clone());
        }
        for owner in &head.owners {
            self.dependents.entry(*owner).or_default().insert(key.clone());
        }
        if head.controller.is_none() {
            self.uncontrolled.insert(key.clone());
        }
        self.entries.insert(key, Entry { object, head });
    }

    fn remove(&mut self, key: &Key) -> Option<Head> {
        let Entry { head, .. } = self.entries.remove(key)?;
        if let Some(uid) = head.uid
            && self.by_uid.get(&uid) == Some(key)
        {
            self.by_uid.remove(&uid);
        }
        for owner in &head.owners {
            if let Some(keys) = self.dependents.get_mut(owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        if head.controller.is_none() {
            self.uncontrolled.remove(key);
        }
        Some(head)
    }
}

fn head(object: &Object) -> Head {
    Record::new(object).map(|record| Head::of(&record)).unwrap_or_else(|error| {
        tracing::error!(%error, "a stored object cannot be read");
        Head::default()
    })
}

#[cfg(test)]
#[path = "index_test.rs"]
mod tests;
