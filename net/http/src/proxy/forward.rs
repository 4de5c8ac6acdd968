//! One forwarded request.

use std::io;
use std::time::Duration;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Response, StatusCode, Uri, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::copy_bidirectional;
use tokio::time::timeout;

use super::backend::{Backend, BackendIo};
use super::hygiene::{ForwardedBy, clean_request_headers, clean_response_headers};
use crate::body::ReplyBody;
use crate::handler::{Reply, Request, Upgrade};

/// Time limits of a forwarded request.
#[derive(Clone, Copy, Debug)]
pub struct ProxyLimits {
    /// To open the transport.
    pub connect: Duration,
    /// From the sent head to the answer's head.
    pub answer: Duration,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), answer: Duration::from_secs(60) }
    }
}

/// Why nothing was forwarded. Upstream answers 503 where the backend cannot be reached and 502 otherwise.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// No transport; the request was not sent and may be repeated.
    #[error("cannot reach the backend: {0}")]
    Unreachable(io::Error),
    /// No transport within the limit; the request was not sent and may be repeated.
    #[error("the backend did not take the connection within {seconds} s")]
    ConnectSlow {
        /// The limit.
        seconds: u64,
    },
    /// No answer within the limit; what the request did is unknown.
    #[error("the backend did not answer within {seconds} s; what the request did there is unknown")]
    AnswerSlow {
        /// The limit.
        seconds: u64,
    },
    /// The backend's HTTP broke; what the request did is unknown.
    #[error("the backend broke off: {0}; what the request did there is unknown")]
    Broken(#[from] hyper::Error),
}

impl ProxyError {
    /// Status for the client.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable(_) | Self::ConnectSlow { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::AnswerSlow { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// True when the request was certainly not carried out.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::ConnectSlow { .. })
    }
}

/// Sends `request` to `backend` as a request for `target` and gives its answer, streaming; an upgrade that the backend
/// takes becomes an upgrade of the client's connection. `host` is the backend's `Host` header.
pub async fn forward(
    mut request: Request,
    backend: &dyn Backend,
    target: PathAndQuery,
    host: HeaderValue,
    by: &ForwardedBy,
    limits: ProxyLimits,
) -> Result<Reply, ProxyError> {
    let upgrade = clean_request_headers(&mut request.head.headers, by);
    request.head.headers.insert(HOST, host);
    request.head.uri = Uri::from(target);
    request.head.version = Version::HTTP_11;
    request.head.extensions = http::Extensions::new();
    let body = match request.body.into_parts() {
        _ if upgrade.is_some() => Either::Right(Full::default()),
        (Some(incoming), _) => Either::Left(incoming),
        (None, whole) => Either::Right(Full::new(whole)),
    };
    let transport = opened(backend, limits).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(transport)).await?;
    // Ends with the exchange: when the body is read or dropped, or the upgraded connection is.
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a backend broke");
        }
    });
    let sent = sender.send_request(http::Request::from_parts(request.head, body));
    let response = match timeout(limits.answer, sent).await {
        Ok(response) => response?,
        Err(_) => return Err(ProxyError::AnswerSlow { seconds: limits.answer.as_secs() }),
    };
    match response.status() == StatusCode::SWITCHING_PROTOCOLS && upgrade.is_some() {
        true => Ok(Reply::Upgrade(spliced(response))),
        false => Ok(Reply::Answer(answer(response))),
    }
}

/// A transport to the backend, within the limit.
pub(super) async fn opened(
    backend: &dyn Backend,
    limits: ProxyLimits,
) -> Result<Box<dyn BackendIo>, ProxyError> {
    match timeout(limits.connect, backend.dial()).await {
        Ok(Ok(transport)) => Ok(transport),
        Ok(Err(error)) => Err(ProxyError::Unreachable(error)),
        Err(_) => Err(ProxyError::ConnectSlow { seconds: limits.connect.as_secs() }),
    }
}

/// The backend's answer as the front sends it.
pub(super) fn answer(response: Response<Incoming>) -> Response<ReplyBody> {
    let (mut head, body) = response.into_parts();
    clean_response_headers(&mut head.headers);
    head.version = Version::HTTP_11;
    head.extensions = http::Extensions::new();
    Response::from_parts(head, ReplyBody::backend(body))
}

/// The client's connection becomes the backend's, byte for byte.
fn spliced(mut response: Response<Incoming>) -> Upgrade {
    let backend = hyper::upgrade::on(&mut response);
    let (mut head, _) = response.into_parts();
    head.extensions = http::Extensions::new();
    Upgrade::new(Response::from_parts(head, ()), |mut client| async move {
        let spliced = match backend.await {
            Ok(backend) => copy_bidirectional(&mut client, &mut TokioIo::new(backend)).await,
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = spliced {
            tracing::debug!(%error, "upgraded connection to a backend broke");
        }
    })
}
