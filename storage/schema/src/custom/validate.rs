//! Validation of custom objects: identity, metadata, schema, scale, embedded objects, distinct items.

use serde_json::Value;

use super::check::{check, check_lists};
use super::kind::CustomKind;
use super::metadata::check_embedded;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::validate::{validate_meta_update, validate_object_meta};
use crate::view::View;

impl CustomKind {
    /// Findings about a new object.
    pub fn validate_create(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        if self.is_other_kind(object, &mut errors) {
            return errors;
        }
        let metadata = object.at("metadata");
        let path = Path::new("metadata");
        validate_object_meta(
            metadata,
            self.kind.namespaced,
            names::name_is_dns_subdomain,
            &path,
            &mut errors,
        );
        check(self.rule(), object, None, "", &mut errors);
        self.check_scale(object, true, &mut errors);
        let root = Path::new("");
        check_embedded(object, self.rule(), false, &root, &mut errors);
        check_lists(object, self.rule(), &root, &mut errors);
        errors
    }

    /// Findings about an update through the main resource or `scale`.
    pub fn validate_update(&self, old: &Value, new: &Value) -> ErrorList {
        // The registry checks metadata on its own, then the kind does once more.
        let mut errors = validate_meta_update(old, new);
        if self.is_other_kind(new, &mut errors) {
            return errors;
        }
        errors.extend(validate_meta_update(old, new));
        check(self.rule(), new, Some(old), "", &mut errors);
        self.check_scale(new, true, &mut errors);
        check_embedded(new, self.rule(), false, &Path::new(""), &mut errors);
        self.check_new_lists(old, new, &mut errors);
        errors
    }

    /// Findings about an update through `status`. Field names start below `status`, as upstream's do.
    pub fn validate_status_update(&self, old: &Value, new: &Value) -> ErrorList {
        let mut errors = validate_meta_update(old, new);
        if self.is_other_kind(new, &mut errors) {
            return errors;
        }
        errors.extend(validate_meta_update(old, new));
        if let (Some(rule), Some(status)) = (self.rule().properties.get("status"), new.get("status")) {
            check(rule, status, old.get("status"), "", &mut errors);
        }
        self.check_scale(new, false, &mut errors);
        self.check_new_lists(old, new, &mut errors);
        errors
    }

    fn is_other_kind(&self, object: &Value, errors: &mut ErrorList) -> bool {
        let before = errors.len();
        for (name, wanted) in [("kind", self.kind.kind.clone()), ("apiVersion", self.kind.api_version())] {
            let given = object.text(name);
            if given != wanted {
                errors.invalid_str(&Path::new(name), given, format!("must be {wanted}"));
            }
        }
        errors.len() > before
    }

    /// Repeated items are found fault with unless the old object had some already.
    fn check_new_lists(&self, old: &Value, new: &Value, errors: &mut ErrorList) {
        let root = Path::new("");
        let mut before = ErrorList::new();
        check_lists(old, self.rule(), &root, &mut before);
        if before.is_empty() {
            check_lists(new, self.rule(), &root, errors);
        }
    }

    fn check_scale(&self, object: &Value, spec: bool, errors: &mut ErrorList) {
        if let Some(scale) = &self.scale {
            scale.check(object, spec, errors);
        }
    }
}
