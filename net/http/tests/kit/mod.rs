//! A cluster's certificates, a front with a small handler, and clients. Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use trireme_http::remote_command::{RemoteCommand, StreamOffer, StreamTransport, WantedStreams};
use trireme_http::spdy::{SpdyRole, spdy_session};
use trireme_http::websocket::{MessageKind, serve_watch_messages, tunnel, websocket_offer};
use trireme_http::{
    Front, FrontConfig, Handler, Limits, PeerCertificateState, Refusal, Reply, ReplyBody, Request, Upgrade,
    UpgradedIo, frame_channel,
};
use trireme_pki::{
    AltName, ClientAuthorities, ClusterAuthority, ClusterId, Credentials, Identity, KeyRequest, LiveTrust,
    SigningOrder, WallTime, https_client, https_server,
};

/// Generous: a loaded machine must not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Pki {
    pub authority: ClusterAuthority,
    cluster: ClusterId,
}

impl Pki {
    pub fn new() -> Self {
        let cluster = ClusterId::new("c1").unwrap();
        Self { authority: ClusterAuthority::create(&cluster, WallTime::now()).unwrap(), cluster }
    }

    fn issue(&self, identity: &Identity) -> Arc<Credentials> {
        let key = KeyRequest::generate().unwrap();
        let names = [AltName::Dns("localhost".to_owned()), AltName::Ip([127, 0, 0, 1].into())];
        let is_server = identity.to_string().contains("server");
        let order = SigningOrder {
            request_der: key.request_der(),
            identity,
            alt_names: if is_server { &names } else { &[] },
            lifetime: Duration::from_secs(86_400),
            now: WallTime::now(),
            not_before_floor: None,
        };
        let issued = self.authority.sign_request(&order).unwrap();
        Arc::new(Credentials::new(&key, &issued.chain).unwrap())
    }

    pub fn server(&self) -> Arc<Credentials> {
        self.issue(&Identity::server(&self.cluster, "s1").unwrap())
    }

    pub fn user(&self, name: &str) -> Arc<Credentials> {
        self.issue(&Identity::user(&self.cluster, name, &["dev"]).unwrap())
    }

    pub fn front_config(&self, limits: Limits) -> FrontConfig {
        let roots = [self.authority.certificate().der().clone()];
        FrontConfig {
            limits,
            tls: https_server(self.server()).unwrap(),
            clients: Arc::new(ClientAuthorities::new(&roots, LiveTrust::default()).unwrap()),
            seed: 1,
        }
    }

    pub fn client_config(&self, own: Option<Arc<Credentials>>, alpn: &[u8]) -> Arc<ClientConfig> {
        let roots = [self.authority.certificate().der().clone()];
        let mut config = ClientConfig::clone(&https_client(&roots, own).unwrap());
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }

    /// PEM files of the authority and of a user, for clients that are programs.
    pub fn files(&self, user: &str) -> (tempfile::TempDir, [PathBuf; 3]) {
        let dir = tempfile::tempdir().unwrap();
        let (key, chain) = self.user(user).to_pem();
        let paths = ["ca.pem", "client.pem", "client.key"].map(|name| dir.path().join(name));
        std::fs::write(&paths[0], self.authority.certificate().to_pem()).unwrap();
        std::fs::write(&paths[1], chain).unwrap();
        std::fs::write(&paths[2], key.as_bytes()).unwrap();
        (dir, paths)
    }
}

pub struct Served {
    pub pki: Pki,
    pub front: Front,
    pub handler: Arc<Small>,
}

pub async fn serve(limits: Limits) -> Served {
    let pki = Pki::new();
    let handler = Arc::new(Small::default());
    let runtime = Handle::current();
    let front = Front::start(([127, 0, 0, 1], 0).into(), pki.front_config(limits), handler.clone(), &runtime);
    Served { front: front.await.unwrap(), pki, handler }
}

impl Served {
    pub async fn tls(&self, own: Option<Arc<Credentials>>, alpn: &[u8]) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(self.front.address()).await.unwrap();
        let connector = TlsConnector::from(self.pki.client_config(own, alpn));
        connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap()
    }

    pub async fn h1(&self) -> http1::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.tls(None, b"http/1.1").await);
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    pub async fn h2(&self) -> http2::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.tls(None, b"h2").await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.front.address().port())
    }

    /// Waits until the front's counters say so.
    pub async fn until(&self, what: &str, reached: impl Fn(&trireme_http::Counts) -> bool) {
        let start = tokio::time::Instant::now();
        while !reached(&self.front.counts()) {
            assert!(start.elapsed() < PATIENCE, "{what}: {:?}", self.front.counts());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn get(path: &str) -> http::Request<Full<Bytes>> {
    http::Request::builder().uri(path).header("host", "localhost").body(Full::default()).unwrap()
}

pub async fn text(response: Response<Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// What the small handler saw.
#[derive(Default)]
pub struct Small {
    /// Times a watch's client went before the end.
    pub gone: std::sync::atomic::AtomicU64,
    /// Transports of upgrades, in order.
    pub transports: parking_lot::Mutex<Vec<StreamTransport>>,
}

impl Handler for Small {
    async fn handle(self: Arc<Self>, request: Request) -> Reply {
        let path = request.head.uri.path().to_owned();
        match path.as_str() {
            "/who" => json(&who(&request)),
            "/echo" => echo(self, request).await,
            "/segments" => {
                let segments = vec![
                    Bytes::from_static(b"["),
                    Bytes::from(vec![b' '; 300_000]),
                    Bytes::from_static(b"]"),
                ];
                Reply::Answer(Response::new(ReplyBody::segments(segments)))
            }
            "/watch" => watch(self, &request),
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                json("slow")
            }
            "/forever" => {
                std::future::pending::<()>().await;
                json("never")
            }
            "/panic" => panic!("asked to"),
            "/big" => Reply::full(StatusCode::OK, "text/plain", Bytes::from(vec![b'x'; 64 * 1024 * 1024])),
            path if path.ends_with("/exec") => exec(self, &request),
            path if path.ends_with("/portforward") => port_forward(self, &request),
            path => api(path),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        let body = format!(
            r#"{{"kind":"Status","code":{},"message":{:?}}}"#,
            refusal.status().as_u16(),
            refusal.to_string()
        );
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = refusal.status();
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        response
    }
}

fn json(text: &str) -> Reply {
    Reply::full(StatusCode::OK, "application/json", Bytes::from(format!("{text:?}\n")))
}

fn who(request: &Request) -> String {
    match &request.peer.certificate {
        PeerCertificateState::Absent => "anonymous".to_owned(),
        PeerCertificateState::Verified(certificate) => {
            format!("{} of {}", certificate.common_name, certificate.organizations.join(","))
        }
        PeerCertificateState::Refused(refused) => format!("refused: {refused}"),
    }
}

async fn echo(small: Arc<Small>, mut request: Request) -> Reply {
    match request.body.read_all().await {
        Ok(body) => Reply::full(StatusCode::OK, "application/octet-stream", body),
        Err(refusal) => small.refuse(&refusal).into(),
    }
}

/// `?n=N` events, or events until the client goes.
fn watch(small: Arc<Small>, request: &Request) -> Reply {
    let count: Option<u64> =
        request.head.uri.query().and_then(|query| query.strip_prefix("n=")?.parse().ok());
    let (sender, receiver) = frame_channel(16);
    let draining = request.draining.clone();
    tokio::spawn(async move {
        for number in 0..count.unwrap_or(u64::MAX) {
            let frame = Bytes::from(format!("{{\"type\":\"ADDED\",\"n\":{number}}}\n"));
            tokio::select! {
                sent = sender.send(frame) => if sent.is_err() {
                    small.gone.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    return;
                },
                () = draining.cancelled() => return,
            }
        }
    });
    if trireme_http::websocket::is_websocket_request(&request.head) {
        let offer = websocket_offer(&request.head).unwrap();
        let response = offer.response(None);
        return Reply::Upgrade(Upgrade::new(response, |io| {
            serve_watch_messages(io, receiver, MessageKind::Text)
        }));
    }
    Reply::Answer(Response::new(ReplyBody::frames(receiver)))
}

/// Echoes stdin to stdout in upper case, says `bye` on stderr, and succeeds.
fn exec(small: Arc<Small>, request: &Request) -> Reply {
    let offer = match StreamOffer::read(&request.head) {
        Ok(offer) => offer,
        Err(refusal) => return small.refuse(&refusal).into(),
    };
    let query = request.head.uri.query().unwrap_or_default().to_owned();
    let has = |name: &str| query.split('&').any(|pair| pair == format!("{name}=true"));
    let wanted = WantedStreams {
        stdin: has("stdin"),
        stdout: has("stdout"),
        stderr: has("stderr"),
        terminal: has("tty"),
    };
    let transport = offer.transport;
    small.transports.lock().push(transport);
    Reply::Upgrade(Upgrade::new(offer.response, move |io| async move {
        RemoteCommand::open(io, transport, wanted, upper_case).await.unwrap();
    }))
}

async fn upper_case(mut command: RemoteCommand) {
    let mut stdout = command.stdout.take().unwrap();
    if let Some(stdin) = &mut command.stdin {
        while let Some(data) = stdin.recv().await {
            stdout.send(data.to_ascii_uppercase().into()).await.unwrap();
        }
    }
    stdout.finish().await.unwrap();
    if let Some(mut stderr) = command.stderr.take() {
        stderr.send(Bytes::from_static(b"bye\n")).await.unwrap();
        stderr.finish().await.unwrap();
    }
    if command.status_outcome {
        let status = Bytes::from_static(br#"{"metadata":{},"status":"Success"}"#);
        command.error.send(status).await.unwrap();
    }
    command.error.finish().await.unwrap();
}

fn port_forward(small: Arc<Small>, request: &Request) -> Reply {
    let offer = match StreamOffer::read_port_forward(&request.head) {
        Ok(offer) => offer,
        Err(refusal) => return small.refuse(&refusal).into(),
    };
    let transport = offer.transport;
    small.transports.lock().push(transport);
    Reply::Upgrade(Upgrade::new(offer.response, move |io| forwarded(io, transport)))
}

async fn forwarded(io: UpgradedIo, transport: StreamTransport) {
    if transport == StreamTransport::SpdyTunnel {
        let (inner, carrier) = tunnel(io, tokio_tungstenite::tungstenite::protocol::Role::Server);
        tokio::join!(carrier, streams(inner));
    } else {
        streams(io).await;
    }
}

/// Every data stream answers with an HTTP response that names its port.
async fn streams(io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send) {
    let (mut session, connection) = spdy_session(io, SpdyRole::Server);
    let accept = async move {
        while let Some(stream) = session.accept().await {
            let port = stream.header("port").unwrap_or_default().to_owned();
            let is_data = stream.header("streamtype") == Some("data");
            tokio::spawn(async move {
                let (mut reader, mut writer) = (stream.reader, stream.writer);
                if is_data && matches!(reader.recv().await, Ok(Some(_))) {
                    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nport {port}");
                    writer.send(answer.into()).await.unwrap();
                }
                let _ = writer.finish().await;
                while let Ok(Some(_)) = reader.recv().await {}
            });
        }
    };
    let (_, ended) = tokio::join!(accept, connection);
    if let Err(error) = ended {
        eprintln!("port-forward: {error}");
    }
}

/// As little of the API as kubectl needs to find a pod.
fn api(path: &str) -> Reply {
    let resource =
        r#"{"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod","verbs":["get","list"]}"#;
    let body = match path {
        "/api" => r#"{"kind":"APIVersions","versions":["v1"]}"#.to_owned(),
        "/apis" => r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[]}"#.to_owned(),
        "/api/v1" => format!(
            r#"{{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"v1","resources":[{resource}]}}"#
        ),
        "/api/v1/namespaces/default/pods/p" => r#"{"kind":"Pod","apiVersion":"v1",
            "metadata":{"name":"p","namespace":"default"},
            "spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}]}]},
            "status":{"phase":"Running"}}"#
            .to_owned(),
        _ => {
            let status =
                r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}"#;
            return Reply::full(StatusCode::NOT_FOUND, "application/json", Bytes::from(status));
        }
    };
    Reply::full(StatusCode::OK, "application/json", Bytes::from(body))
}
