//! Which request ids of a class were seen: a frame delivered twice is executed once. Pure.

/// Ids this far behind the newest are taken for repetitions. Frames of a class come in order; only injected
/// faults reorder them, and not by much.
pub(super) const WINDOW: u64 = 1024;

/// A sliding window over increasing ids.
#[derive(Debug, Default)]
pub(super) struct Seen {
    newest: u64,
    /// One bit per id, by id modulo the window; made when the first id out of order comes.
    bits: Option<Box<[u64; 16]>>,
}

impl Seen {
    /// Notes an id; false when it was seen before or is too old to tell.
    pub(super) fn insert(&mut self, id: u64) -> bool {
        if id == 0 {
            return false;
        }
        if id > self.newest {
            self.advance(id);
            return true;
        }
        if self.newest - id >= WINDOW {
            return false;
        }
        // In-order streams only get here with a repetition of the newest.
        let bits = self.bits.get_or_insert_with(|| Box::new([u64::MAX; 16]));
        let (word, bit) = place(id);
        let seen = bits[word] & bit != 0;
        bits[word] |= bit;
        !seen
    }

    fn advance(&mut self, id: u64) {
        let gap = id - self.newest > 1;
        if gap && self.bits.is_none() {
            self.bits = Some(Box::new([u64::MAX; 16]));
        }
        if let Some(bits) = &mut self.bits {
            let first = self.newest + 1;
            for skipped in first.max(id.saturating_sub(WINDOW - 1))..id {
                let (word, bit) = place(skipped);
                bits[word] &= !bit;
            }
            let (word, bit) = place(id);
            bits[word] |= bit;
        }
        self.newest = id;
    }
}

fn place(id: u64) -> (usize, u64) {
    let slot = id % WINDOW;
    (usize::try_from(slot / 64).expect("below 16"), 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use trireme_core::Rng;

    #[test]
    fn it_agrees_with_a_set() {
        let (mut rng, mut seen, mut model) = (Rng::new(5), Seen::default(), BTreeSet::new());
        let mut newest = 0;
        for _ in 0..100_000 {
            let id = if rng.chance(1, 2) {
                newest + 1 + rng.below(5)
            } else {
                newest.saturating_sub(rng.below(1500))
            };
            let fresh = id > 0 && (id > newest || newest - id < WINDOW) && model.insert(id);
            assert_eq!(seen.insert(id), fresh, "id {id}, newest {newest}");
            newest = newest.max(id);
        }
    }
}
