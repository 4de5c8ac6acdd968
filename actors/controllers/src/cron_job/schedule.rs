//! [`Schedule`]: when a CronJob's moments are.
//!
//! Source: robfig/cron v3's standard parser: five fields, names of months and days, `?`, steps, descriptors and
//! `@every`. Around changes of the clock: moments in the hour that is left out do not come, those in the hour that
//! comes twice come twice.

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, Zoned};
use trireme_schema::time::parse_duration_nanos;

/// How many years ahead a moment is looked for, as upstream.
const YEARS_LIMIT: i16 = 5;
/// Bit of a field that was `*` or `?`.
const STAR: u64 = 1 << 63;

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Values of a field and their names.
#[derive(Clone, Copy)]
struct Field {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { low: 0, high: 59, names: &[] },
    Field { low: 0, high: 23, names: &[] },
    Field { low: 1, high: 31, names: &[] },
    Field { low: 1, high: 12, names: MONTHS },
    Field { low: 0, high: 6, names: DAYS },
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Moments {
    /// Bits of minute, hour, day of the month, month, day of the week.
    Fields([u64; 5]),
    /// So many seconds after each other.
    Every(i64),
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    zone: TimeZone,
    moments: Moments,
}

/// A zone of the table inside the binary.
///
/// # Errors
/// The complaint in Go's words.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled().get(name).map_err(|_| format!("unknown time zone {name}"))
}

impl Schedule {
    /// Reads a schedule; `TZ=` or `CRON_TZ=` before it names its zone, or else it is in `default`.
    ///
    /// # Errors
    /// The complaint, in the words of upstream's parser.
    pub(super) fn parse(text: &str, default: &TimeZone) -> Result<Self, String> {
        let mut rest = text.trim();
        let mut own = default.clone();
        if let Some(tail) = rest.strip_prefix("TZ=").or_else(|| rest.strip_prefix("CRON_TZ=")) {
            let (name, tail) = tail.split_once(' ').ok_or_else(|| format!("provided bad location {tail}"))?;
            own = zone(name).map_err(|error| format!("provided bad location {name}: {error}"))?;
            rest = tail.trim();
        }
        let moments = if rest.starts_with('@') { descriptor(rest)? } else { fields(rest)? };
        Ok(Self { zone: own, moments })
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first moment after a second since 1970; `None` when none comes.
    pub(super) fn next(&self, after: i64) -> Option<i64> {
        match self.moments {
            Moments::Every(seconds) => after.checked_add(seconds),
            Moments::Fields(bits) => self.next_of_fields(bits, after),
        }
    }

    fn next_of_fields(&self, [minutes, hours, days, months, weekdays]: [u64; 5], after: i64) -> Option<i64> {
        let mut at = Timestamp::from_second(after.checked_add(1)?).ok()?.to_zoned(self.zone.clone());
        let limit = at.year().checked_add(YEARS_LIMIT)?;
        let mut fresh = true;
        'again: loop {
            if at.year() > limit {
                return None;
            }
            while !has(months, at.month()) {
                at =
                    self.midnight(at.date().first_of_month().checked_add(jiff::Span::new().months(1)).ok()?)?;
                fresh = false;
                if at.month() == 1 {
                    continue 'again;
                }
            }
            while !day_matches(days, weekdays, &at) {
                at = self.midnight(at.date().tomorrow().ok()?)?;
                fresh = false;
                if at.day() == 1 {
                    continue 'again;
                }
            }
            while !has(hours, at.hour()) {
                if fresh {
                    let hour = at.date().at(at.hour(), 0, 0, 0);
                    at = hour.to_zoned(self.zone.clone()).ok()?;
                    fresh = false;
                }
                at = at.checked_add(SignedDuration::from_hours(1)).ok()?;
                if at.hour() == 0 {
                    continue 'again;
                }
            }
            let seconds = i64::from(at.second());
            if seconds > 0 {
                at = at.checked_add(SignedDuration::from_secs(60 - seconds)).ok()?;
                fresh = false;
                if at.minute() == 0 {
                    continue 'again;
                }
            }
            while !has(minutes, at.minute()) {
                at = at.checked_add(SignedDuration::from_mins(1)).ok()?;
                fresh = false;
                if at.minute() == 0 {
                    continue 'again;
                }
            }
            return Some(at.timestamp().as_second());
        }
    }

    /// The first moment of a day: where midnight is left out, the first hour that is there.
    fn midnight(&self, date: Date) -> Option<Zoned> {
        date.to_zoned(self.zone.clone()).ok()
    }
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits & (1 << value) != 0)
}

/// Days of the month and of the week: either, unless one of them is `*`.
fn day_matches(days: u64, weekdays: u64, at: &Zoned) -> bool {
    let day = has(days, at.day());
    let weekday = has(weekdays, at.weekday().to_sunday_zero_offset());
    if days & STAR != 0 || weekdays & STAR != 0 { day && weekday } else { day || weekday }
}

fn descriptor(text: &str) -> Result<Moments, String> {
    let expanded = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => {
            let Some(duration) = other.strip_prefix("@every ") else {
                return Err(format!("unrecognized descriptor: {other}"));
            };
            let nanos = parse_duration_nanos(duration).ok_or_else(|| {
                format!("failed to parse duration {other}: time: invalid duration {duration:?}")
            })?;
            return Ok(Moments::Every((nanos / 1_000_000_000).max(1)));
        }
    };
    fields(expanded)
}

fn fields(text: &str) -> Result<Moments, String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let Ok(parts) = <[&str; 5]>::try_from(parts.as_slice()) else {
        let count = parts.len();
        return Err(format!("expected exactly 5 fields, found {count}: [{}]", parts.join(" ")));
    };
    let mut bits = [0; 5];
    for ((bits, part), field) in bits.iter_mut().zip(parts).zip(FIELDS) {
        for range in part.split(',').filter(|range| !range.is_empty()) {
            *bits |= range_bits(range, field)?;
        }
    }
    Ok(Moments::Fields(bits))
}

fn range_bits(text: &str, field: Field) -> Result<u64, String> {
    let (range, step) = text.split_once('/').map_or((text, None), |(range, step)| (range, Some(step)));
    let (low, high) = range.split_once('-').map_or((range, None), |(low, high)| (low, Some(high)));
    let mut star = 0;
    let (start, mut end) = if matches!(low, "*" | "?") {
        star = STAR;
        (field.low, field.high)
    } else {
        let start = number(low, field)?;
        (start, high.map_or(Ok(start), |high| number(high, field))?)
    };
    let step = match step {
        None => 1,
        Some(step) => {
            if high.is_none() {
                // `N/step` is `N-highest/step`.
                end = field.high;
            }
            let step = number(step, Field { names: &[], ..field })?;
            if step > 1 {
                star = 0;
            }
            step
        }
    };
    if start < field.low {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.low));
    }
    if end > field.high {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", field.high));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let step = usize::try_from(step).expect("a small number");
    Ok((start..=end).step_by(step).fold(star, |bits, value| bits | 1 << value))
}

fn number(text: &str, field: Field) -> Result<u32, String> {
    if let Some(place) = field.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        return Ok(u32::try_from(place).expect("a dozen names") + field.low);
    }
    text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use trireme_schema::time::Moment;

    fn at(text: &str) -> i64 {
        Moment::parse_time(text).unwrap().unix_seconds()
    }

    /// The moments after `from`, in UTC.
    fn moments(text: &str, zone_name: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(text, &zone(zone_name).unwrap()).unwrap();
        let mut last = at(from);
        let mut out = Vec::new();
        for _ in 0..count {
            last = schedule.next(last).unwrap();
            out.push(Moment::from_unix(last, 0).to_time());
        }
        out
    }

    #[test]
    fn moments_follow_the_fields() {
        let next = |text: &str, from: &str| moments(text, "UTC", from, 1).remove(0);
        // From robfig/cron's own table.
        for (schedule, from, expected) in [
            ("0/15 * * * *", "2012-07-09T14:45:00Z", "2012-07-09T15:00:00Z"),
            ("0/15 * * * *", "2012-07-09T14:59:59Z", "2012-07-09T15:00:00Z"),
            ("20-35/15 * * * *", "2012-07-09T15:45:00Z", "2012-07-09T16:20:00Z"),
            ("*/15 1/2 * * *", "2012-07-09T23:46:00Z", "2012-07-10T01:00:00Z"),
            ("30 4 ? * 0", "2012-07-09T00:00:00Z", "2012-07-15T04:30:00Z"),
            ("0 0 9 4-10 ?", "2012-07-09T23:35:51Z", "2012-08-09T00:00:00Z"),
            ("0 0 */5 4,8,10 mon", "2012-07-09T23:35:51Z", "2012-08-01T00:00:00Z"),
            ("0 0 29 Feb ?", "2012-07-09T23:35:00Z", "2016-02-29T00:00:00Z"),
            ("@monthly", "2012-12-31T23:59:45Z", "2013-01-01T00:00:00Z"),
            ("@every 1h30m", "2012-07-09T14:45:00Z", "2012-07-09T16:15:00Z"),
            ("0 12 1 * SUN", "2026-03-02T00:00:00Z", "2026-03-08T12:00:00Z"),
        ] {
            assert_eq!(next(schedule, from), expected, "{schedule}");
        }
        let never = Schedule::parse("0 0 31 2 *", &TimeZone::UTC).unwrap();
        assert_eq!(never.next(at("2026-01-01T00:00:00Z")), None);
    }

    #[test]
    fn clocks_that_change_leave_moments_out_or_repeat_them() {
        // In New York 2:30 is left out on 11 March 2012, and 1:30 comes twice on 4 November.
        assert_eq!(
            moments("30 2 * * *", "America/New_York", "2012-03-10T08:00:00Z", 1),
            ["2012-03-12T06:30:00Z"]
        );
        assert_eq!(
            moments("30 1 * * *", "America/New_York", "2012-11-04T00:00:00Z", 3),
            ["2012-11-04T05:30:00Z", "2012-11-04T06:30:00Z", "2012-11-05T06:30:00Z"]
        );
        // In São Paulo midnight itself is left out.
        assert_eq!(
            moments("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 1),
            ["2018-11-05T02:00:00Z"]
        );
        // Half an hour off, and named by the schedule itself.
        assert_eq!(
            moments("TZ=Asia/Kolkata 0 * * * *", "UTC", "2026-01-01T00:00:00Z", 1),
            ["2026-01-01T00:30:00Z"]
        );
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        let complaint = |text: &str| Schedule::parse(text, &TimeZone::UTC).unwrap_err();
        assert_eq!(complaint("foo"), "expected exactly 5 fields, found 1: [foo]");
        assert_eq!(complaint("60 * * * *"), "end of range (60) above maximum (59): 60");
        assert_eq!(complaint("* * * * 7"), "end of range (7) above maximum (6): 7");
        assert_eq!(complaint("*/0 * * * *"), "step of range should be a positive number: */0");
        assert_eq!(complaint("@never"), "unrecognized descriptor: @never");
        assert_eq!(
            complaint("TZ=Mars/X * * * * *"),
            "provided bad location Mars/X: unknown time zone Mars/X"
        );
        assert!(zone("Europe/Berlin").is_ok());
    }
}
