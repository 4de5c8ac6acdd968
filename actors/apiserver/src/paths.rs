//! Paths that are no objects: discovery, health, version.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::{Value, json};
use trireme_http::negotiate::Format;
use trireme_http::{Reply, ReplyBody};
use trireme_publish::discovery::{AggregatedVersion, Form};
use trireme_publish::document::{Document, etag_matches};
use trireme_schema::status::Status;

use crate::query::Query;
use crate::render;
use crate::request_info::RequestInfo;
use crate::scope::Scope;
use crate::server::Server;
use crate::health;

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
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let ["healthz" | "livez" | "readyz", ..] = parts.as_slice() {
        return health::answer(server, path, query).await.unwrap_or_else(not_found);
    }
    let reads = matches!(method, "GET" | "HEAD");
    let discovery = server.published.discovery();
    let found = match parts.as_slice() {
        [""] => Some(discovery.root_paths(OTHER_PATHS)),
        ["version"] => Some(version()),
        ["api"] => match trireme_publish::discovery::negotiate(&accept) {
            Some(Form::Aggregated(form)) if reads => {
                return document(&discovery.aggregated_core(form), headers, form);
            }
            _ => Some(discovery.api_versions(&server.config.advertise.to_string())),
        },
        ["apis"] => match trireme_publish::discovery::negotiate(&accept) {
            Some(Form::Aggregated(form)) if reads => {
                return document(&discovery.aggregated_groups(form), headers, form);
            }
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
