//! log: a container's output, as the kubelet gives it.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Response};
use trireme_http::proxy::{ProxyLimits, fetch};
use trireme_http::{Reply, ReplyBody};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use super::super::options::LogOptions;
use super::{container, dial_failure, host_value, kubelet, object};
use crate::query::encode_component;
use crate::scope::Scope;
use crate::server::Server;

/// How much of a kubelet's error text is shown, in bytes (upstream's bound).
const ERROR_TEXT_BYTES: usize = 50_000;
/// A kubelet that follows a silent container answers with its first line: no limit but the client's patience.
const ANSWER_LIMIT: Duration = Duration::from_secs(365 * 86_400);

pub(super) async fn serve(server: &Arc<Server>, scope: &Scope) -> Result<Reply, Failure> {
    let options = LogOptions::parse(&scope.query, &scope.info.name)?;
    let pod = object(server, scope, &scope.info.name).await?;
    let container = container::choose(&pod, &options.container)?;
    let node = pod.at("spec").text("nodeName");
    if node.is_empty() {
        return Ok(crate::render::finish(Response::new(ReplyBody::empty()), 204, &[]));
    }
    let backend = kubelet(server, scope, node)?;
    let pairs: Vec<String> =
        options.pairs().iter().map(|(name, value)| format!("{name}={}", encode_component(value))).collect();
    let metadata = pod.at("metadata");
    let mut target =
        format!("/containerLogs/{}/{}/{container}", metadata.text("namespace"), metadata.text("name"));
    if !pairs.is_empty() {
        target.push('?');
        target.push_str(&pairs.join("&"));
    }
    let target = PathAndQuery::try_from(target).map_err(|error| Status::bad_request(error.to_string()))?;
    let limits = ProxyLimits { answer: ANSWER_LIMIT, ..ProxyLimits::default() };
    let answer = fetch(&backend, target, host_value(node), limits).await;
    let answer = answer.map_err(|error| dial_failure(&error))?;
    let code = answer.status().as_u16();
    if !(200..=206).contains(&code) {
        let text = answer.into_body().read_beginning(ERROR_TEXT_BYTES).await;
        let text = text.map_err(|error| Status::internal(&error.to_string()))?;
        return Err(refused(code, &String::from_utf8_lossy(&text), &scope.info.name));
    }
    let mut response = Response::new(answer.into_body());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(Reply::Answer(response))
}

/// A kubelet's refusal as upstream words it.
fn refused(code: u16, text: &str, pod: &str) -> Failure {
    let (reason, message) = match code {
        400 => return Status::bad_request(text),
        500 => return Status::internal(text),
        401 => ("Unauthorized", "the server has asked for the client to provide credentials"),
        403 => ("Forbidden", text),
        404 => ("NotFound", "the server could not find the requested resource"),
        405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
        409 => ("Conflict", "the server reported a conflict"),
        429 => (
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => (
            "Timeout",
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        501.. => ("InternalError", "an error on the server has prevented the request from succeeding"),
        _ => ("", "the server responded with the status code but did not return more information"),
    };
    let mut status = Status::plain(code, format!("{message} ( pods/log {pod})"));
    status.reason = reason.to_owned();
    status.details.kind = "pods/log".to_owned();
    status.details.name = pod.to_owned();
    status
}
