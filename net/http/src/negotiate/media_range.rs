//! The list syntax of `Accept` and `Content-Type`: `type/subtype; name=value; q=0.5, ...`.

/// Longest header value that is looked at, in bytes; the rest of a longer one is ignored.
pub const HEADER_LIMIT_BYTES: usize = 8192;
/// Most media ranges that are looked at.
pub const RANGES_LIMIT: usize = 64;
/// Most parameters of one range that are looked at.
const PARAMETERS_LIMIT: usize = 16;

/// One media range with its parameters; names are lower-case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MediaRange<'a> {
    pub(crate) main: String,
    pub(crate) sub: String,
    pub(crate) parameters: Vec<(String, &'a str)>,
    /// Quality in thousandths.
    pub(crate) quality: u16,
}

impl MediaRange<'_> {
    /// Whether the range covers a media type.
    pub(crate) fn covers(&self, media_type: &str) -> bool {
        let Some((main, sub)) = media_type.split_once('/') else { return false };
        match (self.main.as_str(), self.sub.as_str()) {
            ("*", "*") => true,
            (own, "*") => own == main,
            (own_main, own_sub) => own_main == main && own_sub == sub,
        }
    }

    fn wildcards(&self) -> u8 {
        u8::from(self.main == "*") + u8::from(self.sub == "*")
    }
}

/// Ranges of an `Accept` header, best first: by quality, then by how exact they are, then as written. Ranges that are
/// not well-formed or have quality zero are left out.
pub(crate) fn parse_accept(header: &str) -> Vec<MediaRange<'_>> {
    let mut ranges: Vec<MediaRange<'_>> =
        split_outside_quotes(cut(header), ',').take(RANGES_LIMIT).filter_map(parse_one).collect();
    ranges.retain(|range| range.quality > 0);
    ranges.sort_by_key(|range| (std::cmp::Reverse(range.quality), range.wildcards()));
    ranges
}

/// One media type with parameters, as in `Content-Type`.
pub(crate) fn parse_one(text: &str) -> Option<MediaRange<'_>> {
    let mut parts = split_outside_quotes(cut(text), ';');
    let (main, sub) = parts.next()?.trim().split_once('/')?;
    let is_token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte))
    };
    let (main, sub) = (main.trim().to_ascii_lowercase(), sub.trim().to_ascii_lowercase());
    if !is_token(&main) || !is_token(&sub) {
        return None;
    }
    let mut range = MediaRange { main, sub, parameters: Vec::new(), quality: 1000 };
    for part in parts.take(PARAMETERS_LIMIT) {
        let Some((name, value)) = part.split_once('=') else { continue };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
        match name.as_str() {
            "q" => range.quality = quality(value),
            _ => range.parameters.push((name, value)),
        }
    }
    Some(range)
}

/// Thousandths; 1 when unreadable, as upstream's parser does.
fn quality(text: &str) -> u16 {
    let Some((whole, fraction)) = text.split_once('.').or(Some((text, ""))) else { return 1000 };
    let digits = format!("{whole}{:0<3.3}", fraction);
    match digits.bytes().all(|byte| byte.is_ascii_digit()) && !whole.is_empty() {
        true => digits.parse().unwrap_or(1000).min(1000),
        false => 1000,
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(HEADER_LIMIT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
    .filter(|part| !part.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(header: &str) -> Vec<String> {
        parse_accept(header).iter().map(|range| format!("{}/{}", range.main, range.sub)).collect()
    }

    #[test]
    fn quality_first_then_exactness_then_order() {
        assert_eq!(order("a/b;q=0.5, c/d, */*, e/*;q=0.9, f/g"), ["c/d", "f/g", "*/*", "e/*", "a/b"]);
        assert_eq!(order("*/*, application/json"), ["application/json", "*/*"]);
        assert_eq!(order("a/b;q=0, c/d;q=0.000"), Vec::<String>::new());
        assert_eq!(order("a/b;q=x, c/d;q=1.7, e/f;q=.4"), ["a/b", "c/d", "e/f"]);
    }

    #[test]
    fn broken_ranges_are_left_out_and_quotes_hide_separators() {
        assert_eq!(order("text, /b, a/, a b/c, ,;;, ok/ok"), ["ok/ok"]);
        let range = parse_one("Application/JSON; Charset=\"utf-8;,\"; v=1").unwrap();
        assert_eq!((range.main.as_str(), range.sub.as_str()), ("application", "json"));
        assert_eq!(range.parameters, [("charset".to_owned(), "utf-8;,"), ("v".to_owned(), "1")]);
    }

    #[test]
    fn long_headers_cost_bounded_work() {
        let header = "a/b,".repeat(100_000);
        assert!(order(&header).len() <= RANGES_LIMIT);
        let umlauts = "ä".repeat(HEADER_LIMIT_BYTES);
        assert_eq!(order(&umlauts), Vec::<String>::new());
    }
}
