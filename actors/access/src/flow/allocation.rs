//! How the server's seats are split over the levels: by shares, then by who needs what others can lend.

use super::priority_level::PriorityLevel;

/// A level's seats: its own, the fewest it keeps, the most it may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) nominal: u32,
    pub(super) least: u32,
    pub(super) most: u32,
}

fn percent(of: u32, percent: u32) -> u32 {
    // Rounded to the nearest, as upstream does.
    u32::try_from((u64::from(of) * u64::from(percent) + 50) / 100).unwrap_or(u32::MAX)
}

/// Each level's seats out of `total`, rounded up so that no level with shares is without a seat.
pub(super) fn shares(total: u32, levels: &[&PriorityLevel]) -> Vec<Share> {
    let sum: u64 = levels.iter().map(|level| u64::from(level.shares)).sum::<u64>().max(1);
    let share = |level: &&PriorityLevel| {
        let nominal = (u64::from(total) * u64::from(level.shares)).div_ceil(sum);
        let nominal = u32::try_from(nominal).unwrap_or(u32::MAX);
        let borrowed = level.borrowing_limit_percent.map_or(total, |limit| percent(nominal, limit));
        Share {
            nominal,
            least: nominal - percent(nominal, level.lendable_percent),
            most: nominal.saturating_add(borrowed),
        }
    };
    levels.iter().map(share).collect()
}

/// The seats of each level for a while: between its least and its most, in proportion to what it needed, all together the
/// sum of the nominal ones.
pub(super) fn allocate(shares: &[Share], needed: &[u32]) -> Vec<u32> {
    let required: u64 = shares.iter().map(|share| u64::from(share.nominal)).sum();
    // Nobody is pushed below what it needs and owns.
    let least: Vec<u32> = shares
        .iter()
        .zip(needed)
        .map(|(share, &needed)| share.least.max(needed.min(share.nominal)))
        .collect();
    let at = |proportion: f64| -> Vec<u32> {
        let of = |((share, &needed), &least): ((&Share, &u32), &u32)| {
            let wanted = f64::from(needed.max(1)) * proportion;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // rounded, positive, clamped below
            let wanted = wanted.round().min(f64::from(u32::MAX)) as u32;
            wanted.clamp(least, share.most.max(least))
        };
        shares.iter().zip(needed).zip(&least).map(of).collect()
    };
    let sum = |seats: &[u32]| seats.iter().map(|&seats| u64::from(seats)).sum::<u64>();
    let (mut low, mut high) = (0.0f64, 1.0f64);
    while sum(&at(high)) < required && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if sum(&at(middle)) <= required { low = middle } else { high = middle }
    }
    at(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn level(shares: u32, lendable: u32) -> PriorityLevel {
        PriorityLevel::from_value(&json!({"spec":{"type":"Limited","limited":{
            "nominalConcurrencyShares":shares,"lendablePercent":lendable}}}))
    }

    #[test]
    fn seats_follow_shares_and_move_with_need() {
        let (a, b) = (level(30, 50), level(10, 0));
        let shares = shares(100, &[&a, &b]);
        assert_eq!(shares[0], Share { nominal: 75, least: 37, most: 175 });
        assert_eq!(shares[1], Share { nominal: 25, least: 25, most: 125 });
        // The first idles: the second gets what it lends. Both busy: each its own.
        let busy_second = allocate(&shares, &[0, 1000]);
        assert_eq!(busy_second[0], 37);
        assert!((60..=63).contains(&busy_second[1]), "{busy_second:?}");
        let both = allocate(&shares, &[1000, 1000]);
        assert_eq!(both, [75, 25]);
        // The second lends nothing.
        assert_eq!(allocate(&shares, &[1000, 0])[1], 25);
    }
}
