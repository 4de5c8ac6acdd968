//! Keys and ranges of keys.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The path of an object, such as `/registry/pods/default/web-0`: shared bytes, cheap to clone, ordered bytewise.
/// Any length can be built; `apply` refuses what exceeds [`crate::limits::KEY_BYTES_MAX`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// A key of these bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(Arc::from(bytes.as_ref()))
    }
}

impl Deref for Key {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl de::Visitor<'_> for KeyVisitor {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a key")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Key, E> {
                Ok(Key::new(bytes))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                Ok(Key::new(text))
            }
        }
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

/// Keys from `start` (included) to `end` (excluded; `None` = to the last key).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyRange {
    start: Key,
    end: Option<Key>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self { start: Key::new([]), end: None }
    }

    /// Keys from `start` (included) to `end` (excluded); empty when `end <= start`.
    pub fn new(start: Key, end: Option<Key>) -> Self {
        Self { start, end }
    }

    /// Keys that begin with `prefix`.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref();
        let end = prefix.iter().rposition(|byte| *byte != u8::MAX).map(|last| {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            Key::new(end)
        });
        Self { start: Key::new(prefix), end }
    }

    /// The first key that could be inside.
    pub fn start(&self) -> &Key {
        &self.start
    }

    /// The first key after the range, if it ends.
    pub fn end(&self) -> Option<&Key> {
        self.end.as_ref()
    }

    /// Whether `key` is inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && !self.is_before(key)
    }

    /// Whether the whole range lies before `key`.
    pub(crate) fn is_before(&self, key: &[u8]) -> bool {
        self.end.as_ref().is_some_and(|end| key >= &end[..])
    }

    /// The bytes that every key inside begins with, as far as the two ends tell.
    pub(crate) fn common_prefix(&self) -> &[u8] {
        let Some(end) = &self.end else { return &[] };
        let shared = self.start.iter().zip(end.iter()).take_while(|(a, b)| a == b).count();
        &self.start[..shared]
    }
}

/// The directories of a key that the history indexes: every prefix that ends in `/` and holds at least one
/// segment, shortest first, at most [`crate::limits::TOPIC_DEPTH_MAX`] of them.
pub(crate) fn directories(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.iter()
        .enumerate()
        .filter(|(at, byte)| **byte == b'/' && *at > 0)
        .map(|(at, _)| &key[..=at])
        .take(crate::limits::TOPIC_DEPTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_range_holds_exactly_the_keys_with_the_prefix() {
        let range = KeyRange::prefix("/a/");
        assert!(range.contains(b"/a/") && range.contains(b"/a/z\xff"));
        assert!(!range.contains(b"/a") && !range.contains(b"/a0") && !range.contains(b"/b"));
        let edge = KeyRange::prefix([b'a', 0xff]);
        assert!(edge.contains(&[b'a', 0xff, 0xff]) && !edge.contains(b"b"));
        assert!(KeyRange::prefix([0xff]).contains(&[0xff, 0xff]), "a prefix of 0xff has no end");
        assert!(KeyRange::prefix([]).contains(b"anything"));
    }

    #[test]
    fn directories_stop_at_the_last_slash_and_at_the_depth_limit() {
        let found: Vec<&[u8]> = directories(b"/registry/pods/ns/name").collect();
        assert_eq!(found, [&b"/registry/"[..], b"/registry/pods/", b"/registry/pods/ns/"]);
        assert_eq!(directories(b"/a/b/c/d/e/f/g/h/i/j").count(), crate::limits::TOPIC_DEPTH_MAX);
        assert_eq!(directories(b"plain").count(), 0);
    }
}
