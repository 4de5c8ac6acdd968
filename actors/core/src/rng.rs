use std::time::Duration;

/// A small seeded generator (xoshiro256++ seeded by splitmix64): same seed, same numbers, on every machine.
///
/// For jitter, schedules and tests; never for secrets.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator for `seed`; nearby seeds give unrelated sequences.
    pub fn new(seed: u64) -> Self {
        let mut mixer = seed;
        let mut next = || {
            mixer = mixer.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = mixer;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        };
        Self { state: [next(), next(), next(), next()] }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (mut c, mut d) = (c ^ a, d ^ b);
        let (b, a) = (b ^ c, a ^ d);
        c ^= self.state[1] << 17;
        d = d.rotate_left(45);
        self.state = [a, b, c, d];
        result
    }

    /// A number in `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a 128-bit product fits 64 bits")
    }

    /// A number in `low..=high`; `low` when the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// True with probability `numerator / denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// An index into a slice of `len` elements, `None` for an empty one.
    pub fn index(&mut self, len: usize) -> Option<usize> {
        let bound = u64::try_from(len).ok().filter(|len| *len > 0)?;
        usize::try_from(self.below(bound)).ok()
    }

    /// `span` moved by at most `percent` percent up or down, evenly spread.
    pub fn jitter(&mut self, span: Duration, percent: u8) -> Duration {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let reach = nanos / 100 * u64::from(percent.min(100));
        Duration::from_nanos(self.between(nanos - reach, nanos.saturating_add(reach)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers_other_seed_others() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..64).map(|_| rng.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn stays_in_range_and_reaches_the_ends() {
        let mut rng = Rng::new(1);
        let mut seen = [false; 5];
        for _ in 0..1_000 {
            let value = rng.between(10, 14);
            seen[usize::try_from(value - 10).unwrap()] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.index(0), None);
    }

    #[test]
    fn jitter_keeps_its_reach() {
        let mut rng = Rng::new(3);
        for _ in 0..1_000 {
            let span = rng.jitter(Duration::from_millis(100), 20);
            assert!((80..=120).contains(&span.as_millis()), "{span:?}");
        }
        assert_eq!(rng.jitter(Duration::from_millis(5), 0), Duration::from_millis(5));
    }
}
