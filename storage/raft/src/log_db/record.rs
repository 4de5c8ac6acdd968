//! The frame of one record in a segment file.
//!
//! Layout, little endian, each record padded to 8 bytes:
//! `magic u32 | crc u32 | len u32 | kind u32 | prev u32 | synced u32 | index u64 | segment u64 | payload`.
//! - `crc` (CRC-32C) covers everything behind it, payload included.
//! - `prev` is the `crc` of the record before: leftovers of a failed write never join a chain they are not part of.
//! - `segment` is the number of the file: content of another file is not taken for this one's.
//! - `synced` is the offset in this file up to which everything had been synced when this record was written: a
//!   later record proves that damage below that offset is damage, not a torn tail.

/// Bytes of a record header.
pub(super) const HEADER_BYTES: usize = 40;
/// Records start at multiples of this.
pub(super) const ALIGN_BYTES: usize = 8;
const MAGIC: u32 = 0x314c_5254;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// First record of a segment: the state before it.
    Checkpoint = 1,
    /// An entry of the Raft log.
    Entry = 2,
    /// The vote.
    Vote = 3,
    /// The committed mark.
    Committed = 4,
    /// Entries at and above the index are void.
    Truncate = 5,
    /// Entries up to the index are purged.
    Purge = 6,
    /// Last record of a full segment: the next file follows.
    Seal = 7,
}

impl Kind {
    fn from_u32(n: u32) -> Option<Self> {
        Some(match n {
            1 => Self::Checkpoint,
            2 => Self::Entry,
            3 => Self::Vote,
            4 => Self::Committed,
            5 => Self::Truncate,
            6 => Self::Purge,
            7 => Self::Seal,
            _ => return None,
        })
    }
}

/// A decoded header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) len: usize,
    pub(super) crc: u32,
    pub(super) prev: u32,
    pub(super) synced: u32,
    pub(super) index: u64,
    pub(super) segment: u64,
}

/// Where a record is written: what its header needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) prev: u32,
    pub(super) synced: u32,
}

/// Bytes of a record with this payload on disk.
pub(super) fn framed_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN_BYTES)
}

/// Appends one record to `out` and returns its checksum.
pub(super) fn encode(out: &mut Vec<u8>, place: Place, kind: Kind, index: u64, payload: &[u8]) -> u32 {
    let start = out.len();
    let len = u32::try_from(payload.len()).expect("payload limits are below 4 GiB");
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(kind as u32).to_le_bytes());
    out.extend_from_slice(&place.prev.to_le_bytes());
    out.extend_from_slice(&place.synced.to_le_bytes());
    out.extend_from_slice(&index.to_le_bytes());
    out.extend_from_slice(&place.segment.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    out.resize(out.len().next_multiple_of(ALIGN_BYTES), 0);
    crc
}

/// What stands at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole record with a valid checksum.
    Record(Header, &'a [u8]),
    /// Nothing was ever written here: zeros.
    Blank,
    /// Something that is no valid record of this segment.
    Damaged(&'static str),
}

/// Decodes the record at the start of `bytes`, which reach to the end of segment `segment`.
pub(super) fn decode(bytes: &[u8], segment: u64) -> Found<'_> {
    if bytes.len() < HEADER_BYTES {
        return if bytes.iter().all(|b| *b == 0) { Found::Blank } else { Found::Damaged("half a header") };
    }
    let (head, rest) = bytes.split_at(HEADER_BYTES);
    if head.iter().all(|b| *b == 0) {
        return Found::Blank;
    }
    if u32_at(head, 0) != MAGIC {
        return Found::Damaged("no record starts here");
    }
    let len = u32_at(head, 8) as usize;
    let Some(payload) = rest.get(..len) else { return Found::Damaged("a record longer than the file") };
    let crc = u32_at(head, 4);
    if crc32c::crc32c_append(crc32c::crc32c(&head[8..]), payload) != crc {
        return Found::Damaged("the checksum does not match");
    }
    let Some(kind) = Kind::from_u32(u32_at(head, 12)) else {
        return Found::Damaged("a record of a kind that this version does not know");
    };
    let header = Header {
        kind,
        len,
        crc,
        prev: u32_at(head, 16),
        synced: u32_at(head, 20),
        index: u64_at(head, 24),
        segment: u64_at(head, 32),
    };
    if header.segment != segment {
        return Found::Damaged("a record of another segment");
    }
    Found::Record(header, payload)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were sliced"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were sliced"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { segment: 7, prev: 1, synced: 64 };

    #[test]
    fn every_flipped_bit_is_found() {
        let mut bytes = Vec::new();
        encode(&mut bytes, PLACE, Kind::Entry, 42, b"some payload");
        assert!(
            matches!(decode(&bytes, 7), Found::Record(h, b"some payload") if h.index == 42 && h.prev == 1)
        );
        for bit in 0..(HEADER_BYTES + 12) * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&bad, 7), Found::Damaged(_)), "bit {bit}");
        }
    }

    #[test]
    fn foreign_short_and_blank_records_are_told_apart() {
        let mut bytes = Vec::new();
        encode(&mut bytes, PLACE, Kind::Vote, 0, &[9; 100]);
        assert_eq!(bytes.len(), framed_bytes(100));
        assert_eq!(decode(&bytes, 8), Found::Damaged("a record of another segment"));
        assert_eq!(decode(&bytes[..60], 7), Found::Damaged("a record longer than the file"));
        assert_eq!(decode(&[0; 64], 7), Found::Blank);
        assert_eq!(decode(&[], 7), Found::Blank);
    }
}
