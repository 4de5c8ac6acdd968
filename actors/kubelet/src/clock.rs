//! The wall clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use trireme_core::Tick;
use trireme_schema::time::Moment;

/// Nanoseconds since 1970.
pub(crate) fn nanos_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The same as the pod worker counts it.
pub(crate) fn tick_now() -> Tick {
    Tick::from_nanos(nanos_now())
}

/// The same as the API writes it.
pub(crate) fn moment_now() -> Moment {
    moment(nanos_now())
}

/// A moment of the runtime.
pub(crate) fn moment(nanos: u64) -> Moment {
    let seconds = i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
    let rest = u32::try_from(nanos % 1_000_000_000).expect("a remainder below one billion");
    Moment::from_unix(seconds, rest)
}
