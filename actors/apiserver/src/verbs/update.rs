//! update, and what patches share with it

use std::sync::Arc;

use serde_json::Value;
use trireme_admission::Operation;
use trireme_schema::request::{
    WriteOptions, begin_update, check_name, check_options, check_uid, check_version, missing, place,
};
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use super::create::{answer, create_value};
use super::write::{Stored, Writing, repeats};
use crate::failures::WriteError;
use crate::outcome::Outcome;
use crate::records::{Commit, Record, encode, same_content};
use crate::scope::Scope;
use crate::server::Server;
use crate::{allocation, body, kinds};

/// Replaces an object, or creates it where the kind allows that.
pub(crate) async fn update(server: &Server, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let dry_run = scope.query.all("dryRun");
    let options = WriteOptions {
        field_manager: scope.query.text("fieldManager"),
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        ..WriteOptions::default()
    };
    check_options("UpdateOptions", &options)?;
    let decoded = body::decode(scope, bytes)?;
    scope.say(&decoded.warnings);
    let mut settled = false;
    let mut attempt = 0;
    loop {
        let mut warnings = Vec::new();
        let result = attempt_update(server, scope, decoded.object.clone(), &mut warnings).await;
        match result {
            Ok((status, stored)) => return Ok(answer(scope, status, stored)?.warn(warnings)),
            Err(WriteError::Failed(failure)) if !settled && is_stale(&failure) => {
                // This member may lag behind what the client has seen.
                server.settle().await?;
                settled = true;
            }
            Err(error) if repeats(attempt, &error) => attempt += 1,
            Err(error) => return Err(error.into_failure()),
        }
    }
}

/// Failures that a newer state could turn into a success.
pub(crate) fn is_stale(failure: &Failure) -> bool {
    matches!(failure.code, 404 | 409)
}

async fn attempt_update(
    server: &Server,
    scope: &Scope,
    new: Value,
    warnings: &mut Vec<String>,
) -> Result<(u16, Stored), WriteError> {
    let writing = Writing::new(server, scope, "UpdateOptions");
    let context = writing.context();
    let target = scope.kind.rules.target();
    let key = scope.kind.storage.key(scope.namespace(), &scope.info.name);
    let Some(record) = server.records.get(&key).await? else {
        if scope.kind.rules.creates_on_update() && scope.info.subresource.is_empty() {
            server.settle().await?;
            if server.records.get(&key).await?.is_none() {
                check_name(&new, &context)?;
                server.check_access(scope, "create")?;
                let stored = create_value(server, scope, new, "UpdateOptions", true, warnings).await?;
                return Ok((201, stored));
            }
        }
        return Err(missing(&new, &target, &context).into());
    };
    let old = current(server, scope, &record)?;
    check_name(&new, &context)?;
    check_uid(&old, &new, &target, &context)?;
    let stored = replace(&writing, &record, &old, new, Tracking::Own, warnings).await?;
    Ok((200, stored))
}

/// The stored object in the scope's version.
pub(crate) fn current(server: &Server, scope: &Scope, record: &Record) -> Result<Arc<Value>, WriteError> {
    let stored = server.records.decode(record)?;
    if scope.kind.is_stored && !scope.kind.custom {
        return Ok(stored);
    }
    Ok(Arc::new(scope.kind.rules.served_form((*stored).clone())?))
}

/// Who records field ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracking {
    /// This write does.
    Own,
    /// Server-side apply has done it.
    Applied,
}

/// Replaces `old` by `new`: admission, checks, transaction. Also finishes a deletion whose last finalizer goes.
pub(crate) async fn replace(
    writing: &Writing<'_>,
    record: &Record,
    old: &Value,
    mut new: Value,
    tracking: Tracking,
    warnings: &mut Vec<String>,
) -> Result<Stored, WriteError> {
    let (server, scope) = (writing.server, writing.scope);
    let context = writing.context();
    let target = scope.kind.rules.target();
    // Upstream records no owners for this part.
    let untracked = scope.info.subresource == "ephemeralcontainers";
    match tracking {
        Tracking::Own if !untracked => begin_update(old, &mut new, &target, &context)?,
        Tracking::Own | Tracking::Applied => {
            check_name(&new, &context)?;
            place(&mut new, &target, &context)?;
            if untracked && let Some(metadata) = new.object("metadata") {
                match old.at("metadata").at("managedFields") {
                    Value::Null => drop(metadata.remove("managedFields")),
                    owners => metadata.put("managedFields", owners.clone()),
                }
            }
        }
    }
    check_version(old, &new, &target)?;
    let mut new = writing.admit(Operation::Update, new, Some(old), &scope.info.name)?;
    kinds::prepare_update(writing, old, &mut new)?;
    let mut commit = Commit::default();
    allocation::for_update(writing, old, &mut new, &mut commit).await?;
    scope.kind.rules.finish_update(old, &mut new, &context)?;
    kinds::check_update(server, scope, old, &new)?;
    let (new, verdict) = writing.validate(Operation::Update, Some(new), Some(old), &scope.info.name)?;
    warnings.extend(verdict.warnings);
    let new = new.unwrap_or(Value::Null);
    warnings.extend(scope.kind.rules.warnings(Some(old), &new));
    let stored = scope.kind.rules.to_stored(new)?;
    let before = server.records.decode(record)?;
    if same_content(&before, &stored) && commit.operations.is_empty() {
        return Ok(Stored { object: (*before).clone(), record: Some(record.clone()) });
    }
    if scope.dry_run() {
        let mut object = stored;
        object["metadata"]["resourceVersion"] = record.revision().to_string().into();
        return Ok(Stored { object, record: None });
    }
    let key = record.key().clone();
    if kinds::is_gone(scope, &before, &stored) {
        allocation::for_delete(scope, &before, &mut commit);
        commit.delete(key.clone(), record.revision());
        commit.reserved = true;
        writing.add_side_writes(&mut commit, verdict.writes)?;
        commit.fence = scope.fence;
        server.records.commit(commit).await?;
        let mut object = stored;
        object["metadata"]["resourceVersion"] = record.revision().to_string().into();
        return Ok(Stored { object, record: None });
    }
    commit.reserved = stored.at("metadata").has("deletionTimestamp");
    commit.replace(key.clone(), record.revision(), encode(&stored));
    writing.add_side_writes(&mut commit, verdict.writes)?;
    let record = writing.commit(commit, &key).await?;
    Ok(Stored { object: stored, record: Some(record) })
}
