//! The one place that knows how calls look as bytes: a schema version, then bincode with a size limit.
//!
//! bincode is not kept any more upstream; behind this module it can be replaced by raising
//! [`SCHEMA_VERSION`]. Added fields do not decode old data: a changed shape gets a new call name.

use bincode::config::{Configuration, LittleEndian, Varint};
use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// First byte of every encoded value.
pub const SCHEMA_VERSION: u8 = 1;
/// Largest encoded value in bytes, schema version included. Larger things travel as streams of their own.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Why a value cannot be encoded or decoded.
#[derive(Debug, Error)]
pub enum CodecError {
    /// Larger than [`MAX_BODY_BYTES`].
    #[error("{bytes} bytes exceed the limit of {MAX_BODY_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Written with another schema.
    #[error("schema version {found}, this side speaks {SCHEMA_VERSION}")]
    Schema {
        /// The version found.
        found: u8,
    },
    /// Cut off, or followed by something else.
    #[error("{0} bytes too many after the value")]
    Trailing(usize),
    /// Empty input.
    #[error("empty, not even a schema version")]
    Empty,
    /// Not the shape expected.
    #[error("cannot decode: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    /// Not encodable.
    #[error("cannot encode: {0}")]
    Encode(#[from] bincode::error::EncodeError),
}

const fn config() -> Configuration<LittleEndian, Varint, bincode::config::Limit<MAX_BODY_BYTES>> {
    bincode::config::standard().with_limit::<MAX_BODY_BYTES>()
}

/// Encodes a value.
///
/// # Errors
/// When it is larger than [`MAX_BODY_BYTES`] or its `Serialize` fails.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes, CodecError> {
    let mut out = BytesMut::with_capacity(128);
    out.put_u8(SCHEMA_VERSION);
    let mut writer = out.writer();
    bincode::serde::encode_into_std_write(value, &mut writer, config())?;
    let out = writer.into_inner().freeze();
    if out.len() > MAX_BODY_BYTES { Err(CodecError::TooLarge { bytes: out.len() }) } else { Ok(out) }
}

/// Decodes a value.
///
/// # Errors
/// When it is too large, of another schema, malformed or followed by more bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_BODY_BYTES {
        return Err(CodecError::TooLarge { bytes: bytes.len() });
    }
    let (version, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *version != SCHEMA_VERSION {
        return Err(CodecError::Schema { found: *version });
    }
    let (value, used) = bincode::serde::decode_from_slice(body, config())?;
    if used == body.len() { Ok(value) } else { Err(CodecError::Trailing(body.len() - used)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let bytes = encode(&(7_u32, "seven".to_owned())).unwrap();
        assert_eq!(decode::<(u32, String)>(&bytes).unwrap(), (7, "seven".to_owned()));
        assert!(matches!(decode::<(u32, String)>(&[]), Err(CodecError::Empty)));
        assert!(matches!(decode::<u8>(&[9, 1]), Err(CodecError::Schema { found: 9 })));
        assert!(matches!(decode::<u8>(&[SCHEMA_VERSION, 1, 2]), Err(CodecError::Trailing(1))));
        assert!(matches!(decode::<(u32, String)>(&bytes[..4]), Err(CodecError::Decode(_))));
        // A length far beyond the input must not be allocated.
        assert!(decode::<Vec<u64>>(&[SCHEMA_VERSION, 253, 255, 255, 255, 255, 255, 255, 255, 127]).is_err());
    }

    #[test]
    fn too_large_is_refused_on_both_sides() {
        assert!(encode(&vec![0_u8; MAX_BODY_BYTES]).is_err());
        assert!(matches!(
            decode::<u8>(&vec![SCHEMA_VERSION; MAX_BODY_BYTES + 1]),
            Err(CodecError::TooLarge { .. })
        ));
    }
}
