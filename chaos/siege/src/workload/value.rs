//! How names of 64 bits become the bytes of values, and what a log entry is remembered by.

use bytes::Bytes;

/// Longest padding behind a name, in bytes.
const PADDING_MAX: usize = 2_000;

/// A value for this name, with padding whose length and content follow from the name.
pub(crate) fn encode(name: u64) -> Bytes {
    let mut bytes = name.to_be_bytes().to_vec();
    bytes.resize(8 + padding(name), filler(name));
    bytes.into()
}

/// The name in a value; `None` when it is not as [`encode`] made it.
pub(crate) fn decode(bytes: &[u8]) -> Option<u64> {
    let name = u64::from_be_bytes(*bytes.first_chunk()?);
    let rest = &bytes[8..];
    (rest.len() == padding(name) && rest.iter().all(|byte| *byte == filler(name))).then_some(name)
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

/// What stands for a value in a history: its name, or a sum of its bytes for lists and for what is damaged.
pub(crate) fn fingerprint(key: &str, value: &[u8]) -> u64 {
    match decode(value) {
        Some(name) if !key.starts_with("l/") => name,
        Some(_) | None => sum(value),
    }
}

/// FNV-1a, 64 bits.
fn sum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Mostly small values, a few large ones.
fn padding(name: u64) -> usize {
    let roll = usize::try_from(name % 64).expect("below 64");
    if roll == 0 { PADDING_MAX } else { roll }
}

fn filler(name: u64) -> u8 {
    name.to_le_bytes()[0] ^ 0x5a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_damage_is_seen() {
        for name in [0, 1, 63, 64, 65, u64::MAX] {
            let value = encode(name);
            assert_eq!(decode(&value), Some(name));
            assert_eq!(fingerprint("r/0/1", &value), name);
            let mut damaged = value.to_vec();
            *damaged.last_mut().unwrap() ^= 1;
            assert_ne!(fingerprint("r/0/1", &damaged), name);
            assert_eq!(decode(&value[..value.len() - 1]), None);
        }
    }

    #[test]
    fn lists_come_back() {
        assert_eq!(decode_list(&encode_list(&[1, 2, u64::MAX])), Some(vec![1, 2, u64::MAX]));
        assert_eq!(decode_list(&[]), Some(vec![]));
        assert_eq!(decode_list(&[1]), None);
        assert_ne!(fingerprint("l/0/1", &encode_list(&[1])), fingerprint("l/0/1", &encode_list(&[1, 2])));
    }
}
