//! [`Rest`]: one request, one answer.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::AsyncBufRead;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

use crate::error::{ClientError, Refusal};

/// The format of plain objects.
const JSON: &str = "application/json";

/// A request.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Method.
    pub method: Method,
    /// Path, such as `/api/v1/namespaces/default/pods`.
    pub path: &'a str,
    /// Parameters; they are escaped here.
    pub query: &'a [(&'a str, &'a str)],
    /// Accepted formats.
    pub accept: &'a str,
    /// Content type and body.
    pub body: Option<(&'a str, Vec<u8>)>,
}

impl<'a> Ask<'a> {
    /// Reads a path.
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, query: &[], accept: JSON, body: None }
    }

    /// Sends an object to a path.
    pub fn send(method: Method, path: &'a str, object: &Value) -> Self {
        Self { method, path, query: &[], accept: JSON, body: Some((JSON, object.to_string().into_bytes())) }
    }

    /// With parameters.
    #[must_use]
    pub fn with(self, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { query, ..self }
    }

    /// With other formats accepted.
    #[must_use]
    pub fn accepting(self, accept: &'a str) -> Self {
        Self { accept, ..self }
    }

    /// Path and parameters.
    pub fn target(&self) -> String {
        let mut target = self.path.to_owned();
        for (at, (name, value)) in self.query.iter().enumerate() {
            target.push(if at == 0 && !self.path.contains('?') { '?' } else { '&' });
            escape(name, &mut target);
            target.push('=');
            escape(value, &mut target);
        }
        target
    }
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// How often one request is sent again because the server asked for it; client-go's number.
const RETRIES: u32 = 10;

/// The text of a `Warning` header's value: `299 - "text"`.
fn warning(value: &str) -> Option<String> {
    let quoted = value.strip_prefix("299 ")?.split_once('"')?.1.rsplit_once('"')?.0;
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// A connection to a cluster under one identity. Clones are cheap and share connections.
#[derive(Clone)]
pub struct Rest {
    client: Client,
    server: String,
    namespace: String,
    warned: Option<fn(&str)>,
    limit: Option<Duration>,
}

impl Rest {
    /// By a kubeconfig file; `context` instead of its current one.
    ///
    /// # Errors
    /// [`ClientError::Config`]: the file is missing, malformed, or names what is not there.
    pub async fn open(kubeconfig: &Path, context: Option<&str>) -> Result<Self, ClientError> {
        let named = |error: String| ClientError::Config(format!("{}: {error}", kubeconfig.display()));
        let read = Kubeconfig::read_from(kubeconfig).map_err(|error| named(error.to_string()))?;
        Self::read(read, context).await.map_err(named)
    }

    /// By the text of a kubeconfig.
    ///
    /// # Errors
    /// As [`Rest::open`].
    pub async fn from_text(kubeconfig: &str) -> Result<Self, ClientError> {
        let read =
            Kubeconfig::from_yaml(kubeconfig).map_err(|error| ClientError::Config(error.to_string()))?;
        Self::read(read, None).await.map_err(ClientError::Config)
    }

    async fn read(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Self, String> {
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Self::connect(config.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }

    /// By settings made in memory.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn connect(mut config: Config) -> Result<Self, ClientError> {
        // Watches and logs are silent for long; what is asked has its own limits.
        config.read_timeout = None;
        // kube would ask fifteen times, for minutes, where a refusal is the answer (an eviction against a budget).
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| ClientError::Config(error.to_string()))?;
        Ok(Self { client, server, namespace, warned: None, limit: None })
    }

    /// Tells `warned` the text of each warning (RFC 7234, code 299) that comes with an answer that is read whole.
    #[must_use]
    pub fn with_warnings(self, warned: fn(&str)) -> Self {
        Self { warned: Some(warned), ..self }
    }

    /// Gives up on an answer that is not there whole (for streams: not begun) after `limit`.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Over a connection made elsewhere; `server` names it in messages.
    pub(crate) fn over(client: Client, server: &str) -> Self {
        let namespace = client.default_namespace().to_owned();
        Self { client, server: server.to_owned(), namespace, warned: None, limit: None }
    }

    /// The namespace that the context names, or `default`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The connection, for streams (exec, attach, port-forward).
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for any status but 2xx, and as the type says.
    pub async fn bytes(&self, ask: &Ask<'_>) -> Result<Bytes, ClientError> {
        self.in_time(self.whole(ask)).await
    }

    /// Asks again when the server names a time after which to do so, as client-go does; any other refusal is the answer.
    async fn whole(&self, ask: &Ask<'_>) -> Result<Bytes, ClientError> {
        let mut left = RETRIES;
        let answer = loop {
            let answer = self.client.send(self.request(ask)?.map(Into::into)).await;
            let answer = answer.map_err(|error| self.unreachable(&error))?;
            let busy = matches!(answer.status().as_u16(), 429 | 500..=599);
            match answer
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
            {
                Some(seconds) if busy && left > 0 => tokio::time::sleep(Duration::from_secs(seconds)).await,
                _ => break answer,
            }
            left -= 1;
        };
        let code = answer.status().as_u16();
        if let Some(warned) = self.warned {
            let values = answer.headers().get_all(header::WARNING).iter();
            values.filter_map(|value| warning(value.to_str().ok()?)).for_each(|text| warned(&text));
        }
        let body = answer.into_body().collect().await.map_err(|error| self.unreachable(&error))?.to_bytes();
        if (200..300).contains(&code) {
            return Ok(body);
        }
        Err(ClientError::Refused(Box::new(Refusal::read(code, &body))))
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let Some(limit) = self.limit else { return answer.await };
        tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
            let why = format!("no answer within {limit:?}");
            Err(ClientError::Unreachable { server: self.server.clone(), why })
        })
    }

    /// Asks for an object.
    ///
    /// # Errors
    /// As [`Rest::bytes`]; [`ClientError::Malformed`] when the answer is no JSON.
    pub async fn json(&self, ask: &Ask<'_>) -> Result<Value, ClientError> {
        let body = self.bytes(ask).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ClientError::Malformed { path: ask.path.to_owned(), why: error.to_string() })
    }

    /// Asks, and gives the answer as it comes (logs, watches).
    ///
    /// # Errors
    /// As [`Rest::bytes`].
    pub async fn stream(
        &self,
        ask: &Ask<'_>,
    ) -> Result<impl AsyncBufRead + Send + Unpin + use<>, ClientError> {
        let request = self.request(ask)?;
        let answer = self.in_time(async { Ok(self.client.request_stream(request).await) }).await?;
        answer.map(Box::pin).map_err(|error| match error {
            kube::Error::Api(status) => {
                let body = serde_json::to_vec(&status).unwrap_or_default();
                let mut refusal = Refusal::read(status.code, &body);
                refusal.message.clone_from(&status.message);
                refusal.reason.clone_from(&status.reason);
                ClientError::Refused(Box::new(refusal))
            }
            other => self.unreachable(&other),
        })
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<Vec<u8>>, ClientError> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(ask.target())
            .header(header::ACCEPT, ask.accept);
        if let Some((content_type, _)) = &ask.body {
            request = request.header(header::CONTENT_TYPE, *content_type);
        }
        let body = ask.body.as_ref().map_or_else(Vec::new, |(_, body)| body.clone());
        request.body(body).map_err(|error| ClientError::Config(format!("{}: {error}", ask.path)))
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> ClientError {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            why = deeper.to_string();
            cause = deeper.source();
        }
        ClientError::Unreachable { server: self.server.clone(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn warnings_are_read() {
        let texts =
            ["299 - \"v1 Endpoints is deprecated\"", "299 - \"say \\\"no\\\"\"", "199 - \"x\"", "299"];
        let read: Vec<_> = texts.into_iter().map(warning).collect();
        let expected =
            [Some("v1 Endpoints is deprecated".to_owned()), Some("say \"no\"".to_owned()), None, None];
        assert_eq!(read, expected);
    }

    /// A server that gives these answers, one for each connection, and says how many it gave.
    async fn answering(answers: &'static [&'static str]) -> (Rest, tokio::task::JoinHandle<usize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let given = tokio::spawn(async move {
            for (given, head) in answers.iter().enumerate() {
                let accepted = tokio::time::timeout(Duration::from_secs(60), listener.accept()).await;
                let Ok(Ok((mut socket, _))) = accepted else { return given };
                let mut request = [0; 4096];
                let read = socket.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET "));
                let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
            answers.len()
        });
        trireme_pki::install_crypto_provider();
        let server = format!("http://{address}").parse().unwrap();
        (Rest::connect(Config::new(server)).unwrap(), given)
    }

    #[tokio::test]
    async fn what_the_server_wants_asked_again_is_asked_again() {
        const BUSY: [&str; 3] = [
            "429 Too Many Requests\r\nRetry-After: 0",
            "503 Service Unavailable\r\nRetry-After: 0",
            "200 OK",
        ];
        let (rest, given) = answering(&BUSY).await;
        assert_eq!(rest.bytes(&Ask::get("/x")).await.unwrap(), "{}");
        assert_eq!(given.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_refusal_is_told_at_once() {
        let (rest, given) = answering(&["429 Too Many Requests", "200 OK"]).await;
        let refused = rest.bytes(&Ask::get("/x")).await.unwrap_err();
        assert!(matches!(&refused, ClientError::Refused(refusal) if refusal.code == 429), "{refused}");
        given.abort();
    }

    #[test]
    fn parameters_are_escaped() {
        let query = [("labelSelector", "a=b,c in (d)"), ("watch", "true")];
        let target = Ask::get("/api/v1/pods").with(&query).target();
        assert_eq!(target, "/api/v1/pods?labelSelector=a%3Db%2Cc%20in%20%28d%29&watch=true");
        assert_eq!(Ask::get("/x?y=1").with(&[("z", "2")]).target(), "/x?y=1&z=2");
    }
}
