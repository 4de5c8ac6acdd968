//! token: tokens of service accounts.

use std::sync::Arc;

use serde_json::Value;
use trireme_access::authn::service_account::{TokenRequest, request_token};
use trireme_admission::Operation;
use trireme_schema::request::{Context, WriteOptions, begin_create, check_options};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::Edit;

use super::{decode, target};
use crate::outcome::Outcome;
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs::Writing;

/// Gives a token of the scope's service account.
pub(super) async fn request(server: &Arc<Server>, scope: &Scope, bytes: &[u8]) -> Result<Outcome, Failure> {
    let dry_run = scope.query.all("dryRun");
    let options = WriteOptions {
        field_manager: scope.query.text("fieldManager"),
        dry_run: &dry_run,
        field_validation: scope.query.text("fieldValidation"),
        ..WriteOptions::default()
    };
    check_options("CreateOptions", &options)?;
    let target = target("authentication.k8s.io", "v1", "TokenRequest")?;
    let decoded = decode(scope, &target, bytes)?;
    let mut object = decoded.object;
    server.settle().await?;
    let issuer = server.tokens.issuer().ok_or_else(|| {
        Status::unavailable("the key that signs service account tokens is not there yet; try again")
    })?;
    let id = server.new_uid();
    let asked = TokenRequest {
        issuer: &issuer,
        api_audiences: server.authentication.audiences(),
        objects: &*server.view,
        extend_expiration: true,
        namespace: scope.namespace(),
        name: &scope.info.name,
        now: crate::scope::now().unix_seconds(),
        id: &id,
    };
    let writing = Writing::new(server, scope, "CreateOptions");
    // Ownership is recorded as of an object of its own.
    let context = Context { subresource: "", ..writing.context() };
    begin_create(&mut object, &target, &context)?;
    if let Some(metadata) = object.object("metadata") {
        metadata.items("managedFields").for_each(|entry| entry.put("subresource", "token"));
    }
    let admit = |object: &Value| {
        let mut request = writing.request(Operation::Create, Some(object.clone()), None, &scope.info.name);
        request.kind = "TokenRequest";
        server.admission.admit(&mut request, &*server.view, &*server.authorizer)?;
        server.admission.validate(&request, &*server.view, &*server.authorizer).map(|_| ())
    };
    let answer = request_token(&asked, object, admit)?;
    Ok(Outcome::other(201, answer).warn(decoded.warnings))
}
