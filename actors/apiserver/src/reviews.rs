//! Kinds that are questions: asked by POST, answered at once, stored nowhere.

use std::sync::Arc;

use serde_json::Value;
use trireme_access::review;
use trireme_admission::Operation;
use trireme_schema::request::{WriteOptions, begin_create, check_options, place};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use crate::body;
use crate::outcome::Outcome;
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs::Writing;

/// Whether posting to a kind asks a question.
pub(crate) fn is_review(scope: &Scope) -> bool {
    matches!(scope.kind.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
}

/// Answers a question.
pub(crate) async fn ask(server: &Arc<Server>, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let dry_run = scope.query.all("dryRun");
    let options = WriteOptions {
        field_manager: scope.query.text("fieldManager"),
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        ..WriteOptions::default()
    };
    check_options("CreateOptions", &options)?;
    let decoded = body::decode(scope, bytes)?;
    let mut object = decoded.object;
    let writing = Writing::new(server, scope, "CreateOptions");
    let (context, target) = (writing.context(), scope.kind.rules.target());
    let kind = scope.kind.kind.as_str();
    let plain = matches!(kind, "SelfSubjectReview" | "SelfSubjectRulesReview");
    if plain {
        place(&mut object, &target, &context)?;
    } else {
        begin_create(&mut object, &target, &context)?;
    }
    let name = object.at("metadata").text("name").to_owned();
    let object = writing.admit(Operation::Create, object, None, &name)?;
    let (object, verdict) = writing.validate(Operation::Create, Some(object), None, &name)?;
    let object = object.unwrap_or(Value::Null);
    server.settle().await?;
    let answer = answer(server, scope, object)?;
    Ok(Outcome::other(201, answer).warn(decoded.warnings).warn(verdict.warnings))
}

fn answer(server: &Arc<Server>, scope: &Scope, object: Value) -> Result<Value, Failure> {
    let authorizer = &*server.authorizer;
    match scope.kind.kind.as_str() {
        "SubjectAccessReview" => review::subject_access_review(object, authorizer),
        "LocalSubjectAccessReview" => review::local_subject_access_review(object, authorizer),
        "SelfSubjectAccessReview" => review::self_subject_access_review(object, &scope.user, authorizer),
        "SelfSubjectRulesReview" => review::self_subject_rules_review(&object, &scope.user, authorizer),
        "SelfSubjectReview" => Ok(review::self_subject_review(&object, &scope.user, &scope.now)),
        "TokenReview" => {
            review::token_review(object, &server.authentication, crate::scope::now().unix_seconds())
        }
        other => Err(Status::plain(501, format!("{other} is not built into this server"))),
    }
}
