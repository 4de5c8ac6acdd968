//! Shuffle sharding: each flow gets a hand of queues, so that one flow's flood fills few of another's.

/// Deals `hand_size` different queues out of `queues` (0 based), by the hash of a flow. The same hash gets the same hand.
pub fn hand(mut hash: u64, queues: usize, hand_size: usize) -> Vec<usize> {
    let mut out: Vec<usize> = Vec::with_capacity(hand_size.min(queues));
    for dealt in 0..hand_size.min(queues) {
        let left = (queues - dealt) as u64;
        let mut card = usize::try_from(hash % left).unwrap_or(0);
        hash /= left;
        // Count only cards that are still in the deck.
        let mut sorted = out.clone();
        sorted.sort_unstable();
        for taken in sorted {
            if card >= taken {
                card += 1;
            }
        }
        out.push(card);
    }
    out
}

/// Hash of a flow (FNV-1a, then mixed so that every bit counts), the same on every machine.
pub(super) fn flow_hash(schema: &str, distinguisher: &str) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in schema.bytes().chain([0]).chain(distinguisher.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn hands_are_distinct_cards_and_spread() {
        let mut uses = [0usize; 64];
        for user in 0..1000 {
            let hand = hand(flow_hash("schema", &format!("user{user}")), 64, 6);
            assert_eq!(hand.iter().collect::<BTreeSet<_>>().len(), 6);
            for card in hand {
                uses[card] += 1;
            }
        }
        // 6,000 cards over 64 queues: 94 each on average.
        assert!(uses.iter().all(|&count| (50..150).contains(&count)), "{uses:?}");
        assert_eq!(hand(7, 3, 9).len(), 3);
        assert_eq!(hand(7, 0, 1), Vec::<usize>::new());
    }
}
