//! What an API server plugs in.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use trireme_pki::{ClientCertificate, ClientRefused};

use crate::body::{ReplyBody, RequestBody};
use crate::refusal::Refusal;

/// The business behind the front.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the client goes or resets the request: work that must not stop
    /// halfway belongs into a task or an actor of its own.
    fn handle(self: Arc<Self>, request: Request) -> impl Future<Output = Reply> + Send + 'static;

    /// Words a refusal of the front in the API's own form, such as a `Status` object. Status and cause are
    /// [`Refusal::status`] and its text; the front sends what this returns unchanged.
    fn refuse(&self, refusal: &Refusal) -> Response<Bytes>;
}

/// One request.
#[derive(Debug)]
pub struct Request {
    /// Method, target, version, headers and extensions.
    pub head: Parts,
    /// The body, bounded.
    pub body: RequestBody,
    /// Who is at the other end of the connection.
    pub peer: Arc<Peer>,
    /// Fires when the front begins to drain: long answers (watches) should end soon.
    pub draining: CancellationToken,
}

/// The other end of a connection. One per connection, shared by its requests.
#[derive(Debug)]
pub struct Peer {
    /// Number of the connection since the front's start.
    pub connection: u64,
    /// Where it comes from.
    pub address: SocketAddr,
    /// What its TLS certificate gave.
    pub certificate: PeerCertificateState,
    /// True for HTTP/2.
    pub http2: bool,
}

/// Outcome of judging the client's TLS certificate, once per connection. Check
/// [`trireme_pki::ClientAuthorities::recheck`] for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerCertificateState {
    /// The client showed none.
    Absent,
    /// Chain, time, purpose and withdrawal are fine.
    Verified(Box<ClientCertificate>),
    /// It gives no identity, and why; upstream answers 401 when nothing else authenticates.
    Refused(ClientRefused),
}

/// An answer.
pub enum Reply {
    /// Status, headers and body; see [`ReplyBody`] for full and streaming bodies.
    Answer(Response<ReplyBody>),
    /// 101: the connection changes its protocol (HTTP/1.1 only).
    Upgrade(Upgrade),
}

impl Reply {
    /// A full answer with a content type.
    pub fn full(status: StatusCode, content_type: &'static str, body: Bytes) -> Self {
        let mut response = Response::new(ReplyBody::full(body));
        *response.status_mut() = status;
        let value = http::HeaderValue::from_static(content_type);
        response.headers_mut().insert(http::header::CONTENT_TYPE, value);
        Self::Answer(response)
    }
}

impl From<Response<Bytes>> for Reply {
    fn from(response: Response<Bytes>) -> Self {
        Self::Answer(response.map(ReplyBody::full))
    }
}

impl From<Response<ReplyBody>> for Reply {
    fn from(response: Response<ReplyBody>) -> Self {
        Self::Answer(response)
    }
}

/// The raw connection after a 101, readable and writable; bytes that the client sent early come first.
pub type UpgradedIo = TokioIo<Upgraded>;

/// The task that serves an upgraded connection.
pub type UpgradeTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A protocol change. The front sends `response`, then runs the task with the raw connection. The task counts as the
/// connection: it is awaited while draining and dropped when the grace is over.
pub struct Upgrade {
    /// The 101 response with its headers.
    pub response: Response<()>,
    /// Makes the task.
    pub serve: Box<dyn FnOnce(UpgradedIo) -> UpgradeTask + Send>,
}

impl Upgrade {
    /// An upgrade that runs `serve`.
    pub fn new<F, T>(response: Response<()>, serve: F) -> Self
    where
        F: FnOnce(UpgradedIo) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        Self { response, serve: Box::new(move |io| Box::pin(serve(io))) }
    }
}
