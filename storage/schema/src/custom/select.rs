//! Field selectors over custom objects.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kind::CustomKind;
use crate::status::{Failure, Status};
use crate::view::View;

impl CustomKind {
    /// The names that a field selector may use, and their values in an object: identity, and what
    /// `selectableFields` declares. Absent values are empty.
    pub fn selectable_values(&self, object: &Value) -> BTreeMap<String, String> {
        let metadata = object.at("metadata");
        let mut out = BTreeMap::new();
        out.insert("metadata.name".to_owned(), metadata.text("name").to_owned());
        if self.kind.namespaced {
            out.insert("metadata.namespace".to_owned(), metadata.text("namespace").to_owned());
        }
        for path in &self.selectable {
            let name = path.trim_start_matches('.');
            let value = name.split('.').fold(object, |v, step| v.at(step));
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                _ => String::new(),
            };
            out.insert(name.to_owned(), text);
        }
        out
    }

    /// Whether a field selector may use this name.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn check_field_label(&self, name: &str) -> Result<(), Failure> {
        let known = name == "metadata.name"
            || (name == "metadata.namespace" && self.kind.namespaced)
            || self.selectable.iter().any(|path| path.trim_start_matches('.') == name);
        if known {
            return Ok(());
        }
        Err(Status::bad_request(format!("field label not supported: {name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn declared_fields_are_selectable() {
        let kinds = CustomKind::compile(&json!({"spec":{"group":"e.com","scope":"Cluster",
            "names":{"plural":"widgets","kind":"Widget"},
            "versions":[{"name":"v1","served":true,"storage":true,"selectableFields":[{"jsonPath":".spec.on"}],
                "schema":{"openAPIV3Schema":{"type":"object"}}}]}}))
        .unwrap();
        let values = kinds[0].selectable_values(&json!({"metadata":{"name":"x"},"spec":{"on":true}}));
        assert_eq!(values["spec.on"], "true");
        assert!(!values.contains_key("metadata.namespace"));
        assert!(kinds[0].check_field_label("spec.on").is_ok());
        assert_eq!(
            kinds[0].check_field_label("spec.a").unwrap_err().message,
            "field label not supported: spec.a"
        );
    }
}
