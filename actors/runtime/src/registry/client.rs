//! [`Client`]: requests to one endpoint, with the answer to its challenge remembered.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use trireme_node::{PullCredentials, RuntimeError, RuntimeErrorKind};

use crate::fail::{Outcome, invalid};
use crate::registry::auth::{self, Challenge};
use crate::registry::config::{Endpoint, Registries};

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How long the head of an answer may take, and each part of its body.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Redirections followed in a row.
const REDIRECTS_LIMIT: usize = 5;
/// Bytes of a document that is read whole.
pub(super) const DOCUMENT_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Body of a request; made again for each try.
pub(super) type Body = BoxBody<Bytes, std::io::Error>;
pub(super) type MakeBody<'a> = &'a (dyn Fn() -> BoxFuture<'a, Outcome<Body>> + Send + Sync);

/// Requests to one endpoint with one set of credentials.
pub(super) struct Client<'a> {
    pub(super) registries: &'a Registries,
    pub(super) endpoint: Endpoint,
    pub(super) credentials: Option<PullCredentials>,
    /// `pull` or `pull,push`.
    pub(super) actions: &'static str,
    pub(super) authorization: Mutex<Option<HeaderValue>>,
}

/// A request without its body.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
}

impl Ask {
    pub(super) fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: HeaderMap::new() }
    }

    pub(super) fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl Client<'_> {
    /// The URL of a part of the repository.
    pub(super) fn url(&self, part: &str) -> String {
        let Endpoint { host, path, repository, stands_for, tls } = &self.endpoint;
        let scheme = if *tls { "https" } else { "http" };
        let namespace = stands_for.as_ref().map_or(String::new(), |registry| format!("?ns={registry}"));
        format!("{scheme}://{host}{path}/v2/{repository}/{part}{namespace}")
    }

    /// Asks without a body.
    pub(super) async fn ask(&self, ask: Ask) -> Outcome<Response<Incoming>> {
        self.ask_with(ask, &|| Box::pin(async { Ok(empty()) })).await
    }

    /// Asks; answers a challenge once, follows redirections.
    pub(super) async fn ask_with(&self, ask: Ask, body: MakeBody<'_>) -> Outcome<Response<Incoming>> {
        let first = self.follow(&ask, body).await?;
        if first.status() != StatusCode::UNAUTHORIZED {
            return Ok(first);
        }
        let challenges = first.headers().get_all(header::WWW_AUTHENTICATE);
        let challenge = challenges.iter().filter_map(|text| text.to_str().ok()).find_map(Challenge::parse);
        let Some(challenge) = challenge else { return Ok(first) };
        let Some(answer) = auth::answer(self, &challenge).await? else { return Ok(first) };
        *self.authorization.lock() = Some(answer);
        self.follow(&ask, body).await
    }

    async fn follow(&self, ask: &Ask, body: MakeBody<'_>) -> Outcome<Response<Incoming>> {
        let mut ask = ask.clone();
        let own = host_of(&ask.url);
        for _ in 0..REDIRECTS_LIMIT {
            let mut now = ask.clone();
            // Another host gets no credentials.
            if host_of(&now.url) == own
                && let Some(answer) = self.authorization.lock().clone()
            {
                now.headers.insert(header::AUTHORIZATION, answer);
            }
            let response = self.send(now, body().await?).await?;
            let location = response.headers().get(header::LOCATION).and_then(|text| text.to_str().ok());
            match location {
                Some(to) if response.status().is_redirection() && ask.method == Method::GET => {
                    let to = absolute(&ask.url, to);
                    if ask.url.starts_with("https://") && !to.starts_with("https://") {
                        return Err(invalid(format!(
                            "{} redirects to plain http, which is refused",
                            ask.url
                        )));
                    }
                    ask.url = to;
                }
                _ => return Ok(response),
            }
        }
        Err(invalid(format!("{} redirects more than {REDIRECTS_LIMIT} times", ask.url)))
    }

    /// One request on a connection of its own.
    pub(super) async fn send(&self, ask: Ask, body: Body) -> Outcome<Response<Incoming>> {
        let failed = |error: &dyn std::fmt::Display| {
            let text = format!("failed to do request: {} \"{}\": {error}", ask.method, ask.url);
            RuntimeError::new(RuntimeErrorKind::ImageUnavailable, text)
        };
        let uri: Uri = ask.url.parse().map_err(|error| failed(&error))?;
        let authority = uri.authority().ok_or_else(|| failed(&"the URL has no host"))?.clone();
        let tls = uri.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let connecting = timeout(CONNECT_LIMIT, TcpStream::connect((host.as_str(), port)));
        let stream =
            connecting.await.map_err(|_| failed(&"connecting timed out"))?.map_err(|error| failed(&error))?;
        let _ = stream.set_nodelay(true);
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let mut request = Request::builder().method(ask.method.clone()).uri(path);
        if let Some(headers) = request.headers_mut() {
            *headers = ask.headers.clone();
            let host = HeaderValue::from_str(authority.as_str()).map_err(|error| failed(&error))?;
            headers.insert(header::HOST, host);
            let agent = concat!("trireme/", env!("CARGO_PKG_VERSION"));
            headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        }
        let request = request.body(body).map_err(|error| failed(&error))?;
        let answer = if tls {
            let name = ServerName::try_from(host).map_err(|error| failed(&error))?;
            let connector = TlsConnector::from(self.registries.tls(authority.as_str())?);
            let shaken = timeout(CONNECT_LIMIT, connector.connect(name, stream)).await;
            let stream = shaken.map_err(|_| failed(&"TLS timed out"))?.map_err(|error| failed(&error))?;
            exchange(TokioIo::new(stream), request).await
        } else {
            exchange(TokioIo::new(stream), request).await
        };
        answer.map_err(|error| failed(&error))
    }
}

async fn exchange<S>(stream: S, request: Request<Body>) -> Result<Response<Incoming>, String>
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| error.to_string())?;
    // Ends when the answer was read or dropped.
    tokio::spawn(connection);
    let answer = timeout(ANSWER_LIMIT, sender.send_request(request)).await;
    answer.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())
}

/// A whole document of bounded length.
pub(super) async fn document(response: Response<Incoming>) -> Outcome<Vec<u8>> {
    let failed = |text: String| RuntimeError::new(RuntimeErrorKind::ImageUnavailable, text);
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    loop {
        let frame = timeout(ANSWER_LIMIT, body.frame()).await;
        let frame = match frame.map_err(|_| failed("the registry's answer stopped coming".into()))? {
            Some(frame) => {
                frame.map_err(|error| failed(format!("the registry's answer broke off: {error}")))?
            }
            None => return Ok(bytes),
        };
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > DOCUMENT_LIMIT_BYTES {
            return Err(invalid(format!(
                "the registry's answer is longer than {DOCUMENT_LIMIT_BYTES} bytes"
            )));
        }
    }
}

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(super) fn whole(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

pub(super) fn host_of(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

/// A location that may be relative.
pub(super) fn absolute(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let root = host_of(base).unwrap_or_default();
    format!("{root}/{}", location.trim_start_matches('/'))
}
