//! One write as the history keeps it and watchers see it.

use std::sync::Arc;

use crate::codec::Hasher;
use crate::key::Key;
use crate::limits::CHANGE_OVERHEAD_BYTES;
use crate::object::Object;
use crate::revision::Revision;

/// One write: a put when `object` is there, else a delete. Clones share the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The write's own revision.
    pub(crate) revision: Revision,
    /// Revision of the key's change before this one (put or delete); zero when the history knew of none.
    pub(crate) prior: Revision,
    /// Revision of the last write of the same transaction.
    pub(crate) transaction_end: Revision,
    /// The version written by a put.
    pub(crate) object: Option<Arc<Object>>,
    /// The version that was replaced or deleted.
    pub(crate) previous: Option<Arc<Object>>,
}

impl Change {
    /// The written key.
    pub fn key(&self) -> &Key {
        let object = self.object.as_ref().or(self.previous.as_ref());
        object.expect("a change writes a version or deletes one").key()
    }

    /// The write's own revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Revision of the last write of the same transaction.
    pub fn transaction_end(&self) -> Revision {
        self.transaction_end
    }

    /// The version written; `None` for a delete.
    pub fn object(&self) -> Option<&Arc<Object>> {
        self.object.as_ref()
    }

    /// The version that was replaced or deleted; `None` for a create.
    pub fn previous(&self) -> Option<&Arc<Object>> {
        self.previous.as_ref()
    }

    pub(crate) fn is_delete(&self) -> bool {
        self.object.is_none()
    }

    /// Bytes charged to the history: what would be free without this change.
    pub(crate) fn size_bytes(&self) -> u64 {
        CHANGE_OVERHEAD_BYTES + self.previous.as_ref().map_or(0, |previous| previous.size_bytes())
    }

    pub(crate) fn fingerprint(&self) -> u128 {
        let object = self.object.as_ref().map_or(0, |object| object.fingerprint());
        let previous = self.previous.as_ref().map_or(0, |object| object.fingerprint());
        Hasher::change(self.revision, self.prior, self.transaction_end, object, previous)
    }
}
