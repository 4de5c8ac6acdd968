//! The one place that turns records into bytes and bytes into hashes.
//!
//! Records are bincode (little endian, variable integers) behind the schema version of the `Meta` record; hashes
//! are XXH3-128, fast and stable, meant to find accidents (a lost, extra or changed record), not forgery.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use twox_hash::XxHash3_128;

use crate::limits::RECORD_BYTES_MAX;
use crate::revision::{LeaseId, Revision};

/// Why bytes are not the record that they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The bytes do not decode.
    #[error("{what} does not decode ({cause}); the copy is damaged or of another version")]
    Malformed {
        /// Which record.
        what: &'static str,
        /// The decoder's words.
        cause: String,
    },
    /// Bytes are left after the record.
    #[error("{what} has {left} bytes too many; the copy is damaged or of another version")]
    Trailing {
        /// Which record.
        what: &'static str,
        /// Bytes left over.
        left: usize,
    },
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<RECORD_BYTES_MAX>()
}

/// Appends the encoding of `record` to `out`.
pub(crate) fn encode_into<T: Serialize>(record: &T, out: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(record, out, bincode::config::standard())
        .expect("writing to a Vec cannot fail and the record types hold no maps of unknown length");
}

/// Decodes exactly one record.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, CodecError> {
    let (record, used) = bincode::serde::decode_from_slice(bytes, config())
        .map_err(|error| CodecError::Malformed { what, cause: error.to_string() })?;
    if used == bytes.len() {
        Ok(record)
    } else {
        Err(CodecError::Trailing { what, left: bytes.len() - used })
    }
}

/// Named hashes over records.
pub(crate) struct Hasher;

impl Hasher {
    /// Hash of plain bytes.
    pub(crate) fn bytes(bytes: &[u8]) -> u128 {
        XxHash3_128::oneshot(bytes)
    }

    /// Hash of the canonical encoding of a record.
    pub(crate) fn record<T: Serialize>(record: &T) -> u128 {
        let mut bytes = Vec::with_capacity(96);
        encode_into(record, &mut bytes);
        Self::bytes(&bytes)
    }

    /// Hash of all that an object is.
    pub(crate) fn object(
        key: &[u8],
        value: &[u8],
        create: Revision,
        modified: Revision,
        version: u64,
        lease: Option<LeaseId>,
    ) -> u128 {
        let mut head = [0_u8; 64];
        head[..8].copy_from_slice(&create.get().to_le_bytes());
        head[8..16].copy_from_slice(&modified.get().to_le_bytes());
        head[16..24].copy_from_slice(&version.to_le_bytes());
        head[24..32].copy_from_slice(&lease.map_or(0, LeaseId::get).to_le_bytes());
        head[32..48].copy_from_slice(&Self::bytes(key).to_le_bytes());
        head[48..64].copy_from_slice(&Self::bytes(value).to_le_bytes());
        Self::bytes(&head)
    }

    /// Hash of one change in the history: its place, its effect and the transaction it ends.
    pub(crate) fn change(
        revision: Revision,
        prior: Revision,
        end: Revision,
        object: u128,
        previous: u128,
    ) -> u128 {
        let mut head = [0_u8; 56];
        head[..8].copy_from_slice(&revision.get().to_le_bytes());
        head[8..16].copy_from_slice(&prior.get().to_le_bytes());
        head[16..24].copy_from_slice(&end.get().to_le_bytes());
        head[24..40].copy_from_slice(&object.to_le_bytes());
        head[40..56].copy_from_slice(&previous.to_le_bytes());
        Self::bytes(&head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_function_never_changes() {
        // A member of another build must come to the same sum: these numbers are part of the format.
        assert_eq!(Hasher::bytes(b"trireme"), XxHash3_128::oneshot(b"trireme"));
        assert_eq!(Hasher::bytes(b""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }

    #[test]
    fn left_over_bytes_are_refused() {
        let mut bytes = Vec::new();
        encode_into(&7_u64, &mut bytes);
        assert_eq!(decode::<u64>("test", &bytes), Ok(7));
        bytes.push(0);
        assert!(matches!(decode::<u64>("test", &bytes), Err(CodecError::Trailing { left: 1, .. })));
        assert!(matches!(decode::<u64>("test", &[]), Err(CodecError::Malformed { .. })));
    }
}
