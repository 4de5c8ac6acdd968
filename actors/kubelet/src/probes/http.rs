//! A small HTTP/1.1 client for probes and hooks.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use trireme_schema::view::View;

use super::join;

/// What is read of an answer.
const BODY_LIMIT_BYTES: usize = 10 * 1024;
/// Redirects followed (upstream follows those to the same host).
const REDIRECTS_LIMIT: usize = 10;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpTarget {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl HttpTarget {
    /// From an `httpGet` action.
    pub(crate) fn read(get: &Value, address: &str, port: u16) -> Self {
        let path = get.text("path");
        let headers = get.list("httpHeaders").iter();
        Self {
            https: get.text("scheme").eq_ignore_ascii_case("https"),
            host: if get.text("host").is_empty() { address.to_owned() } else { get.text("host").to_owned() },
            port,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            headers: headers.map(|own| (own.text("name").to_owned(), own.text("value").to_owned())).collect(),
        }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", join(&self.host, self.port), self.path)
    }
}

/// One GET, redirects to the same host included: status and the body's beginning.
pub(crate) async fn http_get(target: &HttpTarget, limit: Duration) -> Result<(u16, Bytes), String> {
    let mut target = target.clone();
    let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned();
    let whole = async {
        for _ in 0..REDIRECTS_LIMIT {
            let (status, location, body) = once(&target).await?;
            let local = location.filter(|_| (300..400).contains(&status)).filter(|to| to.starts_with('/'));
            match local {
                Some(path) => target.path = path,
                None => return Ok((status, body)),
            }
        }
        Err(format!("stopped after {REDIRECTS_LIMIT} redirects"))
    };
    tokio::time::timeout(limit, whole).await.unwrap_or(Err(late))
}

async fn once(target: &HttpTarget) -> Result<(u16, Option<String>, Bytes), String> {
    if target.https {
        return Err("HTTPS probes are not built: use http, tcpSocket or exec".to_owned());
    }
    let place = join(&target.host, target.port);
    let stream =
        TcpStream::connect((target.host.as_str(), target.port)).await.map_err(|error| {
            match error.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    format!("dial tcp {place}: connect: connection refused")
                }
                _ => format!("dial tcp {place}: {error}"),
            }
        })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let mut request = hyper::Request::get(target.path.as_str());
    let has = |name: &str| target.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    if !has("host") {
        request = request.header("host", &place);
    }
    if !has("user-agent") {
        request = request.header("user-agent", "kube-probe/1.35");
    }
    if !has("accept") {
        request = request.header("accept", "*/*");
    }
    for (name, value) in target.headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(name, value);
    }
    let request = request
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let location =
            answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(answer.into_body(), BODY_LIMIT_BYTES).collect().await;
        // A long body is not read to its end; its beginning said enough.
        Ok((status, location, body.map(|body| body.to_bytes()).unwrap_or_default()))
    };
    let mut exchange = std::pin::pin!(exchange);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        done = &mut exchange => done,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn redirects_to_the_same_host_are_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let mut paths = Vec::new();
            for answer in [
                "HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 503 x\r\ncontent-length: 2\r\n\r\nno",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 2_000];
                let length = stream.read(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                assert!(text.contains("user-agent: kube-probe/1.35") && text.contains("x-own: 1"));
                paths.push(text.lines().next().unwrap().to_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            paths
        });
        let get = serde_json::json!({"path": "a", "httpHeaders": [{"name": "X-Own", "value": "1"}]});
        let target = HttpTarget::read(&get, "127.0.0.1", port);
        let (status, body) = http_get(&target, Duration::from_secs(20)).await.unwrap();
        assert_eq!((status, &body[..]), (503, &b"no"[..]));
        assert_eq!(server.await.unwrap(), ["GET /a HTTP/1.1", "GET /b HTTP/1.1"]);
        assert!(http_get(&target, Duration::from_secs(20)).await.unwrap_err().contains("connection refused"));
    }
}
