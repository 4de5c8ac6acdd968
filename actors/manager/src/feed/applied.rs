//! [`Applied`]: one change of an object, decoded when somebody needs it and once for all.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use trireme_apiserver::records::{Record, Records};
use trireme_controllers::{Change, Resource};
use trireme_mvcc::{Key, Object};

/// A change of the applied state. Shared by everyone who follows the feed.
pub struct Applied {
    resource: Arc<Resource>,
    revision: u64,
    old: Version,
    new: Version,
    /// Owners, finalizers or deletion changed, or the object came or went.
    metadata: bool,
    records: Arc<Records>,
}

/// One side of a change.
struct Version {
    object: Option<Arc<Object>>,
    decoded: OnceLock<Option<Arc<Value>>>,
}

impl Version {
    fn new(object: Option<Arc<Object>>) -> Self {
        Self { object, decoded: OnceLock::new() }
    }

    fn decode(&self, records: &Records) -> Option<Arc<Value>> {
        let decode = || self.object.as_ref().and_then(|object| decode(records, object));
        self.decoded.get_or_init(decode).clone()
    }
}

impl Applied {
    pub(super) fn new(
        resource: Arc<Resource>,
        change: &trireme_mvcc::Change,
        metadata: bool,
        records: Arc<Records>,
    ) -> Self {
        Self {
            resource,
            revision: change.revision().get(),
            old: Version::new(change.previous().cloned()),
            new: Version::new(change.object().cloned()),
            metadata,
            records,
        }
    }

    /// An object that is there, as a change that brings it.
    pub(super) fn there(resource: Arc<Resource>, object: Arc<Object>, records: Arc<Records>) -> Self {
        let revision = object.mod_revision().get();
        let (old, new) = (Version::new(None), Version::new(Some(object)));
        Self { resource, revision, old, new, metadata: true, records }
    }

    /// Of which resource, as it is stored.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The write's own revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Where the object is stored.
    pub fn key(&self) -> &Key {
        let object = self.new.object.as_ref().or(self.old.object.as_ref());
        object.expect("a change writes a version or deletes one").key()
    }

    /// Whether the object came or went, or its owners, its finalizers or its being on its way out changed.
    pub fn is_about_metadata(&self) -> bool {
        self.metadata
    }

    /// Decoded, with what was there before; shared with everyone who asks. `None` when the stored bytes are damaged, which
    /// is logged.
    pub fn change(&self) -> Option<Change> {
        let old = self.old.decode(&self.records);
        let new = self.new.decode(&self.records);
        // A damaged version must not read as one that is not there.
        let whole = old.is_some() == self.old.object.is_some() && new.is_some() == self.new.object.is_some();
        whole.then(|| Change { resource: (*self.resource).clone(), old, new })
    }
}

/// Decodes a stored version through the server's cache; what is damaged is logged.
pub(crate) fn decode(records: &Records, object: &Object) -> Option<Arc<Value>> {
    let decoded = Record::new(object)
        .map_err(|error| error.to_string())
        .and_then(|record| records.decode(&record).map_err(|error| error.to_string()));
    decoded.inspect_err(|error| tracing::error!(%error, "an object is left out of a decision")).ok()
}
