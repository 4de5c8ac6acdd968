//! A frozen copy of the state and its streaming form.
//!
//! Taking the copy costs one pointer per 128 objects or changes; the state goes on changing while the copy is
//! sent. The stream is the records of [`crate::record`], cut into chunks of a bounded size. The same snapshot
//! cut to the same size gives the same chunks, so that a broken transfer continues at any chunk.

use std::sync::Arc;

use bytes::Bytes;

use crate::change::Change;
use crate::chunk::{FLAG_LAST, HEADER_BYTES, Header, low64};
use crate::codec::{Hasher, encode_into};
use crate::history::FrozenHistory;
use crate::keyspace::Keyspace;
use crate::limits::{SNAPSHOT_CHUNK_BYTES_MAX, SNAPSHOT_CHUNK_BYTES_MIN};
use crate::object::Object;
use crate::record::{Meta, RecordKey, WriteRecord, encode_meta};
use crate::revision::Revision;
use crate::state::State;

/// The state at one applied index, frozen.
pub struct Snapshot {
    meta: Meta,
    keyspace: Keyspace,
    history: FrozenHistory,
    /// Leases, outcomes and clients, encoded.
    small: Vec<(Vec<u8>, Vec<u8>)>,
}

impl State {
    /// Freezes the state as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let leases = self.leases.iter().map(|lease| encoded(RecordKey::Lease(lease.id), lease));
        let outcomes = self
            .sessions
            .outcomes()
            .map(|recorded| encoded(RecordKey::Outcome(recorded.client, recorded.sequence), recorded));
        // A client at floor zero follows from its outcomes.
        let clients = self.sessions.clients().filter(|client| client.floor > 0);
        let clients = clients.map(|client| encoded(RecordKey::Client(client.id), &client));
        Snapshot {
            meta: self.meta(),
            keyspace: self.keyspace.clone(),
            history: self.history.freeze(),
            small: leases.chain(outcomes).chain(clients).collect(),
        }
    }
}

fn encoded<T: serde::Serialize>(key: RecordKey, record: &T) -> (Vec<u8>, Vec<u8>) {
    let (mut name, mut value) = (Vec::new(), Vec::new());
    key.encode_into(&mut name);
    encode_into(record, &mut value);
    (name, value)
}

/// A place between two records of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Meta,
    /// Live objects whose change is forgotten: chunk and place within.
    Live(usize, usize),
    /// Changes: which one, and whether the version it superseded was given.
    Change(usize, bool),
    Small(usize),
    End,
}

impl Snapshot {
    /// Counters and sums at the applied index.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The store's revision at the freeze.
    pub fn revision(&self) -> Revision {
        self.meta.revision
    }

    /// Names the content: equal for equal states, also on another member.
    pub fn id(&self) -> u64 {
        low64(Hasher::record(&self.meta))
    }

    /// Hands out every record, `Meta` first: what a state database holds after a restore.
    pub fn for_each_record(&self, mut take: impl FnMut(&[u8], &[u8])) {
        let (mut place, mut name, mut value) = (Place::Meta, Vec::new(), Vec::new());
        while self.next_record(&mut place, &mut name, &mut value) {
            take(&name, &value);
        }
    }

    /// The stream in chunks with payloads of `chunk_bytes` (clamped to the limits).
    pub fn chunks(self: &Arc<Self>, chunk_bytes: usize) -> Chunks {
        Chunks {
            snapshot: Arc::clone(self),
            chunk_bytes: chunk_bytes.clamp(SNAPSHOT_CHUNK_BYTES_MIN, SNAPSHOT_CHUNK_BYTES_MAX),
            place: Place::Meta,
            pending: Vec::new(),
            name: Vec::new(),
            value: Vec::new(),
            index: 0,
            checksum: 0,
        }
    }

    /// The same stream from chunk `index` on, for a receiver that has those before. Costs as much as making
    /// them again.
    pub fn chunks_from(self: &Arc<Self>, chunk_bytes: usize, index: u32) -> Chunks {
        let mut chunks = self.chunks(chunk_bytes);
        while chunks.index < index && chunks.next().is_some() {}
        chunks
    }

    fn next_record(&self, place: &mut Place, name: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        name.clear();
        value.clear();
        loop {
            match *place {
                Place::Meta => {
                    *place = Place::Live(0, 0);
                    RecordKey::Meta.encode_into(name);
                    encode_meta(&self.meta, value);
                    return true;
                }
                Place::Live(chunk, at) => match self.keyspace.at(chunk, at) {
                    Err(true) => *place = Place::Live(chunk + 1, 0),
                    Err(false) => *place = Place::Change(0, false),
                    Ok(object) => {
                        *place = Place::Live(chunk, at + 1);
                        if object.mod_revision() <= self.meta.compacted {
                            put_object(object, name, value);
                            return true;
                        }
                    }
                },
                Place::Change(at, base_given) => match self.history.get(at) {
                    None => *place = Place::Small(0),
                    Some(change) => {
                        *place =
                            if base_given { Place::Change(at + 1, false) } else { Place::Change(at, true) };
                        if self.put_change(change, base_given, name, value) {
                            return true;
                        }
                    }
                },
                Place::Small(at) => {
                    let Some((small_name, small_value)) = self.small.get(at) else {
                        *place = Place::End;
                        continue;
                    };
                    *place = Place::Small(at + 1);
                    name.extend_from_slice(small_name);
                    value.extend_from_slice(small_value);
                    return true;
                }
                Place::End => return false,
            }
        }
    }

    fn put_change(&self, change: &Change, base_given: bool, name: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        if base_given {
            RecordKey::Write(change.revision()).encode_into(name);
            encode_into(&WriteRecord::of_change(change), value);
            return true;
        }
        match change.previous() {
            // The superseded version is no change of the kept history: it has to be given by itself.
            Some(previous) if previous.mod_revision() <= self.meta.compacted => {
                put_object(previous, name, value);
                true
            }
            _ => false,
        }
    }
}

fn put_object(object: &Object, name: &mut Vec<u8>, value: &mut Vec<u8>) {
    RecordKey::Write(object.mod_revision()).encode_into(name);
    encode_into(&WriteRecord::of_object(object), value);
}

/// The chunks of a snapshot, in order.
pub struct Chunks {
    snapshot: Arc<Snapshot>,
    chunk_bytes: usize,
    place: Place,
    pending: Vec<u8>,
    name: Vec<u8>,
    value: Vec<u8>,
    /// Index of the next chunk; `u32::MAX` after the last.
    index: u32,
    checksum: u64,
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.index == u32::MAX {
            return None;
        }
        while self.pending.len() <= self.chunk_bytes && self.place != Place::End {
            if self.snapshot.next_record(&mut self.place, &mut self.name, &mut self.value) {
                let lengths = [self.name.len(), self.value.len()];
                let lengths = lengths.map(|bytes| u32::try_from(bytes).expect("records are below 4 GiB"));
                lengths.iter().for_each(|bytes| self.pending.extend_from_slice(&bytes.to_le_bytes()));
                self.pending.extend_from_slice(&self.name);
                self.pending.extend_from_slice(&self.value);
            }
        }
        let last = self.pending.len() <= self.chunk_bytes;
        let take = self.pending.len().min(self.chunk_bytes);
        let header = Header {
            flags: if last { FLAG_LAST } else { 0 },
            index: self.index,
            payload_bytes: u32::try_from(take).expect("chunks are at most SNAPSHOT_CHUNK_BYTES_MAX"),
            snapshot: self.snapshot.id(),
        };
        let payload = &self.pending[..take];
        self.checksum = header.checksum(self.checksum, payload);
        let mut chunk = Vec::with_capacity(HEADER_BYTES + take);
        header.encode_into(self.checksum, &mut chunk);
        chunk.extend_from_slice(payload);
        self.pending.drain(..take);
        self.index = if last { u32::MAX } else { self.index + 1 };
        Some(Bytes::from(chunk))
    }
}
