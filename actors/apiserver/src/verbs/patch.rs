//! patch: JSON, merge and strategic merge patches, server-side apply

use serde_json::Value;
use trireme_schema::request::{FieldValidation, PatchType, WriteOptions, check_options};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use super::create::{answer, create_value};
use super::update::{Tracking, current, is_stale, replace};
use super::write::{Stored, Writing, repeats};
use crate::failures::WriteError;
use crate::outcome::Outcome;
use crate::scope::Scope;
use crate::server::Server;
use crate::{body, kinds};

/// What a patch body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Patch(PatchType),
    Apply,
}

/// Patches an object.
pub(crate) async fn patch(server: &Server, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let form = form(scope)?;
    let dry_run = scope.query.all("dryRun");
    let options = WriteOptions {
        field_manager: scope.query.text("fieldManager"),
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        force: scope.query.first("force").is_some(),
        apply: form == Form::Apply,
    };
    check_options("PatchOptions", &options)?;
    let config = match form {
        Form::Apply => Some(apply_config(scope, bytes)?),
        Form::Patch(_) => None,
    };
    let mut settled = false;
    let mut attempt = 0;
    loop {
        let mut warnings = Vec::new();
        match attempt_patch(server, scope, form, bytes, config.as_ref(), &mut warnings).await {
            Ok((status, stored)) => return Ok(answer(scope, status, stored)?.warn(warnings)),
            Err(WriteError::Failed(failure)) if !settled && is_stale(&failure) => {
                server.settle().await?;
                settled = true;
            }
            Err(error) if repeats(attempt, &error) => attempt += 1,
            Err(error) => return Err(error.into_failure()),
        }
    }
}

async fn attempt_patch(
    server: &Server,
    scope: &Scope,
    form: Form,
    bytes: &[u8],
    config: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<(u16, Stored), WriteError> {
    let writing = Writing::new(server, scope, "PatchOptions");
    let context = writing.context();
    let rules = &scope.kind.rules;
    let key = scope.kind.storage.key(scope.namespace(), &scope.info.name);
    let record = server.records.get(&key).await?;
    let old = record.as_ref().map(|record| current(server, scope, record)).transpose()?;
    let force = scope.query.is_true("force");
    match (form, record, old) {
        (Form::Patch(kind), Some(record), Some(old)) => {
            let decoded = rules.patch(&old, bytes, kind, scope.validation())?;
            scope.say(&decoded.warnings);
            let stored = replace(&writing, &record, &old, decoded.object, Tracking::Own, warnings).await?;
            Ok((200, stored))
        }
        (Form::Apply, Some(record), Some(old)) => {
            let config = config.unwrap_or(&Value::Null);
            let decoded = rules.apply(Some(&old), config, &context, force, scope.validation())?;
            scope.say(&decoded.warnings);
            let stored =
                replace(&writing, &record, &old, decoded.object, Tracking::Applied, warnings).await?;
            Ok((200, stored))
        }
        (Form::Apply, ..) if scope.info.subresource.is_empty() => {
            let config = config.unwrap_or(&Value::Null);
            let decoded = rules.apply(None, config, &context, force, scope.validation())?;
            scope.say(&decoded.warnings);
            let name = decoded.object.at("metadata").text("name").to_owned();
            if name.is_empty() {
                let why = "was undeterminable: name must be provided";
                let message = format!("the name of the object ({} based on URL) {why}", context.name);
                return Err(Status::bad_request(message).into());
            }
            trireme_schema::request::check_name(&decoded.object, &context)?;
            server.check_access(scope, "create")?;
            warnings.extend(kinds::create_warnings(&scope.kind, &decoded.object));
            let stored = create_value(server, scope, decoded.object, "PatchOptions", false, warnings).await?;
            Ok((201, stored))
        }
        _ => Err(Status::not_found(&scope.kind.group, &scope.kind.plural, &scope.info.name).into()),
    }
}

/// The patch types that a kind takes, in upstream's order.
fn form(scope: &Scope) -> Result<Form, Failure> {
    let text = scope.content_type.as_deref().unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "application/json-patch+json" => Ok(Form::Patch(PatchType::Json)),
        "application/merge-patch+json" => Ok(Form::Patch(PatchType::Merge)),
        "application/strategic-merge-patch+json" if !scope.kind.custom => {
            Ok(Form::Patch(PatchType::Strategic))
        }
        "application/apply-patch+yaml" => Ok(Form::Apply),
        _ => {
            let strategic = (!scope.kind.custom).then_some("application/strategic-merge-patch+json");
            let mut accepted = vec!["application/json-patch+json", "application/merge-patch+json"];
            accepted.extend(strategic);
            accepted.push("application/apply-patch+yaml");
            Err(Status::unsupported_media_type(&accepted))
        }
    }
}

fn apply_config(scope: &Scope, bytes: &[u8]) -> Result<Value, Failure> {
    let (value, repeated) = body::yaml(bytes)
        .map_err(|failure| Status::bad_request(format!("error decoding YAML: {}", failure.message)))?;
    match scope.validation() {
        FieldValidation::Strict if !repeated.is_empty() => {
            Err(Status::bad_request(format!("error strict decoding YAML: {}", repeated.join(", "))))
        }
        FieldValidation::Strict | FieldValidation::Ignore => Ok(value),
        FieldValidation::Warn => {
            scope.say(&repeated);
            Ok(value)
        }
    }
}
