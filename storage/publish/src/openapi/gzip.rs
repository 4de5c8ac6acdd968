//! [`Packed`]: a document kept compressed.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::document::content_hash;

/// A document as it is kept and, to clients that accept gzip, sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The document in gzip.
    pub gzip: Vec<u8>,
    /// Length of the plain document in bytes.
    pub plain_bytes: usize,
    /// Hash of the plain document, as in its entity tag.
    pub hash: String,
    /// `Content-Type` of the plain document.
    pub content_type: &'static str,
}

impl Packed {
    /// Compresses a document.
    pub(super) fn new(plain: &[u8], content_type: &'static str) -> Self {
        let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 12), Compression::new(4));
        encoder.write_all(plain).expect("a Vec takes every write");
        let gzip = encoder.finish().expect("a Vec takes every write");
        Packed { gzip, plain_bytes: plain.len(), hash: content_hash(plain), content_type }
    }

    /// The plain document.
    pub fn plain(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.plain_bytes);
        GzDecoder::new(self.gzip.as_slice())
            .read_to_end(&mut out)
            .expect("the bytes were compressed by this process");
        out
    }

    /// Entity tag with its quotes.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }
}
