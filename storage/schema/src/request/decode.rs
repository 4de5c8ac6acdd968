//! Decoding request bodies: JSON, type and version checks, strictness, defaults.

use serde_json::Value;

use super::target::Target;
use crate::custom::CustomKind;
use crate::json::{self, JsonError};
use crate::status::{Failure, Status};
use crate::types::conform;
use crate::view::{Edit, View};

/// What to do about unknown and repeated fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and warn.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

/// A decoded, defaulted object and the warnings for its sender.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object.
    pub object: Value,
    /// Texts for Warning headers.
    pub warnings: Vec<String>,
}

/// Longest part of a body that error messages quote, in bytes.
const QUOTED_BYTES: usize = 30;

fn summary(body: &[u8]) -> String {
    if body.is_empty() {
        return "<empty>".to_owned();
    }
    let cut = &body[..body.len().min(QUOTED_BYTES)];
    let more = if body.len() > QUOTED_BYTES { " ..." } else { "" };
    if body[0] == b'{' {
        format!("{}{more}", String::from_utf8_lossy(cut))
    } else {
        let hex: String = cut.iter().map(|b| format!("{b:02x}")).collect();
        format!("{hex}{more}")
    }
}

fn unrecognized(target: &Target<'_>, body: &[u8], why: &str) -> Failure {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why} ({})",
        target.kind,
        summary(body)
    ))
}

/// Decodes a JSON body into the target's kind.
///
/// # Errors
/// 400 in upstream's words: no JSON, another kind, wrong types, and unknown or repeated fields when strict.
pub fn decode(body: &[u8], target: &Target<'_>, validation: FieldValidation) -> Result<Decoded, Failure> {
    let document =
        json::parse(body).map_err(|error: JsonError| unrecognized(target, body, &error.to_string()))?;
    let what = match &document.value {
        Value::Object(_) | Value::Null => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("bool"),
    };
    let go = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
    if let Some(what) = what {
        let why = format!("json: cannot unmarshal {what} into Go value of type {go}");
        return Err(unrecognized(target, body, &why));
    }
    for name in ["apiVersion", "kind"] {
        let given = document.value.at(name);
        if !given.is_null() && !given.is_string() {
            let what = if given.is_number() { "number" } else { "object" };
            let why = format!("json: cannot unmarshal {what} into Go struct field .{name} of type string");
            return Err(unrecognized(target, body, &why));
        }
    }
    if target.custom && document.value.text("kind").is_empty() {
        let why = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body));
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            target.kind,
            summary(body)
        )));
    }
    let value = if document.value.is_null() { Value::Object(serde_json::Map::new()) } else { document.value };
    decode_value(value, json::repeated(&document.duplicates), target, validation)
}

/// Decodes a JSON value (from YAML, say) into the target's kind. `duplicates` says what there is to say of repeated keys.
///
/// # Errors
/// As [`decode`].
pub fn decode_value(
    mut object: Value,
    duplicates: Vec<String>,
    target: &Target<'_>,
    validation: FieldValidation,
) -> Result<Decoded, Failure> {
    if let Some(custom) = target.schema {
        return decode_custom(object, &duplicates, custom, target, validation);
    }
    let (api_version, kind) = (object.text("apiVersion").to_owned(), object.text("kind").to_owned());
    let expected = target.api_version();
    let (group, version) = crate::kinds::parse_api_version(&api_version).unwrap_or(("", &api_version));
    let shown_kind = if kind.is_empty() { target.kind } else { &kind };
    let shown_version = if api_version.is_empty() { target.version } else { version };
    let fail = |why: String| {
        Status::bad_request(format!(
            "{shown_kind} in version \"{shown_version}\" cannot be handled as a {}: {why}",
            target.kind
        ))
    };
    if (!kind.is_empty() && kind != target.kind) || (!api_version.is_empty() && api_version != expected) {
        let named = if api_version.is_empty() { expected.clone() } else { api_version.clone() };
        let scheme = "pkg/api/legacyscheme/scheme.go:30";
        let known_list = kind.strip_suffix("List") == Some(target.kind);
        if known_list {
            let package =
                if target.group.is_empty() { "core" } else { target.group.split('.').next().unwrap_or("") };
            return Err(fail(format!(
                "converting ({version}.{kind}) to ({package}.{}): unknown conversion",
                target.kind
            )));
        }
        let _ = group;
        return Err(fail(format!(
            "no kind \"{shown_kind}\" is registered for version \"{named}\" in scheme \"{scheme}\""
        )));
    }
    object.put("apiVersion", expected);
    object.put("kind", target.kind);
    let report = conform(&mut object, target.of).map_err(|error| fail(error.to_string()))?;
    crate::custom::definition::conform_schemas(target.group, target.kind, &mut object)
        .map_err(|error| fail(error.to_string()))?;
    let warnings = complain(&duplicates, &report.unknown, validation).map_err(fail)?;
    if !target.custom {
        crate::defaults::apply_defaults(target.group, target.version, target.kind, &mut object);
    }
    Ok(Decoded { object, warnings })
}

/// What is said about repeated and unknown fields: warnings, or the reason of a refusal.
fn complain(
    duplicates: &[String],
    unknown: &[String],
    validation: FieldValidation,
) -> Result<Vec<String>, String> {
    let mut complaints = duplicates.to_vec();
    complaints.extend(unknown.iter().map(|p| format!("unknown field \"{p}\"")));
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(complaints),
        FieldValidation::Strict if complaints.is_empty() => Ok(complaints),
        FieldValidation::Strict => Err(format!("strict decoding error: {}", complaints.join(", "))),
    }
}

/// A custom object: another version is refused here, another kind by validation.
fn decode_custom(
    mut object: Value,
    duplicates: &[String],
    custom: &CustomKind,
    target: &Target<'_>,
    validation: FieldValidation,
) -> Result<Decoded, Failure> {
    let expected = target.api_version();
    let (given, kind) = (object.text("apiVersion").to_owned(), object.text("kind").to_owned());
    if !given.is_empty() && given != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({given}) does not match the expected API version ({expected})"
        )));
    }
    object.put("apiVersion", expected);
    if kind.is_empty() {
        object.put("kind", target.kind);
    }
    let fail = |why: String| {
        let kind = if kind.is_empty() { target.kind } else { &kind };
        let version = target.version;
        Status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {}: {why}",
            target.kind
        ))
    };
    let unknown = custom.decode(&mut object).map_err(fail)?;
    let warnings = complain(duplicates, &unknown, validation).map_err(fail)?;
    Ok(Decoded { object, warnings })
}
