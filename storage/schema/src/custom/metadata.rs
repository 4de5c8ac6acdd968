//! Metadata of custom objects, and of whole objects embedded in them: decoding (coercion) and validation.

use serde_json::{Map, Value};

use super::prune::META_FIELDS;
use super::rule::{Additional, Rule};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::types::{DecodeError, TypeRef, conform, lookup_type};
use crate::validate::validate_object_meta;
use crate::view::{Edit, View};

fn object_meta() -> TypeRef<'static> {
    lookup_type("apimachinery.pkg.apis.meta.v1.ObjectMeta").expect("ObjectMeta is among the built-in types")
}

/// What to do about metadata that does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Say so: a request.
    Refuse,
    /// Drop the fields: an object that is stored already.
    Drop,
}

/// Brings metadata into canonical form; returns the names of unknown fields below it.
pub(super) fn decode_metadata(
    metadata: &mut Value,
    malformed: Malformed,
) -> Result<Vec<String>, DecodeError> {
    if malformed == Malformed::Refuse {
        if metadata.is_null() {
            *metadata = Value::Object(Map::new());
        }
        return conform(metadata, object_meta()).map(|report| report.unknown);
    }
    let mut kept = Map::new();
    for (name, value) in metadata.as_object().into_iter().flatten() {
        let mut one = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        if conform(&mut one, object_meta()).is_ok()
            && let Some(value) = one.remove(name)
        {
            kept.insert(name.clone(), value);
        }
    }
    let mut whole = Value::Object(kept);
    // Each field decodes on its own, so they do together.
    let _ = conform(&mut whole, object_meta());
    *metadata = whole;
    Ok(Vec::new())
}

/// Decodes the metadata of objects embedded in a custom object. The object's own metadata is not looked at. Returns
/// the paths of unknown fields, sorted; `Err` carries the text of the first malformed one.
pub(super) fn coerce_embedded(
    value: &mut Value,
    rule: &Rule,
    malformed: Malformed,
) -> Result<Vec<String>, String> {
    let mut walk = Coercer { malformed, unknown: Vec::new() };
    let root = Path::new("");
    walk.value(value, rule, false, &root)?;
    walk.unknown.sort();
    Ok(walk.unknown)
}

struct Coercer {
    malformed: Malformed,
    unknown: Vec<String>,
}

impl Coercer {
    fn value(
        &mut self,
        value: &mut Value,
        rule: &Rule,
        embedded: bool,
        path: &Path<'_>,
    ) -> Result<(), String> {
        match value {
            Value::Object(map) => {
                if embedded {
                    self.embedded(map, path)?;
                }
                for (name, inner) in map.iter_mut() {
                    match (rule.properties.get(name), &rule.additional) {
                        (Some(field), _) => self.value(inner, field, field.embedded, &path.child(name))?,
                        (None, Additional::Each(each)) => {
                            self.value(inner, each, each.embedded, &path.key(name))?;
                        }
                        _ => {}
                    }
                }
            }
            Value::Array(items) => {
                if let Some(item_rule) = rule.items.as_deref() {
                    for (i, item) in items.iter_mut().enumerate() {
                        self.value(item, item_rule, item_rule.embedded, &path.index(i))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn embedded(&mut self, map: &mut Map<String, Value>, path: &Path<'_>) -> Result<(), String> {
        for name in ["apiVersion", "kind"] {
            if map.get(name).is_some_and(|v| !v.is_string()) {
                if self.malformed == Malformed::Refuse {
                    let shown = super::go::syntax(map.get(name).unwrap_or(&Value::Null));
                    return Err(format!("{}: Invalid value: {shown}: must be a string", path.child(name)));
                }
                map.remove(name);
            }
        }
        let Some(metadata) = map.get_mut("metadata") else { return Ok(()) };
        let before = metadata.clone();
        let at = path.child("metadata");
        match decode_metadata(metadata, self.malformed) {
            Ok(unknown) => self.unknown.extend(unknown.into_iter().map(|name| format!("{at}.{name}"))),
            Err(error) => {
                return Err(format!("{at}: Invalid value: {}: {error}", super::go::syntax(&before)));
            }
        }
        if !metadata.has("creationTimestamp") {
            metadata.remove("creationTimestamp");
        }
        Ok(())
    }
}

/// Checks identity and metadata of every embedded object.
pub(super) fn check_embedded(
    value: &Value,
    rule: &Rule,
    embedded: bool,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    match value {
        Value::Object(map) => {
            if embedded {
                check_whole(value, path, errors);
            }
            for (name, inner) in map {
                match (rule.properties.get(name), &rule.additional) {
                    (Some(field), _) => {
                        check_embedded(inner, field, field.embedded, &path.child(name), errors)
                    }
                    (None, Additional::Each(each)) => {
                        check_embedded(inner, each, each.embedded, &path.key(name), errors);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_rule) = rule.items.as_deref() {
                for (i, item) in items.iter().enumerate() {
                    check_embedded(item, item_rule, item_rule.embedded, &path.index(i), errors);
                }
            }
        }
        _ => {}
    }
}

fn check_whole(object: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let [api_version, kind, metadata] = META_FIELDS;
    for name in [api_version, kind] {
        let at = path.child(name);
        match object.get(name) {
            None => errors.required(&at, "must not be empty"),
            Some(Value::String(text)) if text.is_empty() => errors.invalid_str(&at, "", "must not be empty"),
            Some(Value::String(text)) => check_identity(name, text, &at, errors),
            Some(other) => errors.invalid_text(&at, super::go::syntax(other), "must be a string"),
        }
    }
    let mut meta = object.at(metadata).clone();
    if !object.has(metadata) || decode_metadata(&mut meta, Malformed::Refuse).is_err() {
        return;
    }
    if meta.text("name").is_empty() {
        // Embedded objects need no name.
        meta.put("name", "fakename");
    }
    let namespaced = !meta.text("namespace").is_empty();
    validate_object_meta(&meta, namespaced, names::check_path_segment, &path.child(metadata), errors);
}

fn check_identity(name: &str, text: &str, at: &Path<'_>, errors: &mut ErrorList) {
    if name == "apiVersion" {
        if crate::kinds::parse_api_version(text).is_none() {
            errors.invalid_str(at, text, format!("unexpected GroupVersion string: {text}"));
        }
        return;
    }
    let complaints = names::check_dns1035_label(&text.to_lowercase());
    if !complaints.is_empty() {
        let why = format!("may have mixed case, but should otherwise match: {}", complaints.join(","));
        errors.invalid_str(at, text, why);
    }
}
