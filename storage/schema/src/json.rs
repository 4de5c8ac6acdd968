//! JSON text to [`Value`], with the words and the strictness of upstream's decoder.
//!
//! Repeated keys are reported (the last one wins), nesting is bounded, invalid UTF-8 becomes U+FFFD as in Go.

use serde_json::{Map, Number, Value};
use thiserror::Error;

use crate::limits::{JSON_DEPTH_LEVELS, STRICT_ERRORS};

/// Why a text is no JSON document, in Go's words. Never retryable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JsonError {
    /// The text ends inside a value.
    #[error("unexpected end of JSON input")]
    End,
    /// A character that cannot stand there.
    #[error("invalid character {0} {1}")]
    Character(String, &'static str),
    /// Nesting beyond [`JSON_DEPTH_LEVELS`].
    #[error("invalid character {0} exceeded max depth")]
    Depth(String),
    /// A number beyond the range of a float.
    #[error("json: cannot unmarshal number {0} into Go value of type float64")]
    Number(String),
}

/// A decoded document and the paths of keys that occurred twice in one object.
#[derive(Clone, Debug)]
pub struct Document {
    /// The value.
    pub value: Value,
    /// Paths such as `metadata.labels.a`, in the order found, each once.
    pub duplicates: Vec<String>,
}

/// Decodes one document.
///
/// # Errors
/// [`JsonError`] at the first malformed byte.
pub fn parse(bytes: &[u8]) -> Result<Document, JsonError> {
    let mut parser = Parser { bytes, at: 0, duplicates: Vec::new() };
    parser.space();
    let value = parser.value(&Trail::Top, 0)?;
    parser.space();
    if parser.at < bytes.len() {
        return Err(parser.unexpected("after top-level value"));
    }
    Ok(Document { value, duplicates: parser.duplicates })
}

/// What is said of repeated keys.
pub fn repeated(paths: &[String]) -> Vec<String> {
    paths.iter().map(|path| format!("duplicate field \"{path}\"")).collect()
}

/// Where the parser is, as a chain on the stack.
enum Trail<'a> {
    Top,
    Key(&'a Trail<'a>, &'a str),
    Item(&'a Trail<'a>, usize),
}

impl Trail<'_> {
    fn text(&self) -> String {
        match self {
            Trail::Top => String::new(),
            Trail::Key(Trail::Top, key) => (*key).to_owned(),
            Trail::Key(parent, key) => format!("{}.{key}", parent.text()),
            Trail::Item(parent, index) => format!("{}[{index}]", parent.text()),
        }
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    duplicates: Vec<String>,
}

impl Parser<'_> {
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn character(&self) -> String {
        match self.bytes.get(self.at) {
            Some(b'\'') => "'\\''".to_owned(),
            Some(b'"') => "'\"'".to_owned(),
            Some(&c) if (0x20..0x7f).contains(&c) => format!("'{}'", c as char),
            Some(b'\n') => "'\\n'".to_owned(),
            Some(b'\t') => "'\\t'".to_owned(),
            Some(b'\r') => "'\\r'".to_owned(),
            Some(&c) if c < 0x80 => format!("'\\x{c:02x}'"),
            Some(&c) => format!("'{}'", char::from(c)),
            None => String::new(),
        }
    }

    fn unexpected(&self, context: &'static str) -> JsonError {
        if self.at >= self.bytes.len() {
            JsonError::End
        } else {
            JsonError::Character(self.character(), context)
        }
    }

    fn value(&mut self, trail: &Trail<'_>, depth: usize) -> Result<Value, JsonError> {
        match self.bytes.get(self.at) {
            Some(b'{' | b'[') if depth >= JSON_DEPTH_LEVELS => Err(JsonError::Depth(self.character())),
            Some(b'{') => self.object(trail, depth + 1),
            Some(b'[') => self.array(trail, depth + 1),
            Some(b'"') => self.string().map(Value::String),
            Some(b't') => self.literal(b"true", "in literal true", Value::Bool(true)),
            Some(b'f') => self.literal(b"false", "in literal false", Value::Bool(false)),
            Some(b'n') => self.literal(b"null", "in literal null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn literal(&mut self, text: &[u8], context: &'static str, value: Value) -> Result<Value, JsonError> {
        for expected in text {
            if self.bytes.get(self.at) != Some(expected) {
                return Err(self.unexpected(context));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn object(&mut self, trail: &Trail<'_>, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut map = Map::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            self.space();
            if self.bytes.get(self.at) != Some(&b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.space();
            if self.bytes.get(self.at) != Some(&b':') {
                return Err(self.unexpected("after object key"));
            }
            self.at += 1;
            self.space();
            let inner = Trail::Key(trail, &key);
            if map.contains_key(&key) && self.duplicates.len() < STRICT_ERRORS {
                let path = inner.text();
                if !self.duplicates.contains(&path) {
                    self.duplicates.push(path);
                }
            }
            let value = self.value(&inner, depth)?;
            map.insert(key, value);
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(map));
                }
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
    }

    fn array(&mut self, trail: &Trail<'_>, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(&Trail::Item(trail, items.len()), depth)?);
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.unexpected("after array element")),
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let start = self.at;
        while let Some(&c) = self.bytes.get(self.at) {
            match c {
                b'"' => {
                    let text = String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned();
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => return self.escaped_string(start),
                c if c < 0x20 => return Err(self.unexpected("in string literal")),
                _ => self.at += 1,
            }
        }
        Err(JsonError::End)
    }

    fn escaped_string(&mut self, start: usize) -> Result<String, JsonError> {
        let mut out = self.bytes[start..self.at].to_vec();
        loop {
            match self.bytes.get(self.at) {
                None => return Err(JsonError::End),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match String::from_utf8(out) {
                        Ok(text) => text,
                        Err(bad) => String::from_utf8_lossy(bad.as_bytes()).into_owned(),
                    });
                }
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(&c) if c < 0x20 => return Err(self.unexpected("in string literal")),
                Some(&c) => {
                    out.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let c = match self.bytes.get(self.at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        if !(0xD800..0xDC00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or('\u{FFFD}'));
        }
        let mark = self.at;
        if self.bytes[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let second = self.hex4()?;
            if (0xDC00..0xE000).contains(&second) {
                let joined = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(joined).unwrap_or('\u{FFFD}'));
            }
            self.at = mark;
        }
        Ok('\u{FFFD}')
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.bytes.get(self.at).and_then(|c| char::from(*c).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            value = value * 16 + digit;
            self.at += 1;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("in numeric literal")),
        }
        let mut whole = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            whole = false;
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        let text =
            std::str::from_utf8(&self.bytes[start..self.at]).expect("only ASCII digits and signs were taken");
        if whole {
            if let Ok(n) = text.parse::<i64>() {
                return Ok(Value::Number(n.into()));
            }
            if let Ok(n) = text.parse::<u64>() {
                return Ok(Value::Number(n.into()));
            }
        }
        let float = text.parse::<f64>().ok().and_then(Number::from_f64);
        float.map(Value::Number).ok_or_else(|| JsonError::Number(text.chars().take(64).collect()))
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, context: &'static str) -> Result<(), JsonError> {
        if !self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            return Err(self.unexpected(context));
        }
        self.digits();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values() {
        let text = br#" {"a":[1,-2.5e3,true,null,"x\u00e9\ud83d\ude00\n"],"b":{"c":18446744073709551615}} "#;
        let document = parse(text).unwrap();
        assert_eq!(
            document.value,
            json!({"a":[1,-2500.0,true,null,"xé😀\n"],"b":{"c":18446744073709551615u64}})
        );
        assert!(document.duplicates.is_empty());
    }

    #[test]
    fn duplicate_keys_are_named() {
        let document = parse(br#"{"a":{"x":1,"x":2},"l":[{"k":1,"k":2,"k":3}],"a":3}"#).unwrap();
        assert_eq!(document.duplicates, ["a.x", "l[0].k", "a"]);
        assert_eq!(document.value, json!({"a":3,"l":[{"k":3}]}));
    }

    #[test]
    fn errors_speak_go() {
        for (text, message) in [
            ("", "unexpected end of JSON input"),
            ("{bad", "invalid character 'b' looking for beginning of object key string"),
            ("{} {", "invalid character '{' after top-level value"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("trve", "invalid character 'v' in literal true"),
            ("\"\\q\"", "invalid character 'q' in string escape code"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("01", "invalid character '1' after top-level value"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn hostile_inputs_end_in_errors() {
        let deep = "[".repeat(200_000);
        assert!(matches!(parse(deep.as_bytes()), Err(JsonError::Depth(_))));
        assert!(matches!(parse(b"1e999999"), Err(JsonError::Number(_))));
        assert_eq!(parse(b"\"\xff\"").unwrap().value, json!("\u{FFFD}"));
        assert_eq!(parse(b"\"\\ud800x\"").unwrap().value, json!("\u{FFFD}x"));
    }
}
