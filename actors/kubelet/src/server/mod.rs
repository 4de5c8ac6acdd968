//! The kubelet's HTTP API: `/pods`, `/containerLogs`, `/exec`, `/attach`, `/portForward`, `/stats/summary`, `/metrics`,
//! `/metrics/resource`, `/healthz`, `/configz`, on any byte stream.

mod logs;
mod metrics;
mod remote;
mod stats;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use trireme_kubelet_core::pod;
use trireme_node::Answer;

use crate::shared::{PodEntry, Shared};

/// Largest request target.
const TARGET_LIMIT_BYTES: usize = 64 * 1024;

/// A body of an answer.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// What is asked of the cluster before a request is served: an access to `nodes/<subresource>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asks: what the integrator said of the stream.
    pub caller: String,
    /// `get`, `create`, ...
    pub verb: &'static str,
    /// `proxy`, `log`, `stats`, `metrics`, `pods`, `healthz`, `configz`.
    pub subresource: &'static str,
    /// The node.
    pub node: String,
    /// The request's path.
    pub path: String,
}

/// Judges requests.
pub trait Authorizer: Send + Sync + 'static {
    /// `Ok`, or why not.
    fn authorize(&self, asked: Asked) -> Answer<'_, Result<(), String>>;
}

/// Allows everything: for streams on which only the API server speaks.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn authorize(&self, _asked: Asked) -> Answer<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// The kubelet's HTTP API. Cheap to clone.
#[derive(Clone)]
pub struct KubeletHttp {
    shared: Arc<Shared>,
    authorizer: Arc<dyn Authorizer>,
}

impl KubeletHttp {
    pub(crate) fn new(shared: Arc<Shared>, authorizer: Arc<dyn Authorizer>) -> Self {
        Self { shared, authorizer }
    }

    /// Speaks HTTP/1.1 with upgrades on a stream until it ends. `caller` is who is at the other end.
    pub async fn serve<T>(self, io: T, caller: String) -> Result<(), hyper::Error>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |request: Request<Incoming>| {
            let (own, caller) = (self.clone(), caller.clone());
            async move { Ok::<_, Infallible>(own.handle(request, caller).await) }
        });
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades()
            .await
    }

    /// Answers one request. Upgrades go on in tasks of their own.
    pub async fn handle(&self, request: Request<Incoming>, caller: String) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if path.len() > TARGET_LIMIT_BYTES {
            return text(StatusCode::URI_TOO_LONG, "the path is too long");
        }
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let first = parts.first().copied().unwrap_or("");
        if first != "healthz" {
            let asked = Asked {
                caller,
                verb: match *request.method() {
                    Method::GET | Method::HEAD => "get",
                    Method::POST => "create",
                    Method::PUT => "update",
                    Method::PATCH => "patch",
                    _ => "delete",
                },
                subresource: subresource(first),
                node: self.shared.config.node_name.clone(),
                path: path.clone(),
            };
            if let Err(why) = self.authorizer.authorize(asked).await {
                return text(StatusCode::FORBIDDEN, &format!("Forbidden: {why}"));
            }
        }
        let query = Query::read(request.uri().query().unwrap_or(""));
        match parts.as_slice() {
            ["healthz", ..] => text(StatusCode::OK, "ok"),
            ["pods"] => self.pods(false),
            ["runningpods"] => self.pods(true),
            ["configz"] => self.configz(),
            ["stats", "summary"] => json_answer(&stats::summary(&self.shared).await),
            ["metrics"] => metrics::of_kubelet(&self.shared).await,
            ["metrics", "resource"] => metrics::of_resources(&self.shared).await,
            ["metrics", "probes" | "cadvisor"] => {
                text(StatusCode::NOT_FOUND, "not built: use /metrics/resource or /stats/summary")
            }
            ["containerLogs", namespace, name, container] => {
                logs::answer(&self.shared, namespace, name, container, &query).await
            }
            ["exec", namespace, name, container] | ["exec", namespace, name, _, container] => {
                remote::exec(&self.shared, request, (namespace, name, container), &query, false).await
            }
            ["attach", namespace, name, container] | ["attach", namespace, name, _, container] => {
                remote::exec(&self.shared, request, (namespace, name, container), &query, true).await
            }
            ["portForward", namespace, name] | ["portForward", namespace, name, _] => {
                remote::port_forward(&self.shared, request, namespace, name).await
            }
            ["run", namespace, name, container] => {
                remote::run(&self.shared, (namespace, name, container), &query).await
            }
            ["checkpoint", ..] => text(StatusCode::NOT_FOUND, "checkpoints are not built"),
            ["logs", ..] => text(StatusCode::METHOD_NOT_ALLOWED, "the node's own logs are not built"),
            _ => text(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    fn pods(&self, running: bool) -> Response<Body> {
        let wanted = |entry: &PodEntry| !running || entry.phase() == "Running";
        let items: Vec<Value> =
            self.shared.entries().iter().filter(|own| wanted(own)).map(PodEntry::with_status).collect();
        json_answer(&json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
    }

    fn configz(&self) -> Response<Body> {
        let config = &self.shared.config;
        json_answer(&json!({"kubeletconfig": {
            "clusterDNS": config.cluster_dns, "clusterDomain": config.cluster_domain, "maxPods": config.max_pods,
            "podPidsLimit": config.pod_pids_limit.unwrap_or(-1), "podLogsDir": config.pod_logs_dir.to_string_lossy(),
            "nodeStatusUpdateFrequency": format!("{}s", config.status_update.as_secs()),
            "nodeLeaseDurationSeconds": config.lease_duration.as_secs(),
            "imageGCHighThresholdPercent": config.images.high_percent,
            "imageGCLowThresholdPercent": config.images.low_percent,
            "containerLogMaxFiles": config.log_max_files,
            "containerLogMaxSize": config.log_max_bytes.to_string(),
            "staticPodPath": config.static_pods_dir.as_ref().map(|own| own.to_string_lossy().into_owned()),
            "allowedUnsafeSysctls": config.unsafe_sysctls,
        }}))
    }
}

/// The pod of that name which the kubelet runs.
pub(crate) fn find_pod(shared: &Shared, namespace: &str, name: &str) -> Option<PodEntry> {
    let pods = shared.pods.lock();
    let mut own =
        pods.values().filter(|own| pod::namespace(&own.pod) == namespace && pod::name(&own.pod) == name);
    own.next_back().cloned()
}

fn subresource(first: &str) -> &'static str {
    match first {
        "stats" => "stats",
        "metrics" => "metrics",
        "logs" => "log",
        "checkpoint" => "checkpoint",
        "pods" | "runningpods" => "pods",
        "configz" => "configz",
        _ => "proxy",
    }
}

/// Names and values of a query, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub(crate) fn read(text: &str) -> Self {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            all.entry(decode(name)).or_default().push(decode(value));
        }
        Self(all)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(|all| all.first()).map_or("", String::as_str)
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        matches!(self.text(name), "1" | "true" | "t" | "T" | "TRUE" | "True")
    }
}

/// `%20` and `+` as blanks.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match (bytes[at], hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub(crate) fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

pub(crate) fn stream_body(stream: BoxStream<'static, Bytes>) -> Body {
    use futures_util::StreamExt;
    BodyExt::boxed(StreamBody::new(SyncStream(std::sync::Mutex::new(
        stream.map(|bytes| Ok(Frame::data(bytes))).boxed(),
    ))))
}

/// A stream that is only ever polled through its one owner; the lock is never waited for.
struct SyncStream(std::sync::Mutex<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>);

impl futures_util::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let inner = self.get_mut().0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.as_mut().poll_next(cx)
    }
}

pub(crate) fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(body(text.to_owned()));
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

fn json_answer(value: &Value) -> Response<Body> {
    let mut response = Response::new(body(value.to_string()));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
