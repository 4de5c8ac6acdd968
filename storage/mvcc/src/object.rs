//! One stored version of one key.

use bytes::Bytes;

use crate::codec::Hasher;
use crate::key::Key;
use crate::limits::OBJECT_OVERHEAD_BYTES;
use crate::revision::{LeaseId, Revision};

/// One version of one key, shared (`Arc`) by the live keyspace, the history, snapshots and watchers; never
/// changed after it was written. The value owns exactly its own bytes and pins no larger buffer.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    key: Key,
    value: Bytes,
    create_revision: Revision,
    mod_revision: Revision,
    version: u64,
    lease: Option<LeaseId>,
    fingerprint: u128,
}

impl Object {
    pub(crate) fn new(
        key: Key,
        value: &[u8],
        create_revision: Revision,
        mod_revision: Revision,
        version: u64,
        lease: Option<LeaseId>,
    ) -> Self {
        // A copy of exact size: the bytes handed in may be a slice of a whole received frame.
        let value = Bytes::copy_from_slice(value);
        Self::of_own_bytes(key, value, create_revision, mod_revision, version, lease)
    }

    /// An object of bytes that are nobody else's and part of nothing larger.
    pub(crate) fn of_own_bytes(
        key: Key,
        value: Bytes,
        create_revision: Revision,
        mod_revision: Revision,
        version: u64,
        lease: Option<LeaseId>,
    ) -> Self {
        let fingerprint = Hasher::object(&key, &value, create_revision, mod_revision, version, lease);
        Self { key, value, create_revision, mod_revision, version, lease, fingerprint }
    }

    /// The path.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The opaque value; a clone shares the bytes.
    pub fn value(&self) -> &Bytes {
        &self.value
    }

    /// Revision of the write that created the key (since its last delete).
    pub fn create_revision(&self) -> Revision {
        self.create_revision
    }

    /// Revision of the write that made this version.
    pub fn mod_revision(&self) -> Revision {
        self.mod_revision
    }

    /// 1 at creation, one more per put.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The lease whose end deletes the key.
    pub fn lease(&self) -> Option<LeaseId> {
        self.lease
    }

    /// 128-bit hash of everything above; the live keyspace's hash is the sum of these.
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// Bytes charged for this object: key, value and the fixed part.
    pub fn size_bytes(&self) -> u64 {
        size_bytes(self.key.len(), self.value.len())
    }
}

pub(crate) fn size_bytes(key_bytes: usize, value_bytes: usize) -> u64 {
    key_bytes as u64 + value_bytes as u64 + OBJECT_OVERHEAD_BYTES
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("key", &self.key)
            .field("value_bytes", &self.value.len())
            .field("create", &self.create_revision.get())
            .field("mod", &self.mod_revision.get())
            .field("version", &self.version)
            .field("lease", &self.lease.map(LeaseId::get))
            .finish_non_exhaustive()
    }
}
