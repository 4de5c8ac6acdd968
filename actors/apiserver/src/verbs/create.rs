//! create

use serde_json::Value;
use trireme_admission::Operation;
use trireme_schema::request::{WriteOptions, begin_create, check_options};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use super::write::{Stored, Writing, repeats};
use crate::failures::WriteError;
use crate::limits::NAME_ATTEMPTS;
use crate::outcome::{Content, Outcome};
use crate::records::{Commit, Record, encode};
use crate::scope::Scope;
use crate::server::Server;
use crate::{allocation, body, kinds};

/// Creates an object from a body.
pub(crate) async fn create(server: &Server, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let dry_run = scope.query.all("dryRun");
    let manager = scope.query.text("fieldManager");
    let options = WriteOptions {
        field_manager: manager,
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        ..WriteOptions::default()
    };
    check_options("CreateOptions", &options)?;
    let decoded = body::decode(scope, bytes)?;
    scope.say(&decoded.warnings);
    let mut warnings = Vec::new();
    warnings.extend(kinds::create_warnings(&scope.kind, &decoded.object));
    let stored = create_value(server, scope, decoded.object, "CreateOptions", true, &mut warnings).await?;
    Ok(answer(scope, 201, stored)?.warn(warnings))
}

/// Creates a decoded object, again and again while others write what it touches.
pub(crate) async fn create_value(
    server: &Server,
    scope: &Scope,
    object: Value,
    options: &str,
    track: bool,
    warnings: &mut Vec<String>,
) -> Result<Stored, Failure> {
    let named = !object.at("metadata").text("name").is_empty();
    let mut names = 0;
    let mut attempt = 0;
    loop {
        let mut said = Vec::new();
        let again = object.clone();
        match attempt_create(server, scope, again, options, track, &mut said).await {
            Ok(stored) => {
                warnings.extend(said);
                return Ok(stored);
            }
            Err(WriteError::Failed(failure))
                if !named && failure.reason == "AlreadyExists" && names + 1 < NAME_ATTEMPTS =>
            {
                names += 1;
            }
            Err(error) if repeats(attempt, &error) => attempt += 1,
            Err(error) => return Err(error.into_failure()),
        }
    }
}

async fn attempt_create(
    server: &Server,
    scope: &Scope,
    mut object: Value,
    options: &str,
    track: bool,
    warnings: &mut Vec<String>,
) -> Result<Stored, WriteError> {
    let writing = Writing::new(server, scope, options);
    let context = writing.context();
    let target = scope.kind.rules.target();
    if track {
        begin_create(&mut object, &target, &context)?;
    } else {
        trireme_schema::request::place(&mut object, &target, &context)?;
    }
    let name = object.at("metadata").text("name").to_owned();
    let home = home(server, scope).await?;
    let mut object = writing.admit(Operation::Create, object, None, &name)?;
    kinds::prepare_create(&writing, &mut object)?;
    let mut commit = Commit::default();
    if let Some(home) = home {
        commit.require(home.key().clone(), home.revision());
    }
    allocation::for_create(&writing, &mut object, &mut commit).await?;
    scope.kind.rules.finish_create(&mut object, &context)?;
    kinds::check_create(server, scope, &object)?;
    kinds::complete_create(scope, &mut object);
    let name = object.at("metadata").text("name").to_owned();
    let (object, verdict) = writing.validate(Operation::Create, Some(object), None, &name)?;
    warnings.extend(verdict.warnings);
    let object = object.unwrap_or(Value::Null);
    let stored = scope.kind.rules.to_stored(object)?;
    let key = scope.kind.storage.key(scope.namespace(), &name);
    if let Some(there) = server.records.get(&key).await? {
        let there = server.records.decode(&there)?;
        return Err(taken(scope, &name, &there).into());
    }
    if scope.dry_run() {
        return Ok(Stored { object: stored, record: None });
    }
    commit.create(key.clone(), encode(&stored));
    writing.add_side_writes(&mut commit, verdict.writes)?;
    let record = writing.commit(commit, &key).await?;
    Ok(Stored { object: stored, record: Some(record) })
}

/// The version of the namespace that admission judges: the create holds only in that one. Otherwise a namespace could
/// end while a create that it had admitted is still on its way, and leave an object nowhere.
async fn home(server: &Server, scope: &Scope) -> Result<Option<Record>, WriteError> {
    if !scope.kind.namespaced {
        return Ok(None);
    }
    let Some(at) = server.stored_at("", "namespaces") else { return Ok(None) };
    Ok(server.records.get(&at.key("", scope.namespace())).await?)
}

/// 409, which also says that the old object is still going.
fn taken(scope: &Scope, name: &str, there: &Value) -> Failure {
    let mut failure = Status::already_exists(&scope.kind.group, &scope.kind.plural, name);
    if there.at("metadata").has("deletionTimestamp") {
        failure.message = format!("object is being deleted: {}", failure.message);
    }
    failure
}

/// The answer with what was stored.
pub(crate) fn answer(scope: &Scope, status: u16, stored: Stored) -> Result<Outcome, Failure> {
    Ok(match stored.record {
        Some(record) => Outcome::stored(status, &scope.kind, record),
        None => {
            let object = scope.kind.rules.served_form(stored.object)?;
            Outcome { status, content: Content::Object(scope.kind.clone(), object), warnings: Vec::new() }
        }
    })
}
