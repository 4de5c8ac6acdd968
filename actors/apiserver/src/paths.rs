//! Paths that are no objects: discovery, health, version.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::{Value, json};
use trireme_access::authn::service_account::{jwks, openid_configuration};
use trireme_http::negotiate::{Format, accepts_gzip};
use trireme_http::{Reply, ReplyBody};
use trireme_publish::discovery::{AggregatedVersion, Form};
use trireme_publish::document::{Document, etag_matches};
use trireme_publish::openapi::{Packed, V2_JSON, V2_PROTOBUF, negotiate_v2};
use trireme_schema::status::Status;

use crate::health;
use crate::query::Query;
use crate::render;
use crate::request_info::RequestInfo;
use crate::scope::Scope;
use crate::server::Server;

/// The paths outside the API groups, besides those of discovery.
const OTHER_PATHS: [&str; 12] = [
    "/healthz",
    "/healthz/etcd",
    "/healthz/log",
    "/healthz/ping",
    "/livez",
    "/livez/etcd",
    "/livez/log",
    "/livez/ping",
    "/readyz",
    "/readyz/etcd",
    "/readyz/log",
    "/readyz/ping",
];

/// As Go's own server answers.
pub(crate) fn not_found() -> Reply {
    render::text(404, "404 page not found\n")
}

/// Answers a path that names no object.
pub(crate) async fn serve(
    server: &Arc<Server>,
    info: &RequestInfo,
    query: &Query,
    method: &str,
    headers: &HeaderMap,
) -> Reply {
    let accept = Scope::header(headers, header::ACCEPT).unwrap_or_default();
    let path = info.path.as_str();
    if path.starts_with("//") {
        return not_found();
    }
    if let Err(failure) = discovery_accepts(path, &accept) {
        return render::failure(&failure, None, &[]);
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let ["healthz" | "livez" | "readyz", ..] = parts.as_slice() {
        return health::answer(server, path, query).await.unwrap_or_else(not_found);
    }
    let reads = matches!(method, "GET" | "HEAD");
    let documents = server.published.load();
    let discovery = &documents.discovery;
    if let ["openapi", ..] | [".well-known", ..] | ["openid", ..] = parts.as_slice() {
        return open_documents(server, &parts, headers, &accept).await;
    }
    if let ["metrics"] | ["metrics", "slis"] = parts.as_slice() {
        return render::text(200, server.metrics.render(server));
    }
    let found = match parts.as_slice() {
        [""] => Some(discovery.root_paths(OTHER_PATHS)),
        ["version"] => Some(version()),
        ["api"] => match trireme_publish::discovery::negotiate(&accept) {
            Some(Form::Aggregated(form)) if reads => {
                return document(&discovery.aggregated_core(form), headers, form);
            }
            None => return render::failure(&Status::not_acceptable(&["application/json"]), None, &[]),
            _ => Some(discovery.api_versions(&server.config.advertise.to_string())),
        },
        ["apis"] => match trireme_publish::discovery::negotiate(&accept) {
            Some(Form::Aggregated(form)) if reads => {
                return document(&discovery.aggregated_groups(form), headers, form);
            }
            None => return render::failure(&Status::not_acceptable(&["application/json"]), None, &[]),
            _ => Some(discovery.api_group_list()),
        },
        ["apis", group] => match discovery.api_group(group) {
            Some(found) => Some(found),
            None => return not_found(),
        },
        ["api", version] => discovery.api_resource_list("", version),
        ["apis", group, version] => match discovery.api_group(group) {
            Some(_) => discovery.api_resource_list(group, version),
            None => return not_found(),
        },
        ["api" | "apis", ..] => None,
        _ => return not_found(),
    };
    let anything = matches!(parts.as_slice(), ["apis"] | [""]);
    match found {
        None => render::failure(&Status::unknown_path(), Some(&accept), &[]),
        Some(_) if !reads && !anything => render::failure(&Status::method_not_allowed(), Some(&accept), &[]),
        Some(value) => value_reply(&value, &accept),
    }
}

/// Discovery documents come in the formats of objects.
fn discovery_accepts(path: &str, accept: &str) -> Result<(), trireme_schema::status::Failure> {
    let root = path.trim_matches('/').split('/').next().unwrap_or_default();
    if matches!(root, "api" | "apis" | "version") {
        render::check_accept(Some(accept), false)
    } else {
        Ok(())
    }
}

/// OpenAPI and the discovery of service account tokens.
async fn open_documents(server: &Arc<Server>, parts: &[&str], headers: &HeaderMap, accept: &str) -> Reply {
    let documents = server.published.load();
    match parts {
        ["openapi", "v3"] => {
            let index = tokio::task::spawn_blocking(move || documents.openapi.v3_index()).await;
            index.map_or_else(|_| not_found(), |index| json_reply(&index, Format::Json))
        }
        ["openapi", "v3", rest @ ..] => {
            let path = rest.join("/");
            let found = tokio::task::spawn_blocking(move || documents.openapi.v3(&path)).await;
            match found.ok().flatten() {
                Some(packed) => packed_reply(&packed, headers),
                None => render::finish(Response::new(ReplyBody::empty()), 404, &[]),
            }
        }
        ["openapi", "v2"] => match negotiate_v2(accept) {
            Some(form) => {
                let built = tokio::task::spawn_blocking(move || documents.openapi.v2(form)).await;
                built.map_or_else(|_| not_found(), |packed| packed_reply(&packed, headers))
            }
            None => render::failure(&Status::not_acceptable(&[V2_JSON, V2_PROTOBUF]), Some(accept), &[]),
        },
        [".well-known", "openid-configuration"] => {
            let jwks = format!("https://{}/openid/v1/jwks", server.config.advertise);
            let value = openid_configuration(&server.config.issuer, &jwks, server.tokens.keys());
            json_reply(&value, Format::Json)
        }
        ["openid", "v1", "jwks"] => {
            let value = jwks(server.tokens.keys());
            let mut response = Response::new(ReplyBody::full(render::encode(&value, Format::Json, false)));
            render::set_type(response.headers_mut(), "application/jwk-set+json");
            render::finish(response, 200, &[])
        }
        _ => not_found(),
    }
}

/// A packed document, or 304 when the client has it.
fn packed_reply(packed: &Packed, headers: &HeaderMap) -> Reply {
    let etag = packed.etag();
    let known = Scope::header(headers, header::IF_NONE_MATCH);
    let same = known.is_some_and(|known| etag_matches(&known, &etag));
    let zipped = accepts_gzip(Scope::header(headers, header::ACCEPT_ENCODING).as_deref());
    let body = match (same, zipped) {
        (true, _) => Bytes::new(),
        (false, true) => Bytes::from(packed.gzip.clone()),
        (false, false) => Bytes::from(packed.plain()),
    };
    let mut response = Response::new(ReplyBody::full(body));
    render::set_type(response.headers_mut(), packed.content_type);
    if zipped && !same {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Accept"));
    render::finish(response, if same { 304 } else { 200 }, &[])
}

fn value_reply(value: &Value, accept: &str) -> Reply {
    match render::negotiate(Some(accept), false) {
        Ok(accepted) => json_reply(value, accepted.format),
        Err(_) => json_reply(value, Format::Json),
    }
}

fn json_reply(value: &Value, format: Format) -> Reply {
    let mut response = Response::new(ReplyBody::full(render::encode(value, format, false)));
    render::set_type(response.headers_mut(), format.media_type());
    render::finish(response, 200, &[])
}

/// A document with its entity tag, or 304 when the client has it.
fn document(document: &Document, headers: &HeaderMap, form: AggregatedVersion) -> Reply {
    let known = Scope::header(headers, header::IF_NONE_MATCH);
    let same = known.is_some_and(|known| etag_matches(&known, &document.etag));
    let body = if same { Bytes::new() } else { Bytes::from(document.body.clone()) };
    let mut response = Response::new(ReplyBody::full(body));
    render::set_type(response.headers_mut(), form.content_type());
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    render::finish(response, if same { 304 } else { 200 }, &[])
}

/// `/version`
fn version() -> Value {
    json!({
        "major": "1",
        "minor": "35",
        "gitVersion": concat!("v1.35.0+trireme-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": concat!("linux/", "amd64"),
        "emulationMajor": "1",
        "emulationMinor": "35",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "34",
    })
}
