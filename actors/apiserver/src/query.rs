//! [`Query`]: the parameters of a request, decoded, in order.

/// Parameters by name; a name may come several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=b&c=d`; percent-encoding and `+` are decoded, pairs that do not decode are dropped as upstream does.
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        Self(
            pairs
                .filter_map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    Some((decode(name)?, decode(value)?))
                })
                .collect(),
        )
    }

    /// From decoded pairs.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The first value of a name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a name, or nothing.
    pub fn text(&self, name: &str) -> &str {
        self.first(name).unwrap_or("")
    }

    /// All values of a name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A boolean as upstream converts it: present and neither `false` nor `0` is true.
    pub fn is_true(&self, name: &str) -> bool {
        self.first(name).is_some_and(|value| !matches!(value.to_lowercase().as_str(), "false" | "0"))
    }

    /// Names and values in order.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// No parameter at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Percent-decoding of a path segment or query part; `None` when a `%` is not followed by two hex digits. Bytes that
/// are no UTF-8 become U+FFFD.
pub(crate) fn decode_percent(text: &str, plus_is_space: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let hex = std::str::from_utf8(&digits).ok()?;
                u8::from_str_radix(hex, 16).ok()?
            }
            other => other,
        });
    }
    Some(String::from_utf8(out).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
}

/// A value for a query: everything but letters, digits and `-._~` is percent-encoded.
pub(crate) fn encode_component(text: &str) -> String {
    encode(text, b"-._~")
}

/// A path: what separates and names segments stays.
pub(crate) fn encode_path(text: &str) -> String {
    encode(text, b"-._~/:@!$&'()*+,;=")
}

fn encode(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decode(text: &str) -> Option<String> {
    decode_percent(text, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_in_order() {
        let query = Query::parse("a=b%3Dc&a=+x&watch&bad=%zz&flag=False");
        assert_eq!(query.all("a"), ["b=c", " x"]);
        assert!(query.is_true("watch") && !query.is_true("flag") && !query.is_true("none"));
        assert_eq!(query.first("bad"), None);
    }
}
