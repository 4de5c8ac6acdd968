//! [`Tail`]: the newest entries in memory, decoded. Readable before they are written; replication and apply are
//! nearly always served from here.

use std::collections::VecDeque;
use std::ops::Range;

use openraft::EntryPayload;
use trireme_mvcc::{Entry as Change, Operation};

use super::types::Entry;

/// Entries kept when they are durable, in bytes.
const KEPT_BYTES: usize = 16 * 1024 * 1024;
/// Entries kept when they are durable.
const KEPT_ENTRIES: usize = 8_192;

#[derive(Default)]
pub(super) struct Tail {
    entries: VecDeque<Slot>,
    bytes: usize,
}

struct Slot {
    entry: Entry,
    /// About what it takes in memory.
    bytes: usize,
}

impl Tail {
    /// Lowest index held; everything below is on disk only.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|slot| slot.entry.log_id.index)
    }

    pub(super) fn last(&self) -> Option<&Entry> {
        self.entries.back().map(|slot| &slot.entry)
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let bytes = size_bytes(&entry);
        self.bytes += bytes;
        self.entries.push_back(Slot { entry, bytes });
    }

    /// The entries of `range` that are held, stopping after `limit_bytes` (but at least one).
    pub(super) fn read(&self, range: Range<u64>, limit_bytes: usize) -> Vec<Entry> {
        let Some(first) = self.first() else { return Vec::new() };
        let at = |index: u64| usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX);
        let len = self.entries.len();
        let (from, to) = (at(range.start).min(len), at(range.end).min(len));
        let mut left = limit_bytes;
        let fits = |slot: &&Slot| {
            let before = left;
            left = left.saturating_sub(slot.bytes);
            before > 0
        };
        self.entries.range(from..to.max(from)).take_while(fits).map(|slot| slot.entry.clone()).collect()
    }

    pub(super) fn truncate_from(&mut self, from: u64) {
        while self.last().is_some_and(|entry| entry.log_id.index >= from) {
            let gone = self.entries.pop_back().expect("there is a last one");
            self.bytes -= gone.bytes;
        }
    }

    pub(super) fn purge(&mut self, upto: u64) {
        while self.first().is_some_and(|first| first <= upto) {
            self.pop();
        }
    }

    /// Drops the oldest entries over the limits, only such that are durable.
    pub(super) fn trim(&mut self, durable: u64) {
        while (self.bytes > KEPT_BYTES || self.entries.len() > KEPT_ENTRIES)
            && self.first().is_some_and(|first| first <= durable)
            && self.entries.len() > 1
        {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let gone = self.entries.pop_front().expect("the caller saw a first one");
        self.bytes -= gone.bytes;
    }
}

/// Fixed part charged for an entry, in bytes.
const ENTRY_BYTES: usize = 256;

/// About what an entry takes, in memory and in the log.
pub(super) fn size_bytes(entry: &Entry) -> usize {
    let EntryPayload::Normal(command) = &entry.payload else { return ENTRY_BYTES };
    let Change::Transaction(transaction) = &command.0.entry else { return ENTRY_BYTES };
    let operations = transaction.operations.iter().map(|operation| match operation {
        Operation::Put { key, value, .. } => key.len() + value.len(),
        Operation::Delete { key } => key.len(),
    });
    let guards = transaction.guards.iter().map(|guard| guard.key().len());
    ENTRY_BYTES + operations.chain(guards).sum::<usize>()
}
