//! [`Rule`]: the compiled schema of one value inside a custom object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::format::Format;
use super::pattern::Pattern;

/// A JSON type as schemas name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JsonType {
    /// `array`
    Array,
    /// `boolean`
    Boolean,
    /// `integer`
    Integer,
    /// `number`
    Number,
    /// `object`
    Object,
    /// `string`
    String,
}

impl JsonType {
    /// The type of that name.
    pub fn named(name: &str) -> Option<JsonType> {
        Some(match name {
            "array" => JsonType::Array,
            "boolean" => JsonType::Boolean,
            "integer" => JsonType::Integer,
            "number" => JsonType::Number,
            "object" => JsonType::Object,
            "string" => JsonType::String,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            JsonType::Array => "array",
            JsonType::Boolean => "boolean",
            JsonType::Integer => "integer",
            JsonType::Number => "number",
            JsonType::Object => "object",
            JsonType::String => "string",
        }
    }
}

/// What a map holds besides its named properties.
#[derive(Clone, Debug, Default)]
pub enum Additional {
    /// Nothing is said: unknown fields are pruned.
    #[default]
    Unsaid,
    /// `additionalProperties: true`: kept, their content pruned.
    Any,
    /// `additionalProperties: false`: refused by validation.
    Forbidden,
    /// Every other entry follows this rule.
    Each(Box<Rule>),
}

/// How items of a list are told apart (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListRule {
    /// As a whole.
    #[default]
    Atomic,
    /// Distinct values.
    Set,
    /// By these key fields.
    Map(Vec<String>),
}

/// A bound of a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// As the schema gives it.
    pub value: f64,
    /// The bound itself is outside.
    pub exclusive: bool,
}

/// The compiled schema of one value. Structure (what pruning and defaulting walk) and checks (what validation walks)
/// stand side by side; the branches of `allOf` and its like carry checks alone.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Allowed types; none allows every type.
    pub types: Vec<JsonType>,
    /// Null is a value.
    pub nullable: bool,
    /// Value of a field that is absent (or null and not nullable).
    pub default: Option<Value>,
    /// Named fields.
    pub properties: BTreeMap<String, Rule>,
    /// Other fields.
    pub additional: Additional,
    /// Items of a list.
    pub items: Option<Box<Rule>>,
    /// Unknown fields stay.
    pub preserve_unknown: bool,
    /// A whole Kubernetes object stands here.
    pub embedded: bool,
    /// How items are told apart.
    pub list: ListRule,
    /// Checks on the value itself.
    pub checks: Box<Checks>,
}

/// Checks on a value.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Known format of a string, or of a number.
    pub format: Option<Format>,
    /// Lower bound.
    pub minimum: Option<Bound>,
    /// Upper bound.
    pub maximum: Option<Bound>,
    /// Factor of which a number is a multiple.
    pub multiple_of: Option<f64>,
    /// Least length of a string, in characters.
    pub min_length: Option<i64>,
    /// Greatest length of a string, in characters.
    pub max_length: Option<i64>,
    /// Regular expression that a string contains.
    pub pattern: Option<Pattern>,
    /// Least number of items.
    pub min_items: Option<i64>,
    /// Greatest number of items.
    pub max_items: Option<i64>,
    /// Least number of entries.
    pub min_properties: Option<i64>,
    /// Greatest number of entries.
    pub max_properties: Option<i64>,
    /// The only values; empty allows all.
    pub values: Vec<Value>,
    /// The texts among them, to find one fast.
    pub texts: BTreeSet<String>,
    /// Fields that must be there.
    pub required: Vec<String>,
    /// All of these hold.
    pub all_of: Vec<Rule>,
    /// At least one of these holds.
    pub any_of: Vec<Rule>,
    /// Exactly one of these holds.
    pub one_of: Vec<Rule>,
    /// This does not hold.
    pub not: Option<Box<Rule>>,
}

impl Rule {
    /// The rule of a field: its property's, or that of all other fields.
    pub fn field(&self, name: &str) -> Option<&Rule> {
        self.properties.get(name).or(match &self.additional {
            Additional::Each(rule) => Some(rule),
            _ => None,
        })
    }

    /// Null stands where it may not, and no default takes its place.
    pub(super) fn rejects_null(&self) -> bool {
        !self.nullable && self.default.is_none()
    }
}
