//! How a runtime and its shims talk: frames on a unix socket.
//!
//! A frame is a length (4 bytes, big endian, of what follows), a kind (1 byte) and its content. A connection carries
//! one call, in JSON with the version in front, and one reply; after that, streams' frames in both directions or
//! events. A shim of an older trireme keeps running after an upgrade, so fields are only added, with defaults.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::shim::spec::{ContainerSpec, ExitRecord, ProcessSpec, StartRecord};

/// Of the protocol.
pub(crate) const VERSION: u32 = 1;
/// Bytes of a frame's content.
pub(crate) const FRAME_LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a stream's chunk.
pub(crate) const CHUNK_BYTES: usize = 32 * 1024;

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A call, a reply or an event.
    Json(Vec<u8>),
    Stdin(Vec<u8>),
    /// No more input.
    StdinEnd,
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// Columns, rows.
    Resize(u16, u16),
    /// Exit code; the last frame.
    Exit(i32),
}

/// A call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) version: u32,
    pub(crate) request: Request,
}

/// What can be asked of a shim.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// State now, events from now on.
    Watch,
    /// Starts a container.
    Start(Box<ContainerSpec>),
    /// Signals a container's first process, or all of its processes.
    Signal { container: String, signal: i32, all: bool },
    /// Opens a log file anew.
    ReopenLog { container: String },
    /// A further process in a container.
    Exec { container: String, process: Box<ProcessSpec>, stdin: bool, stdout: bool, stderr: bool },
    /// The streams of a container's first process.
    Attach { container: String, stdin: bool, stdout: bool, stderr: bool },
    /// Ends everything, the shim included.
    Shutdown,
}

/// What a shim answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    State(ShimState),
    Started(StartRecord),
    /// Streams' frames follow.
    Streaming,
    Failed(Failure),
    /// After [`Reply::State`].
    Event(ShimEvent),
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FailureKind {
    NotFound,
    Invalid,
    CannotStart,
    Unavailable,
}

/// All that a shim holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShimState {
    /// 0 once it ended.
    pub(crate) pause_pid: u32,
    /// Started containers: id, start, end.
    pub(crate) containers: Vec<(String, StartRecord, Option<ExitRecord>)>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ShimEvent {
    Started { container: String, record: StartRecord },
    Exited { container: String, record: ExitRecord },
    PauseExited,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// Writes a value as a JSON frame.
pub(crate) async fn send<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    write_frame(to, &Frame::Json(bytes)).await
}

/// Reads a value from a JSON frame.
pub(crate) async fn receive<T: for<'a> Deserialize<'a>>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
    match read_frame(from).await? {
        Some(Frame::Json(bytes)) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Some(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a stream's frame came where a message was due"))
        }
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Writes a frame.
pub(crate) async fn write_frame(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    let size;
    let code;
    let (kind, content): (u8, &[u8]) = match frame {
        Frame::Json(bytes) => (0, bytes),
        Frame::Stdin(bytes) => (1, bytes),
        Frame::StdinEnd => (2, &[]),
        Frame::Stdout(bytes) => (3, bytes),
        Frame::Stderr(bytes) => (4, bytes),
        Frame::Resize(width, height) => {
            size = [width.to_be_bytes(), height.to_be_bytes()].concat();
            (5, &size)
        }
        Frame::Exit(exit) => {
            code = exit.to_be_bytes();
            (6, &code)
        }
    };
    if content.len() > FRAME_LIMIT_BYTES {
        let text = format!("a frame of {} bytes is above the limit of {FRAME_LIMIT_BYTES}", content.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let length = u32::try_from(content.len() + 1).expect("the limit is far below");
    let mut bytes = Vec::with_capacity(content.len() + 5);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(content);
    to.write_all(&bytes).await
}

/// Reads a frame; `None` at the end. Not to be cancelled.
pub(crate) async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let bad = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| bad("a frame is too long"))?;
    if length == 0 || length > FRAME_LIMIT_BYTES + 1 {
        return Err(bad("a frame's length is outside of its limits"));
    }
    let mut content = vec![0; length];
    from.read_exact(&mut content).await?;
    let kind = content.remove(0);
    let frame = match (kind, content.as_slice()) {
        (0, _) => Frame::Json(content),
        (1, _) => Frame::Stdin(content),
        (2, []) => Frame::StdinEnd,
        (3, _) => Frame::Stdout(content),
        (4, _) => Frame::Stderr(content),
        (5, [a, b, c, d]) => Frame::Resize(u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
        (6, [a, b, c, d]) => Frame::Exit(i32::from_be_bytes([*a, *b, *c, *d])),
        _ => return Err(bad("a frame of an unknown kind")),
    };
    Ok(Some(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn frames_survive_the_way() {
        let frames = [
            Frame::Json(b"{}".to_vec()),
            Frame::Stdin(vec![0; 100]),
            Frame::StdinEnd,
            Frame::Stdout(vec![]),
            Frame::Stderr(vec![1]),
            Frame::Resize(80, 24),
            Frame::Exit(-1),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            write_frame(&mut bytes, frame).await.unwrap();
        }
        let mut reader = bytes.as_slice();
        for frame in frames {
            assert_eq!(read_frame(&mut reader).await.unwrap(), Some(frame));
        }
        assert_eq!(read_frame(&mut reader).await.unwrap(), None);
        for bad in [&[0, 0, 0, 0][..], &[255, 255, 255, 255, 0], &[0, 0, 0, 1, 9], &[0, 0, 0, 2, 6, 0]] {
            assert!(read_frame(&mut &bad[..]).await.is_err(), "{bad:?}");
        }
    }
}
