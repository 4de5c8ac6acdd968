//! From a request to the verb that answers it.

use std::sync::Arc;

use bytes::Bytes;
use trireme_http::negotiate::{Format, PatchKind};
use trireme_schema::status::{Failure, Status};

use crate::outcome::{Content, Outcome};
use crate::render::{check_accept, negotiate};
use crate::rendered_shape::RenderedShape;
use crate::request_info::RequestInfo;
use crate::scope::Scope;
use crate::server::Server;
use crate::watch::{EventShape, watch};
use crate::{reviews, subresources, verbs};

/// What the path and method of a request ask of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    Subresource,
}

/// Finds the route.
///
/// # Errors
/// 404 for paths that no kind has, 405 for methods that this path does not take.
pub(crate) fn route(scope: &Scope, method: &str) -> Result<Route, Failure> {
    let (info, kind) = (&scope.info, &scope.kind);
    let named = info.has_path_name();
    let in_namespace = info.namespace_in_path();
    let has = |verb: &str| kind.has_verb(verb);
    if (kind.namespaced && named && !in_namespace) || (!kind.namespaced && in_namespace) {
        return Err(if kind.custom { no_path() } else { Status::unknown_path() });
    }
    if !info.subresource.is_empty() {
        return subresource(scope, method);
    }
    if named {
        if !["get", "update", "patch", "delete"].iter().any(|verb| has(verb)) {
            return Err(Status::unknown_path());
        }
        return match method {
            "GET" | "HEAD" if info.verb == "watch" && has("watch") => Ok(Route::Watch),
            "GET" | "HEAD" if has("get") => Ok(Route::Get),
            "PUT" if has("update") => Ok(Route::Update),
            "PATCH" if has("patch") => Ok(Route::Patch),
            "DELETE" if has("delete") => Ok(Route::Delete),
            _ => Err(Status::method_not_allowed()),
        };
    }
    let everywhere = kind.namespaced && !in_namespace;
    if everywhere && kind.custom && !matches!(method, "GET" | "HEAD") {
        return Err(no_path());
    }
    if everywhere && !has("list") {
        return Err(Status::unknown_path());
    }
    match method {
        "GET" | "HEAD" if info.verb == "watch" && has("watch") => Ok(Route::Watch),
        "GET" | "HEAD" if info.verb == "watch" && has("list") => {
            Err(Status::method_not_supported(&kind.group, &kind.plural, "watch"))
        }
        "GET" | "HEAD" if has("list") => Ok(Route::List),
        "POST" if has("create") && !everywhere => Ok(Route::Create),
        "DELETE" if has("deletecollection") && !everywhere => Ok(Route::DeleteCollection),
        _ => Err(Status::method_not_allowed()),
    }
}

const NO_PATH: &str = "404 page not found";

/// A path that no part of the server takes: answered in plain text.
fn no_path() -> Failure {
    Status::plain(404, NO_PATH)
}

/// Whether a failure is to be answered in plain text.
pub(crate) fn is_no_path(failure: &Status) -> bool {
    failure.code == 404 && failure.message == NO_PATH
}

/// Whether a request is a connection to a node rather than about a part of an object.
pub(crate) fn is_connection(info: &RequestInfo) -> bool {
    info.resource_request
        && matches!(info.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy")
}

fn subresource(scope: &Scope, method: &str) -> Result<Route, Failure> {
    let Some(known) = scope.kind.subresource(&scope.info.subresource) else {
        return Err(match scope.kind.custom {
            true => Status::not_found(&scope.kind.group, &scope.kind.plural, &scope.info.name),
            false => Status::unknown_path(),
        });
    };
    let verb = match method {
        "GET" | "HEAD" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "POST" => "create",
        "DELETE" => "delete",
        _ => "",
    };
    let deep = scope.info.parts.len() > 3 && known.name != "proxy";
    if deep {
        return Err(Status::unknown_path());
    }
    if known.verbs.iter().any(|own| own == verb) {
        Ok(Route::Subresource)
    } else {
        Err(Status::method_not_allowed())
    }
}

/// Answers a request about objects.
pub(crate) async fn serve(
    server: &Arc<Server>,
    scope: &Scope,
    route: Route,
    body: Bytes,
) -> Result<Outcome, Failure> {
    check_accept(scope.accept.as_deref(), matches!(route, Route::Watch | Route::List))?;
    check_content_type(scope)?;
    if route != Route::Watch {
        negotiate(scope.accept.as_deref(), true)?;
    }
    match route {
        Route::Get => verbs::get(server, scope).await,
        Route::List => verbs::list(server, scope).await,
        Route::Watch => open_watch(server, scope).await,
        Route::Create => create(server, scope, &body).await,
        Route::Update => verbs::update(server, scope, &body).await,
        Route::Patch => verbs::patch(server, scope, &body).await,
        Route::Delete => verbs::delete(server, scope, &body).await,
        Route::DeleteCollection => verbs::delete_collection(server, scope, &body).await,
        Route::Subresource => subresources::serve(server, scope, body).await,
    }
}

/// Refuses patches of unknown types, as upstream's router does for built-in kinds.
fn check_content_type(scope: &Scope) -> Result<(), Failure> {
    if scope.info.verb != "patch" || scope.kind.custom {
        return Ok(());
    }
    let text = scope.content_type.as_deref().unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim();
    let known = PatchKind::ALL.iter().filter(|kind| **kind != PatchKind::ApplyCbor);
    if known.into_iter().any(|kind| kind.media_type() == media) {
        return Ok(());
    }
    let mut status = Status::plain(415, "415: Unsupported Media Type");
    status.reason = "UnsupportedMediaType".to_owned();
    status.force_details = true;
    Err(status)
}

async fn open_watch(server: &Arc<Server>, scope: &Scope) -> Result<Outcome, Failure> {
    let accepted = negotiate(scope.accept.as_deref(), true)?;
    let plain = accepted.target.is_none()
        && accepted.format == Format::Json
        && scope.kind.is_stored
        && !scope.kind.custom;
    let shape = if plain {
        EventShape::Plain
    } else {
        EventShape::Other(Arc::new(RenderedShape::new(scope, &accepted)?))
    };
    let content_type = match (accepted.format, &accepted.target) {
        (Format::Yaml, _) => "application/yaml",
        _ => "application/json",
    };
    let named = (scope.kind.kind.clone(), scope.kind.api_version());
    let frames = watch(server, scope, shape, named).await?;
    Ok(Outcome { status: 200, content: Content::Watch(frames, content_type), warnings: Vec::new() })
}

/// Creates an object, or does what posting to a resource without objects means.
async fn create(server: &Arc<Server>, scope: &Scope, body: &[u8]) -> Result<Outcome, Failure> {
    match (scope.kind.group.as_str(), scope.kind.plural.as_str()) {
        _ if reviews::is_review(scope) => reviews::ask(server, scope, body).await,
        ("", "bindings") => subresources::bind_from_collection(server, scope, body).await,
        _ => verbs::create(server, scope, body).await,
    }
}
