//! Suffixes of generated names, chosen by the planner.

use trireme_core::Rng;
use trireme_schema::time::Moment;

/// Upstream's alphabet: no vowels and no digits that read like them, so that no words appear.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Suffixes for the objects that one plan creates for one owner.
pub(crate) struct Suffixes(Rng);

impl Suffixes {
    /// The suffixes of a moment.
    pub(crate) fn new(owner_uid: &str, now: Moment) -> Self {
        let moment = now.unix_seconds().cast_unsigned().wrapping_mul(1_000_000_000) ^ u64::from(now.nanos());
        Self(Rng::new(fnv64(owner_uid.as_bytes()) ^ moment))
    }

    /// Five characters.
    pub(crate) fn draw(&mut self) -> String {
        encode(self.0.next_u64(), 5)
    }
}

/// Characters of [`ALPHABET`] for a hash.
pub(crate) fn encode(mut hash: u64, characters: usize) -> String {
    let mut out = String::with_capacity(characters);
    for _ in 0..characters {
        let index = usize::try_from(hash % 27).expect("a rest below 27 fits");
        out.push(char::from(ALPHABET[index]));
        hash /= 27;
    }
    out
}

/// FNV-1a over bytes.
pub(crate) fn fnv64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// FNV-1a (32 bits) over a text, its decimal digits in characters of [`ALPHABET`]: the hashes in names of revisions.
pub(crate) fn digits_of_hash(text: &str) -> String {
    let hash =
        text.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}
