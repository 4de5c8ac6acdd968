//! Ages as upstream prints them.

use std::time::{SystemTime, UNIX_EPOCH};

use trireme_schema::time::Moment;

/// How long ago an RFC 3339 time was, such as `5m12s`; `<unknown>` for none.
pub(crate) fn age_since(time: &str) -> String {
    match Moment::parse_time(time).or_else(|_| Moment::parse_micro_time(time)) {
        Ok(then) => human(now().unix_seconds().saturating_sub(then.unix_seconds())),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// The machine's time.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}

/// A duration in seconds with about two digits of precision.
fn human(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let s = seconds.max(0);
    let (minutes, hours, days) = (s / 60, s / 3600, s / 86_400);
    let two = |whole: i64, unit: &str, part: i64, sub: &str| {
        if part == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{part}{sub}") }
    };
    match s {
        0..120 => format!("{s}s"),
        120..600 => two(minutes, "m", s % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (312, "5m12s"),
            (660, "11m"),
            (10_860, "3h1m"),
            (30_000, "8h"),
            (180_000, "2d2h"),
            (864_000, "10d"),
            (63_072_000, "2y"),
            (70_000_000, "2y80d"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
        assert_eq!(age_since("nonsense"), "<unknown>");
    }
}
