//! [`Endpoint`]: an extender's address, and how it is asked.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpStream;
use trireme_scheduler::Extender;

/// Limit of a call unless the configuration says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of an answer: five thousand nodes with all they say.
const ANSWER_LIMIT_BYTES: usize = 256 * 1024 * 1024;

/// Why an extender cannot be reached as configured.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The address cannot be read.
    #[error("urlPrefix {0:?} is no address; write http://host:port/path")]
    Address(String),
    /// It wants TLS.
    #[error("urlPrefix {0:?}: extenders over HTTPS are not built yet; use http://")]
    Https(String),
    /// The time limit cannot be read.
    #[error("httpTimeout {0} is no duration; write for instance 5s")]
    Timeout(String),
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// `host:port`
    address: String,
    /// Without a slash at its end.
    prefix: String,
    timeout: Duration,
}

impl Endpoint {
    /// Of an extender.
    pub(crate) fn new(extender: &Extender) -> Result<Self, EndpointError> {
        let text = &extender.url_prefix;
        let malformed = || EndpointError::Address(text.clone());
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        if extender.enable_https || extender.tls_config.is_some() || uri.scheme_str() == Some("https") {
            return Err(EndpointError::Https(text.clone()));
        }
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(malformed)?;
        let address = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        let prefix = uri.path().trim_end_matches('/').to_owned();
        let timeout = match &extender.http_timeout {
            None | Some(Value::Null) => TIMEOUT,
            Some(given) => {
                let wrong = || EndpointError::Timeout(given.to_string());
                let nanos = match given {
                    Value::String(text) => trireme_schema::time::parse_duration_nanos(text),
                    // Go writes a duration as a number of nanoseconds.
                    other => other.as_i64(),
                };
                let nanos = nanos.and_then(|nanos| u64::try_from(nanos).ok()).ok_or_else(wrong)?;
                Duration::from_nanos(nanos)
            }
        };
        Ok(Self { address, prefix, timeout })
    }

    /// Posts a question. The error is for people: what failed, where.
    pub(crate) async fn ask(&self, verb: &str, body: &Value) -> Result<Value, String> {
        let at = format!("http://{}{}/{verb}", self.address, self.prefix);
        let asked = tokio::time::timeout(self.timeout, self.post(verb, body)).await;
        let answer = asked.map_err(|_| format!("extender {at} did not answer within {:?}", self.timeout))?;
        answer.map_err(|why| format!("extender {at}: {why}"))
    }

    async fn post(&self, verb: &str, body: &Value) -> Result<Value, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let socket = TcpStream::connect(&self.address).await.map_err(|error| text(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(|error| text(&error))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/{verb}", self.prefix))
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| text(&error))?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|error| text(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT_BYTES).collect();
            let bytes = body.await.map_err(|error| error.to_string())?.to_bytes();
            if !status.is_success() {
                return Err(format!("it answered {status}"));
            }
            serde_json::from_slice(&bytes).map_err(|error| format!("its answer is no JSON: {error}"))
        };
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            // The connection may end as the answer is complete.
            _ended = connection => exchange.await,
        }
    }
}
