//! Percentiles of measured times.

use serde::Serialize;

/// Nearest-rank percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many values there were.
    pub count: usize,
    /// The median.
    pub p50_ms: f64,
    /// 99 of 100 are at most this.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Percentiles {
    /// Of nanoseconds in any order; `None` when there are none.
    #[must_use]
    pub fn of(mut values_ns: Vec<u64>) -> Option<Self> {
        values_ns.sort_unstable();
        let max = *values_ns.last()?;
        Some(Self {
            count: values_ns.len(),
            p50_ms: to_ms(nearest_rank(&values_ns, 50)),
            p99_ms: to_ms(nearest_rank(&values_ns, 99)),
            max_ms: to_ms(max),
        })
    }
}

/// The smallest value that at least `percent` of a hundred do not exceed. `sorted` is not empty.
fn nearest_rank(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

fn to_ms(nanos: u64) -> f64 {
    std::time::Duration::from_nanos(nanos).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank_is_exact_at_the_edges() {
        let values: Vec<u64> = (1..=100).map(|ms| ms * 1_000_000).rev().collect();
        let of = Percentiles::of(values).unwrap();
        assert_eq!((of.count, of.p50_ms, of.p99_ms, of.max_ms), (100, 50.0, 99.0, 100.0));
        let of = Percentiles::of(vec![7_000_000]).unwrap();
        assert_eq!((of.p50_ms, of.p99_ms, of.max_ms), (7.0, 7.0, 7.0));
        let of = Percentiles::of(vec![1_000_000, 3_000_000]).unwrap();
        assert_eq!((of.p50_ms, of.p99_ms), (1.0, 3.0));
        assert!(Percentiles::of(Vec::new()).is_none());
    }
}
