//! [`request_token`]: `POST serviceaccounts/<name>/token`.

use serde_json::{Value, json};
use trireme_schema::field::{ErrorList, Path};
use trireme_schema::objects::Objects;
use trireme_schema::status::{Failure, Status};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use super::claims::{BoundObject, NewToken};
use super::issuer::Issuer;
use crate::quote::quote;

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
/// Shortest life, in seconds.
const MIN_SECONDS: i64 = 600;
/// Longest life that can be asked for, in seconds.
const MAX_SECONDS: i64 = 1 << 32;
/// Life when none is asked for.
const DEFAULT_SECONDS: i64 = 3600;
/// The life that the admission of service accounts asks for: tokens of old clients, which never read a file again, are
/// given a year instead, and warned about after this.
const WARN_AFTER_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

/// Everything a request for a token needs.
pub struct TokenRequest<'a> {
    /// Signs.
    pub issuer: &'a Issuer,
    /// The server's own audiences.
    pub api_audiences: &'a [String],
    /// Reads the account and what the token is bound to.
    pub objects: &'a dyn Objects,
    /// `--service-account-extend-token-expiration`.
    pub extend_expiration: bool,
    /// Namespace in the path.
    pub namespace: &'a str,
    /// Service account in the path.
    pub name: &'a str,
    /// Unix seconds.
    pub now: i64,
    /// A random UUID: the token's id.
    pub id: &'a str,
}

/// Answers with the object, given `spec` defaults, metadata and `status`; `admit` is validating admission, called between
/// validation and signing.
///
/// # Errors
/// As upstream: 404 for what is not there, 409 for another UID, 422 for the spec, 400 for kinds that cannot be bound.
pub fn request_token(
    request: &TokenRequest<'_>,
    mut object: Value,
    admit: impl FnOnce(&Value) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    check_place(request, &object)?;
    let account = request.objects.get("", "serviceaccounts", request.namespace, request.name);
    let account = account.ok_or_else(|| Status::not_found("", "serviceaccounts", request.name))?;
    complete(request, &mut object);
    check_spec(&object)?;
    admit(&object)?;
    let spec = object.at("spec");
    let audiences: Vec<String> =
        spec.list("audiences").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let asked_seconds = spec.int("expirationSeconds").unwrap_or(DEFAULT_SECONDS);
    let mut token = NewToken {
        namespace: request.namespace.to_owned(),
        account: Some(BoundObject::of(&account)),
        now: request.now,
        seconds: asked_seconds,
        id: request.id.to_owned(),
        ..NewToken::default()
    };
    bind(request, spec.at("boundObjectRef"), &mut token)?;
    let for_server = audiences.iter().all(|audience| request.api_audiences.contains(audience));
    if request.extend_expiration && asked_seconds == WARN_AFTER_SECONDS && for_server {
        token.seconds = EXTENDED_SECONDS;
        token.warn_after_seconds = WARN_AFTER_SECONDS;
    }
    token.audiences = audiences;
    let signed = request.issuer.issue(&token).map_err(|error| Status::internal(&error.to_string()))?;
    let end = Moment::from_unix(request.now + asked_seconds, 0).to_time();
    object.put("status", json!({"token": signed, "expirationTimestamp": end}));
    Ok(object)
}

fn check_place(request: &TokenRequest<'_>, object: &Value) -> Result<(), Failure> {
    let metadata = object.at("metadata");
    for (field, own, what) in [
        ("name", request.name, "service account name"),
        ("namespace", request.namespace, "service account namespace"),
    ] {
        let given = metadata.text(field);
        if !given.is_empty() && given != own {
            let mut errors = ErrorList::new();
            let path = Path::new("metadata");
            errors.invalid_str(&path.child(field), given, format!("must match the {what} if specified"));
            return Err(Status::invalid(GROUP, KIND, request.name, &errors));
        }
    }
    Ok(())
}

fn complete(request: &TokenRequest<'_>, object: &mut Value) {
    if let Some(spec) = object.object("spec") {
        if spec.list("audiences").is_empty() {
            spec.put("audiences", request.api_audiences.to_vec());
        }
        spec.default("expirationSeconds", DEFAULT_SECONDS);
        spec.default("boundObjectRef", Value::Null);
    }
    object.put("status", Value::Null);
    if let Some(metadata) = object.object("metadata") {
        metadata.default_text("name", request.name);
        metadata.default_text("namespace", request.namespace);
        metadata.put("creationTimestamp", Moment::from_unix(request.now, 0).to_time());
    }
}

fn check_spec(object: &Value) -> Result<(), Failure> {
    let mut errors = ErrorList::new();
    let seconds = object.at("spec").at("expirationSeconds");
    let spec = Path::new("spec");
    let path = spec.child("expirationSeconds");
    match seconds.as_i64() {
        Some(number) if number < MIN_SECONDS => {
            errors.invalid(&path, seconds, "may not specify a duration less than 10 minutes");
        }
        Some(number) if number > MAX_SECONDS => {
            errors.invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds");
        }
        _ => {}
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(GROUP, KIND, "", &errors)) }
}

fn bind(request: &TokenRequest<'_>, reference: &Value, token: &mut NewToken) -> Result<(), Failure> {
    if !reference.is_object() {
        return Ok(());
    }
    let (name, wanted_uid) = (reference.text("name"), reference.text("uid"));
    let get = |resource: &str, namespace: &str, name: &str| {
        let found = request.objects.get("", resource, namespace, name);
        found.ok_or_else(|| Status::not_found("", resource, name))
    };
    let kind = reference.text("kind");
    let uid = match (reference.text("apiVersion"), kind) {
        ("v1", "Pod") => {
            let pod = get("pods", request.namespace, name)?;
            if pod.at("spec").text("serviceAccountName") != request.name {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
                    quote(request.name)
                )));
            }
            let node = pod.at("spec").text("nodeName");
            if !node.is_empty() {
                // The pod may run on a node whose object is gone: then only the name is known.
                let uid = request.objects.get("", "nodes", "", node).map(|node| BoundObject::of(&node).uid);
                token.node = Some(BoundObject { name: node.to_owned(), uid: uid.unwrap_or_default() });
            }
            token.pod.insert(BoundObject::of(&pod)).uid.clone()
        }
        ("v1", "Node") => token.node.insert(BoundObject::of(&*get("nodes", "", name)?)).uid.clone(),
        ("v1", "Secret") => {
            token.secret.insert(BoundObject::of(&*get("secrets", request.namespace, name)?)).uid.clone()
        }
        (version, kind) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            let what = format!("{group}/{version}, Kind={kind}");
            return Err(Status::bad_request(format!("cannot bind token to object of type {what}")));
        }
    };
    if !wanted_uid.is_empty() && uid != wanted_uid {
        let why = format!(
            "the UID in the bound object reference ({wanted_uid}) does not match the UID in record. The object might \
             have been deleted and then recreated"
        );
        return Err(Status::conflict("", kind, name, &why));
    }
    Ok(())
}
