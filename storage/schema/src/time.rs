//! Moments and durations as the API writes them: `Time` (seconds), `MicroTime` (microseconds), Go durations.
//!
//! The crate never asks what time it is; callers pass the moment in.

use std::fmt;

use thiserror::Error;

/// A moment in UTC: seconds since 1970 and nanoseconds within the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    seconds: i64,
    nanos: u32,
}

/// Why a text is no time, in Go's wording.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("parsing time \"{text}\" as \"{layout}\": cannot parse \"{rest}\" as \"{expected}\"")]
pub struct TimeError {
    text: String,
    layout: &'static str,
    rest: String,
    expected: &'static str,
}

const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
const RFC3339_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";

impl Moment {
    /// From seconds since 1970 (UTC) and nanoseconds below one second.
    pub fn from_unix(seconds: i64, nanos: u32) -> Self {
        Moment { seconds: seconds.clamp(-62_135_596_800, 253_402_300_799), nanos: nanos.min(999_999_999) }
    }

    /// Seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds within the second.
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// `metav1.Time`: RFC 3339 with whole seconds.
    pub fn to_time(self) -> String {
        self.prefix() + "Z"
    }

    /// `metav1.MicroTime`: RFC 3339 with six decimals.
    pub fn to_micro_time(self) -> String {
        format!("{}.{:06}Z", self.prefix(), self.nanos / 1000)
    }

    fn prefix(self) -> String {
        let days = self.seconds.div_euclid(86_400);
        let s = self.seconds.rem_euclid(86_400);
        let (y, m, d) = civil(days);
        format!("{y:04}-{m:02}-{d:02}T{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }

    /// Reads `metav1.Time`: RFC 3339, any fraction.
    ///
    /// # Errors
    /// [`TimeError`] in Go's words.
    pub fn parse_time(text: &str) -> Result<Self, TimeError> {
        Reader { text, at: 0, layout: RFC3339 }.read(None)
    }

    /// Reads `metav1.MicroTime`: RFC 3339 with exactly six decimals.
    ///
    /// # Errors
    /// [`TimeError`] in Go's words.
    pub fn parse_micro_time(text: &str) -> Result<Self, TimeError> {
        Reader { text, at: 0, layout: RFC3339_MICRO }.read(Some(6))
    }

    /// As Go prints a time in messages: `2001-01-01 00:00:00 +0000 UTC`.
    pub fn to_go_text(self) -> String {
        format!("{} +0000 UTC", self.prefix().replace('T', " "))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_time())
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    layout: &'static str,
}

impl Reader<'_> {
    fn error(&self, expected: &'static str) -> TimeError {
        TimeError {
            text: self.text.to_owned(),
            layout: self.layout,
            rest: self.text.get(self.at..).unwrap_or("").to_owned(),
            expected,
        }
    }

    fn digits(
        &mut self,
        count: usize,
        low: i64,
        high: i64,
        expected: &'static str,
    ) -> Result<i64, TimeError> {
        let part = self.text.get(self.at..self.at + count).filter(|p| p.bytes().all(|c| c.is_ascii_digit()));
        let value = part.and_then(|p| p.parse::<i64>().ok()).filter(|v| (low..=high).contains(v));
        let value = value.ok_or_else(|| self.error(expected))?;
        self.at += count;
        Ok(value)
    }

    fn literal(&mut self, text: &'static str) -> Result<(), TimeError> {
        if self.text.get(self.at..).is_some_and(|r| r.starts_with(text)) {
            self.at += text.len();
            Ok(())
        } else {
            Err(self.error(text))
        }
    }

    fn fraction(&mut self, exact: Option<usize>) -> Result<u32, TimeError> {
        let rest = self.text.get(self.at..).unwrap_or("");
        let digits =
            rest.strip_prefix(['.', ',']).map_or(0, |r| r.bytes().take_while(u8::is_ascii_digit).count());
        match exact {
            Some(n) if digits != n => return Err(self.error(".000000")),
            None if digits == 0 => return Ok(0),
            _ => {}
        }
        let text = &rest[1..=digits];
        self.at += digits + 1;
        let kept = &text[..digits.min(9)];
        let value: u32 = kept.parse().map_err(|_| self.error(".000000"))?;
        Ok(value * 10u32.pow(u32::try_from(9 - kept.len()).expect("at most nine digits kept")))
    }

    fn read(mut self, exact_fraction: Option<usize>) -> Result<Moment, TimeError> {
        let year = self.digits(4, 0, 9999, "2006")?;
        self.literal("-")?;
        let month = self.digits(2, 1, 12, "01")?;
        self.literal("-")?;
        let day = self.digits(2, 1, days_in(year, month), "02")?;
        self.literal("T")?;
        let hour = self.digits(2, 0, 23, "15")?;
        self.literal(":")?;
        let minute = self.digits(2, 0, 59, "04")?;
        self.literal(":")?;
        let second = self.digits(2, 0, 59, "05")?;
        let nanos = self.fraction(exact_fraction)?;
        let offset = self.zone()?;
        if self.at != self.text.len() {
            return Err(self.error(""));
        }
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
        Ok(Moment::from_unix(seconds, nanos))
    }

    fn zone(&mut self) -> Result<i64, TimeError> {
        let sign = match self.text.as_bytes().get(self.at) {
            Some(b'Z') => {
                self.at += 1;
                return Ok(0);
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.error("Z07:00")),
        };
        self.at += 1;
        let hours = self.digits(2, 0, 24, "Z07:00")?;
        self.literal(":")?;
        let minutes = self.digits(2, 0, 60, "Z07:00")?;
        Ok(sign * (hours * 3600 + minutes * 60))
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (d, m) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

/// A Go duration (`1h30m`, `100ms`) in nanoseconds; `None` when malformed or out of 64 bits.
pub fn parse_duration_nanos(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0f64;
    let mut whole = 0i128;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let factor: i64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        match number.split_once('.') {
            None => {
                whole = whole.checked_add(number.parse::<i128>().ok()?.checked_mul(i128::from(factor))?)?
            }
            Some(_) => total += number.parse::<f64>().ok()? * factor as f64,
        }
        rest = tail;
    }
    #[allow(clippy::cast_possible_truncation)] // saturating by definition, and checked below
    let sum = whole + total as i128;
    let value = i64::try_from(sum).ok()?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        for (from, to) in [
            ("2020-02-29T12:34:56Z", "2020-02-29T12:34:56Z"),
            ("2020-01-01T01:00:00+02:00", "2019-12-31T23:00:00Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Moment::parse_time(from).unwrap().to_time(), to);
        }
        let micro = Moment::parse_micro_time("2020-01-01T00:00:00.123456Z").unwrap();
        assert_eq!(micro.to_micro_time(), "2020-01-01T00:00:00.123456Z");
    }

    #[test]
    fn errors_speak_go() {
        assert_eq!(
            Moment::parse_time("x").unwrap_err().to_string(),
            "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\""
        );
        assert_eq!(
            Moment::parse_micro_time("2020-01-01T00:00:00Z").unwrap_err().to_string(),
            "parsing time \"2020-01-01T00:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\""
        );
        for bad in ["2021-02-29T00:00:00Z", "2020-01-01", "2020-01-01T00:00:00", "é020-01-01T00:00:00Z"] {
            assert!(Moment::parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration_nanos("1h30m"), Some(5_400_000_000_000));
        assert_eq!(parse_duration_nanos("-1.5s"), Some(-1_500_000_000));
        assert_eq!(parse_duration_nanos("10"), None);
        assert_eq!(parse_duration_nanos("99999999999h"), None);
    }
}
