//! A frozen copy of the state and its streaming form.
//!
//! Taking the copy costs one pointer per 128 objects or changes; the state goes on changing while the copy is
//! sent. The stream is the records of [`crate::record`], cut into chunks of a bounded size. The same snapshot
//! cut to the same size gives the same chunks, so that a broken transfer continues at any chunk.
//!
//! A chunk is 32 bytes of header and the payload: magic `TRSN`, schema version (2), flags (2, bit 0: last
//! chunk), index (4), payload length (4), snapshot id (8), running checksum (8), then records that may go on in
//! the next chunk. Numbers are little endian. The checksum covers the one before, the header and the payload.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use crate::change::Change;
use crate::codec::{Hasher, encode_into};
use crate::history::FrozenHistory;
use crate::keyspace::Keyspace;
use crate::limits::{RECORD_BYTES_MAX, SNAPSHOT_CHUNK_BYTES_MAX, SNAPSHOT_CHUNK_BYTES_MIN};
use crate::load::{LoadError, Loader};
use crate::object::Object;
use crate::record::{Meta, RecordKey, SCHEMA_VERSION, WriteRecord, encode_meta};
use crate::revision::Revision;
use crate::state::State;

const MAGIC: [u8; 4] = *b"TRSN";
const HEADER_BYTES: usize = 32;
const FLAG_LAST: u16 = 1;
/// Names and values of records are at most this long; guards the receiver's buffer.
const NAME_BYTES_MAX: usize = 64;

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

struct Header {
    flags: u16,
    index: u32,
    payload_bytes: u32,
    snapshot: u64,
}

impl Header {
    fn encode_into(&self, checksum: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&SCHEMA_VERSION.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.payload_bytes.to_le_bytes());
        out.extend_from_slice(&self.snapshot.to_le_bytes());
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    fn checksum(&self, before: u64, payload: &[u8]) -> u64 {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&before.to_le_bytes());
        bytes.extend_from_slice(&SCHEMA_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&self.index.to_le_bytes());
        bytes.extend_from_slice(&self.payload_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.snapshot.to_le_bytes());
        bytes.extend_from_slice(&Hasher::bytes(payload).to_le_bytes());
        low64(Hasher::bytes(&bytes))
    }

    fn decode(chunk: &[u8]) -> Result<(Self, u64, &[u8]), SnapshotError> {
        let (header, payload) = chunk.split_first_chunk::<HEADER_BYTES>().ok_or(SnapshotError::NotAChunk)?;
        if header[..4] != MAGIC {
            return Err(SnapshotError::NotAChunk);
        }
        let found = u16::from_le_bytes([header[4], header[5]]);
        if found != SCHEMA_VERSION {
            return Err(SnapshotError::Schema { found });
        }
        let four = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let eight = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let parsed = Self {
            flags: u16::from_le_bytes([header[6], header[7]]),
            index: four(8),
            payload_bytes: four(12),
            snapshot: eight(16),
        };
        Ok((parsed, eight(24), payload))
    }
}

fn low64(hash: u128) -> u64 {
    u64::try_from(hash & u128::from(u64::MAX)).expect("masked to 64 bits")
}

/// Why a chunk was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// The bytes are no chunk.
    #[error("these bytes are no snapshot chunk (a wrong file, or cut short)")]
    NotAChunk,
    /// Written by another version of the format.
    #[error(
        "the snapshot has schema version {found}, this build reads {SCHEMA_VERSION}; use the build that wrote it"
    )]
    Schema {
        /// What the chunk says.
        found: u16,
    },
    /// Another chunk is due. Ask for that one.
    #[error("chunk {found} came, chunk {expected} is due; continue the transfer there")]
    OutOfOrder {
        /// The chunk that is due.
        expected: u32,
        /// The chunk that came.
        found: u32,
    },
    /// A chunk of another snapshot. Begin anew.
    #[error("chunk {index} belongs to another snapshot; begin the transfer anew")]
    OtherSnapshot {
        /// Its index.
        index: u32,
    },
    /// Damaged on the way. The same chunk can be sent again.
    #[error("chunk {index} is damaged; ask for it again")]
    Damaged {
        /// Its index.
        index: u32,
    },
    /// Chunks are missing at the end.
    #[error("the snapshot ends at chunk {received}, before its last one; continue the transfer there")]
    Incomplete {
        /// Chunks received.
        received: u32,
    },
    /// The stream is whole but its records are not. Begin anew from another member.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Receives a snapshot chunk by chunk.
#[derive(Default)]
pub struct Restore {
    loader: Loader,
    partial: Vec<u8>,
    next_index: u32,
    checksum: u64,
    snapshot: Option<u64>,
    complete: bool,
    broken: Option<LoadError>,
}

impl Restore {
    /// Waits for chunk 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The chunk that is due: where a broken transfer continues.
    pub fn next_index(&self) -> u32 {
        self.next_index
    }

    /// Whether the last chunk came.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes the next chunk. A refused chunk leaves the transfer as it was.
    ///
    /// # Errors
    /// [`SnapshotError`]; all but `OtherSnapshot`, `Schema` and `Load` are cured by sending the due chunk.
    pub fn chunk(&mut self, chunk: &[u8]) -> Result<(), SnapshotError> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone().into());
        }
        let (header, checksum, payload) = Header::decode(chunk)?;
        let index = header.index;
        if index != self.next_index || self.complete {
            return Err(SnapshotError::OutOfOrder { expected: self.next_index, found: index });
        }
        if self.snapshot.is_some_and(|snapshot| snapshot != header.snapshot) {
            return Err(SnapshotError::OtherSnapshot { index });
        }
        let whole =
            payload.len() == header.payload_bytes as usize && payload.len() <= SNAPSHOT_CHUNK_BYTES_MAX;
        if !whole || header.checksum(self.checksum, payload) != checksum {
            return Err(SnapshotError::Damaged { index });
        }
        self.snapshot = Some(header.snapshot);
        self.checksum = checksum;
        self.next_index += 1;
        self.complete = header.flags & FLAG_LAST != 0;
        self.partial.extend_from_slice(payload);
        if let Err(error) = self.take_records() {
            self.broken = Some(error.clone());
            return Err(error.into());
        }
        Ok(())
    }

    /// The restored state; its hash is the sender's.
    ///
    /// # Errors
    /// The last chunk has not come, or the records make no whole state.
    pub fn finish(self) -> Result<State, SnapshotError> {
        if let Some(broken) = self.broken {
            return Err(broken.into());
        }
        if !self.complete || !self.partial.is_empty() {
            return Err(SnapshotError::Incomplete { received: self.next_index });
        }
        Ok(self.loader.finish()?)
    }

    fn take_records(&mut self) -> Result<(), LoadError> {
        let mut used = 0;
        while let Some((lengths, rest)) = self.partial[used..].split_first_chunk::<8>() {
            let [name_bytes, value_bytes] = [&lengths[..4], &lengths[4..]]
                .map(|four| u32::from_le_bytes(four.try_into().expect("four bytes")) as usize);
            if name_bytes > NAME_BYTES_MAX || value_bytes > RECORD_BYTES_MAX {
                return Err(crate::record::RecordError::UnknownName { bytes: name_bytes }.into());
            }
            let Some(record) = rest.get(..name_bytes + value_bytes) else { break };
            let (name, value) = record.split_at(name_bytes);
            self.loader.record(name, value)?;
            used += 8 + name_bytes + value_bytes;
        }
        self.partial.drain(..used);
        Ok(())
    }
}

impl Snapshot {
    /// The store's revision at the freeze.
    pub fn revision(&self) -> Revision {
        self.meta.revision
    }
}
