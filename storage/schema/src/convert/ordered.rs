//! [`Ordered`]: JSON text whose fields stand in the order of upstream's structs, as annotations carry it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::view::{View, is_empty};

/// An object under construction.
#[derive(Default)]
pub(super) struct Ordered(String);

impl Ordered {
    pub(super) fn new() -> Self {
        Ordered::default()
    }

    /// Adds a field with JSON text as its value.
    pub(super) fn raw(mut self, name: &str, json: &str) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{comma}\"{name}\":{json}");
        self
    }

    /// Adds a field.
    pub(super) fn field(self, name: &str, value: &Value) -> Self {
        self.raw(name, &value.to_string())
    }

    /// Adds a field unless it is null.
    pub(super) fn some(self, name: &str, value: &Value) -> Self {
        if value.is_null() { self } else { self.field(name, value) }
    }

    /// Adds a field unless it is null or empty.
    pub(super) fn full(self, name: &str, value: &Value) -> Self {
        if is_empty(value) { self } else { self.field(name, value) }
    }

    /// Adds a label selector unless it is null.
    pub(super) fn selector(self, name: &str, value: &Value) -> Self {
        if value.is_null() {
            return self;
        }
        let expressions: Vec<String> = value
            .list("matchExpressions")
            .iter()
            .map(|e| {
                let out = Ordered::new().field("key", e.at("key")).field("operator", e.at("operator"));
                out.full("values", e.at("values")).end()
            })
            .collect();
        let mut out = Ordered::new().full("matchLabels", value.at("matchLabels"));
        if !expressions.is_empty() {
            out = out.raw("matchExpressions", &list(&expressions));
        }
        self.raw(name, &out.end())
    }

    pub(super) fn end(self) -> String {
        format!("{{{}}}", self.0)
    }
}

/// A list of JSON texts.
pub(super) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}
