//! [`Flavor`]: in which version of OpenAPI a schema is written.

use serde_json::{Map, Value, json};

/// A version of OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    V2,
    V3,
}

impl Flavor {
    /// A reference to a type by its full name.
    pub(super) fn reference(self, name: &str) -> Value {
        match self {
            Flavor::V2 => json!({ "$ref": format!("#/definitions/{name}") }),
            Flavor::V3 => json!({ "$ref": format!("#/components/schemas/{name}") }),
        }
    }

    /// A reference with fields beside it. In v3 nothing may stand beside `$ref`, so it moves into `allOf`.
    pub(super) fn reference_with(self, name: &str, mut beside: Map<String, Value>) -> Value {
        let mut reference = self.reference(name);
        if beside.is_empty() {
            return reference;
        }
        match self {
            Flavor::V2 => {
                beside.insert("$ref".to_owned(), reference["$ref"].take());
            }
            Flavor::V3 => {
                beside.insert("allOf".to_owned(), json!([reference]));
            }
        }
        Value::Object(beside)
    }

    /// v2 documents carry no defaults, as upstream publishes them.
    pub(super) fn has_defaults(self) -> bool {
        self == Flavor::V3
    }
}
