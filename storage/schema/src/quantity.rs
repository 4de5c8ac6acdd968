//! [`Quantity`]: exact resource amounts (`100m`, `1Gi`, `1e3`) with upstream's canonical forms and limits.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The notation a quantity was written in; printing keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `1e3`
    DecimalExponent,
    /// `1Ki`
    BinarySi,
    /// `1k`
    DecimalSi,
}

/// Why a text is no quantity; upstream's wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// The text has another shape.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number before the suffix is malformed.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An exact number `mantissa * 10^scale` that remembers its notation.
///
/// Precision ends at 1e-9 (finer values round up, away from zero); values that do not fit 18 digits are capped at
/// 2^63-1, as upstream does.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    mantissa: i128,
    scale: i32,
    format: Format,
}

const NANO: i32 = -9;
const MAX: i128 = i64::MAX as i128;
/// Largest decimal exponent accepted, so that sums stay exact within 128 bits or are refused.
const MAX_EXPONENT: i32 = 1_000;

impl Quantity {
    /// Zero.
    pub const ZERO: Quantity = Quantity { mantissa: 0, scale: 0, format: Format::DecimalSi };

    /// A whole number.
    pub fn from_i64(value: i64, format: Format) -> Self {
        Quantity { mantissa: i128::from(value), scale: 0, format }
    }

    /// Thousandths.
    pub fn from_milli(value: i64, format: Format) -> Self {
        Quantity { mantissa: i128::from(value), scale: -3, format }
    }

    /// The notation.
    pub fn format(&self) -> Format {
        self.format
    }

    /// True for zero in any notation.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// True below zero.
    pub fn is_negative(&self) -> bool {
        self.mantissa < 0
    }

    /// The value in units of `10^scale`, rounded away from zero, capped to 64 bits.
    pub fn scaled(&self, scale: i32) -> i64 {
        let v = self.at_scale(scale).0.clamp(i128::from(i64::MIN), MAX);
        i64::try_from(v).expect("clamped to 64 bits in the line above")
    }

    /// Whole units, rounded away from zero, capped to 64 bits.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// Thousandths, rounded away from zero, capped to 64 bits.
    pub fn milli_value(&self) -> i64 {
        self.scaled(-3)
    }

    /// True when the value is a whole number of `10^scale`.
    pub fn is_exact_at(&self, scale: i32) -> bool {
        self.at_scale(scale).1
    }

    /// Rounds up (away from zero) to a multiple of `10^scale`.
    pub fn round_up(&self, scale: i32) -> Quantity {
        if self.scale >= scale {
            return *self;
        }
        Quantity { mantissa: self.at_scale(scale).0, scale, format: self.format }
    }

    /// The mantissa at `scale`, rounded away from zero and saturating, and whether it is exact.
    fn at_scale(&self, scale: i32) -> (i128, bool) {
        if self.mantissa == 0 {
            return (0, true);
        }
        if self.scale >= scale {
            let mut m = self.mantissa;
            for _ in 0..(self.scale - scale) {
                match m.checked_mul(10) {
                    Some(next) => m = next,
                    None => return (if m < 0 { i128::MIN } else { i128::MAX }, false),
                }
            }
            return (m, true);
        }
        let mut m = self.mantissa;
        let mut exact = true;
        for _ in 0..(scale - self.scale) {
            exact &= m % 10 == 0;
            m /= 10;
            if m == 0 {
                break;
            }
        }
        if exact { (m, true) } else { (m + self.mantissa.signum(), false) }
    }

    /// The sum, in this quantity's notation (the other's when this one is zero).
    pub fn plus(&self, other: &Quantity) -> Quantity {
        let scale = self.scale.min(other.scale);
        let sum = self.at_scale(scale).0.saturating_add(other.at_scale(scale).0);
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { mantissa: sum, scale, format }
    }

    /// The difference, in this quantity's notation (the other's when this one is zero).
    pub fn minus(&self, other: &Quantity) -> Quantity {
        self.plus(&Quantity { mantissa: other.mantissa.saturating_neg(), ..*other })
    }

    /// The canonical text: no fraction, the largest suffix that loses nothing.
    pub fn canonical(&self) -> String {
        if self.mantissa == 0 {
            return "0".to_owned();
        }
        if self.format == Format::BinarySi {
            let (whole, exact) = self.at_scale(0);
            if exact && (whole <= -1024 || whole >= 1024) {
                return binary_text(whole);
            }
        }
        decimal_text(self.mantissa, self.scale, self.format)
    }
}

fn binary_text(mut whole: i128) -> String {
    const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let mut at = 0;
    while whole % 1024 == 0 && at + 1 < SUFFIXES.len() {
        whole /= 1024;
        at += 1;
    }
    format!("{whole}{}", SUFFIXES[at])
}

fn decimal_text(mut m: i128, mut e: i32, format: Format) -> String {
    while m % 10 == 0 {
        m /= 10;
        e += 1;
    }
    while e.rem_euclid(3) != 0 {
        m = m.saturating_mul(10);
        e -= 1;
    }
    let suffix = match (format, e) {
        (_, 0) => "",
        (Format::DecimalExponent, _) => return format!("{m}e{e}"),
        (_, -9) => "n",
        (_, -6) => "u",
        (_, -3) => "m",
        (_, 3) => "k",
        (_, 6) => "M",
        (_, 9) => "G",
        (_, 12) => "T",
        (_, 15) => "P",
        (_, 18) => "E",
        _ => return format!("{m}e{e}"),
    };
    format!("{m}{suffix}")
}

/// base, exponent and notation of a suffix
fn interpret(suffix: &str) -> Result<(u32, i32, Format), QuantityError> {
    let si = |e| Ok((10, e, Format::DecimalSi));
    let bin = |e| Ok((2, e, Format::BinarySi));
    match suffix {
        "n" => si(-9),
        "u" => si(-6),
        "m" => si(-3),
        "" => si(0),
        "k" => si(3),
        "M" => si(6),
        "G" => si(9),
        "T" => si(12),
        "P" => si(15),
        "E" => si(18),
        "Ki" => bin(10),
        "Mi" => bin(20),
        "Gi" => bin(30),
        "Ti" => bin(40),
        "Pi" => bin(50),
        "Ei" => bin(60),
        _ => {
            let digits = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
            let exponent: i32 = digits.parse().map_err(|_| QuantityError::Suffix)?;
            if exponent.abs() > MAX_EXPONENT {
                return Err(QuantityError::Suffix);
            }
            Ok((10, exponent, Format::DecimalExponent))
        }
    }
}

/// sign, digits before the point, digits after it, suffix
type Parts<'a> = (bool, &'a str, &'a str, &'a str);

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let b = text.as_bytes();
    if b.is_empty() {
        return Err(QuantityError::Format);
    }
    let mut at = usize::from(matches!(b[0], b'+' | b'-'));
    let negative = b[0] == b'-';
    let digits_from = |mut at: usize| {
        while at < b.len() && b[at].is_ascii_digit() {
            at += 1;
        }
        at
    };
    let (start, end) = (at, digits_from(at));
    let whole = &text[start..end];
    at = end;
    let mut fraction = "";
    if b.get(at) == Some(&b'.') {
        let end = digits_from(at + 1);
        fraction = &text[at + 1..end];
        at = end;
    }
    let suffix = &text[at..];
    let mut i = at;
    while i < b.len() && b"eEinumkKMGTP".contains(&b[i]) {
        i += 1;
    }
    if i < b.len() && matches!(b[i], b'+' | b'-') {
        i += 1;
    }
    if digits_from(i) != b.len() {
        return Err(QuantityError::Format);
    }
    if whole.is_empty() && fraction.is_empty() {
        let has_suffix = suffix.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        return Err(if has_suffix { QuantityError::Numeric } else { QuantityError::Format });
    }
    Ok((negative, whole.trim_start_matches('0'), fraction, suffix))
}

fn number(digits: impl Iterator<Item = u8>) -> i128 {
    digits.fold(0i128, |n, d| n * 10 + i128::from(d - b'0'))
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, whole, fraction, suffix) = split(text)?;
        let (base, exponent, mut format) = interpret(suffix)?;
        let (mut mantissa, mut scale);
        if base == 10 {
            let fraction = if whole.is_empty() { fraction } else { fraction.trim_end_matches('0') };
            let fraction = fraction.trim_end_matches('0');
            let digits = whole.len() + fraction.len();
            scale = exponent - i32::try_from(fraction.len()).unwrap_or(i32::MAX / 2);
            if digits <= 18 && scale >= NANO {
                mantissa = number(whole.bytes().chain(fraction.bytes()));
            } else {
                (mantissa, scale) = capped_decimal(whole, fraction, scale);
            }
        } else {
            (mantissa, scale) = capped_binary(whole, fraction, exponent);
            if scale < 0 && mantissa < 1_000_000_000 && mantissa > 0 {
                format = Format::DecimalSi;
            }
        }
        if negative {
            mantissa = -mantissa;
        }
        Ok(Quantity { mantissa, scale, format })
    }
}

/// Digits times `10^scale`, rounded up to 1e-9 and capped at 2^63-1.
fn capped_decimal(whole: &str, fraction: &str, scale: i32) -> (i128, i32) {
    let all = [whole, fraction].concat();
    let digits = all.trim_start_matches('0');
    if digits.is_empty() {
        return (0, 0);
    }
    let len = i32::try_from(digits.len()).unwrap_or(i32::MAX / 2);
    if len.saturating_add(scale) > 19 {
        return (MAX, 0);
    }
    // Digits that stay when nothing below 1e-9 is kept.
    let keep = usize::try_from((len + scale - NANO).max(0)).unwrap_or(0).min(digits.len());
    let mut m = number(digits[..keep].bytes());
    let scale = if keep < digits.len() { NANO } else { scale };
    if digits[keep..].bytes().any(|d| d != b'0') {
        m += 1;
    }
    let capped = Quantity { mantissa: m, scale, format: Format::DecimalSi };
    if capped.at_scale(0).0 > MAX { (MAX, 0) } else { (m, scale) }
}

/// Digits times `2^exponent`, rounded up to 1e-9 and capped at 2^63-1.
fn capped_binary(whole: &str, fraction: &str, exponent: i32) -> (i128, i32) {
    if whole.len() > 19 {
        return (MAX, 0);
    }
    let factor = 1i128 << exponent;
    let int_part = number(whole.bytes()) * factor;
    if int_part > MAX {
        return (MAX, 0);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return (int_part, 0);
    }
    let kept = &fraction[..fraction.len().min(18)];
    let sticky = i128::from(kept.len() < fraction.len());
    let unit = 10i128.pow(u32::try_from(kept.len()).expect("at most 18 digits"));
    let scaled = (number(kept.bytes()) + sticky) * factor;
    let nanos = (scaled / unit) * 1_000_000_000 + ((scaled % unit) * 1_000_000_000 + unit - 1) / unit;
    let total = int_part * 1_000_000_000 + nanos;
    if total > MAX * 1_000_000_000 {
        (MAX, 0)
    } else if total % 1_000_000_000 == 0 {
        (total / 1_000_000_000, 0)
    } else {
        (total, NANO)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.mantissa.signum() != other.mantissa.signum() {
            return self.mantissa.signum().cmp(&other.mantissa.signum());
        }
        let scale = self.scale.min(other.scale);
        self.at_scale(scale).0.cmp(&other.at_scale(scale).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canon(text: &str) -> String {
        text.parse::<Quantity>().map_or_else(|e| format!("{e:?}"), |q| q.to_string())
    }

    #[test]
    fn canonical_forms() {
        for (from, to) in [
            ("0", "0"),
            ("0Ki", "0"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1.5", "1500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Ki", "1Mi"),
            ("1000k", "1M"),
            ("100", "100"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e6", "12e6"),
            ("0.1m", "100u"),
            ("0.0000000001", "1n"),
            ("1.0", "1"),
            ("0.5Ki", "512"),
            ("1Ki", "1Ki"),
            ("100Ki", "100Ki"),
            ("-1.5", "-1500m"),
            ("+5", "5"),
            ("1E", "1E"),
            ("100E", "100E"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.001Ki", "1024m"),
            ("9999999999999999999", "9223372036854775807"),
            ("1e100", "10e99"),
            ("010", "10"),
            ("8Ei", "9223372036854775807"),
            ("123456789.123456789", "123456789123456789n"),
            ("1000Ki", "1000Ki"),
        ] {
            assert_eq!(canon(from), to, "{from}");
        }
    }

    #[test]
    fn malformed() {
        for (text, error) in [
            ("", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1x", QuantityError::Format),
            ("1 ", QuantityError::Format),
            ("--1", QuantityError::Format),
            ("1.1.1", QuantityError::Format),
            ("1mm", QuantityError::Suffix),
            ("1KiKi", QuantityError::Suffix),
            ("1e99999", QuantityError::Suffix),
            ("e5", QuantityError::Numeric),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn arithmetic_and_order() {
        let q = |t: &str| t.parse::<Quantity>().unwrap();
        assert_eq!(q("1").plus(&q("500m")).to_string(), "1500m");
        assert_eq!(q("1Gi").minus(&q("512Mi")).to_string(), "512Mi");
        assert_eq!(q("1000m"), q("1"));
        assert!(q("1Ki") > q("1k"));
        assert!(q("-1") < q("1n"));
        assert!(q("1e900") > q("1"));
        assert_eq!(q("1500m").value(), 2);
        assert_eq!(q("1.0005").round_up(-3).to_string(), "1001m");
        assert_eq!(q("1e900").value(), i64::MAX);
    }
}
