//! Leases: keys that live until a moment of log time.
//!
//! Nothing here looks at a clock. A lease ends when a `Tick` entry carries the log past its end, on every member
//! at the same place of the log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::codec::Hasher;
use crate::key::Key;
use crate::revision::LeaseId;

/// One lease as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// Time to live that a refresh restores, in milliseconds of log time.
    pub ttl_ms: u64,
    /// Log time of its end.
    pub expires_ms: u64,
}

#[derive(Default)]
pub(crate) struct Leases {
    leases: BTreeMap<LeaseId, Lease>,
    by_end: BTreeSet<(u64, LeaseId)>,
    /// Keys attached, for leases that have any.
    keys: BTreeMap<LeaseId, BTreeSet<Key>>,
    hash: u128,
}

impl Leases {
    pub(crate) fn len(&self) -> usize {
        self.leases.len()
    }

    pub(crate) fn hash(&self) -> u128 {
        self.hash
    }

    pub(crate) fn get(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    pub(crate) fn keys(&self, id: LeaseId) -> impl Iterator<Item = &Key> {
        self.keys.get(&id).into_iter().flatten()
    }

    pub(crate) fn key_count(&self, id: LeaseId) -> usize {
        self.keys.get(&id).map_or(0, BTreeSet::len)
    }

    /// Adds or replaces a lease; its keys stay.
    pub(crate) fn set(&mut self, lease: Lease) {
        if let Some(old) = self.leases.insert(lease.id, lease) {
            self.by_end.remove(&(old.expires_ms, old.id));
            self.hash = self.hash.wrapping_sub(Hasher::record(&old));
        }
        self.by_end.insert((lease.expires_ms, lease.id));
        self.hash = self.hash.wrapping_add(Hasher::record(&lease));
    }

    /// Removes a lease and hands out the keys that were attached, ascending.
    pub(crate) fn remove(&mut self, id: LeaseId) -> BTreeSet<Key> {
        if let Some(lease) = self.leases.remove(&id) {
            self.by_end.remove(&(lease.expires_ms, id));
            self.hash = self.hash.wrapping_sub(Hasher::record(&lease));
        }
        self.keys.remove(&id).unwrap_or_default()
    }

    /// The lease that ends first, if it is due.
    pub(crate) fn first_due(&self, log_time_ms: u64) -> Option<LeaseId> {
        self.by_end.first().filter(|(end, _)| *end <= log_time_ms).map(|(_, id)| *id)
    }

    /// When the next lease ends.
    pub(crate) fn next_end_ms(&self) -> Option<u64> {
        self.by_end.first().map(|(end, _)| *end)
    }

    /// A key moved from one lease to another.
    pub(crate) fn reattach(&mut self, key: &Key, from: Option<LeaseId>, to: Option<LeaseId>) {
        if from == to {
            return;
        }
        if let Some(keys) = from.and_then(|from| self.keys.get_mut(&from)) {
            keys.remove(&key[..]);
            if keys.is_empty() {
                from.map(|from| self.keys.remove(&from));
            }
        }
        if let Some(to) = to {
            self.keys.entry(to).or_default().insert(key.clone());
        }
    }

    /// The hash computed from nothing but the leases.
    pub(crate) fn recompute_hash(&self) -> u128 {
        self.leases.values().fold(0, |sum, lease| sum.wrapping_add(Hasher::record(lease)))
    }
}
