//! gzip: when, and the bytes.

use std::io::{self, BufWriter, IntoInnerError, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Bodies up to this long are sent as they are, in bytes (upstream: 128 KiB).
pub const GZIP_THRESHOLD_BYTES: usize = 128 * 1024;
/// Upstream's level: most of the gain for the least time.
pub const GZIP_LEVEL: u32 = 1;

/// Whether `Accept-Encoding` names gzip. As upstream, a plain token counts and one with a quality does not.
pub fn accepts_gzip(header: Option<&str>) -> bool {
    header.unwrap_or_default().split(',').any(|token| token.trim() == "gzip")
}

/// Whether a body of `length_bytes` is to be compressed for this client. Answers that depend on it carry
/// `Vary: Accept-Encoding`.
pub fn gzip_wanted(header: Option<&str>, length_bytes: usize) -> bool {
    length_bytes > GZIP_THRESHOLD_BYTES && accepts_gzip(header)
}

/// Segments are gathered to this many bytes: the compressor has a price for each call.
const GATHER_BYTES: usize = 64 * 1024;

/// Compresses `segments` as one body. It takes milliseconds of a core for a megabyte: large bodies belong on a blocking
/// thread.
pub fn gzip(segments: &[Bytes]) -> Bytes {
    compress(segments).map(Bytes::from).expect("writing into memory does not fail")
}

fn compress(segments: &[Bytes]) -> io::Result<Vec<u8>> {
    let total: usize = segments.iter().map(Bytes::len).sum();
    let encoder = GzEncoder::new(Vec::with_capacity(total / 6), Compression::new(GZIP_LEVEL));
    let mut gather = BufWriter::with_capacity(GATHER_BYTES, encoder);
    for segment in segments {
        gather.write_all(segment)?;
    }
    gather.into_inner().map_err(IntoInnerError::into_error)?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn only_large_bodies_for_clients_that_say_so() {
        assert!(gzip_wanted(Some("deflate, gzip"), GZIP_THRESHOLD_BYTES + 1));
        assert!(!gzip_wanted(Some("gzip"), GZIP_THRESHOLD_BYTES));
        for header in [None, Some(""), Some("gzip;q=0"), Some("*"), Some("identity")] {
            assert!(!gzip_wanted(header, usize::MAX), "{header:?}");
        }
    }

    #[test]
    fn the_bytes_come_back() {
        let segments: Vec<Bytes> =
            (0..1000).map(|number| Bytes::from(format!("{{\"n\":{number}}},"))).collect();
        let packed = gzip(&segments);
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(packed.as_ref()).read_to_end(&mut whole).unwrap();
        assert_eq!(whole, segments.concat());
        assert!(packed.len() * 2 < whole.len());
    }
}
