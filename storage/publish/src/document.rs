//! [`Document`]: an encoded answer with its entity tag.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha512};

/// An encoded answer that clients may cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What is sent.
    pub body: Vec<u8>,
    /// Entity tag with its quotes, as the `ETag` header wants it.
    pub etag: String,
    /// `Content-Type` of the body.
    pub content_type: &'static str,
}

impl Document {
    /// A JSON document.
    pub fn json(value: &Value, content_type: &'static str) -> Self {
        let body = serde_json::to_vec(value).expect("a JSON value always encodes");
        let etag = format!("\"{}\"", content_hash(&body));
        Document { body, etag, content_type }
    }
}

/// The hash that upstream puts into entity tags and `?hash=`: SHA-512 in upper-case hexadecimal.
pub fn content_hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(128);
    for byte in Sha512::digest(bytes) {
        write!(text, "{byte:02X}").expect("a String takes every write");
    }
    text
}

/// Whether an `If-None-Match` header names this entity tag, so that 304 without a body is the answer.
pub fn etag_matches(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_documents_have_equal_tags() {
        let one = Document::json(&json!({"a": 1}), "application/json");
        assert_eq!(one.etag.len(), 130);
        assert_eq!(one, Document::json(&json!({"a": 1}), "application/json"));
        assert_ne!(one.etag, Document::json(&json!({"a": 2}), "application/json").etag);
        assert!(etag_matches(&format!("\"x\", W/{}", one.etag), &one.etag));
        assert!(!etag_matches("\"x\"", &one.etag));
    }
}
