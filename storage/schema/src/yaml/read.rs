//! Reading YAML into JSON trees.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};
use thiserror::Error;

use super::scalar;
use crate::limits::JSON_DEPTH_LEVELS;

/// Most values in one document once its aliases are written out.
const VALUES: usize = 1_000_000;
/// Most repeated keys reported.
const REPEATED_KEYS: usize = 10;

/// One document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its value; an empty document is an empty object.
    pub value: Value,
    /// Repeated keys, such as `line 7: key "k" already set in map`; the last one counts.
    pub duplicates: Vec<String>,
}

/// A text that is no YAML, or none that JSON can hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("yaml: {0}")]
pub struct YamlError(String);

/// Reads the first document of a text.
///
/// # Errors
/// The text is malformed, too deep or too large.
pub fn parse(text: &[u8]) -> Result<Document, YamlError> {
    let mut reader = Reader::new(text)?;
    let document = reader.document()?;
    Ok(document.unwrap_or_else(|| Document { value: Value::Object(Map::new()), duplicates: Vec::new() }))
}

/// Reads all documents of a text; empty ones are left out.
///
/// # Errors
/// As [`parse`].
pub fn parse_all(text: &[u8]) -> Result<Vec<Document>, YamlError> {
    let mut reader = Reader::new(text)?;
    let mut found = Vec::new();
    while let Some(document) = reader.document()? {
        if document.value.as_object().is_none_or(|map| !map.is_empty()) {
            found.push(document);
        }
    }
    Ok(found)
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Value>,
    duplicates: Vec<String>,
    values: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8]) -> Result<Self, YamlError> {
        let text = std::str::from_utf8(text).map_err(|_| YamlError("invalid UTF-8".to_owned()))?;
        let events = Parser::new_from_str(text);
        Ok(Self { events, anchors: BTreeMap::new(), duplicates: Vec::new(), values: 0 })
    }

    /// The next document; `None` at the end.
    fn document(&mut self) -> Result<Option<Document>, YamlError> {
        self.anchors.clear();
        self.values = 0;
        loop {
            match self.next()?.0 {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(_) => break,
                _ => {}
            }
        }
        let first = self.next()?;
        let value = match first.0 {
            Event::DocumentEnd => Value::Null,
            _ => self.value(first, 0)?,
        };
        let value = if value.is_null() { Value::Object(Map::new()) } else { value };
        Ok(Some(Document { value, duplicates: std::mem::take(&mut self.duplicates) }))
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(scan_error(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn value(&mut self, (event, span): (Event<'a>, Span), depth: usize) -> Result<Value, YamlError> {
        if depth > JSON_DEPTH_LEVELS {
            return Err(YamlError("exceeded max depth".to_owned()));
        }
        self.count(1)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar_value(&text, style, tag.as_deref()), anchor),
            Event::SequenceStart(anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned();
                let value =
                    value.ok_or_else(|| YamlError("an alias stands inside its own anchor".to_owned()))?;
                self.count(size(&value))?;
                return Ok(value);
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {
                return Err(YamlError(format!("line {}: a value is missing", span.start.line())));
            }
        };
        if anchor > 0 {
            self.count(size(&value))?;
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if event.0 == Event::SequenceEnd {
                return Ok(Value::Array(items));
            }
            items.push(self.value(event, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let event = self.next()?;
            if event.0 == Event::MappingEnd {
                break;
            }
            let line = event.1.start.line();
            let merge = matches!(&event.0, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.value(event, depth + 1)?;
            let event = self.next()?;
            let value = self.value(event, depth + 1)?;
            if merge {
                merged.push((line, value));
                continue;
            }
            let key = key_text(key, line)?;
            if map.contains_key(&key) && self.duplicates.len() < REPEATED_KEYS {
                self.duplicates.push(format!("line {line}: key \"{key}\" already set in map"));
            }
            map.insert(key, value);
        }
        for (line, value) in merged {
            merge_into(&mut map, value, line)?;
        }
        Ok(Value::Object(map))
    }

    fn count(&mut self, more: usize) -> Result<(), YamlError> {
        self.values = self.values.saturating_add(more);
        if self.values > VALUES {
            return Err(YamlError("document contains excessive aliasing".to_owned()));
        }
        Ok(())
    }
}

fn scan_error(error: &ScanError) -> YamlError {
    YamlError(format!("line {}: {}", error.marker().line(), error.info()))
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let standard = tag.filter(|tag| tag.is_yaml_core_schema());
    match (standard.map(|tag| tag.suffix.as_str()), style) {
        (Some("str" | "binary"), _) => text.into(),
        (Some(_), _) | (None, ScalarStyle::Plain) => scalar::plain(text),
        (None, _) => text.into(),
    }
}

/// Numbers and truth values name fields by their text.
fn key_text(key: Value, line: usize) -> Result<String, YamlError> {
    match key {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(key.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(YamlError(format!("line {line}: a key is no text, number or truth value")))
        }
    }
}

/// `<<`: fields that the map has not are taken from a map, or from several in order.
fn merge_into(map: &mut Map<String, Value>, from: Value, line: usize) -> Result<(), YamlError> {
    let maps = match from {
        Value::Object(one) => vec![Value::Object(one)],
        Value::Array(several) => several,
        _ => Vec::new(),
    };
    if maps.is_empty() || !maps.iter().all(Value::is_object) {
        return Err(YamlError(format!(
            "line {line}: map merge requires map or sequence of maps as the value"
        )));
    }
    for source in maps {
        let Value::Object(source) = source else { continue };
        for (key, value) in source {
            map.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// How many values a tree holds.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        parse(text.as_bytes()).unwrap().value
    }

    /// A thread of a server has two mebibytes of stack, and others stand on it before the reader.
    #[test]
    fn nesting_ends_before_a_threads_stack() {
        let small = std::thread::Builder::new().stack_size(1536 * 1024);
        let reader = small.spawn(|| {
            let more = JSON_DEPTH_LEVELS * 4;
            let indented = (0..more).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "a:\n");
            for text in
                ["[".repeat(more), "- ".repeat(more), "? ".repeat(more), "{a: ".repeat(more), indented]
            {
                assert!(parse(text.as_bytes()).is_err(), "{}", &text[..10]);
            }
            let deepest = format!("{}1", "- ".repeat(JSON_DEPTH_LEVELS));
            assert!(parse(deepest.as_bytes()).is_ok());
        });
        reader.unwrap().join().unwrap();
    }

    #[test]
    fn merge_keys_and_empty_documents() {
        assert_eq!(read("base: &b {k: v}\ndata:\n  <<: *b\n  l: w\n")["data"], json!({"k": "v", "l": "w"}));
        assert_eq!(
            read("a: &a {x: 1}\nb: &b {x: 2, w: 3}\nc: {<<: [*a, *b], z: 4}")["c"],
            json!({"x": 1, "w": 3, "z": 4})
        );
        assert_eq!(read(""), json!({}));
        assert_eq!(read("# nothing\n---\n"), json!({}));
        assert!(parse(b"a: [").is_err());
        assert!(parse(b"<<: 1").is_err());
    }

    #[test]
    fn repeated_keys_are_told_and_the_last_counts() {
        let document = parse(b"a: 1\ndata:\n  k: v\n  k: w\n").unwrap();
        assert_eq!(document.value, json!({"a": 1, "data": {"k": "w"}}));
        assert_eq!(document.duplicates, ["line 4: key \"k\" already set in map"]);
    }

    #[test]
    fn quoted_words_are_texts() {
        assert_eq!(
            read("a: 'yes'\nb: \"010\"\nc: yes\nd: |\n  1\ne: !!str 5\n1: x\ntrue: w\nf: y"),
            json!({"a": "yes", "b": "010", "c": true, "d": "1\n", "e": "5", "1": "x", "true": "w", "f": true})
        );
    }

    #[test]
    fn several_documents() {
        let found = parse_all(b"---\na: 1\n---\n---\nb: 2\n...\n").unwrap();
        assert_eq!(
            found.iter().map(|d| d.value.clone()).collect::<Vec<_>>(),
            [json!({"a": 1}), json!({"b": 2})]
        );
    }

    #[test]
    fn bombs_and_towers_are_refused() {
        let mut bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for i in 1..12 {
            let before = format!("*a{}, ", i - 1).repeat(10);
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", before.trim_end_matches(", ")));
        }
        let refused = parse(bomb.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains("excessive aliasing"), "{refused}");
        assert!(parse("[".repeat(3_000_000).as_bytes()).is_err());
        assert!(parse(b"a: &a [*a]").is_err());
        assert!(parse(b"\xff").is_err());
    }
}
