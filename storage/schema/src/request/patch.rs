//! Patch and apply requests: from the patch's body to the object that goes on as an update.

use serde_json::Value;

use super::decode::{Decoded, FieldValidation, decode_value};
use super::strategy::reset_fields;
use super::target::{Context, Target};
use crate::apply::{Writer, apply};
use crate::field::{ErrorList, Path};
use crate::json;
use crate::patch::{
    apply_json_patch, apply_merge_patch, apply_strategic_patch, decode_merge_patch, go_value,
};
use crate::status::{Failure, Status};
use crate::view::{Edit, View};

/// The kinds of patch bodies besides apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
}

/// Patches `old` and decodes the result.
///
/// # Errors
/// 400, 413, 415, 422 or 500 as upstream answers.
pub fn patch_object(
    old: &Value,
    body: &[u8],
    patch_type: PatchType,
    target: &Target<'_>,
    validation: FieldValidation,
) -> Result<Decoded, Failure> {
    let document = json::parse(body).map_err(|error| match patch_type {
        PatchType::Strategic => Status::bad_request(error.to_string()),
        PatchType::Json | PatchType::Merge => Status::bad_request(format!("error decoding patch: {error}")),
    })?;
    let mut object = old.clone();
    let duplicates: Vec<String> =
        if patch_type == PatchType::Json { Vec::new() } else { json::repeated(&document.duplicates) };
    let mut shown = String::new();
    match patch_type {
        PatchType::Json => apply_json_patch(&mut object, &document.value).map_err(|e| e.to_status())?,
        PatchType::Merge => {
            decode_merge_patch(&document.value).map_err(|e| e.to_status())?;
            apply_merge_patch(&mut object, &document.value);
        }
        PatchType::Strategic if target.custom => {
            let accepted = "the body of the request was in an unknown format - accepted media types include: \
                            application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            let mut status = Status::plain(415, accepted);
            status.reason = "UnsupportedMediaType".to_owned();
            return Err(status);
        }
        PatchType::Strategic => {
            shown = go_value(&document.value);
            apply_strategic_patch(&mut object, document.value, target.of).map_err(|e| e.to_status())?;
        }
    }
    decode_patched(object, duplicates, &shown, target, validation)
}

/// A patched object that does not decode is the patch's fault.
fn decode_patched(
    object: Value,
    duplicates: Vec<String>,
    shown: &str,
    target: &Target<'_>,
    validation: FieldValidation,
) -> Result<Decoded, Failure> {
    let shown = if shown.is_empty() { object.to_string() } else { shown.to_owned() };
    decode_value(object, duplicates, target, validation).map_err(|failure| {
        let mut errors = ErrorList::new();
        let detail = failure.message.split_once(": ").map_or(failure.message.as_str(), |(_, why)| why);
        errors.invalid_str(&Path::new("patch"), &shown, detail);
        Status::invalid("", "", "", &errors)
    })
}

/// Applies a configuration (already decoded from YAML or JSON) to `old`, or to nothing.
///
/// # Errors
/// 400 for a malformed configuration, 409 for conflicts, 500 where upstream answers so.
pub fn apply_object(
    old: Option<&Value>,
    config: &Value,
    target: &Target<'_>,
    context: &Context<'_>,
    force: bool,
    validation: FieldValidation,
) -> Result<Decoded, Failure> {
    let what = match config {
        Value::Object(_) | Value::Null => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("bool"),
    };
    if let Some(what) = what {
        return Err(Status::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
        )));
    }
    let expected = target.api_version();
    let (api_version, kind) = (config.text("apiVersion"), config.text("kind"));
    if api_version != expected || kind != target.kind {
        let shown =
            if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") };
        return Err(Status::bad_request(format!("invalid object type: {shown}, Kind={kind}")));
    }
    let uid = config.at("metadata").text("uid");
    if old.is_none() && !uid.is_empty() {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(Status::conflict(target.group, target.resource, context.name, &why));
    }
    let reset = reset_fields(target.group, target.kind, target.has_status(), context.subresource);
    let writer = Writer {
        manager: context.manager,
        api_version: &expected,
        subresource: context.subresource,
        time: context.time,
        reset: &reset,
    };
    let applied =
        apply(old, &target.empty(), config, target.of, &writer, force).map_err(|e| e.to_status())?;
    let mut object = applied.object;
    if applied.unchanged && old.is_some() {
        // Upstream does not even default an object that stayed as it was.
        return Ok(Decoded { object, warnings: Vec::new() });
    }
    object.put("apiVersion", expected);
    object.put("kind", target.kind);
    decode_value(object, Vec::new(), target, validation)
}
