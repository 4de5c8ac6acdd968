//! A request of the server's own to a backend, such as for a container's log.

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::backend::Backend;
use super::forward::{ProxyError, ProxyLimits, answer, opened};
use crate::body::ReplyBody;

/// Asks `backend` for `target` with GET and gives its answer, whose body streams. Nothing of any client's request is
/// passed on.
///
/// # Errors
/// [`ProxyError`]: no transport, or no answer within the limits.
pub async fn fetch(
    backend: &dyn Backend,
    target: PathAndQuery,
    host: HeaderValue,
    limits: ProxyLimits,
) -> Result<Response<ReplyBody>, ProxyError> {
    let transport = opened(backend, limits).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(transport)).await?;
    // Ends with the exchange: when the body is read or dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a backend broke");
        }
    });
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = Uri::from(target);
    request.headers_mut().insert(HOST, host);
    match timeout(limits.answer, sender.send_request(request)).await {
        Ok(response) => Ok(answer(response?)),
        Err(_) => Err(ProxyError::AnswerSlow { seconds: limits.answer.as_secs() }),
    }
}
