//! Which moments of a schedule have passed without a job.

use super::schedule::Schedule;

/// More missed moments than this are said.
const MANY: i64 = 100;
/// Most moments that are stepped through between an estimate and now.
const STEPS_LIMIT: usize = 100_000;
/// The complaint about a schedule that has no moments.
const NO_MOMENTS: &str = "time difference between two schedules is less than 1 second";

/// What has passed by now. Seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// From where it was counted.
    pub(super) earliest: i64,
    /// The latest moment that has passed.
    pub(super) latest: Option<i64>,
    /// Roughly how many have passed; 0 also for one that passed just now.
    pub(super) count: i64,
}

impl Missed {
    /// Counts from `earliest` to `now`.
    ///
    /// # Errors
    /// The complaint about a schedule without moments.
    pub(super) fn between(schedule: &Schedule, earliest: i64, now: i64) -> Result<Self, &'static str> {
        let first = schedule.next(earliest).ok_or(NO_MOMENTS)?;
        if now < first {
            return Ok(Self { earliest, latest: None, count: 0 });
        }
        let second = schedule.next(first).ok_or(NO_MOMENTS)?;
        if now < second {
            return Ok(Self { earliest, latest: Some(first), count: 0 });
        }
        let apart = second - first;
        let count = (now - first) / apart + 1;
        // Moments need not be evenly apart: one step back from the estimate, and further if that finds none (upstream
        // gives up there, and leaves out what was missed over a weekend).
        let mut back = 2;
        let mut latest = None;
        while latest.is_none() && back / 2 < count {
            let start = first + (count - back).max(0) * apart;
            latest = last_between(schedule, start, now).or((start == first).then_some(first));
            back *= 2;
        }
        Ok(Self { earliest, latest, count })
    }

    /// So many that the user should know.
    pub(super) fn is_many(self) -> bool {
        self.count > MANY
    }

    /// From where the next moment is looked for.
    pub(super) fn look_from(self, now: i64) -> i64 {
        match self.latest {
            Some(latest) => latest,
            None if self.count == 0 => self.earliest,
            None => now,
        }
    }
}

/// The last moment after `at` that is not after `now`.
fn last_between(schedule: &Schedule, mut at: i64, now: i64) -> Option<i64> {
    let mut latest = None;
    for _ in 0..STEPS_LIMIT {
        match schedule.next(at) {
            Some(next) if next <= now => (at, latest) = (next, Some(next)),
            _ => break,
        }
    }
    latest
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use trireme_schema::time::Moment;

    fn between(schedule: &str, from: &str, to: &str) -> (Option<String>, i64) {
        let at = |text: &str| Moment::parse_time(text).unwrap().unix_seconds();
        let schedule = Schedule::parse(schedule, &TimeZone::UTC).unwrap();
        let missed = Missed::between(&schedule, at(from), at(to)).unwrap();
        (missed.latest.map(|latest| Moment::from_unix(latest, 0).to_time()), missed.count)
    }

    #[test]
    fn the_latest_moment_is_made_up_for() {
        let hourly = "0 * * * *";
        assert_eq!(between(hourly, "2026-01-01T10:30:00Z", "2026-01-01T10:59:59Z"), (None, 0));
        assert_eq!(
            between(hourly, "2026-01-01T10:30:00Z", "2026-01-01T11:00:00Z"),
            (Some("2026-01-01T11:00:00Z".into()), 0)
        );
        assert_eq!(
            between(hourly, "2026-01-01T10:30:00Z", "2026-01-01T15:10:00Z"),
            (Some("2026-01-01T15:00:00Z".into()), 5)
        );
        assert_eq!(
            between("@every 1h", "2026-01-01T10:30:00Z", "2026-01-02T15:10:00Z"),
            (Some("2026-01-02T14:30:00Z".into()), 28)
        );
        // Uneven: four times a day on working days; Sunday is found to have passed since Friday.
        assert_eq!(
            between("30 6-16/4 * * 1-5", "2026-01-02T06:00:00Z", "2026-01-04T12:00:00Z").0,
            Some("2026-01-02T14:30:00Z".into())
        );
    }

    #[test]
    fn a_schedule_without_moments_is_an_error() {
        let schedule = Schedule::parse("59 23 31 2 *", &TimeZone::UTC).unwrap();
        assert_eq!(Missed::between(&schedule, 0, 1_000_000), Err(NO_MOMENTS));
    }
}
