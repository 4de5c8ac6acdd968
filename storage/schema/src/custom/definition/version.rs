//! Validation of the parts that a version has (or that all share): schema, subresources, columns, selectable fields.

use std::collections::BTreeSet;

use serde_json::Value;

use super::openapi;
use super::{defaults, structural};
use crate::custom::compile::compile_schema;
use crate::custom::limits::{DEPRECATION_WARNING_BYTES, SELECTABLE_FIELDS};
use crate::field::{ErrorList, Path};
use crate::view::{View, is_empty};

/// The parts of one version, or those that all share.
pub(super) struct Part<'a> {
    pub(super) schema: &'a Value,
    /// What upstream calls the schema's field here.
    pub(super) schema_path: &'static str,
    pub(super) subresources: &'a Value,
    pub(super) columns: &'a [Value],
    pub(super) selectable: &'a [Value],
    /// Status is a subresource.
    pub(super) status: bool,
}

pub(super) fn validate(part: &Part<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    if !part.schema.is_null() {
        let at = path.child(part.schema_path);
        let mut found = ErrorList::new();
        schema(part.schema.at("openAPIV3Schema"), part.status, &at, &mut found);
        errors.extend(found);
    }
    subresources(part.subresources, &path.child("subresources"), errors);
    let columns = path.child("additionalPrinterColumns");
    for (i, one) in part.columns.iter().enumerate() {
        column(one, &columns.index(i), errors);
    }
    if !part.selectable.is_empty() {
        let schema = part.schema.at("openAPIV3Schema");
        selectable_fields(part.selectable, schema, &path.child("selectableFields"), errors);
    }
}

/// Fields that a root schema may have when status is a subresource, with upstream's names for them.
const AT_ROOT: [(&str, &str); 22] = [
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
    ("x-kubernetes-validations", "XValidations"),
];

fn schema(schema: &Value, status: bool, path: &Path<'_>, errors: &mut ErrorList) {
    if schema.is_null() {
        return;
    }
    let at = path.child("openAPIV3Schema");
    if status {
        root_with_status(schema, &at, errors);
    }
    if schema.is_true("nullable") {
        errors.forbidden(&at.child("nullable"), "nullable cannot be true at the root");
    }
    let unsupported = structural::unsupported(schema);
    if unsupported.is_none() {
        let mut found = ErrorList::new();
        structural::validate(schema, &at, &mut found);
        if found.is_empty() {
            match compile_schema(schema) {
                Ok(rule) => defaults::validate(&rule, &at, &mut found),
                Err(error) => found.invalid_str(&at, "", error.to_string()),
            }
        }
        errors.extend(found);
    }
    openapi::validate(schema, &at, errors);
    if let Some(why) = unsupported.filter(|_| errors.is_empty()) {
        errors.invalid_str(&at, "", why);
    }
    if errors.is_empty() {
        openapi::refuse_rules(schema, &at, errors);
    }
}

fn root_with_status(schema: &Value, at: &Path<'_>, errors: &mut ErrorList) {
    for (name, value) in schema.as_object().into_iter().flatten().filter(|(_, v)| !is_empty(v)) {
        if name == "type" && value.as_str() != Some("object") {
            let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            errors.invalid(&at.child("type"), value, why);
            return;
        }
        if !AT_ROOT.iter().any(|(allowed, _)| allowed == name) {
            let names: Vec<&str> = AT_ROOT.iter().map(|(_, name)| *name).collect();
            let why = format!(
                "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
                names.join(" ")
            );
            errors.invalid(at, schema, why);
            return;
        }
    }
}

pub(super) fn deprecation(version: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(text) = version.at("deprecationWarning").as_str() else { return };
    let at = path.child("deprecationWarning");
    if !version.is_true("deprecated") {
        errors.invalid_str(&at, text, "can only be set for deprecated versions");
        return;
    }
    if text.len() > DEPRECATION_WARNING_BYTES {
        errors.invalid_str(&at, text, format!("must be <= {DEPRECATION_WARNING_BYTES} characters long"));
    }
    if text.is_empty() {
        errors.invalid_str(&at, text, "must not be an empty string");
    }
    if let Some((i, _)) = text.char_indices().find(|(_, c)| c.is_control()) {
        let why = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {i}"
        );
        errors.invalid_str(&at, text, why);
    }
}

fn subresources(subresources: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let scale = subresources.at("scale");
    if scale.is_null() {
        return;
    }
    for (name, prefixes, where_to) in [
        ("specReplicasPath", &[".spec."][..], ".spec"),
        ("statusReplicasPath", &[".status."], ".status"),
        ("labelSelectorPath", &[".spec.", ".status."], "either .spec or .status"),
    ] {
        let parent = path.child("scale");
        let at = parent.child(name);
        let text = scale.text(name);
        if text.is_empty() {
            if name != "labelSelectorPath" {
                errors.required(&at, "");
            }
        } else if !is_simple_path(text) {
            errors.invalid_str(&at, text, "must be a simple json path starting with .");
        } else if !prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            errors.invalid_str(&at, text, format!("should be a json path under {where_to}"));
        }
    }
}

fn is_simple_path(text: &str) -> bool {
    text.starts_with('.')
}

fn column(column: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
    if column.text("name").is_empty() {
        errors.required(&path.child("name"), "");
    }
    let kind = column.text("type");
    let types = format!("must be one of {}", TYPES.join(","));
    if kind.is_empty() {
        errors.required(&path.child("type"), types);
    } else if !TYPES.contains(&kind) {
        errors.invalid_str(&path.child("type"), kind, types);
    }
    let format = column.text("format");
    if !format.is_empty() && !FORMATS.contains(&format) {
        let why = format!("must be one of {}", FORMATS.join(","));
        errors.invalid_str(&path.child("format"), format, why);
    }
    let json_path = column.text("jsonPath");
    if json_path.is_empty() {
        errors.required(&path.child("JSONPath"), "");
    } else if !is_simple_path(json_path) {
        errors.invalid_str(&path.child("JSONPath"), json_path, "must be a simple json path starting with .");
    }
}

fn selectable_fields(fields: &[Value], schema: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (i, field) in fields.iter().enumerate() {
        let item = path.index(i);
        let at = item.child("jsonPath");
        let text = field.text("jsonPath");
        if text.is_empty() {
            errors.required(&at, "");
            continue;
        }
        if text.starts_with(".metadata.") || text == ".metadata" {
            errors.invalid_str(&at, text, "must not point to fields in metadata");
            continue;
        }
        match field_type(schema, text) {
            Err(why) => {
                errors.invalid_str(&at, text, format!("is an invalid path: {why}"));
                continue;
            }
            Ok("string" | "boolean" | "integer") => {}
            Ok(_) => {
                let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
                errors.invalid_str(&at, text, why);
            }
        }
        if !seen.insert(text) {
            errors.duplicate(&at, &text.into());
        }
    }
    if seen.len() > SELECTABLE_FIELDS {
        errors.too_many(path, seen.len(), SELECTABLE_FIELDS);
    }
}

/// The type of the field that a path without brackets names.
fn field_type<'a>(schema: &'a Value, path: &str) -> Result<&'a str, String> {
    let Some(names) = path.strip_prefix('.') else {
        return Err("expected child or index notation, with a leading '.'".to_owned());
    };
    if path.contains(['[', ']']) {
        return Err("array notation is not allowed".to_owned());
    }
    let mut at = schema;
    for name in names.split('.') {
        at = at.at("properties").at(name);
        if at.is_null() {
            return Err(format!("does not refer to a valid field: {name}"));
        }
    }
    Ok(at.text("type"))
}
