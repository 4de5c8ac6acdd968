//! [`DecodedCache`]: objects decoded once per version and shared by everyone who needs their fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use trireme_mvcc::{Key, Revision};

use super::record::{Record, RecordError};
use crate::limits::{DECODED_BYTES, DECODED_OBJECTS};

/// Independent parts, so that readers rarely meet at a lock.
const SHARDS: usize = 16;

struct Entry {
    revision: Revision,
    value: Arc<Value>,
    bytes: usize,
    /// Used since the last sweep.
    used: bool,
}

#[derive(Default)]
struct Shard {
    entries: BTreeMap<Key, Entry>,
    bytes: usize,
}

/// Decoded objects by key; one version each, the newest asked for. Bounded in number and bytes.
#[derive(Default)]
pub struct DecodedCache {
    shards: [Mutex<Shard>; SHARDS],
}

impl DecodedCache {
    /// The decoded form of a version.
    ///
    /// # Errors
    /// The stored JSON is damaged.
    pub fn get(&self, record: &Record) -> Result<Arc<Value>, RecordError> {
        let key = record.key();
        let shard = &self.shards[shard_of(key)];
        if let Some(entry) = shard.lock().entries.get_mut(key).filter(|e| e.revision == record.revision()) {
            entry.used = true;
            return Ok(entry.value.clone());
        }
        let value = Arc::new(record.decode()?);
        self.put(record, value.clone());
        Ok(value)
    }

    /// Remembers the decoded form of a version that was just written.
    pub fn put(&self, record: &Record, value: Arc<Value>) {
        let key = record.key();
        let bytes = record.value().len();
        let entry = Entry { revision: record.revision(), value, bytes, used: false };
        let mut shard = self.shards[shard_of(key)].lock();
        if shard.entries.get(key).is_some_and(|there| there.revision > entry.revision) {
            return;
        }
        shard.bytes += bytes;
        if let Some(before) = shard.entries.insert(key.clone(), entry) {
            shard.bytes -= before.bytes;
        }
        shard.shrink();
    }
}

impl Shard {
    /// Second chance: what was not used since the last sweep goes.
    fn shrink(&mut self) {
        if self.entries.len() <= DECODED_OBJECTS / SHARDS && self.bytes <= DECODED_BYTES / SHARDS {
            return;
        }
        let mut freed = 0;
        self.entries.retain(|_, entry| {
            let keep = std::mem::take(&mut entry.used);
            freed += if keep { 0 } else { entry.bytes };
            keep
        });
        self.bytes -= freed;
        if self.entries.len() > DECODED_OBJECTS / SHARDS || self.bytes > DECODED_BYTES / SHARDS {
            self.entries.clear();
            self.bytes = 0;
        }
    }
}

fn shard_of(key: &Key) -> usize {
    // The end of a key differs most.
    let sum = key.iter().rev().take(16).fold(0usize, |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    sum % SHARDS
}
