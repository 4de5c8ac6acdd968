//! Streams into containers: exec, attach, port-forward.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use trireme_node::{
    BoxedIo, ExecOutcome, ExecRequest, RuntimeError, RuntimeErrorKind, Streams, TerminalSize,
};

use super::records::Phase;
use super::{Builtin, compile};
use crate::fail::{OrFail, Outcome, invalid, unavailable};
use crate::low::sys;
use crate::shim::protocol::{CHUNK_BYTES, Frame, Reply, Request, read_frame, write_frame};

/// Bytes of each stream that a short program's answer keeps.
const KEPT_BYTES: usize = 16 * 1024;
/// Bytes on their way in one direction.
const BUFFER_BYTES: usize = 64 * 1024;
/// Sizes of a terminal that wait.
const SIZES_LIMIT: usize = 8;
/// How long a port of a pod may take to answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

impl Builtin {
    pub(super) async fn run_in_container(
        &self,
        id: &str,
        command: Vec<String>,
        limit: Duration,
    ) -> Outcome<ExecOutcome> {
        let began = Instant::now();
        let shown = command.join(" ");
        let request = ExecRequest { command, stdout: true, stderr: true, ..ExecRequest::default() };
        let run = async {
            let Streams { stdout, stderr, exit, .. } = self.stream_exec(id, request).await?;
            let (stdout, stderr) = tokio::join!(keep(stdout), keep(stderr));
            let exit_code = exit.await.map_err(|_| unavailable("the connection to the shim broke"))??;
            Ok(ExecOutcome { exit_code, stdout, stderr, took: began.elapsed() })
        };
        // A limit of zero is none, as upstream.
        if limit.is_zero() {
            return run.await;
        }
        timeout(limit, run).await.unwrap_or_else(|_| {
            let text = format!("command \"{shown}\" timed out after {limit:?}");
            Err(RuntimeError::new(RuntimeErrorKind::DeadlineExceeded, text))
        })
    }

    pub(super) async fn stream_exec(&self, id: &str, request: ExecRequest) -> Outcome<Streams> {
        if request.command.is_empty() {
            return Err(invalid("exec needs a command"));
        }
        let (container, _, shim) = self.state.lock().whole(id)?;
        let process = compile::exec(&self.process_of(&container)?, request.command.clone(), request.tty);
        let stderr = request.stderr && !request.tty;
        let call = Request::Exec {
            container: id.to_owned(),
            process: Box::new(process),
            stdin: request.stdin,
            stdout: request.stdout,
            stderr,
        };
        let (stream, reply) = shim.open(call).await?;
        if !matches!(reply, Reply::Streaming) {
            return Err(unavailable("a shim answered something else"));
        }
        Ok(bridge(stream, &request, stderr))
    }

    pub(super) async fn stream_attach(&self, id: &str, request: ExecRequest) -> Outcome<Streams> {
        let (container, _, shim) = self.state.lock().whole(id)?;
        let terminal = container.config.tty;
        let stderr = request.stderr && !terminal;
        let call = Request::Attach {
            container: id.to_owned(),
            stdin: request.stdin && container.config.stdin,
            stdout: request.stdout,
            stderr,
        };
        let (stream, reply) = shim.open(call).await?;
        if !matches!(reply, Reply::Streaming) {
            return Err(unavailable("a shim answered something else"));
        }
        Ok(bridge(stream, &ExecRequest { tty: terminal, ..request }, stderr))
    }

    pub(super) async fn connect_to_port(&self, id: &str, port: u16) -> Outcome<BoxedIo> {
        let record = self.state.lock().sandbox(id)?.clone();
        if record.phase != Phase::Ready {
            return Err(unavailable(format!("sandbox {id} is not running")));
        }
        let pid = record.pause_pid;
        let netns =
            if record.config.namespaces.host_network { None } else { Some(format!("/proc/{pid}/ns/net")) };
        let (tell, told) = oneshot::channel();
        // A thread of its own: it joins the pod's network namespace and ends with it; a socket stays where it was made.
        let spawned = std::thread::Builder::new().name("port-forward".to_owned()).spawn(move || {
            // The caller may have gone.
            let _ = tell.send(connect_inside(netns.as_deref(), port));
        });
        spawned.or_fail(|| "cannot start a thread".into())?;
        let stream = told.await.map_err(|_| unavailable("connecting broke off"))??;
        stream.set_nonblocking(true).or_fail(|| "cannot use a connection".into())?;
        let stream = tokio::net::TcpStream::from_std(stream).or_fail(|| "cannot use a connection".into())?;
        Ok(Box::new(stream))
    }
}

fn connect_inside(netns: Option<&str>, port: u16) -> Outcome<std::net::TcpStream> {
    if let Some(netns) = netns {
        let space = std::fs::File::open(netns).or_fail(|| format!("cannot open {netns}"))?;
        sys::setns(&space, libc::CLONE_NEWNET).or_fail(|| format!("cannot join {netns}"))?;
    }
    let connect = |address: IpAddr| {
        std::net::TcpStream::connect_timeout(&SocketAddr::new(address, port), CONNECT_LIMIT)
    };
    let first = connect(Ipv4Addr::LOCALHOST.into());
    let connected = first.or_else(|error| connect(Ipv6Addr::LOCALHOST.into()).map_err(|_| error));
    connected.or_fail(|| format!("failed to connect to localhost:{port} inside the pod"))
}

/// Turns a shim's frames into streams. Everything ends when the caller has dropped all of them.
fn bridge(stream: UnixStream, request: &ExecRequest, stderr: bool) -> Streams {
    let (from, to) = stream.into_split();
    let (exit_tell, exit) = oneshot::channel();
    let (sizes, sizes_in) = mpsc::channel(SIZES_LIMIT);
    let pair =
        |wanted: bool| wanted.then(|| duplex(BUFFER_BYTES)).map_or((None, None), |(a, b)| (Some(a), Some(b)));
    let (stdin, stdin_in) = pair(request.stdin);
    let (stdout, stdout_out) = pair(request.stdout);
    let (stderr, stderr_out) = pair(stderr);
    let writer = tokio::spawn(send_input(to, stdin_in, sizes_in));
    tokio::spawn(async move {
        receive_output(from, stdout_out, stderr_out, exit_tell).await;
        writer.abort();
    });
    Streams {
        stdin: stdin.map(|stream| Box::new(stream) as _),
        stdout: stdout.map(|stream| Box::new(stream) as _),
        stderr: stderr.map(|stream| Box::new(stream) as _),
        resize: request.tty.then_some(sizes),
        exit,
    }
}

async fn send_input(
    mut to: OwnedWriteHalf,
    mut stdin: Option<DuplexStream>,
    mut sizes: mpsc::Receiver<TerminalSize>,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut resizable = true;
    while stdin.is_some() || resizable {
        let frame = tokio::select! {
            count = read_some(&mut stdin, &mut chunk) => match count {
                0 => {
                    stdin = None;
                    Frame::StdinEnd
                }
                count => Frame::Stdin(chunk[..count].to_vec()),
            },
            size = sizes.recv(), if resizable => match size {
                Some(TerminalSize { width, height }) => Frame::Resize(width, height),
                None => {
                    resizable = false;
                    continue;
                }
            },
        };
        if write_frame(&mut to, &frame).await.is_err() {
            return;
        }
    }
    // Open until the output's side ends: a closed half would say that the client left.
    std::future::pending::<()>().await;
}

async fn read_some(stdin: &mut Option<DuplexStream>, chunk: &mut [u8]) -> usize {
    match stdin {
        Some(stdin) => stdin.read(chunk).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

async fn receive_output(
    mut from: OwnedReadHalf,
    mut stdout: Option<DuplexStream>,
    mut stderr: Option<DuplexStream>,
    mut exit: oneshot::Sender<Result<i32, RuntimeError>>,
) {
    let outcome = loop {
        let frame = tokio::select! {
            frame = read_frame(&mut from) => frame,
            // Whoever drops the exit has dropped all.
            () = exit.closed() => return,
        };
        let (stream, bytes) = match frame {
            Ok(Some(Frame::Stdout(bytes))) => (&mut stdout, bytes),
            Ok(Some(Frame::Stderr(bytes))) => (&mut stderr, bytes),
            Ok(Some(Frame::Exit(code))) => break Ok(code),
            Ok(Some(_)) => continue,
            Ok(None) | Err(_) => break Err(unavailable("the connection to the shim broke")),
        };
        let Some(open) = stream else { continue };
        if open.write_all(&bytes).await.is_err() {
            *stream = None;
        }
    };
    drop((stdout, stderr));
    // The caller may not ask.
    let _ = exit.send(outcome);
}

async fn keep(stream: Option<Box<dyn tokio::io::AsyncRead + Send + Unpin>>) -> Vec<u8> {
    let Some(mut stream) = stream else { return Vec::new() };
    let mut kept = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    // Read on past the limit, so that the program is not held back.
    while let Ok(count) = stream.read(&mut chunk).await
        && count > 0
    {
        let room = KEPT_BYTES.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&chunk[..room]);
    }
    kept
}
