//! [`FieldSelector`]: `metadata.name=x,status.phase!=Running`.

use std::fmt;

use serde_json::Value;

use super::SelectorError;
use crate::limits::SELECTOR_TERMS;
use crate::view::View;

/// One comparison of a field with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field, as `spec.nodeName`.
    pub field: String,
    /// True for `=`, false for `!=`.
    pub equal: bool,
    /// The text, unescaped.
    pub value: String,
}

/// Comparisons that must all hold; empty matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// The comparisons in order.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// True when every object matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Reads the string form. Values escape `,`, `=` and `\` with a backslash.
    ///
    /// # Errors
    /// [`SelectorError`] for a term without a comparison, a bad escape, or too many terms.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for term in split_terms(text) {
            if term.is_empty() {
                continue;
            }
            if requirements.len() >= SELECTOR_TERMS {
                return Err(SelectorError::new(format!(
                    "more than {SELECTOR_TERMS} terms in the field selector"
                )));
            }
            let invalid =
                || SelectorError::new(format!("invalid selector: '{text}'; can't understand '{term}'"));
            let at = operator_at(term).ok_or_else(invalid)?;
            let (field, rest) = term.split_at(at);
            let (equal, value) = if let Some(v) = rest.strip_prefix("!=") {
                (false, v)
            } else if let Some(v) = rest.strip_prefix("==") {
                (true, v)
            } else {
                (true, &rest[1..])
            };
            requirements.push(FieldRequirement { field: field.to_owned(), equal, value: unescape(value)? });
        }
        Ok(FieldSelector { requirements })
    }

    /// Whether the fields, as `lookup` gives their texts, meet every comparison.
    pub fn matches<'a>(&self, mut lookup: impl FnMut(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| (lookup(&r.field).unwrap_or("") == r.value) == r.equal)
    }

    /// Whether an object meets every comparison, by walking the dotted field names.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.requirements.iter().all(|r| {
            let value = r.field.split('.').fold(object, |v, name| v.at(name));
            let equal = match value {
                Value::String(s) => *s == r.value,
                Value::Null => r.value.is_empty(),
                Value::Bool(b) => (if *b { "true" } else { "false" }) == r.value,
                other => r.value == format!("{other}"),
            };
            equal == r.equal
        })
    }

    /// The value that `field` must equal, if a comparison says so.
    pub fn required(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    out
}

fn operator_at(term: &str) -> Option<usize> {
    let b = term.as_bytes();
    (0..b.len()).find(|&i| b[i] == b'=' || (b[i] == b'!' && b.get(i + 1) == Some(&b'=')))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(e @ ('\\' | ',' | '=')) => out.push(e),
                Some(e) => {
                    return Err(SelectorError::new(format!(
                        "invalid field selector: invalid escape sequence: \\{e}"
                    )));
                }
                None => {
                    return Err(SelectorError::new("invalid field selector: unescaped trailing backslash"));
                }
            },
            ',' | '=' => {
                return Err(SelectorError::new(format!(
                    "invalid field selector: unescaped character in value: {c}"
                )));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            let value = r.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            let operator = if r.equal { "=" } else { "!=" };
            write!(f, "{}{}{operator}{value}", if i > 0 { "," } else { "" }, r.field)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms() {
        let selector = FieldSelector::parse("metadata.name=a,status.phase!=Run\\,ning,spec.x==1").unwrap();
        assert_eq!(selector.to_string(), "metadata.name=a,status.phase!=Run\\,ning,spec.x=1");
        assert!(selector.matches_object(&json!({"metadata":{"name":"a"},"spec":{"x":1}})));
        assert_eq!(selector.required("metadata.name"), Some("a"));
        for bad in ["a", "a=b=c", "a=\\q", "a=\\"] {
            assert!(FieldSelector::parse(bad).is_err(), "{bad}");
        }
        assert!(FieldSelector::parse("").unwrap().is_everything());
    }
}
