//! Subresources: what else can be done to an object than read and write it.

mod binding;
pub(crate) mod connect;
mod eviction;
mod options;
mod scale;
mod tokens;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use trireme_schema::kinds;
use trireme_schema::request::{Decoded, Target};
use trireme_schema::status::{Failure, Status};

use crate::body;
use crate::outcome::Outcome;
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs;

pub(crate) use binding::{bind_from_collection, bind_many};

/// Answers a request about a subresource that the kind has, with a verb that it takes.
pub(crate) async fn serve(server: &Arc<Server>, scope: &Scope, body: Bytes) -> Result<Outcome, Failure> {
    match (scope.info.subresource.as_str(), scope.info.verb.as_str()) {
        ("scale", verb) => match verb {
            "get" => scale::get(server, scope).await,
            "update" => scale::update(server, scope, &body).await,
            _ => scale::patch(server, scope, &body).await,
        },
        ("status" | "approval" | "ephemeralcontainers" | "resize" | "finalize", verb) => match verb {
            "get" => verbs::get(server, scope).await,
            "update" => verbs::update(server, scope, &body).await,
            _ => verbs::patch(server, scope, &body).await,
        },
        ("token", _) => tokens::request(server, scope, &body).await,
        ("binding", _) => binding::bind(server, scope, &body).await,
        ("eviction", _) => eviction::evict(server, scope, &body).await,
        ("log" | "exec" | "attach" | "portforward" | "proxy", _) => {
            let why =
                format!("{}/{} is a connection: ask over HTTPS", scope.kind.plural, scope.info.subresource);
            Err(Status::bad_request(why))
        }
        (name, _) => Err(Status::plain(501, format!("the subresource {name} is not built into this server"))),
    }
}

/// The type that a subresource speaks.
///
/// # Errors
/// The structure is unknown to this build.
fn target(group: &str, version: &str, kind: &str) -> Result<Target<'static>, Failure> {
    let known = kinds::by_kind(group, version, kind).and_then(Target::builtin);
    known
        .or_else(|| spoken(group, version, kind))
        .ok_or_else(|| Status::internal(&format!("{kind} has no structure")))
}

/// Types that have no resource of their own.
fn spoken(group: &str, version: &str, kind: &str) -> Option<Target<'static>> {
    const KINDS: [(&str, &str, &str, &str); 3] = [
        ("autoscaling", "v1", "Scale", "scales"),
        ("policy", "v1", "Eviction", "evictions"),
        ("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests"),
    ];
    let (group, version, kind, resource) =
        *KINDS.iter().find(|known| (known.0, known.1, known.2) == (group, version, kind))?;
    let of = trireme_schema::types::lookup(group, version, kind)?;
    Some(Target { group, version, kind, resource, namespaced: true, custom: false, of, schema: None })
}

/// Decodes a body into the type that a subresource speaks.
///
/// # Errors
/// 400, 415.
fn decode(scope: &Scope, target: &Target<'_>, bytes: &[u8]) -> Result<Decoded, Failure> {
    match body::format(scope.content_type.as_deref())? {
        trireme_http::negotiate::Format::Yaml => {
            let (value, duplicates) = body::yaml(bytes)?;
            trireme_schema::request::decode_value(value, duplicates, target, scope.validation())
        }
        trireme_http::negotiate::Format::Protobuf => {
            let value = body::protobuf(bytes)?;
            trireme_schema::request::decode_value(value, Vec::new(), target, scope.validation())
        }
        _ => trireme_schema::request::decode(bytes, target, scope.validation()),
    }
}

/// A Status that says it worked.
fn success(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code})
}
