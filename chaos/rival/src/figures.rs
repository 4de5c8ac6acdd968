//! Rates and percentiles of one round, and medians over rounds.

use std::time::Duration;

use serde::Serialize;

/// What one round gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Operations per second.
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50_ms: f64,
    /// Milliseconds.
    pub(crate) p99_ms: f64,
    /// Processor time of all servers for one operation, in microseconds; zero when it was not asked for.
    pub(crate) server_us: f64,
}

impl Figures {
    /// Of operations that took so long each, in `window` altogether.
    pub(crate) fn of(mut taken: Vec<Duration>, window: Duration) -> Self {
        taken.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark stay far below 2^52")]
        let per_second = taken.len() as f64 / window.as_secs_f64();
        let (p50_ms, p99_ms) = (ms(percentile(&taken, 50)), ms(percentile(&taken, 99)));
        Self { per_second, p50_ms, p99_ms, server_us: 0.0 }
    }

    /// The median of each figure by itself.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let of = |pick: fn(&Self) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(pick).collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            per_second: of(|f| f.per_second),
            p50_ms: of(|f| f.p50_ms),
            p99_ms: of(|f| f.p99_ms),
            server_us: of(|f| f.server_us),
        }
    }
}

/// The value that `percent` of the sorted values do not exceed.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_medians_are_of_what_was_measured() {
        let taken = (1..=100).rev().map(Duration::from_millis).collect();
        let figures = Figures::of(taken, Duration::from_secs(2));
        assert_eq!(figures, Figures { per_second: 50.0, p50_ms: 50.0, p99_ms: 99.0, server_us: 0.0 });
        let other = |n| Figures { per_second: n, p50_ms: -n, p99_ms: n, server_us: n };
        assert_eq!(Figures::median(&[other(3.0), other(1.0), other(2.0)]), other(2.0));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
