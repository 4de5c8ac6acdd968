//! What applying changed, for the shell that persists it.
//!
//! A delta stands on its own: it shares the objects with the state and holds copies of the small records, so a
//! shell can encode and write it on another thread while more entries are applied into the next delta. Written
//! in one atomic batch, deltas carry the state database from one applied index to a later one.

use crate::change::Change;
use crate::codec::encode_into;
use crate::leases::Lease;
use crate::record::{Meta, RecordKey, WriteRecord, encode_meta};
use crate::revision::{LeaseId, Revision};
use crate::sessions::SessionChange;

/// Changed records in the order in which they changed.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    dirty: Vec<Dirty>,
    pub(crate) sessions: Vec<SessionChange>,
    meta: Option<Meta>,
    bytes: u64,
}

#[derive(Clone, Debug)]
enum Dirty {
    Written(Change),
    Forgotten(Revision),
    Lease(Lease),
    LeaseGone(LeaseId),
}

impl Delta {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was applied into it.
    pub fn is_empty(&self) -> bool {
        self.meta.is_none()
    }

    /// The state's counters after the last applied entry.
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// Bytes of keys and values that writing the delta takes, without the fixed part of records. A shell that
    /// cannot keep up stops applying at a limit of its own.
    pub fn size_bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes made by the entries, in revision order; for logs and tests, wake-ups go by `Watches::wake`.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.dirty.iter().filter_map(|dirty| match dirty {
            Dirty::Written(change) => Some(change),
            _ => None,
        })
    }

    /// Hands every changed record to `write`: its name and its new value, `None` to remove it. Later calls for a
    /// name override earlier ones. All belong in one atomic batch; the `Meta` record comes last.
    pub fn for_each_record(&self, mut write: impl FnMut(&[u8], Option<&[u8]>)) {
        let (mut name, mut value) = (Vec::with_capacity(32), Vec::with_capacity(2048));
        let mut emit = |key: RecordKey, encode: &mut dyn FnMut(&mut Vec<u8>) -> bool| {
            name.clear();
            value.clear();
            key.encode_into(&mut name);
            let keep = encode(&mut value);
            write(&name, keep.then_some(&value[..]));
        };
        for dirty in &self.dirty {
            match dirty {
                Dirty::Written(change) => emit(RecordKey::Write(change.revision()), &mut |out| {
                    encode_into(&WriteRecord::of_change(change), out);
                    true
                }),
                Dirty::Forgotten(revision) => emit(RecordKey::Write(*revision), &mut |_| false),
                Dirty::Lease(lease) => emit(RecordKey::Lease(lease.id), &mut |out| {
                    encode_into(lease, out);
                    true
                }),
                Dirty::LeaseGone(id) => emit(RecordKey::Lease(*id), &mut |_| false),
            }
        }
        for change in &self.sessions {
            match change {
                SessionChange::Recorded(recorded) => {
                    emit(RecordKey::Outcome(recorded.client, recorded.sequence), &mut |out| {
                        encode_into(recorded, out);
                        true
                    });
                }
                SessionChange::Client(client) => emit(RecordKey::Client(client.id), &mut |out| {
                    encode_into(client, out);
                    true
                }),
                SessionChange::Forgotten(id, sequence) => {
                    emit(RecordKey::Outcome(*id, *sequence), &mut |_| false);
                }
                SessionChange::ClientGone(id) => emit(RecordKey::Client(*id), &mut |_| false),
            }
        }
        if let Some(meta) = &self.meta {
            emit(RecordKey::Meta, &mut |out| {
                encode_meta(meta, out);
                true
            });
        }
    }

    pub(crate) fn written(&mut self, change: &Change) {
        self.bytes += change.key().len() as u64;
        self.bytes += change.object().map_or(0, |object| object.value().len() as u64);
        self.dirty.push(Dirty::Written(change.clone()));
    }

    /// A change left the history: what it superseded is needed no more, and neither is a delete itself.
    pub(crate) fn forgotten(&mut self, change: &Change) {
        if let Some(previous) = change.previous() {
            self.dirty.push(Dirty::Forgotten(previous.mod_revision()));
        }
        if change.is_delete() {
            self.dirty.push(Dirty::Forgotten(change.revision()));
        }
    }

    pub(crate) fn lease(&mut self, lease: Lease) {
        self.dirty.push(Dirty::Lease(lease));
    }

    pub(crate) fn lease_gone(&mut self, id: LeaseId) {
        self.dirty.push(Dirty::LeaseGone(id));
    }

    pub(crate) fn finish_entry(&mut self, meta: Meta) {
        self.meta = Some(meta);
    }
}
