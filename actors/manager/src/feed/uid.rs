//! [`Uid`]: a uid as a number, a third of its text's size.

/// A uid. Two different texts may have the same number (those that are no UUIDs): whoever finds an object by it compares
/// the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Uid(u128);

impl Uid {
    /// The number of a text; `None` for the empty one.
    pub(crate) fn of(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        Some(Self(uuid(text).unwrap_or_else(|| fnv128(text.as_bytes()))))
    }
}

fn uuid(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    let dashes = [8, 13, 18, 23];
    if bytes.len() != 36 || dashes.iter().any(|at| bytes[*at] != b'-') {
        return None;
    }
    let mut out = 0_u128;
    for (_, byte) in bytes.iter().enumerate().filter(|(at, _)| !dashes.contains(at)) {
        let digit = char::from(*byte).to_digit(16)?;
        out = out << 4 | u128::from(digit);
    }
    Some(out)
}

/// FNV-1a.
fn fnv128(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0x6C62_272E_07BB_0142_62B8_2175_6295_C58D, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_themselves_and_other_texts_get_a_number() {
        let uuid = Uid::of("00000000-0000-4000-8000-0000000000ff");
        assert_eq!(uuid, Some(Uid(0x4000_8000_0000_0000_00FF)));
        assert_ne!(Uid::of("a"), Uid::of("b"));
        assert_ne!(Uid::of("00000000-0000-4000-8000-00000000-0ff"), None);
        assert_eq!(Uid::of(""), None);
    }
}
