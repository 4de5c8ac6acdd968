//! Patterns over paths and call names.

use serde::{Deserialize, Serialize};

/// Segment of a pattern that stands for the name of the identity that asks.
const SELF: &str = "{self}";
/// Segment of a pattern that stands for any one segment.
const ANY: &str = "*";

/// A prefix of whole path segments, as `/node/{self}` or `/server/*/bus`; `/` covers every path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PathPattern(pub String);

impl PathPattern {
    /// Whether `path`, asked by an identity called `name`, lies under this prefix.
    pub fn covers(&self, path: &str, name: &str) -> bool {
        if !path.starts_with('/') {
            return false;
        }
        let mut segments = path.split('/').filter(|s| !s.is_empty());
        self.0.split('/').filter(|s| !s.is_empty()).all(|want| match segments.next() {
            None => false,
            Some(segment) => match want {
                ANY => true,
                SELF => segment == name,
                literal => segment == literal,
            },
        })
    }
}

/// Which calls a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallPattern {
    /// Every call.
    Any,
    /// One call.
    Exact(String),
    /// Every call whose name starts so.
    Prefix(String),
}

impl CallPattern {
    /// Whether the call is meant.
    pub fn covers(&self, call: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name == call,
            Self::Prefix(prefix) => call.starts_with(prefix.as_str()),
        }
    }
}
