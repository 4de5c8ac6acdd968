//! The streams of a remote command.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;

use super::offer::StreamTransport;
use super::{spdy_streams, websocket_streams};
use crate::handler::UpgradedIo;
use crate::spdy::{SpdyReader, SpdySessionError, SpdyWriter};
use crate::websocket::ChannelProtocol;

/// How long a SPDY client may take to open its streams (upstream: 30 s).
pub const STREAMS_OPEN_LIMIT: Duration = Duration::from_secs(30);

/// Which streams the command has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedStreams {
    /// The client sends input.
    pub stdin: bool,
    /// The client takes output.
    pub stdout: bool,
    /// The client takes error output; never together with a terminal.
    pub stderr: bool,
    /// The client sends terminal sizes.
    pub terminal: bool,
}

/// Why the streams did not come. Not retryable on the same connection.
#[derive(Debug, Error)]
pub enum RemoteCommandError {
    /// The client did not open all streams in time.
    #[error("remote command: the client did not open {missing} within {seconds} s")]
    StreamsMissing {
        /// Names of the streams.
        missing: String,
        /// The limit.
        seconds: u64,
    },
    /// A stream that was not asked for.
    #[error(
        "remote command: the client opened a stream of type {found:?}, which is not part of this request"
    )]
    UnexpectedStream {
        /// Its type.
        found: String,
    },
    /// The connection ended first.
    #[error("remote command: the connection ended before its streams were open")]
    Ended,
    /// The protocol or the transport broke.
    #[error(transparent)]
    Session(#[from] SpdySessionError),
    /// This transport does not carry remote commands.
    #[error("remote command: {transport:?} is for port-forward")]
    WrongTransport {
        /// What was asked for.
        transport: StreamTransport,
    },
}

/// The client no longer takes this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the client no longer takes the stream")]
pub struct SinkGone;

/// What the client sends on one stream.
#[derive(Debug)]
pub enum ByteSource {
    /// A SPDY stream.
    Spdy(SpdyReader),
    /// A WebSocket channel.
    Channel(mpsc::Receiver<Bytes>),
}

impl ByteSource {
    /// The next bytes; `None` at the end, also when the client is gone.
    pub async fn recv(&mut self) -> Option<Bytes> {
        match self {
            Self::Spdy(reader) => reader.recv().await.ok().flatten(),
            Self::Channel(receiver) => receiver.recv().await,
        }
    }
}

/// What the client takes on one stream.
#[derive(Debug)]
pub enum ByteSink {
    /// A SPDY stream, and its receiving half, which nobody uses.
    Spdy(SpdyWriter, SpdyReader),
    /// A WebSocket channel.
    Channel {
        /// Its number.
        channel: u8,
        /// To the connection.
        messages: mpsc::Sender<(u8, Option<Bytes>)>,
    },
}

impl ByteSink {
    /// Sends bytes; waits while the client is behind.
    pub async fn send(&mut self, data: Bytes) -> Result<(), SinkGone> {
        match self {
            Self::Spdy(writer, _) => writer.send(data).await.map_err(|_| SinkGone),
            Self::Channel { channel, messages } => {
                messages.send((*channel, Some(data))).await.map_err(|_| SinkGone)
            }
        }
    }

    /// Ends the stream properly.
    pub async fn finish(self) -> Result<(), SinkGone> {
        match self {
            Self::Spdy(writer, _) => writer.finish().await.map_err(|_| SinkGone),
            Self::Channel { channel, messages } => messages.send((channel, None)).await.map_err(|_| SinkGone),
        }
    }
}

/// The open streams. The connection ends when all sinks are finished or dropped and the source is dropped.
#[derive(Debug)]
pub struct RemoteCommand {
    /// The client's input.
    pub stdin: Option<ByteSource>,
    /// Terminal sizes, as JSON objects `{"Width":80,"Height":24}`.
    pub resize: Option<ByteSource>,
    /// Output.
    pub stdout: Option<ByteSink>,
    /// Error output.
    pub stderr: Option<ByteSink>,
    /// The outcome: send it last, then finish.
    pub error: ByteSink,
    /// Whether the outcome is a `Status` in JSON (protocol v4 and later) or, when not empty, an error's plain text.
    pub status_outcome: bool,
}

impl RemoteCommand {
    /// Speaks `transport` on an upgraded connection and runs `serve` with its streams. Returns when the connection is
    /// over: after `serve` has ended and everything is sent, or when the client is gone.
    pub async fn open<F, T>(
        io: UpgradedIo,
        transport: StreamTransport,
        wanted: WantedStreams,
        serve: F,
    ) -> Result<(), RemoteCommandError>
    where
        F: FnOnce(Self) -> T + Send,
        T: Future<Output = ()> + Send,
    {
        match transport {
            StreamTransport::Spdy { version } => spdy_streams::serve(io, version, wanted, serve).await,
            StreamTransport::WebSocket(protocol) => {
                websocket_streams::serve(io, protocol, wanted, serve).await;
                Ok(())
            }
            StreamTransport::SpdyTunnel => Err(RemoteCommandError::WrongTransport { transport }),
        }
    }

    pub(super) fn has_status(protocol: ChannelProtocol) -> bool {
        protocol.has_status()
    }
}
