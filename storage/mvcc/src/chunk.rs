//! The head of a snapshot chunk.
//!
//! A chunk is 32 bytes of header and the payload: magic `TRSN`, schema version (2), flags (2, bit 0: last
//! chunk), index (4), payload length (4), snapshot id (8), running checksum (8), then records that may go on in
//! the next chunk. Numbers are little endian. The checksum covers the one before, the header and the payload.

use crate::codec::Hasher;
use crate::record::SCHEMA_VERSION;
use crate::restore::SnapshotError;

const MAGIC: [u8; 4] = *b"TRSN";
/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 32;
/// No chunk follows.
pub(crate) const FLAG_LAST: u16 = 1;

/// The head of a chunk, but for its checksum.
pub(crate) struct Header {
    pub(crate) flags: u16,
    pub(crate) index: u32,
    pub(crate) payload_bytes: u32,
    /// Id of the snapshot.
    pub(crate) snapshot: u64,
}

impl Header {
    pub(crate) fn encode_into(&self, checksum: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&SCHEMA_VERSION.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.payload_bytes.to_le_bytes());
        out.extend_from_slice(&self.snapshot.to_le_bytes());
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    /// The running checksum behind this chunk.
    pub(crate) fn checksum(&self, before: u64, payload: &[u8]) -> u64 {
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

    /// Splits a chunk into header, checksum and payload.
    pub(crate) fn decode(chunk: &[u8]) -> Result<(Self, u64, &[u8]), SnapshotError> {
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

/// The lower half of a hash.
pub(crate) fn low64(hash: u128) -> u64 {
    u64::try_from(hash & u128::from(u64::MAX)).expect("masked to 64 bits")
}
