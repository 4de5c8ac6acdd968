//! [`Format`]: the string formats that schemas may name.
//!
//! Source: the registry of upstream's OpenAPI validation; a name that it does not know checks nothing.

use core::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use super::rule::JsonType;
use crate::names;
use crate::time::parse_duration_nanos;

/// A format that is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// As the schema gives it.
    pub name: String,
    /// Without dashes, as the registry knows it.
    key: &'static str,
}

/// Formats of strings, without dashes.
const STRINGS: [&str; 26] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];

impl Format {
    /// The format of that name for values of these types; `None` when it checks nothing there.
    pub fn named(name: &str, types: &[JsonType]) -> Option<Format> {
        let only = if let [one] = types { Some(*one) } else { None };
        let known: &[&'static str] = match only {
            None | Some(JsonType::String) => &STRINGS,
            Some(JsonType::Integer) => &["int32", "int64"],
            Some(JsonType::Number) => &["float", "double"],
            Some(_) => &[],
        };
        let normal = name.replace('-', "");
        known.iter().find(|k| **k == normal).map(|key| Format { name: name.to_owned(), key })
    }

    /// Whether a string has this format.
    pub fn accepts(&self, text: &str) -> bool {
        match self.key {
            "bsonobjectid" => text.len() == 24 && text.bytes().all(|c| c.is_ascii_hexdigit()),
            "uri" => is_request_uri(text),
            "email" => is_email(text),
            "hostname" => is_hostname(text),
            "ipv4" => text.contains('.') && parse_ip_with_zeros(text).is_some(),
            "ipv6" => text.contains(':') && text.parse::<IpAddr>().is_ok(),
            "cidr" => is_cidr(text),
            "mac" => is_mac(text),
            "uuid" => is_uuid(text, None),
            "uuid3" => is_uuid(text, Some('3')),
            "uuid4" => is_uuid(text, Some('4')),
            "uuid5" => is_uuid(text, Some('5')),
            "isbn" => is_isbn10(text) || is_isbn13(text),
            "isbn10" => is_isbn10(text),
            "isbn13" => is_isbn13(text),
            "creditcard" => is_credit_card(text),
            "ssn" => SSN.is_match(text),
            "hexcolor" => HEX_COLOR.is_match(text),
            "rgbcolor" => RGB_COLOR.is_match(text),
            "byte" => is_base64(text),
            "date" => is_date(text),
            "datetime" => is_date_time(text),
            "duration" => is_duration(text),
            "k8sshortname" => names::check_dns1123_label(text).is_empty(),
            "k8slongname" => names::check_dns1123_subdomain(text).is_empty(),
            _ => true,
        }
    }
}

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("a constant expression, exercised by the tests")
}

static HOSTNAME: LazyLock<Regex> = LazyLock::new(|| {
    expression(concat!(
        r"^(?:[a-zA-Z0-9\p{S}\p{L}](?:(?:-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|",
        r"(?:[a-zA-Z0-9\p{S}\p{L}](?:(?:[a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)\.)+",
        r"(?:[a-zA-Z\p{L}]){2,63})$"
    ))
});
static SSN: LazyLock<Regex> = LazyLock::new(|| expression(r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"));
static HEX_COLOR: LazyLock<Regex> = LazyLock::new(|| expression(r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"));
static RGB_COLOR: LazyLock<Regex> = LazyLock::new(|| {
    const PART: &str = r"\s*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])\s*";
    expression(&format!(r"^rgb\({PART},{PART},{PART}\)$"))
});
static DATE_TIME: LazyLock<Regex> =
    LazyLock::new(|| expression(r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$"));
static CREDIT_CARD: LazyLock<Regex> = LazyLock::new(|| {
    expression(concat!(
        r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|",
        r"3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$"
    ))
});
static DURATION_PART: LazyLock<Regex> = LazyLock::new(|| expression(r"([0-9]+)\s*([A-Za-zµ]+)"));

/// An absolute URI or an absolute path, as request lines carry them.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.chars().any(char::is_control) || !escapes_are_whole(text) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let head = scheme.bytes().next().is_some_and(|c| c.is_ascii_alphabetic());
    if !head || !scheme.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c)) {
        return false;
    }
    let authority = rest.strip_prefix("//").map(|r| r.split(['/', '?', '#']).next().unwrap_or(""));
    authority.is_none_or(|host| !host.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}']))
}

fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    (0..bytes.len()).filter(|&i| bytes[i] == b'%').all(|i| hex(i + 1) && hex(i + 2))
}

/// `a@b`, or `Name <a@b>`.
fn is_email(text: &str) -> bool {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(rest) => match rest.rsplit_once('<') {
            Some((_, address)) => address,
            None => return false,
        },
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let atom = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| {
                c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || u32::from(c) > 0x7f
            })
    };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.starts_with('[') && domain.ends_with(']');
    (quoted || local.split('.').all(atom)) && (literal || domain.split('.').all(atom))
}

fn is_hostname(text: &str) -> bool {
    text.len() <= 255
        && HOSTNAME.is_match(text)
        && text.split('.').all(|part| !part.is_empty() && part.len() <= 63)
}

/// An address whose IPv4 parts may have leading zeros.
fn parse_ip_with_zeros(text: &str) -> Option<IpAddr> {
    let parts: Vec<&str> = text.split('.').collect();
    if text.contains(':') || parts.len() != 4 {
        return text.parse().ok();
    }
    let number = |part: &str| {
        (!part.is_empty() && part.bytes().all(|c| c.is_ascii_digit()))
            .then(|| part.parse::<u8>().ok())
            .flatten()
    };
    let bytes: Option<Vec<u8>> = parts.into_iter().map(number).collect();
    bytes.and_then(|b| <[u8; 4]>::try_from(b).ok()).map(IpAddr::from)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Some(address) = parse_ip_with_zeros(address) else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    !bits.is_empty()
        && bits.bytes().all(|c| c.is_ascii_digit())
        && bits.parse::<u16>().is_ok_and(|bits| bits <= most)
}

fn is_mac(text: &str) -> bool {
    let hex = |part: &str, digits: usize| part.len() == digits && part.bytes().all(|c| c.is_ascii_hexdigit());
    let groups = |separator: char, digits: usize, counts: [usize; 3]| {
        let parts: Vec<&str> = text.split(separator).collect();
        counts.contains(&parts.len()) && parts.iter().all(|p| hex(p, digits))
    };
    groups(':', 2, [6, 8, 20]) || groups('-', 2, [6, 8, 20]) || groups('.', 4, [3, 4, 10])
}

/// 32 hexadecimal digits with optional dashes, of one version or any.
fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut rest = text;
    for (i, digits) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((part, more)) = rest.split_at_checked(digits) else { return false };
        let variant = matches!(version, Some('4' | '5'));
        let fits = match i {
            2 => version.is_none_or(|v| part.starts_with(v)),
            3 if variant => part.starts_with(['8', '9', 'a', 'b', 'A', 'B']),
            _ => true,
        };
        if !fits || !part.bytes().all(|c| c.is_ascii_hexdigit()) {
            return false;
        }
        rest = more;
    }
    rest.is_empty()
}

fn digits_of(text: &str) -> Vec<u32> {
    text.chars().filter(|c| !matches!(c, ' ' | '-')).filter_map(|c| c.to_digit(10)).collect()
}

fn is_isbn10(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let Some((head, last)) = plain.split_at_checked(9) else { return false };
    let check = match last {
        "X" => 10,
        _ if last.len() == 1 => last.chars().next().and_then(|c| c.to_digit(10)).unwrap_or(99),
        _ => return false,
    };
    let digits = digits_of(head);
    digits.len() == 9 && (digits.iter().zip(1..).map(|(d, i)| d * i).sum::<u32>() + 10 * check) % 11 == 0
}

fn is_isbn13(text: &str) -> bool {
    let plain = text.chars().filter(|c| !matches!(c, ' ' | '-')).count();
    let digits = digits_of(text);
    digits.len() == 13
        && plain == 13
        && digits.iter().enumerate().map(|(i, d)| d * if i % 2 == 0 { 1 } else { 3 }).sum::<u32>() % 10 == 0
}

fn is_credit_card(text: &str) -> bool {
    let plain: String = text.chars().filter(char::is_ascii_digit).collect();
    let sum: u32 = plain
        .chars()
        .rev()
        .enumerate()
        .map(|(i, c)| {
            let digit = c.to_digit(10).unwrap_or(0) * if i % 2 == 1 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    CREDIT_CARD.is_match(&plain) && sum.is_multiple_of(10)
}

/// Standard base64 with padding; not empty.
fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|c| c.is_ascii_alphanumeric() || b"+/".contains(&c))
}

fn is_date(text: &str) -> bool {
    let shape = text.len() == 10 && text.is_ascii();
    shape && crate::time::Moment::parse_time(&format!("{text}T00:00:00Z")).is_ok()
}

fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    let Some(found) = DATE_TIME.captures(time) else { return false };
    is_date(date) && &found[1] <= "23" && &found[2] <= "59" && &found[3] <= "59"
}

/// A duration of Go, or numbers with longer units (`2 days`).
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 8] = ["ns", "us", "ms", "s", "m", "h", "d", "w"];
    const LONG: [&str; 10] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week", "hr", "wk"];
    parse_duration_nanos(text).is_some()
        || DURATION_PART.captures_iter(text).any(|part| {
            let unit = part[2].to_lowercase();
            let known =
                UNITS.contains(&unit.as_str()) || unit == "µs" || LONG.iter().any(|l| unit.starts_with(l));
            known && part[1].parse::<i64>().is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(name: &str, text: &str) -> bool {
        Format::named(name, &[JsonType::String]).expect("a known format").accepts(text)
    }

    #[test]
    fn good_and_bad_examples() {
        let cases = [
            ("date-time", "2020-01-02T03:04:05Z", "nope"),
            ("date", "2020-02-29", "2021-02-29"),
            ("email", "a.b@example.com", "x"),
            ("email", "N <a@b>", "a b@c"),
            ("ipv4", "010.0.0.1", "x"),
            ("ipv6", "::1", "1.2.3.4"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "00:00:5e:00:53:01", "00:00"),
            ("uuid", "123e4567e89b12d3a456426614174000", "123"),
            ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
            ("byte", "YWJj", "%%%"),
            ("duration", "1h30m", "x"),
            ("duration", "2 days", ""),
            ("uri", "https://a/b", "x"),
            ("hostname", "a.example.com", "-a"),
            ("isbn10", "0321751043", "0321751044"),
            ("isbn13", "978-0321751041", "978-0321751042"),
            ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
            ("ssn", "111-22-3333", "1-2-3"),
            ("hexcolor", "#FFF", "#F"),
            ("rgbcolor", "rgb(1, 2,255)", "rgb(1,2)"),
            ("bsonobjectid", "507f1f77bcf86cd799439011", "507f"),
            ("k8s-short-name", "a-b", "A"),
        ];
        for (name, good, bad) in cases {
            assert!(accepts(name, good), "{name} {good}");
            assert!(!accepts(name, bad), "{name} {bad}");
        }
    }

    #[test]
    fn formats_belong_to_types() {
        assert!(Format::named("int32", &[JsonType::Integer]).is_some());
        assert!(Format::named("int32", &[JsonType::String]).is_none());
        assert!(Format::named("zork", &[JsonType::String]).is_none());
        assert!(Format::named("date", &[JsonType::Object]).is_none());
    }
}
