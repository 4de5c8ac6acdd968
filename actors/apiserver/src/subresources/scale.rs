//! scale: the number of replicas of whatever has one.

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::field::{ErrorList, Path};
use trireme_schema::request::{PatchType, WriteOptions, check_name, check_options, patch_object};
use trireme_schema::selector::LabelSelector;
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{Edit, View};

use super::{decode, target};
use crate::body;
use crate::failures::WriteError;
use crate::outcome::Outcome;
use crate::records::Record;
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs::{Stored, Tracking, Writing, current, replace};
use crate::verbs::{is_stale, repeats};

/// The scale of an object.
pub(super) async fn get(server: &Arc<Server>, scope: &Scope) -> Result<Outcome, Failure> {
    let mut settled = false;
    loop {
        match stored(server, scope).await {
            Ok((_, object)) => return Ok(Outcome::other(200, of(&object))),
            Err(WriteError::Failed(failure)) if failure.code == 404 && settled => {
                let resource = format!("{}/scale", scope.kind.plural);
                return Err(Status::not_found(&scope.kind.group, &resource, &scope.info.name));
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

/// The Scale that an object has.
fn of(object: &Value) -> Value {
    let metadata = object.at("metadata");
    let mut own = json!({});
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if metadata.has(name) {
            own.put(name, metadata.at(name).clone());
        }
    }
    let (spec, status) = (object.at("spec"), object.at("status"));
    let mut scale_spec = json!({});
    if let Some(replicas) = spec.int("replicas").filter(|replicas| *replicas != 0) {
        scale_spec.put("replicas", replicas);
    }
    let mut scale_status = json!({"replicas": status.int("replicas").unwrap_or(0)});
    let selector = if object.text("kind") == "ReplicationController" {
        LabelSelector::from_map(spec.map("selector"))
    } else {
        LabelSelector::from_object(spec.at("selector"))
    };
    if let Ok(selector) = selector {
        let text = selector.to_string();
        if !text.is_empty() {
            scale_status.put("selector", text);
        }
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": own, "spec": scale_spec, "status": scale_status,
    })
}

/// Sets the scale from a whole Scale.
pub(super) async fn update(server: &Arc<Server>, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let dry_run = scope.query.all("dryRun");
    let options = WriteOptions {
        field_manager: scope.query.text("fieldManager"),
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        ..WriteOptions::default()
    };
    check_options("UpdateOptions", &options)?;
    let target = target("autoscaling", "v1", "Scale")?;
    let decoded = decode(scope, &target, bytes)?;
    let outcome = write(server, scope, |_| Ok(Change::Scale(decoded.object.clone()))).await?;
    Ok(outcome.warn(decoded.warnings))
}

/// Patches the scale.
pub(super) async fn patch(server: &Arc<Server>, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let media = scope.content_type.as_deref().unwrap_or_default();
    let kind = match media.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Some(PatchType::Json),
        "application/merge-patch+json" => Some(PatchType::Merge),
        "application/strategic-merge-patch+json" => Some(PatchType::Strategic),
        "application/apply-patch+yaml" => None,
        _ => {
            return Err(Status::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml",
            ]));
        }
    };
    let dry_run = scope.query.all("dryRun");
    let options = WriteOptions {
        field_manager: scope.query.text("fieldManager"),
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        force: scope.query.first("force").is_some(),
        apply: kind.is_none(),
    };
    check_options("PatchOptions", &options)?;
    let target = target("autoscaling", "v1", "Scale")?;
    match kind {
        Some(kind) => {
            write(server, scope, |scale| {
                let decoded = patch_object(scale, bytes, kind, &target, scope.validation())?;
                Ok(Change::Scale(decoded.object))
            })
            .await
        }
        None => {
            let (config, _) = body::yaml(bytes)?;
            write(server, scope, |_| Ok(Change::Apply(config.clone()))).await
        }
    }
}

/// What a write wants of the scale.
enum Change {
    /// This Scale.
    Scale(Value),
    /// What this configuration of a Scale says, by server-side apply.
    Apply(Value),
}

async fn write(
    server: &Arc<Server>,
    scope: &Scope,
    change: impl Fn(&Value) -> Result<Change, Failure>,
) -> Result<Outcome, Failure> {
    let mut settled = false;
    let mut attempt = 0;
    loop {
        match attempt_write(server, scope, &change).await {
            Ok(stored) => {
                let mut object = stored.object;
                if let (Some(record), Some(metadata)) = (&stored.record, object.object("metadata")) {
                    metadata.put("resourceVersion", record.revision().to_string());
                }
                return Ok(Outcome::other(200, of(&object)));
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
    change: &impl Fn(&Value) -> Result<Change, Failure>,
) -> Result<Stored, WriteError> {
    let (record, old) = stored(server, scope).await?;
    let writing = Writing::new(server, scope, "UpdateOptions");
    let context = writing.context();
    let mut warnings = Vec::new();
    let (new, tracking) = match change(&of(&old))? {
        Change::Scale(scale) => {
            check_name(&scale, &context)?;
            check_scale(scope, &old, &scale)?;
            let mut new = (*old).clone();
            if let Some(spec) = new.object("spec") {
                spec.put("replicas", scale.at("spec").int("replicas").unwrap_or(0));
            }
            (new, Tracking::Own)
        }
        Change::Apply(config) => {
            let mut own = json!({
                "kind": scope.kind.kind, "apiVersion": scope.kind.api_version(), "metadata": {"name": scope.info.name},
            });
            if config.at("spec").has("replicas") {
                own.put("spec", json!({"replicas": config.at("spec").at("replicas")}));
            }
            let force = scope.query.is_true("force");
            let applied = scope.kind.rules.apply(Some(&old), &own, &context, force, scope.validation())?;
            check_scale(scope, &old, &of(&applied.object))?;
            (applied.object, Tracking::Applied)
        }
    };
    Ok(replace(&writing, &record, &old, new, tracking, &mut warnings).await?)
}

fn check_scale(scope: &Scope, old: &Value, scale: &Value) -> Result<(), Failure> {
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
    let replicas = scale.at("spec").int("replicas").unwrap_or(0);
    if replicas < 0 {
        let mut errors = ErrorList::new();
        let spec = Path::new("spec");
        errors.invalid_text(
            &spec.child("replicas"),
            replicas.to_string(),
            "must be greater than or equal to 0",
        );
        return Err(Status::invalid("autoscaling", "Scale", name, &errors));
    }
    let version = sent.text("resourceVersion");
    if !version.is_empty() && version != own.text("resourceVersion") {
        return Err(Status::modified(group, plural, name));
    }
    Ok(())
}
