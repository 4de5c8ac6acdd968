//! Defaults in a schema are values that the schema itself accepts.

use serde_json::{Map, Value};

use crate::custom::check::check;
use crate::custom::go;
use crate::custom::metadata::{Malformed, check_embedded, coerce_embedded, decode_metadata};
use crate::custom::prune::has_unknown;
use crate::custom::rule::Rule;
use crate::field::{ErrorList, Path};
use crate::view::View;

/// Findings about all defaults of a version's schema.
pub(super) fn validate(rule: &Rule, path: &Path<'_>, errors: &mut ErrorList) {
    walk(rule, true, None, path, errors);
}

/// `trail`: names below the metadata of the object that this is a part of, when it is one.
fn walk(rule: &Rule, whole: bool, trail: Option<&[&str]>, path: &Path<'_>, errors: &mut ErrorList) {
    let trail = if whole { None } else { trail };
    if let Some(default) = &rule.default {
        let at = path.child("default");
        match trail {
            Some(trail) => inside_metadata(rule, default, trail, &at, errors),
            None => plain(rule, default, &at, errors),
        }
    }
    if let Some(items) = rule.items.as_deref() {
        // The empty name stands for an item of a list.
        let inner = trail.map(|trail| [trail, &[""]].concat());
        walk(items, items.embedded, inner.as_deref(), &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, property) in &rule.properties {
        let meta = whole && matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
        let inner: Option<Vec<&str>> = match trail {
            _ if meta => Some(vec![name]),
            Some(trail) => Some([trail, &[name.as_str()]].concat()),
            None => None,
        };
        walk(property, property.embedded, inner.as_deref(), &properties.key(name), errors);
    }
}

fn plain(rule: &Rule, default: &Value, at: &Path<'_>, errors: &mut ErrorList) {
    if has_unknown(default, rule) {
        errors.invalid_text(at, go::syntax(default), "must not have unknown fields");
    }
    if default.is_null() {
        return;
    }
    let mut value = default.clone();
    if let Err(why) = coerce_embedded(&mut value, rule, Malformed::Refuse) {
        errors.invalid_text(at, go::syntax(default), why);
        return;
    }
    let mut found = ErrorList::new();
    check_embedded(&value, rule, rule.embedded, at, &mut found);
    if found.is_empty() {
        check(rule, default, None, &at.to_string(), &mut found);
    }
    errors.extend(found);
}

/// A default inside the metadata of an embedded object must make that metadata valid.
fn inside_metadata(rule: &Rule, default: &Value, trail: &[&str], at: &Path<'_>, errors: &mut ErrorList) {
    let mut around = default.clone();
    for name in trail.iter().rev() {
        around = match *name {
            "" => Value::Array(vec![around]),
            name => Value::Object(Map::from_iter([(name.to_owned(), around)])),
        };
    }
    let mut metadata = around.at("metadata").clone();
    if let Err(why) = decode_metadata(&mut metadata, Malformed::Refuse) {
        errors.invalid_text(at, go::syntax(default), format!("must result in valid metadata: {why}"));
        return;
    }
    check(rule, default, None, &at.to_string(), errors);
}
