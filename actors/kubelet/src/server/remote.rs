//! exec, attach and port-forward: streams between a client and the runtime.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::Role;
use trireme_http::remote_command::{
    ByteSink, ByteSource, RemoteCommand, StreamOffer, StreamTransport, WantedStreams,
};
use trireme_http::spdy::{SpdyRole, SpdyStream, spdy_session};
use trireme_http::websocket::tunnel;
use trireme_kubelet_core::pod;
use trireme_node::{
    ContainerId, ContainerState, ExecRequest, RuntimeError, SandboxId, SandboxState, Streams, TerminalSize,
};
use trireme_schema::view::View;

use super::{Body, Query, body, find_pod, text};
use crate::shared::Shared;

/// Bytes read at once.
const PIECE_BYTES: usize = 32 * 1024;
/// How long a port-forward's second stream may take.
const PAIR_LIMIT: Duration = Duration::from_secs(30);
/// Ports forwarded at a time over one connection.
const FORWARDS_LIMIT: usize = 1_000;
/// Longest program of `/run`.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// Runs a program, or attaches to the container's own.
pub(super) async fn exec(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    place: (&str, &str, &str),
    query: &Query,
    attach: bool,
) -> Response<Body> {
    let (head, incoming) = request.into_parts();
    let either = |one: &str, other: &str| query.is_true(one) || query.is_true(other);
    let tty = query.is_true("tty");
    let wanted = WantedStreams {
        stdin: either("input", "stdin"),
        stdout: either("output", "stdout"),
        stderr: either("error", "stderr") && !tty,
        terminal: tty,
    };
    if !wanted.stdin && !wanted.stdout && !wanted.stderr {
        return text(StatusCode::BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr");
    }
    let offer = match StreamOffer::read(&head) {
        Ok(offer) => offer,
        Err(refusal) => return text(refusal.status(), &refusal.to_string()),
    };
    let container = match running_container(shared, place).await {
        Ok(container) => container,
        Err(answer) => return *answer,
    };
    let ask = ExecRequest {
        command: query.all("command"),
        stdin: wanted.stdin,
        stdout: wanted.stdout,
        stderr: wanted.stderr,
        tty,
    };
    let response = offer.response.map(|()| body(Bytes::new()));
    let upgrade = hyper::upgrade::on(Request::from_parts(head, incoming));
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let io = match upgrade.await {
            Ok(io) => TokioIo::new(io),
            Err(error) => return tracing::debug!(%error, "an exec connection was not upgraded"),
        };
        let serve = move |command: RemoteCommand| -> BoxFuture<'static, ()> {
            Box::pin(async move {
                let opened = match attach {
                    true => shared.runtime.attach(&container, ask).await,
                    false => shared.runtime.exec(&container, ask).await,
                };
                join_streams(command, opened).await;
            })
        };
        if let Err(error) = RemoteCommand::open(io, offer.transport, wanted, serve).await {
            tracing::debug!(%error, "a remote command ended early");
        }
    });
    response
}

/// `POST /run/...?cmd=`: a short program's output.
pub(super) async fn run(shared: &Arc<Shared>, place: (&str, &str, &str), query: &Query) -> Response<Body> {
    let container = match running_container(shared, place).await {
        Ok(container) => container,
        Err(answer) => return *answer,
    };
    let words: Vec<String> = query.text("cmd").split_whitespace().map(str::to_owned).collect();
    match shared.runtime.exec_sync(&container, words, RUN_LIMIT).await {
        Ok(outcome) => Response::new(body([outcome.stdout, outcome.stderr].concat())),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn running_container(
    shared: &Shared,
    (namespace, name, container): (&str, &str, &str),
) -> Result<ContainerId, Box<Response<Body>>> {
    let refused = |status: StatusCode, why: String| Box::new(text(status, &why));
    let entry = find_pod(shared, namespace, name)
        .ok_or_else(|| refused(StatusCode::NOT_FOUND, format!("pod does not exist: {namespace}/{name}")))?;
    let snapshot = shared.lister.snapshot().await;
    let snapshot = snapshot.map_err(|error| refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let mut live = snapshot
        .of_pod(pod::uid(&entry.pod))
        .containers
        .into_iter()
        .filter(|own| own.config.name == container && own.state == ContainerState::Running);
    let missing = || refused(StatusCode::NOT_FOUND, format!("container not found (\"{container}\")"));
    live.next().map(|own| own.id).ok_or_else(missing)
}

/// Carries all streams until the program has ended and its output is handed over.
async fn join_streams(command: RemoteCommand, opened: Result<Streams, RuntimeError>) {
    let RemoteCommand { stdin, resize, stdout, stderr, mut error, status_outcome } = command;
    let streams = match opened {
        Ok(streams) => streams,
        Err(failed) => {
            let _ = error.send(outcome(Err(failed), status_outcome)).await;
            let _ = error.finish().await;
            return;
        }
    };
    let Streams { stdin: to, stdout: out, stderr: err, resize: sizes, exit } = streams;
    let input = async {
        if let (Some(from), Some(to)) = (stdin, to) {
            feed(from, to).await;
        }
    };
    let sizes = async {
        if let (Some(from), Some(to)) = (resize, sizes) {
            resizes(from, to).await;
        }
    };
    let outputs = async {
        tokio::join!(drain(out, stdout), drain(err, stderr));
        exit.await
    };
    // Input and sizes end with the program, not the program with them.
    let ended = tokio::select! {
        biased;
        ended = outputs => ended,
        () = async { tokio::join!(input, sizes); std::future::pending::<()>().await } => return,
    };
    let ended = ended.unwrap_or_else(|_| {
        let message = "the program's end is unknown: its runtime went away".to_owned();
        Err(RuntimeError::new(trireme_node::RuntimeErrorKind::Unavailable, message))
    });
    let told = outcome(ended, status_outcome);
    if !told.is_empty() {
        let _ = error.send(told).await;
    }
    let _ = error.finish().await;
}

async fn feed(mut from: ByteSource, mut to: Box<dyn AsyncWrite + Send + Unpin>) {
    while let Some(bytes) = from.recv().await {
        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    // A program that has closed its input needs no end of it.
    let _ = to.shutdown().await;
}

async fn drain(from: Option<Box<dyn AsyncRead + Send + Unpin>>, to: Option<ByteSink>) {
    let (Some(mut from), Some(mut to)) = (from, to) else { return };
    let mut buffer = BytesMut::with_capacity(PIECE_BYTES);
    while from.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        if to.send(buffer.split().freeze()).await.is_err() {
            return;
        }
        buffer.reserve(PIECE_BYTES);
    }
    let _ = to.finish().await;
}

async fn resizes(mut from: ByteSource, to: mpsc::Sender<TerminalSize>) {
    while let Some(bytes) = from.recv().await {
        for size in read_sizes(&bytes) {
            if to.send(size).await.is_err() {
                return;
            }
        }
    }
}

/// One or more objects `{"Width":80,"Height":24}`; what is none of them is left out.
fn read_sizes(bytes: &[u8]) -> Vec<TerminalSize> {
    let all = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>().flatten();
    let read = all.filter_map(|size| {
        let number = |name: &str| size.int(name).and_then(|own| u16::try_from(own).ok());
        Some(TerminalSize { width: number("Width")?, height: number("Height")? })
    });
    read.collect()
}

/// What stands on the error stream: a `Status` in newer protocols, a text or nothing in older ones.
fn outcome(ended: Result<i32, RuntimeError>, as_status: bool) -> Bytes {
    let text = match (ended, as_status) {
        (Ok(0), true) => json!({"metadata": {}, "status": "Success"}).to_string(),
        (Ok(0), false) => String::new(),
        (Ok(code), true) => {
            let message = format!("command terminated with non-zero exit code: exit status {code}");
            let cause = json!({"reason": "ExitCode", "message": code.to_string()});
            json!({"metadata": {}, "status": "Failure", "message": message, "reason": "NonZeroExitCode",
                "details": {"causes": [cause]}})
            .to_string()
        }
        (Ok(code), false) => format!("command terminated with non-zero exit code: exit status {code}"),
        (Err(error), true) => {
            let message = format!("error executing command in container: {error}");
            json!({"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError",
                "details": {"causes": [{"message": error.to_string()}]}, "code": 500})
            .to_string()
        }
        (Err(error), false) => format!("error executing command in container: {error}"),
    };
    Bytes::from(text)
}

// ---- port-forward ----

/// Forwards ports of a pod over SPDY, or SPDY in a WebSocket.
pub(super) async fn port_forward(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    namespace: &str,
    name: &str,
) -> Response<Body> {
    let (head, incoming) = request.into_parts();
    let offer = match StreamOffer::read_port_forward(&head) {
        Ok(offer) => offer,
        Err(refusal) => return text(refusal.status(), &refusal.to_string()),
    };
    let Some(entry) = find_pod(shared, namespace, name) else {
        return text(StatusCode::NOT_FOUND, &format!("pod does not exist: {namespace}/{name}"));
    };
    let snapshot = match shared.lister.snapshot().await {
        Ok(snapshot) => snapshot,
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let sandboxes = snapshot.of_pod(pod::uid(&entry.pod)).sandboxes;
    let Some(sandbox) = sandboxes.into_iter().find(|own| own.state == SandboxState::Ready) else {
        return text(StatusCode::BAD_REQUEST, &format!("pod {namespace}/{name} has no sandbox that runs"));
    };
    let response = offer.response.map(|()| body(Bytes::new()));
    let upgrade = hyper::upgrade::on(Request::from_parts(head, incoming));
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let io = match upgrade.await {
            Ok(io) => TokioIo::new(io),
            Err(error) => return tracing::debug!(%error, "a port-forward connection was not upgraded"),
        };
        match offer.transport {
            StreamTransport::SpdyTunnel => {
                let (inner, carry) = tunnel(io, Role::Server);
                tokio::join!(carry, forward(shared, inner, sandbox.id));
            }
            _ => forward(shared, io, sandbox.id).await,
        }
    });
    response
}

/// Serves one connection: the client opens an error and a data stream for each port it forwards.
async fn forward<T>(shared: Arc<Shared>, io: T, sandbox: SandboxId)
where
    T: AsyncRead + AsyncWrite + Send,
{
    let (mut session, connection) = spdy_session(io, SpdyRole::Server);
    let accept = async {
        let mut open: BTreeMap<String, (SpdyStream, tokio::time::Instant)> = BTreeMap::new();
        let mut tasks = tokio::task::JoinSet::new();
        while let Some(stream) = session.accept().await {
            while tasks.try_join_next().is_some() {}
            open.retain(|_, (_, at)| at.elapsed() < PAIR_LIMIT);
            let kind = stream.header("streamtype").unwrap_or_default().to_owned();
            let id = stream.header("requestid").or(stream.header("port")).unwrap_or_default().to_owned();
            match open.remove(&id) {
                None => {
                    if open.len() < FORWARDS_LIMIT {
                        open.insert(id, (stream, tokio::time::Instant::now()));
                    }
                }
                Some((other, _)) if tasks.len() < FORWARDS_LIMIT => {
                    let (error, data) = if kind == "data" { (other, stream) } else { (stream, other) };
                    tasks.spawn(forward_one(Arc::clone(&shared), sandbox.clone(), error, data));
                }
                Some(_) => {
                    tracing::warn!(limit = FORWARDS_LIMIT, "too many forwarded connections: one is dropped")
                }
            }
        }
        while tasks.join_next().await.is_some() {}
    };
    let (accepted, ended) = tokio::join!(accept, connection);
    let () = accepted;
    if let Err(error) = ended {
        tracing::debug!(%error, "a port-forward connection ended early");
    }
}

async fn forward_one(shared: Arc<Shared>, sandbox: SandboxId, error: SpdyStream, data: SpdyStream) {
    let port = data.header("port").and_then(|port| port.parse::<u16>().ok()).unwrap_or(0);
    let SpdyStream { writer: mut error, reader: _unread, .. } = error;
    let SpdyStream { mut writer, mut reader, .. } = data;
    let connected = match port {
        0 => Err("the port is no number from 1 to 65535".to_owned()),
        port => shared.runtime.port_forward(&sandbox, port).await.map_err(|error| error.to_string()),
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(why) => {
            let told = format!("error forwarding port {port} to pod {}: {why}", sandbox.0);
            let _ = error.send(Bytes::from(told)).await;
            let _ = error.finish().await;
            return;
        }
    };
    let (mut from, mut to) = tokio::io::split(connection);
    let inwards = async {
        while let Ok(Some(bytes)) = reader.recv().await {
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // The pod may have closed already.
        let _ = to.shutdown().await;
    };
    let outwards = async {
        let mut buffer = BytesMut::with_capacity(PIECE_BYTES);
        while from.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
            if writer.send(buffer.split().freeze()).await.is_err() {
                return;
            }
            buffer.reserve(PIECE_BYTES);
        }
        let _ = writer.finish().await;
    };
    // Once the pod has said all, the client has nothing to wait for.
    let mut inwards = std::pin::pin!(inwards);
    let mut outwards = std::pin::pin!(outwards);
    tokio::select! {
        () = &mut outwards => {}
        () = &mut inwards => outwards.await,
    }
    let _ = error.finish().await;
}
