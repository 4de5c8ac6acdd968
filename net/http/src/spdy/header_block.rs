//! Name/value header blocks: one compression context per direction for the life of a connection.

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::dictionary::dictionary;
use super::error::SpdyError;

/// Most headers of one block.
pub const HEADERS_LIMIT: usize = 64;
/// Most bytes of one block after decompression.
pub const HEADER_BLOCK_LIMIT_BYTES: usize = 32 * 1024;
/// History of the compressor: 2^10 bytes. Blocks of this use are tiny, and each connection pays for it.
const WINDOW_BITS: u8 = 10;

/// Names (lower-case) and values, in order.
pub type Headers = Vec<(String, String)>;

/// Writes header blocks.
pub(crate) struct HeaderWriter(Compress);

impl HeaderWriter {
    pub(crate) fn new() -> Self {
        let mut compress = Compress::new_with_window_bits(Compression::fast(), true, WINDOW_BITS);
        compress.set_dictionary(dictionary()).expect("a fresh compressor takes a dictionary");
        Self(compress)
    }

    pub(crate) fn write(&mut self, headers: &[(String, String)]) -> Bytes {
        let length = |bytes: usize| u32::try_from(bytes).expect("own headers are short");
        let mut plain = BytesMut::new();
        plain.put_u32(length(headers.len()));
        for (name, value) in headers {
            plain.put_u32(length(name.len()));
            plain.put_slice(name.to_ascii_lowercase().as_bytes());
            plain.put_u32(length(value.len()));
            plain.put_slice(value.as_bytes());
        }
        let mut packed = Vec::with_capacity(plain.len() + 64);
        let mut rest: &[u8] = &plain;
        loop {
            let before = self.0.total_in();
            self.0
                .compress_vec(rest, &mut packed, FlushCompress::Sync)
                .expect("compressing into memory does not fail");
            let taken = usize::try_from(self.0.total_in() - before).expect("no more than there was");
            rest = rest.get(taken..).unwrap_or_default();
            if rest.is_empty() && packed.len() < packed.capacity() {
                return packed.into();
            }
            packed.reserve(plain.len() + 64);
        }
    }
}

/// Reads header blocks.
pub(crate) struct HeaderReader(Decompress);

impl HeaderReader {
    pub(crate) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// Reads one block. Every block of a connection must pass through here in order, wanted or not.
    pub(crate) fn read(&mut self, packed: &[u8]) -> Result<Headers, SpdyError> {
        parse(&self.inflate(packed)?)
    }

    fn inflate(&mut self, packed: &[u8]) -> Result<Vec<u8>, SpdyError> {
        const BROKEN: SpdyError = SpdyError::Headers { reason: "the compression is broken" };
        let mut plain = Vec::with_capacity(1024);
        let mut rest = packed;
        loop {
            let (in_before, out_before) = (self.0.total_in(), plain.len());
            if let Err(error) = self.0.decompress_vec(rest, &mut plain, FlushDecompress::Sync) {
                if error.needs_dictionary().is_none() {
                    return Err(BROKEN);
                }
                self.0.set_dictionary(dictionary()).map_err(|_| BROKEN)?;
            }
            let taken = usize::try_from(self.0.total_in() - in_before).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            if plain.len() > HEADER_BLOCK_LIMIT_BYTES {
                return Err(SpdyError::Headers { reason: "it expands beyond 32 KiB" });
            }
            let full = plain.len() == plain.capacity();
            if full {
                plain.reserve(1024);
            } else if rest.is_empty() {
                return Ok(plain);
            } else if taken == 0 && plain.len() == out_before {
                return Err(BROKEN);
            }
        }
    }
}

fn parse(plain: &[u8]) -> Result<Headers, SpdyError> {
    const SHORT: SpdyError = SpdyError::Headers { reason: "a length points beyond its end" };
    let mut rest = plain;
    let number = |rest: &mut &[u8]| -> Result<usize, SpdyError> {
        let (head, tail) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
        *rest = tail;
        usize::try_from(u32::from_be_bytes(*head)).map_err(|_| SHORT)
    };
    let count = number(&mut rest)?;
    if count > HEADERS_LIMIT {
        return Err(SpdyError::Headers { reason: "it has more than 64 headers" });
    }
    let text = |rest: &mut &[u8]| -> Result<String, SpdyError> {
        let length = number(rest)?;
        let (text, tail) = rest.split_at_checked(length).ok_or(SHORT)?;
        *rest = tail;
        let text = std::str::from_utf8(text).map_err(|_| SpdyError::Headers { reason: "it is not UTF-8" })?;
        Ok(text.to_owned())
    };
    let mut headers = Headers::new();
    for _ in 0..count {
        let name = text(&mut rest)?;
        let value = text(&mut rest)?;
        if name.is_empty() || headers.iter().any(|(seen, _)| *seen == name) {
            return Err(SpdyError::Headers { reason: "a name is empty or comes twice" });
        }
        headers.push((name, value));
    }
    match rest.is_empty() {
        true => Ok(headers),
        false => Err(SpdyError::Headers { reason: "bytes follow its end" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn blocks_share_one_context() {
        let (mut writer, mut reader) = (HeaderWriter::new(), HeaderReader::new());
        let blocks = [
            headers(&[("streamtype", "error"), ("port", "8080"), ("requestid", "0")]),
            headers(&[]),
            headers(&[("streamtype", "data"), ("port", "8080"), ("requestid", "0")]),
            headers(&[("x", &"y".repeat(20_000))]),
        ];
        let mut sizes = Vec::new();
        for block in &blocks {
            let packed = writer.write(block);
            sizes.push(packed.len());
            assert_eq!(&reader.read(&packed).unwrap(), block);
        }
        assert!(sizes[2] < sizes[0], "the second of a kind is shorter: {sizes:?}");
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let bomb = headers(&[("x", &"y".repeat(5_000_000))]);
        let packed = HeaderWriter::new().write(&bomb);
        assert!(packed.len() < 100_000);
        assert_eq!(
            HeaderReader::new().read(&packed),
            Err(SpdyError::Headers { reason: "it expands beyond 32 KiB" })
        );
    }

    #[test]
    fn lies_about_lengths_and_names_are_refused() {
        for plain in [
            &[0, 0, 0, 1][..],
            &[0, 0, 0, 65],
            &[0xff; 16],
            &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 9],
            &[0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0],
        ] {
            assert!(parse(plain).is_err(), "{plain:?}");
        }
        let twice = headers(&[("a", "1"), ("a", "2")]);
        assert!(HeaderReader::new().read(&HeaderWriter::new().write(&twice)).is_err());
    }
}
