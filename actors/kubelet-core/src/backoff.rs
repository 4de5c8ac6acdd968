//! [`BackOff`]: how long something that failed must wait, as upstream's flow control counts it.

use std::time::Duration;

use trireme_core::Tick;

/// First and longest delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOffLimits {
    /// The first delay.
    pub first: Duration,
    /// The longest; also, twice of it without a failure starts again from the first.
    pub longest: Duration,
}

impl BackOffLimits {
    /// 10 s doubling to 300 s: restarts and image pulls.
    pub const UPSTREAM: Self = Self { first: Duration::from_secs(10), longest: Duration::from_secs(300) };
}

/// The delay of one thing that keeps failing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    entry: Option<(Duration, Tick)>,
}

impl BackOff {
    /// Until when to wait after the failure at `since`; `None` means go on now.
    pub fn until(&self, limits: BackOffLimits, since: Tick, now: Tick) -> Option<Tick> {
        let (delay, updated) = self.entry?;
        if since.since(updated) > limits.longest * 2 {
            return None;
        }
        let until = since + delay;
        (now < until).then_some(until)
    }

    /// Notes another try; the next delay is twice as long.
    pub fn advance(&mut self, limits: BackOffLimits, now: Tick) {
        let delay = match self.entry {
            Some((delay, updated)) if now.since(updated) <= limits.longest * 2 => {
                (delay * 2).min(limits.longest)
            }
            _ => limits.first,
        };
        self.entry = Some((delay, now));
    }

    /// The current delay.
    pub fn delay(&self) -> Duration {
        self.entry.map_or(Duration::ZERO, |(delay, _)| delay)
    }

    /// When the last try was noted.
    pub fn updated(&self) -> Option<Tick> {
        self.entry.map(|(_, updated)| updated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_longest_and_start_again_after_ten_quiet_minutes() {
        let limits = BackOffLimits::UPSTREAM;
        let mut back_off = BackOff::default();
        let mut now = Tick::from_millis(1_000);
        assert_eq!(back_off.until(limits, now, now), None, "the first restart is immediate");
        for expected in [10, 20, 40, 80, 160, 300, 300] {
            back_off.advance(limits, now);
            assert_eq!(back_off.delay(), Duration::from_secs(expected));
            assert_eq!(back_off.until(limits, now, now), Some(now + Duration::from_secs(expected)));
            now += Duration::from_secs(expected);
            assert_eq!(back_off.until(limits, now, now + Duration::from_secs(300)), None);
        }
        now += Duration::from_secs(601);
        assert_eq!(back_off.until(limits, now, now), None);
        back_off.advance(limits, now);
        assert_eq!(back_off.delay(), Duration::from_secs(10));
    }
}
