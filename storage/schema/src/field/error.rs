//! [`FieldError`] and [`ErrorList`]: validation findings with upstream's reasons and wording.

use std::fmt::Write as _;

use serde_json::Value;

use super::Path;

/// What is wrong with a field. The reason string is the wire form in a Status cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The value names something that is not there.
    NotFound,
    /// A value must be given.
    Required,
    /// The value occurs twice where it must be unique.
    Duplicate,
    /// The value is malformed or out of range.
    Invalid,
    /// The value is not one of an enumeration.
    NotSupported,
    /// The field may not be set (or changed) here.
    Forbidden,
    /// The value has too many bytes.
    TooLong,
    /// The list has too many items.
    TooMany,
    /// The value has a wrong type.
    TypeInvalid,
    /// The server could not decide.
    Internal,
}

impl ErrorType {
    /// The reason as a Status cause carries it.
    pub fn reason(self) -> &'static str {
        match self {
            ErrorType::NotFound => "FieldValueNotFound",
            ErrorType::Required => "FieldValueRequired",
            ErrorType::Duplicate => "FieldValueDuplicate",
            ErrorType::Invalid => "FieldValueInvalid",
            ErrorType::NotSupported => "FieldValueNotSupported",
            ErrorType::Forbidden => "FieldValueForbidden",
            ErrorType::TooLong => "FieldValueTooLong",
            ErrorType::TooMany => "FieldValueTooMany",
            ErrorType::TypeInvalid => "FieldValueTypeInvalid",
            ErrorType::Internal => "InternalError",
        }
    }
}

/// One finding: which field, what kind of error, the value as printed, and the explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The kind of error.
    pub kind: ErrorType,
    /// The path, as `spec.ports[0].port`.
    pub field: String,
    /// The offending value as upstream prints it (quoted when a string).
    pub value: String,
    /// What a correct value looks like; may be empty.
    pub detail: String,
}

impl FieldError {
    /// The text without the field: `Invalid value: "x": detail`.
    pub fn body(&self) -> String {
        let (name, with_value) = match self.kind {
            ErrorType::NotFound => ("Not found", true),
            ErrorType::Required => ("Required value", false),
            ErrorType::Duplicate => ("Duplicate value", true),
            ErrorType::Invalid | ErrorType::TypeInvalid => ("Invalid value", true),
            ErrorType::NotSupported => ("Unsupported value", true),
            ErrorType::Forbidden => ("Forbidden", false),
            ErrorType::TooLong => ("Too long", false),
            ErrorType::TooMany => ("Too many", true),
            ErrorType::Internal => ("Internal error", false),
        };
        let mut out = String::from(name);
        if with_value && !self.value.is_empty() {
            let _ = write!(out, ": {}", self.value);
        }
        if !self.detail.is_empty() {
            let _ = write!(out, ": {}", self.detail);
        }
        out
    }

    /// The full text: `spec.x: Invalid value: "y": detail`.
    pub fn message(&self) -> String {
        format!("{}: {}", self.field, self.body())
    }
}

/// The findings of one validation, in the order they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorList(Vec<FieldError>);

impl ErrorList {
    /// No findings.
    pub fn new() -> Self {
        ErrorList(Vec::new())
    }

    /// True when nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of findings.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The findings in order.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: ErrorList) {
        self.0.extend(other.0);
    }

    /// Keeps only findings for which `keep` is true.
    pub fn retain(&mut self, keep: impl FnMut(&FieldError) -> bool) {
        self.0.retain(keep);
    }

    /// Adds a finding made elsewhere.
    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    fn add(&mut self, kind: ErrorType, field: &Path<'_>, value: String, detail: impl Into<String>) {
        self.0.push(FieldError { kind, field: field.to_string(), value, detail: detail.into() });
    }

    /// A value that must be given is not; `detail` may be empty.
    pub fn required(&mut self, field: &Path<'_>, detail: impl Into<String>) {
        self.add(ErrorType::Required, field, String::new(), detail);
    }

    /// A malformed value.
    pub fn invalid(&mut self, field: &Path<'_>, value: &Value, detail: impl Into<String>) {
        self.add(ErrorType::Invalid, field, bad_value(value), detail);
    }

    /// A malformed string.
    pub fn invalid_str(&mut self, field: &Path<'_>, value: &str, detail: impl Into<String>) {
        self.add(ErrorType::Invalid, field, quote(value), detail);
    }

    /// A malformed value that is already in printed form.
    pub fn invalid_text(&mut self, field: &Path<'_>, value: impl Into<String>, detail: impl Into<String>) {
        self.add(ErrorType::Invalid, field, value.into(), detail);
    }

    /// A value outside the enumeration `supported`; the message lists the choices as given.
    pub fn not_supported(&mut self, field: &Path<'_>, value: &str, supported: &[&str]) {
        self.not_supported_text(field, quote(value), supported);
    }

    /// As [`ErrorList::not_supported`], for a value that is already in printed form.
    pub fn not_supported_text(&mut self, field: &Path<'_>, value: String, supported: &[&str]) {
        let choices: Vec<String> = supported.iter().map(|s| quote(s)).collect();
        let detail = if choices.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", choices.join(", "))
        };
        self.add(ErrorType::NotSupported, field, value, detail);
    }

    /// A value that occurs twice.
    pub fn duplicate(&mut self, field: &Path<'_>, value: &Value) {
        self.add(ErrorType::Duplicate, field, bad_value(value), "");
    }

    /// A value that occurs twice, with the rule it breaks.
    pub fn duplicate_why(&mut self, field: &Path<'_>, value: &Value, why: &str) {
        self.add(ErrorType::Duplicate, field, bad_value(value), why);
    }

    /// A field that may not be set or changed.
    pub fn forbidden(&mut self, field: &Path<'_>, detail: impl Into<String>) {
        self.add(ErrorType::Forbidden, field, String::new(), detail);
    }

    /// A reference to something that is not there.
    pub fn not_found(&mut self, field: &Path<'_>, value: &Value) {
        self.add(ErrorType::NotFound, field, bad_value(value), "");
    }

    /// A reference to something that is not there, and what there is.
    pub fn not_found_why(&mut self, field: &Path<'_>, value: &Value, why: &str) {
        self.add(ErrorType::NotFound, field, bad_value(value), why);
    }

    /// A value of more than `limit_bytes` bytes.
    pub fn too_long(&mut self, field: &Path<'_>, limit_bytes: usize) {
        self.add(ErrorType::TooLong, field, String::new(), format!("must have at most {limit_bytes} bytes"));
    }

    /// A list of `actual` items where `limit` are allowed.
    pub fn too_many(&mut self, field: &Path<'_>, actual: usize, limit: usize) {
        let items = if limit == 1 { "item" } else { "items" };
        let detail = format!("must have at most {limit} {items}");
        self.add(ErrorType::TooMany, field, actual.to_string(), detail);
    }

    /// A value of a wrong type.
    pub fn type_invalid(&mut self, field: &Path<'_>, value: &Value, detail: impl Into<String>) {
        self.add(ErrorType::TypeInvalid, field, bad_value(value), detail);
    }

    /// Upstream's aggregate text: one message as it is, several distinct ones as `[a, b]`.
    pub fn aggregate(&self) -> String {
        let mut distinct: Vec<String> = Vec::with_capacity(self.0.len());
        for error in &self.0 {
            let message = error.message();
            if !distinct.contains(&message) {
                distinct.push(message);
            }
        }
        match distinct.len() {
            1 => distinct.pop().unwrap_or_default(),
            _ => format!("[{}]", distinct.join(", ")),
        }
    }
}

impl<'a> IntoIterator for &'a ErrorList {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A string in Go's `%q` form.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A value as upstream prints it in a field error: strings quoted, string maps and lists in Go's notation, anything
/// else as JSON (upstream prints a dump of its own structs there).
pub fn bad_value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<String> = items.iter().map(bad_value).collect();
            format!("[]string{{{}}}", items.join(", "))
        }
        Value::Object(map) if map.values().all(Value::is_string) => {
            let entries: Vec<String> =
                map.iter().map(|(k, v)| format!("{}:{}", quote(k), bad_value(v))).collect();
            format!("map[string]string{{{}}}", entries.join(", "))
        }
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_follow_upstream() {
        let mut list = ErrorList::new();
        let path = Path::new("spec");
        list.required(&path.child("a"), "");
        list.not_supported(&path.child("b"), "X", &["a", "b"]);
        list.invalid(&path.child("c"), &json!(-1), "must be greater than or equal to 0");
        list.too_many(&path.child("d"), 17, 16);
        list.forbidden(&path.child("e"), "no");
        let bodies: Vec<String> = list.iter().map(FieldError::body).collect();
        assert_eq!(bodies[0], "Required value");
        assert_eq!(bodies[1], "Unsupported value: \"X\": supported values: \"a\", \"b\"");
        assert_eq!(bodies[2], "Invalid value: -1: must be greater than or equal to 0");
        assert_eq!(bodies[3], "Too many: 17: must have at most 16 items");
        assert_eq!(bodies[4], "Forbidden: no");
    }

    #[test]
    fn aggregate_drops_repeats() {
        let mut list = ErrorList::new();
        list.required(&Path::new("a"), "");
        list.required(&Path::new("a"), "");
        assert_eq!(list.aggregate(), "a: Required value");
        list.required(&Path::new("b"), "x");
        assert_eq!(list.aggregate(), "[a: Required value, b: Required value: x]");
        assert_eq!(list.len(), 3);
    }
}
