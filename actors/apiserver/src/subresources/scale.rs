//! scale: the number of replicas of whatever has one.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::request::{
    PatchType, ScaleRules, Target, WriteOptions, apply_object, begin_update, check_name, check_options,
    patch_object,
};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{Edit, View};

use super::decode;
use crate::body;
use crate::failures::WriteError;
use crate::outcome::Outcome;
use crate::records::Record;
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs::{Stored, Tracking, Writing, current, is_stale, repeats, replace};

fn rules(scope: &Scope) -> Result<ScaleRules, Failure> {
    let kind = &scope.kind;
    let own = match kind.rules.custom() {
        Some(custom) => custom.scale.clone(),
        None => ScaleRules::builtin(&kind.group, &kind.version, &kind.kind),
    };
    own.ok_or_else(Status::unknown_path)
}

/// The scale of an object.
pub(super) async fn get(server: &Arc<Server>, scope: &Scope) -> Result<Outcome, Failure> {
    let rules = rules(scope)?;
    let mut settled = false;
    loop {
        match stored(server, scope).await {
            Ok((_, object)) => return Ok(Outcome::other(200, rules.get(&object)?)),
            Err(WriteError::Failed(failure)) if failure.code == 404 && settled => {
                let resource = format!("{}/scale", scope.kind.plural);
                return Err(match scope.kind.custom {
                    true => failure,
                    // The core group borrows the name of another.
                    false if scope.kind.group.is_empty() => {
                        Status::not_found("autoscaling", &resource, &scope.info.name)
                    }
                    false => Status::not_found(&scope.kind.group, &resource, &scope.info.name),
                });
            }
            Err(WriteError::Failed(failure)) if failure.code == 404 => {
                server.settle().await?;
                settled = true;
            }
            Err(error) => return Err(error.into_failure()),
        }
    }
}

async fn stored(server: &Server, scope: &Scope) -> Result<(Record, Arc<Value>), WriteError> {
    let key = scope.kind.storage.key(scope.namespace(), &scope.info.name);
    let Some(record) = server.records.get(&key).await? else {
        return Err(Status::not_found(&scope.kind.group, &scope.kind.plural, &scope.info.name).into());
    };
    let object = current(server, scope, &record)?;
    Ok((record, object))
}

/// What a write wants of the scale.
enum Change<'a> {
    Whole(Value),
    Patch(PatchType, &'a [u8]),
    Apply(Value),
}

/// Sets the scale from a whole Scale.
pub(super) async fn update(server: &Arc<Server>, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    check(scope, "UpdateOptions", false)?;
    let target = target(scope)?;
    let decoded = decode(scope, &target, bytes)?;
    let outcome = write(server, scope, &Change::Whole(decoded.object)).await?;
    Ok(outcome.warn(decoded.warnings))
}

/// Patches the scale.
pub(super) async fn patch(server: &Arc<Server>, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let media = scope.content_type.as_deref().unwrap_or_default();
    let change = match media.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Change::Patch(PatchType::Json, bytes),
        "application/merge-patch+json" => Change::Patch(PatchType::Merge, bytes),
        "application/strategic-merge-patch+json" if !scope.kind.custom => {
            Change::Patch(PatchType::Strategic, bytes)
        }
        "application/apply-patch+yaml" => Change::Apply(body::yaml(bytes)?.0),
        _ => {
            let strategic = (!scope.kind.custom).then_some("application/strategic-merge-patch+json");
            let mut accepted = vec!["application/json-patch+json", "application/merge-patch+json"];
            accepted.extend(strategic);
            accepted.push("application/apply-patch+yaml");
            return Err(Status::unsupported_media_type(&accepted));
        }
    };
    check(scope, "PatchOptions", matches!(change, Change::Apply(_)))?;
    write(server, scope, &change).await
}

fn check(scope: &Scope, kind: &str, apply: bool) -> Result<(), Failure> {
    let dry_run = scope.query.all("dryRun");
    let options = WriteOptions {
        field_manager: scope.query.text("fieldManager"),
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        force: scope.query.first("force").is_some(),
        apply,
    };
    check_options(kind, &options)
}

fn target(scope: &Scope) -> Result<Target<'_>, Failure> {
    ScaleRules::target(&scope.kind.rules.target()).ok_or_else(|| Status::internal("Scale has no structure"))
}

async fn write(server: &Arc<Server>, scope: &Scope, change: &Change<'_>) -> Result<Outcome, Failure> {
    let rules = rules(scope)?;
    let mut settled = false;
    let mut attempt = 0;
    loop {
        match attempt_write(server, scope, &rules, change).await {
            Ok(stored) => {
                let mut object = scope.kind.rules.served_form(stored.object)?;
                if let (Some(record), Some(metadata)) = (&stored.record, object.object("metadata")) {
                    metadata.put("resourceVersion", record.revision().to_string());
                }
                return Ok(Outcome::other(200, rules.get(&object)?));
            }
            Err(WriteError::Failed(failure)) if !settled && is_stale(&failure) => {
                server.settle().await?;
                settled = true;
            }
            Err(error) if repeats(attempt, &error) => attempt += 1,
            Err(error) => return Err(error.into_failure()),
        }
    }
}

async fn attempt_write(
    server: &Arc<Server>,
    scope: &Scope,
    rules: &ScaleRules,
    change: &Change<'_>,
) -> Result<Stored, WriteError> {
    let (record, old) = stored(server, scope).await?;
    let target = target(scope)?;
    let writing = Writing::new(server, scope, "UpdateOptions");
    let context = writing.context();
    let before = rules.current(&old)?;
    let validation = scope.validation();
    let mut scale = match change {
        Change::Whole(scale) => scale.clone(),
        Change::Patch(kind, bytes) => patch_object(&before, bytes, *kind, &target, validation)?.object,
        Change::Apply(config) => {
            let force = scope.query.is_true("force");
            apply_object(Some(&before), config, &target, &context, force, validation)?.object
        }
    };
    check_name(&scale, &context)?;
    check_preconditions(scope, &old, &scale)?;
    if !matches!(change, Change::Apply(_)) {
        begin_update(&before, &mut scale, &target, &context)?;
    }
    let new = rules.apply(&old, &scale, &context)?;
    let mut warnings = Vec::new();
    replace(&writing, &record, &old, new, Tracking::Applied, &mut warnings).await
}

fn check_preconditions(scope: &Scope, old: &Value, scale: &Value) -> Result<(), Failure> {
    let (own, sent) = (old.at("metadata"), scale.at("metadata"));
    let (group, plural, name) = (&scope.kind.group, &scope.kind.plural, &scope.info.name);
    let uid = sent.text("uid");
    if !uid.is_empty() && uid != own.text("uid") {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{plural}/{}/{name}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            scope.namespace(),
            own.text("uid")
        );
        return Err(Status::conflict(group, plural, name, &why));
    }
    Ok(())
}
