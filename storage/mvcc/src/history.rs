//! The bounded log of changes: every write since the compacted revision, without a hole.
//!
//! The change of revision `r` stands at place `r - compacted - 1`; a bump forgets everything, so numbers stay
//! dense. Changes lie in chunks behind `Arc`s, so that a snapshot's copy costs one pointer per chunk. A key's
//! changes are linked backwards (`prior`), which answers reads at an older revision and watches of one key
//! without an index per key.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::change::Change;
use crate::key::{Key, KeyRange};
use crate::object::Object;
use crate::revision::Revision;
use crate::topics::{TopicRevisions, Topics};

/// Changes per chunk.
const CHUNK_CHANGES: usize = 128;

#[derive(Default)]
pub(crate) struct History {
    compacted: Revision,
    chunks: VecDeque<Arc<VecDeque<Change>>>,
    len: usize,
    bytes: u64,
    hash: u128,
    topics: Topics,
    /// Keys whose last change is a delete that is still in the history.
    tombstones: BTreeMap<Key, Revision>,
}

/// The changes alone, for a snapshot.
#[derive(Clone)]
pub(crate) struct FrozenHistory {
    chunks: VecDeque<Arc<VecDeque<Change>>>,
}

impl FrozenHistory {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The change at this place.
    pub(crate) fn get(&self, at: usize) -> Option<&Change> {
        change_at(&self.chunks, at)
    }
}

fn change_at(chunks: &VecDeque<Arc<VecDeque<Change>>>, at: usize) -> Option<&Change> {
    let front = chunks.front()?;
    if let Some(change) = front.get(at) {
        return Some(change);
    }
    let at = at - front.len();
    chunks.get(1 + at / CHUNK_CHANGES)?.get(at % CHUNK_CHANGES)
}

impl History {
    /// An empty history that continues after `compacted`.
    pub(crate) fn starting_after(compacted: Revision) -> Self {
        Self { compacted, ..Self::default() }
    }

    /// The last forgotten revision.
    pub(crate) fn compacted(&self) -> Revision {
        self.compacted
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sum of the fingerprints of all changes kept.
    pub(crate) fn hash(&self) -> u128 {
        self.hash
    }

    /// The revision of the last change.
    pub(crate) fn end(&self) -> Revision {
        self.compacted.plus(self.len as u64)
    }

    pub(crate) fn freeze(&self) -> FrozenHistory {
        FrozenHistory { chunks: self.chunks.clone() }
    }

    pub(crate) fn get(&self, revision: Revision) -> Option<&Change> {
        let at = revision.get().checked_sub(self.compacted.get())?.checked_sub(1)?;
        change_at(&self.chunks, usize::try_from(at).ok()?)
    }

    /// The revision of the key's last delete, when the key is gone and the delete is still known.
    pub(crate) fn tombstone(&self, key: &[u8]) -> Option<Revision> {
        self.tombstones.get(key).copied()
    }

    /// Appends the next change.
    pub(crate) fn push(&mut self, change: Change) {
        assert_eq!(change.revision, self.end().next(), "revisions are dense");
        self.len += 1;
        self.bytes += change.size_bytes();
        self.hash = self.hash.wrapping_add(change.fingerprint());
        self.topics.push(change.key(), change.revision);
        if change.is_delete() {
            self.tombstones.insert(change.key().clone(), change.revision);
        } else if change.previous.is_none() && change.prior != Revision::ZERO {
            self.tombstones.remove(change.key());
        }
        match self.chunks.back_mut() {
            // Only the front chunk shrinks and only the back one grows: all in between are full.
            Some(back) if back.len() < CHUNK_CHANGES => Arc::make_mut(back).push_back(change),
            _ => {
                let mut chunk = VecDeque::with_capacity(CHUNK_CHANGES);
                chunk.push_back(change);
                self.chunks.push_back(Arc::new(chunk));
            }
        }
    }

    /// Forgets the oldest change and hands it out.
    pub(crate) fn pop(&mut self) -> Option<Change> {
        let front = Arc::make_mut(self.chunks.front_mut()?);
        let change = front.pop_front().expect("no chunk is left empty");
        if front.is_empty() {
            self.chunks.pop_front();
        }
        self.compacted = change.revision;
        self.len -= 1;
        self.bytes -= change.size_bytes();
        self.hash = self.hash.wrapping_sub(change.fingerprint());
        self.topics.pop(change.key(), change.revision);
        if change.is_delete() && self.tombstone(change.key()) == Some(change.revision) {
            self.tombstones.remove(change.key());
        }
        Some(change)
    }

    /// Jumps to `revision`; the history must be empty.
    pub(crate) fn jump(&mut self, revision: Revision) {
        assert_eq!(self.len, 0, "a jump over kept changes would leave a hole");
        self.topics.clear();
        self.compacted = revision;
    }

    /// The key's earliest change after `after`, found backwards from `last`, the key's last change.
    pub(crate) fn first_change_after(&self, last: Revision, after: Revision) -> Option<&Change> {
        let mut found = None;
        let mut at = last;
        while at > after {
            let Some(change) = self.get(at) else { break };
            found = Some(change);
            at = change.prior;
        }
        found
    }

    /// Keys in the range whose last change is a kept delete after `after`.
    pub(crate) fn deleted_after<'a>(
        &'a self,
        range: &'a KeyRange,
        after: Revision,
    ) -> impl Iterator<Item = (&'a Key, Revision)> {
        self.tombstones
            .range(range.start().clone()..)
            .take_while(|(key, _)| !range.is_before(key))
            .map(|(key, revision)| (key, *revision))
            .filter(move |(_, revision)| *revision > after)
    }

    /// Changes after `after` that may concern keys beginning with `prefix` (the caller filters), ascending.
    pub(crate) fn changes_after(&self, after: Revision, prefix: &[u8]) -> Changes<'_> {
        let source = match self.topics.of_prefix(prefix) {
            TopicRevisions::Any => Source::Dense,
            TopicRevisions::Nothing => Source::Listed(None),
            TopicRevisions::Of(revisions) => {
                let at = revisions.partition_point(|revision| *revision <= after);
                Source::Listed(Some(revisions.range(at..)))
            }
        };
        Changes { history: self, next: after.next(), source }
    }

    /// How many more keys of the range exist now than existed at `at`.
    pub(crate) fn growth_since(&self, at: Revision, range: &KeyRange) -> i64 {
        self.changes_after(at, range.common_prefix())
            .filter(|change| range.contains(change.key()))
            .map(|change| i64::from(change.object.is_some()) - i64::from(change.previous.is_some()))
            .sum()
    }

    /// The key's state at `at`: the live object `current`, unless a later change replaced it.
    pub(crate) fn object_at(
        &self,
        key: &[u8],
        current: Option<&Arc<Object>>,
        at: Revision,
    ) -> Option<Arc<Object>> {
        let last = current.map(|object| object.mod_revision()).or_else(|| self.tombstone(key));
        match last.and_then(|last| self.first_change_after(last, at)) {
            Some(change) => change.previous.clone(),
            None => current.cloned(),
        }
    }

    /// The hash computed from nothing but the changes.
    pub(crate) fn recompute_hash(&self) -> u128 {
        self.freeze().iter().fold(0, |sum, change| sum.wrapping_add(change.fingerprint()))
    }
}

/// Changes in revision order.
pub(crate) struct Changes<'a> {
    history: &'a History,
    next: Revision,
    source: Source<'a>,
}

enum Source<'a> {
    Dense,
    Listed(Option<std::collections::vec_deque::Iter<'a, Revision>>),
}

impl<'a> Iterator for Changes<'a> {
    type Item = &'a Change;

    fn next(&mut self) -> Option<&'a Change> {
        match &mut self.source {
            Source::Dense => {
                let change = self.history.get(self.next)?;
                self.next = self.next.next();
                Some(change)
            }
            Source::Listed(revisions) => {
                let revision = *revisions.as_mut()?.next()?;
                Some(self.history.get(revision).expect("topics list kept revisions only"))
            }
        }
    }
}
