//! Wall-clock time in whole seconds, the resolution of an X.509 validity.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970-01-01T00:00:00Z.
///
/// Decisions in this crate take it as an argument; only [`WallTime::now`] reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WallTime(u64);

/// Fault point: how far this process's wall clock is set off, in seconds.
static OFF_BY_S: AtomicI64 = AtomicI64::new(0);

/// 9999-12-31T23:59:59Z, the last moment an X.509 time can express.
const LATEST_SECONDS: u64 = 253_402_300_799;

impl WallTime {
    /// The last moment an X.509 certificate can name.
    pub const LATEST: WallTime = WallTime(LATEST_SECONDS);

    /// From seconds since the Unix epoch, clamped to what X.509 can express.
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(if seconds > LATEST_SECONDS { LATEST_SECONDS } else { seconds })
    }

    /// Seconds since the Unix epoch.
    pub const fn unix_seconds(self) -> u64 {
        self.0
    }

    /// Reads the machine's clock. For shells; a clock before 1970 reads as 1970.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::read(since_epoch.as_secs())
    }

    /// Fault point for chaos runs: from now on this process reads a clock that is wrong by so many seconds, also when
    /// it judges certificates. Zero heals it.
    pub fn set_off_by(seconds: i64) {
        OFF_BY_S.store(seconds, Ordering::Relaxed);
    }

    fn read(seconds: u64) -> Self {
        Self::from_unix_seconds(seconds.saturating_add_signed(OFF_BY_S.load(Ordering::Relaxed)))
    }

    /// This moment plus `span`, clamped to [`WallTime::LATEST`].
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self::from_unix_seconds(self.0.saturating_add(span.as_secs()))
    }

    /// This moment minus `span`, clamped to the epoch.
    #[must_use]
    pub const fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_secs()))
    }

    /// Time from `earlier` to this moment; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn from_tls(now: UnixTime) -> Self {
        Self::read(now.as_secs())
    }

    pub(crate) fn to_tls(self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.0))
    }

    /// A certificate time before 1970 is clamped to the epoch.
    pub(crate) fn from_timestamp(seconds: i64) -> Self {
        Self::from_unix_seconds(u64::try_from(seconds).unwrap_or(0))
    }

    pub(crate) fn to_calendar(self) -> OffsetDateTime {
        let seconds = i64::try_from(self.0).expect("LATEST_SECONDS fits an i64");
        OffsetDateTime::from_unix_timestamp(seconds).expect("LATEST_SECONDS is within the calendar")
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_calendar().format(&Rfc3339) {
            Ok(text) => f.write_str(&text),
            Err(_) => write!(f, "unix:{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_and_prints() {
        let t = WallTime::from_unix_seconds(86_400);
        assert_eq!(t.to_string(), "1970-01-02T00:00:00Z");
        assert_eq!(t.minus(Duration::from_secs(90_000)), WallTime::from_unix_seconds(0));
        assert_eq!(WallTime::LATEST.plus(Duration::from_secs(1)), WallTime::LATEST);
        assert_eq!(WallTime::from_unix_seconds(u64::MAX), WallTime::LATEST);
        assert_eq!(WallTime::LATEST.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(t.since(t.plus(Duration::from_secs(5))), Duration::ZERO);
    }
}
