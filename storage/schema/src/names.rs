//! Names, label keys and values: the rules of RFC 1123 and 1035 and of qualified names, in upstream's wording.
//!
//! Each `check_*` returns the complaints about a value, empty when it is well formed. No regular expression engine:
//! the grammars are small and the answers linear in the input.

const DNS1123_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS1123_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS1035_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const WILDCARD_SUBDOMAIN: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED_NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const WITH_PREFIX: &str = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const ENV_VAR: &str = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const C_IDENTIFIER: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
const HTTP_HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

/// Length limit of a DNS label, in bytes.
pub const LABEL_BYTES: usize = 63;
/// Length limit of a DNS subdomain, in bytes.
pub const SUBDOMAIN_BYTES: usize = 253;

/// A rule for an object's name: the complaints about `name`; with `prefix` a trailing dash is allowed, for
/// `generateName`.
pub type NameRule = fn(name: &str, prefix: bool) -> Vec<String>;

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

fn is_dns_label(text: &str) -> bool {
    let b = text.as_bytes();
    matches!((b.first(), b.last()), (Some(&f), Some(&l)) if lower_alnum(f) && lower_alnum(l))
        && b.iter().all(|&c| lower_alnum(c) || c == b'-')
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

/// RFC 1123 label: at most 63 bytes of `[a-z0-9-]`.
pub fn check_dns1123_label(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > LABEL_BYTES {
        out.push(too_long(LABEL_BYTES));
    }
    if !is_dns_label(text) {
        if check_dns1123_subdomain(text).is_empty() {
            out.push("must not contain dots".to_owned());
        } else {
            out.push(DNS1123_LABEL.to_owned());
        }
    }
    out
}

/// RFC 1123 subdomain: labels joined by dots, at most 253 bytes.
pub fn check_dns1123_subdomain(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > SUBDOMAIN_BYTES {
        out.push(too_long(SUBDOMAIN_BYTES));
    }
    if !text.split('.').all(is_dns_label) {
        out.push(DNS1123_SUBDOMAIN.to_owned());
    }
    out
}

/// RFC 1035 label: as RFC 1123, but starting with a letter.
pub fn check_dns1035_label(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > LABEL_BYTES {
        out.push(too_long(LABEL_BYTES));
    }
    if !(is_dns_label(text) && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)) {
        out.push(DNS1035_LABEL.to_owned());
    }
    out
}

/// `*.` and a subdomain.
pub fn check_wildcard_subdomain(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > SUBDOMAIN_BYTES {
        out.push(too_long(SUBDOMAIN_BYTES));
    }
    if !text.strip_prefix("*.").is_some_and(|rest| rest.split('.').all(is_dns_label)) {
        out.push(WILDCARD_SUBDOMAIN.to_owned());
    }
    out
}

/// A subdomain of at least `min_labels` labels, as "fully qualified" names need.
pub fn is_fully_qualified(text: &str, min_labels: usize) -> bool {
    check_dns1123_subdomain(text).is_empty() && text.split('.').count() >= min_labels
}

fn is_qualified_part(text: &str) -> bool {
    let b = text.as_bytes();
    matches!((b.first(), b.last()), (Some(f), Some(l)) if f.is_ascii_alphanumeric() && l.is_ascii_alphanumeric())
        && b.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

/// A qualified name: optional DNS subdomain and `/`, then a name of at most 63 bytes. Label keys, resource names.
pub fn check_qualified_name(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut parts = text.split('/');
    let (first, second, more) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    let name = match (second, more) {
        (None, _) => first,
        (Some(name), None) => {
            if first.is_empty() {
                out.push("prefix part must be non-empty".to_owned());
            } else {
                out.extend(check_dns1123_subdomain(first).into_iter().map(|m| format!("prefix part {m}")));
            }
            name
        }
        (Some(_), Some(_)) => {
            return vec![format!("a qualified name {QUALIFIED_NAME} {WITH_PREFIX}")];
        }
    };
    if name.is_empty() {
        out.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_BYTES {
        out.push(format!("name part {}", too_long(LABEL_BYTES)));
    }
    if !is_qualified_part(name) {
        out.push(format!("name part {QUALIFIED_NAME}"));
    }
    out
}

/// A label value: empty, or at most 63 bytes with alphanumeric ends.
pub fn check_label_value(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > LABEL_BYTES {
        out.push(too_long(LABEL_BYTES));
    }
    if !text.is_empty() && !is_qualified_part(text) {
        out.push(LABEL_VALUE.to_owned());
    }
    out
}

/// A fully qualified name with a path: `domain/path`.
pub fn check_domain_prefixed_path(text: &str) -> Vec<String> {
    let Some((domain, path)) = text.split_once('/') else {
        return vec!["must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned()];
    };
    let mut out: Vec<String> =
        check_dns1123_subdomain(domain).into_iter().map(|m| format!("prefix part {m}")).collect();
    if domain.is_empty() || path.is_empty() {
        return vec!["must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned()];
    }
    if !path.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:/".contains(&c)) {
        out.push("path part is not a valid RFC 3986 path".to_owned());
    }
    out
}

/// An environment variable's name.
pub fn check_env_var_name(text: &str) -> Vec<String> {
    let b = text.as_bytes();
    let ok = b.first().is_some_and(|c| !c.is_ascii_digit())
        && b.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'));
    let mut out = Vec::new();
    if !ok {
        out.push(ENV_VAR.to_owned());
    }
    out.extend(check_dots(text));
    out
}

/// A C identifier.
pub fn check_c_identifier(text: &str) -> Vec<String> {
    let b = text.as_bytes();
    let ok = b.first().is_some_and(|c| !c.is_ascii_digit())
        && b.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_');
    if ok { Vec::new() } else { vec![C_IDENTIFIER.to_owned()] }
}

fn check_dots(text: &str) -> Option<String> {
    match text {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        t if t.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

/// A key of a ConfigMap or Secret.
pub fn check_config_key(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > SUBDOMAIN_BYTES {
        out.push(too_long(SUBDOMAIN_BYTES));
    }
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'))
    {
        out.push(CONFIG_KEY.to_owned());
    }
    out.extend(check_dots(text));
    out
}

/// An HTTP header's name.
pub fn check_http_header_name(text: &str) -> Vec<String> {
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        Vec::new()
    } else {
        vec![HTTP_HEADER.to_owned()]
    }
}

/// A port's name: at most 15 bytes of `[a-z0-9-]` with a letter and no double dash.
pub fn check_port_name(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 15 {
        out.push(too_long(15));
    }
    if text.is_empty() || !text.bytes().all(|c| lower_alnum(c) || c == b'-') {
        out.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|c| c.is_ascii_lowercase()) {
        out.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        out.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        out.push("must not begin or end with a hyphen".to_owned());
    }
    out
}

/// A port number.
pub fn check_port_number(port: i64) -> Option<String> {
    (!(1..=65535).contains(&port)).then(|| "must be between 1 and 65535, inclusive".to_owned())
}

/// A percent string such as `30%`.
pub fn check_percent(text: &str) -> Option<String> {
    let digits = text.strip_suffix('%');
    let ok = digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|c| c.is_ascii_digit()));
    (!ok).then(|| PERCENT.to_owned())
}

/// A name that only must be usable as a path segment: not `.` or `..`, without `/` and `%`.
pub fn check_path_segment(text: &str, prefix: bool) -> Vec<String> {
    if !prefix && (text == "." || text == "..") {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"].iter().filter(|c| text.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

fn masked(name: &str, prefix: bool) -> std::borrow::Cow<'_, str> {
    match name.strip_suffix('-') {
        Some(stem) if prefix && name.len() > 1 => format!("{stem}a").into(),
        _ => name.into(),
    }
}

/// [`NameRule`]: DNS subdomain.
pub fn name_is_dns_subdomain(name: &str, prefix: bool) -> Vec<String> {
    check_dns1123_subdomain(&masked(name, prefix))
}

/// [`NameRule`]: DNS label.
pub fn name_is_dns_label(name: &str, prefix: bool) -> Vec<String> {
    check_dns1123_label(&masked(name, prefix))
}

/// [`NameRule`]: RFC 1035 label.
pub fn name_is_dns1035_label(name: &str, prefix: bool) -> Vec<String> {
    check_dns1035_label(&masked(name, prefix))
}

/// The name for a `generateName` base: cut to leave room, then `suffix` (five characters upstream).
pub fn generated_name(base: &str, suffix: &str) -> String {
    let room = crate::limits::GENERATED_NAME_BYTES.saturating_sub(suffix.len());
    let mut end = base.len().min(room);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &base[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_subdomains() {
        assert!(check_dns1123_label("a-1").is_empty());
        assert_eq!(check_dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(check_dns1123_label(""), [DNS1123_LABEL]);
        assert!(check_dns1123_subdomain("a.b-c.1").is_empty());
        for bad in ["a..b", ".", "-a", "a-", "A", "a_b", "é", ""] {
            assert_eq!(check_dns1123_subdomain(bad), [DNS1123_SUBDOMAIN], "{bad}");
        }
        assert_eq!(check_dns1035_label("1a"), [DNS1035_LABEL]);
        assert_eq!(check_dns1123_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    }

    #[test]
    fn qualified_names() {
        assert!(check_qualified_name("example.com/My_name.x").is_empty());
        assert_eq!(check_qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(check_qualified_name("").len(), 2);
        assert!(check_qualified_name("a/b/c")[0].starts_with("a qualified name must consist"));
        assert!(check_label_value("").is_empty());
        assert_eq!(check_label_value("x-"), [LABEL_VALUE]);
    }

    #[test]
    fn generated_names_leave_room() {
        assert_eq!(generated_name("x-", "abcde"), "x-abcde");
        assert_eq!(generated_name(&"y".repeat(70), "abcde").len(), 63);
        assert!(name_is_dns_label("x-", true).is_empty());
        assert!(!name_is_dns_label("x-", false).is_empty());
    }

    #[test]
    fn ports_and_percents() {
        assert!(check_port_name("http-1").is_empty());
        assert!(!check_port_name("1").is_empty());
        assert!(check_percent("25%").is_none());
        assert!(check_percent("%").is_some());
        assert!(check_port_number(0).is_some());
    }
}
