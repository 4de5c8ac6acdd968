//! A kubelet in the process, behind a [`NodeDialer`].

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, duplex};
use trireme_apiserver::{DialError, NodeDialer, NodeDialing, NodeIo};
use trireme_http::ReplyBody;
use trireme_http::frame_channel;
use trireme_http::remote_command::{RemoteCommand, StreamOffer, StreamTransport, WantedStreams};
use trireme_http::spdy::{SpdyRole, spdy_session};
use trireme_http::websocket::tunnel;

/// Buffer of a stream, in bytes.
const STREAM_BYTES: usize = 64 * 1024;

/// What it was asked.
#[derive(Default)]
pub(crate) struct FakeKubelet {
    /// Method and target of each request.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// How streams travelled.
    pub(crate) transports: Arc<Mutex<Vec<StreamTransport>>>,
    /// Addresses dialled behind the node.
    pub(crate) addresses: Mutex<Vec<SocketAddr>>,
}

impl FakeKubelet {
    fn open(&self, pod: bool) -> Box<dyn NodeIo> {
        let (client, server) = duplex(STREAM_BYTES);
        let (asked, transports) = (self.asked.clone(), self.transports.clone());
        let service = service_fn(move |request: http::Request<Incoming>| {
            asked.lock().push(format!("{} {}", request.method(), request.uri()));
            let answer = match pod {
                true => pod_answer(&request),
                false => kubelet(request, &transports),
            };
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(server), service)
            .with_upgrades();
        tokio::spawn(connection);
        Box::new(client)
    }
}

impl NodeDialer for FakeKubelet {
    fn dial<'a>(&'a self, node: &'a str) -> NodeDialing<'a> {
        Box::pin(async move {
            match node {
                "n1" => Ok(self.open(false)),
                _ => Err(DialError::Absent { node: node.to_owned(), why: "no session".to_owned() }),
            }
        })
    }

    fn dial_address<'a>(&'a self, _node: &'a str, address: SocketAddr) -> NodeDialing<'a> {
        self.addresses.lock().push(address);
        Box::pin(async move { Ok(self.open(true)) })
    }
}

fn plain(status: StatusCode, text: &str) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::full(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}

/// A web server in a pod.
fn pod_answer(request: &http::Request<Incoming>) -> Response<ReplyBody> {
    let header = |name: &str| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned()
    };
    if request.uri().path() == "/old" {
        let mut response = plain(StatusCode::FOUND, "");
        response.headers_mut().insert("location", HeaderValue::from_static("/new"));
        return response;
    }
    let text = format!(
        "{} {} authorization={} uri={}",
        request.method(),
        request.uri(),
        header("authorization"),
        header("x-forwarded-uri")
    );
    plain(StatusCode::OK, &text)
}

fn kubelet(
    mut request: http::Request<Incoming>,
    transports: &Arc<Mutex<Vec<StreamTransport>>>,
) -> Response<ReplyBody> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let has = |pair: &str| query.split('&').any(|own| own == pair);
    if path.starts_with("/containerLogs/") {
        return log(&query);
    }
    let forwards = path.starts_with("/portForward/");
    if !forwards && !path.starts_with("/exec/") && !path.starts_with("/attach/") {
        return plain(StatusCode::OK, &format!("kubelet {path}"));
    }
    let upgraded = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let offer = match forwards {
        true => StreamOffer::read_port_forward(&head),
        false => StreamOffer::read(&head),
    };
    let offer = match offer {
        Ok(offer) => offer,
        Err(refusal) => return plain(refusal.status(), &refusal.to_string()),
    };
    let wanted = WantedStreams {
        stdin: has("input=1"),
        stdout: has("output=1"),
        stderr: has("error=1"),
        terminal: has("tty=1"),
    };
    let transport = offer.transport;
    transports.lock().push(transport);
    tokio::spawn(async move {
        let Ok(io) = upgraded.await else { return };
        let io = TokioIo::new(io);
        match (forwards, transport) {
            (false, _) => RemoteCommand::open(io, transport, wanted, upper_case).await.unwrap(),
            (true, StreamTransport::SpdyTunnel) => {
                let (inner, carrier) = tunnel(io, tokio_tungstenite::tungstenite::protocol::Role::Server);
                tokio::join!(carrier, ports(inner));
            }
            (true, _) => ports(io).await,
        }
    });
    offer.response.map(|()| ReplyBody::empty())
}

fn log(query: &str) -> Response<ReplyBody> {
    if query.contains("previous=true") {
        return plain(StatusCode::BAD_REQUEST, "previous terminated container \"c\" in pod \"p\" not found");
    }
    if !query.contains("follow=true") {
        return plain(StatusCode::OK, &format!("a line\nasked {query}\n"));
    }
    let (sender, receiver) = frame_channel(4);
    tokio::spawn(async move {
        for number in 0..3 {
            if sender.send(Bytes::from(format!("line {number}\n"))).await.is_err() {
                return;
            }
        }
    });
    Response::new(ReplyBody::frames(receiver))
}

/// Echoes stdin to stdout in upper case, says `bye` on stderr, and succeeds.
async fn upper_case(mut command: RemoteCommand) {
    let mut stdout = command.stdout.take().unwrap();
    if let Some(stdin) = &mut command.stdin {
        while let Some(data) = stdin.recv().await {
            stdout.send(data.to_ascii_uppercase().into()).await.unwrap();
        }
    } else {
        stdout.send(Bytes::from_static(b"no input\n")).await.unwrap();
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

/// Every data stream answers with an HTTP response that names its port.
async fn ports(io: impl AsyncRead + AsyncWrite + Send) {
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
                let _closed = writer.finish().await;
                while let Ok(Some(_)) = reader.recv().await {}
            });
        }
    };
    let (_, _ended) = tokio::join!(accept, connection);
}
