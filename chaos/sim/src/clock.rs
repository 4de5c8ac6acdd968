//! A peer's own clock against the world's.

use std::time::Duration;

use trireme_core::Tick;

/// A clock that is off by an offset and runs too fast or too slow.
///
/// A peer's clock never goes back: a jump is forwards only, as with a monotonic clock after a suspended machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerClock {
    /// World time and local time at the last change of rate.
    world: Tick,
    local: Tick,
    /// Parts per million that the clock gains; negative if it loses.
    drift_ppm: i64,
}

/// Parts in a million.
const MILLION: i128 = 1_000_000;

impl PeerClock {
    /// A clock that shows `offset` at the world's origin.
    pub fn new(offset: Duration, drift_ppm: i64) -> PeerClock {
        PeerClock { world: Tick::ZERO, local: Tick::ZERO + offset, drift_ppm: drift_ppm.max(1 - 1_000_000) }
    }

    /// What the clock shows at `world`.
    pub fn local(&self, world: Tick) -> Tick {
        let passed = i128::from(world.as_nanos().saturating_sub(self.world.as_nanos()));
        let gained = passed * (MILLION + i128::from(self.drift_ppm)) / MILLION;
        let local = i128::from(self.local.as_nanos()) + gained;
        Tick::from_nanos(u64::try_from(local.max(0)).unwrap_or(u64::MAX))
    }

    /// The first moment of the world at which the clock shows `local` or later.
    pub fn world(&self, local: Tick) -> Tick {
        let wanted = i128::from(local.as_nanos()) - i128::from(self.local.as_nanos());
        if wanted <= 0 {
            return self.world;
        }
        let rate = MILLION + i128::from(self.drift_ppm);
        let passed = (wanted * MILLION + rate - 1) / rate;
        let world = i128::from(self.world.as_nanos()) + passed;
        Tick::from_nanos(u64::try_from(world).unwrap_or(u64::MAX))
    }

    /// Puts the clock forward at `now`.
    pub fn jump(&mut self, now: Tick, by: Duration) {
        (self.local, self.world) = (self.local(now) + by, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_moment_is_the_first_that_shows_it() {
        for drift in [-900, -1, 0, 1, 250_000] {
            let mut clock = PeerClock::new(Duration::from_millis(3), drift);
            clock.jump(Tick::from_millis(10), Duration::from_millis(500));
            for step in 1..200 {
                let local = clock.local(Tick::from_millis(10)) + Duration::from_nanos(step * 7_777_777);
                let world = clock.world(local);
                assert!(clock.local(world) >= local);
                let before = Tick::from_nanos(world.as_nanos() - 1);
                assert!(clock.local(before) < local, "drift {drift}");
            }
        }
    }

    #[test]
    fn a_jump_goes_forward() {
        let mut clock = PeerClock::new(Duration::ZERO, 0);
        let now = Tick::from_millis(5);
        clock.jump(now, Duration::from_millis(7));
        assert_eq!(clock.local(now), Tick::from_millis(12));
    }
}
