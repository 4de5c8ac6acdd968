//! Receives a snapshot.
//!
//! A chunk is checked before it is taken: what is damaged, out of order or of another snapshot is refused and
//! leaves the transfer where it was, so that it can go on from there.

use thiserror::Error;

use crate::chunk::{FLAG_LAST, Header};
use crate::limits::{RECORD_BYTES_MAX, SNAPSHOT_CHUNK_BYTES_MAX};
use crate::load::{LoadError, Loader};
use crate::record::{RecordError, SCHEMA_VERSION};
use crate::state::State;

/// Names and values of records are at most this long; guards the receiver's buffer.
const NAME_BYTES_MAX: usize = 64;

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
                return Err(RecordError::UnknownName { bytes: name_bytes }.into());
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
