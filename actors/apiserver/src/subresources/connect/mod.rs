//! log, exec, attach, portforward, proxy: checked here, served by nodes.
//!
//! Options are read and validated as upstream's pod storage does, the request is then the kubelet's own. Upgrades
//! (WebSocket, SPDY) pass byte for byte: this server does not look into them.
//!
//! Deliberately absent: rewriting of links in HTML that a proxied pod or service answers (redirects are rewritten), and
//! TLS to pods and services (`https:name:port`), which is refused by name.

mod command;
mod container;
mod location;
mod log;
mod proxy;
mod split_name;

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use trireme_admission::Operation;
use trireme_http::proxy::{ForwardedBy, ProxyError, ProxyLimits, forward};
use trireme_http::{Reply, Request};
use trireme_schema::status::{Failure, Status};

use crate::nodes::NodeBackend;
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs::Writing;

/// Answers a request that goes on to a node.
///
/// # Errors
/// What upstream answers: 400, 403, 404, 422 before the node is asked; 500 and 503 when it cannot be reached.
pub(crate) async fn serve(server: &Arc<Server>, scope: &Scope, request: Request) -> Result<Reply, Failure> {
    match scope.info.subresource.as_str() {
        "log" => log::serve(server, scope).await,
        "proxy" => proxy::serve(server, scope, request).await,
        _ => command::serve(server, scope, request).await,
    }
}

/// The object of a name, which need not be the path's.
async fn object(server: &Arc<Server>, scope: &Scope, name: &str) -> Result<Arc<Value>, Failure> {
    let mut plain = scope.clone();
    plain.info.name = name.to_owned();
    let record = crate::verbs::read(server, &plain, "").await?;
    server.records.decode(&record).map_err(|error| Status::internal(&error.to_string()))
}

/// The kubelet of a node that is registered.
///
/// # Errors
/// 404 for nodes that do not exist, 503 without a way to any node.
fn kubelet(server: &Server, scope: &Scope, node: &str) -> Result<NodeBackend, Failure> {
    if server.view.get("", "nodes", "", node).is_none() {
        return Err(Status::not_found("", "nodes", node));
    }
    Ok(NodeBackend { dialer: server.nodes.dialer(&what(scope))?, node: node.to_owned(), address: None })
}

/// Such as `pods/log`.
fn what(scope: &Scope) -> String {
    format!("{}/{}", scope.kind.plural, scope.info.subresource)
}

/// Asks admission about a connection.
fn admit(server: &Arc<Server>, scope: &Scope, options: Value) -> Result<(), Failure> {
    let writing = Writing::new(server, scope, "");
    let name = scope.info.name.clone();
    let options = writing.admit(Operation::Connect, options, None, &name)?;
    writing.validate(Operation::Connect, Some(options), None, &name).map(|_| ())
}

/// Sends the client's request on and gives the answer, or the upgraded connection.
async fn pass_on(
    request: Request,
    backend: &NodeBackend,
    target: &str,
    host: HeaderValue,
    prefix: String,
) -> Result<Reply, ProxyError> {
    let by = ForwardedBy { client: request.peer.address.ip(), prefix };
    let target = PathAndQuery::try_from(target).unwrap_or_else(|_| PathAndQuery::from_static("/"));
    forward(request, backend, target, host, &by, ProxyLimits::default()).await
}

/// A failed connection to a node, in upstream's words.
fn dial_failure(error: &ProxyError) -> Failure {
    match error.status() {
        StatusCode::GATEWAY_TIMEOUT => Status::timeout(error.to_string()),
        _ => Status::plain(500, format!("error dialing backend: {error}")),
    }
}

/// A value for the `Host` header.
fn host_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("node"))
}
