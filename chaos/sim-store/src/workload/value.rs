//! How names of 64 bits become the bytes of values, and what stands for a value in a history.

use bytes::Bytes;
use trireme_mvcc::{Key, Object};

/// Longest padding behind a name, in bytes.
const PADDING_MAX: u64 = 300;

/// A value for this name, with padding that follows from it.
pub(crate) fn encode(name: u64) -> Bytes {
    let mut bytes = name.to_be_bytes().to_vec();
    bytes.resize(8 + padding(name), filler(name));
    bytes.into()
}

/// The bytes of a list.
pub(crate) fn encode_list(elements: &[u64]) -> Bytes {
    elements.iter().flat_map(|element| element.to_be_bytes()).collect::<Vec<u8>>().into()
}

/// The elements of a list; `None` when the bytes are no list.
pub(crate) fn decode_list(bytes: &[u8]) -> Option<Vec<u64>> {
    let (elements, rest) = bytes.as_chunks::<8>();
    rest.is_empty().then(|| elements.iter().map(|element| u64::from_be_bytes(*element)).collect())
}

/// What stands for a value: its name, or a sum of its bytes for lists and for what is damaged.
pub(crate) fn print(object: &Object) -> u64 {
    match decode(object.value()) {
        Some(name) if !object.key().starts_with(b"l/") => name,
        Some(_) | None => sum(object.value()),
    }
}

/// A key as histories write it.
pub(crate) fn name_of(key: &Key) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let name = u64::from_be_bytes(*bytes.first_chunk()?);
    let rest = &bytes[8..];
    (rest.len() == padding(name) && rest.iter().all(|byte| *byte == filler(name))).then_some(name)
}

fn sum(bytes: &[u8]) -> u64 {
    let mut hash = trireme_sim::TraceHash::default();
    hash.add_bytes(bytes);
    hash.value()
}

fn padding(name: u64) -> usize {
    let length = if name.is_multiple_of(16) { PADDING_MAX } else { name % 16 };
    usize::try_from(length).expect("a few hundred")
}

fn filler(name: u64) -> u8 {
    name.to_le_bytes()[0] ^ 0x5a
}
