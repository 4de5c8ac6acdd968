//! The shell around [`SpdyConnection`]: one task owns the transport; streams are handles with bounded channels.
//!
//! A reader that falls behind stops the whole connection's reading, as upstream's implementation does; writers are held
//! back by a credit per stream and by the transport.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, oneshot};
use trireme_core::{Core, Tick};

use super::connection::{STATUS_CANCEL, SpdyConnection, SpdyRole};
use super::error::SpdyError;
use super::header_block::Headers;
use super::message::{SpdyEffect, SpdyInput};
use super::stream::{Abandoned, Command, SpdyReader, SpdyStream, SpdyWriter, StreamReset};

/// Bytes that a stream may have waiting for the transport.
const SEND_CREDIT_BYTES: usize = 128 * 1024;
/// Bytes read from the transport at once.
const READ_BYTES: usize = 16 * 1024;
/// Received pieces that wait for a stream's reader; each has at most `READ_BYTES`.
const RECEIVE_PIECES: usize = 16;
/// Streams that wait to be accepted.
const INCOMING_STREAMS: usize = 32;
/// Commands that wait for the connection's task.
const COMMANDS: usize = 64;
/// With more than this to write, the connection reads and obeys no further.
const OUTPUT_LIMIT_BYTES: usize = 256 * 1024;

/// Why a session ended early. Not retryable on the same transport.
#[derive(Debug, Error)]
pub enum SpdySessionError {
    /// The peer broke the protocol.
    #[error(transparent)]
    Protocol(#[from] SpdyError),
    /// The transport broke.
    #[error("SPDY transport: {0}")]
    Transport(#[from] io::Error),
}

/// A connection's streams. Dropping it refuses new ones; the session ends when all streams are gone as well.
#[derive(Debug)]
pub struct SpdySession {
    incoming: mpsc::Receiver<SpdyStream>,
    commands: mpsc::Sender<Command>,
}

impl SpdySession {
    /// The next stream that the peer opens; `None` when the connection is over.
    pub async fn accept(&mut self) -> Option<SpdyStream> {
        self.incoming.recv().await
    }

    /// Opens a stream, without waiting for the peer's confirmation.
    pub async fn open(&self, headers: Headers) -> Result<SpdyStream, StreamReset> {
        let (answer, opened) = oneshot::channel();
        self.commands.send(Command::Open { headers, answer }).await.map_err(|_| StreamReset)?;
        opened.await.map_err(|_| StreamReset)
    }
}

/// Speaks SPDY on `io`. The future is the connection: it must be driven, ends when the transport or the protocol does,
/// or when the session and all its streams are dropped.
pub fn spdy_session<T>(
    io: T,
    role: SpdyRole,
) -> (SpdySession, impl Future<Output = Result<(), SpdySessionError>> + Send)
where
    T: AsyncRead + AsyncWrite + Send,
{
    let (incoming_sender, incoming) = mpsc::channel(INCOMING_STREAMS);
    let (command_sender, commands) = mpsc::channel(COMMANDS);
    let hosted = Hosted {
        core: SpdyConnection::new(role),
        effects: VecDeque::new(),
        scratch: Vec::new(),
        output: BytesMut::new(),
        streams: HashMap::new(),
        opening: HashMap::new(),
        next_token: 0,
        incoming: Some(incoming_sender),
        commands: command_sender.downgrade(),
        abandoned: Arc::default(),
        failure: None,
    };
    (SpdySession { incoming, commands: command_sender }, hosted.run(io, commands))
}

struct Handle {
    pieces: Option<mpsc::Sender<Result<Bytes, StreamReset>>>,
    credit: Arc<Semaphore>,
    finished: bool,
}

struct Hosted {
    core: SpdyConnection,
    effects: VecDeque<SpdyEffect>,
    scratch: Vec<SpdyEffect>,
    output: BytesMut,
    streams: HashMap<u32, Handle>,
    opening: HashMap<u64, (Headers, oneshot::Sender<SpdyStream>)>,
    next_token: u64,
    incoming: Option<mpsc::Sender<SpdyStream>>,
    commands: mpsc::WeakSender<Command>,
    abandoned: Arc<Abandoned>,
    failure: Option<SpdyError>,
}

/// What cannot be handed over yet.
enum Stalled {
    Piece { stream: u32, pieces: mpsc::Sender<Result<Bytes, StreamReset>>, data: Bytes },
    Stream { incoming: mpsc::Sender<SpdyStream>, stream: SpdyStream },
}

impl Hosted {
    async fn run<T>(mut self, io: T, mut commands: mpsc::Receiver<Command>) -> Result<(), SpdySessionError>
    where
        T: AsyncRead + AsyncWrite + Send,
    {
        let (mut reading, mut writing) = tokio::io::split(io);
        let abandoned = self.abandoned.clone();
        let mut buffer = BytesMut::new();
        let mut stalled = None;
        loop {
            if stalled.is_none() {
                stalled = self.carry_out();
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure.into());
            }
            let room = self.output.len() < OUTPUT_LIMIT_BYTES;
            if buffer.capacity() < READ_BYTES {
                buffer.reserve(READ_BYTES);
            }
            tokio::select! {
                written = writing.write(&self.output), if !self.output.is_empty() => {
                    self.output.advance(written?);
                    if self.output.is_empty() {
                        writing.flush().await?;
                    }
                }
                read = reading.read_buf(&mut buffer), if room && stalled.is_none() => {
                    if read? == 0 {
                        return Ok(());
                    }
                    self.step(SpdyInput::Received(buffer.split().freeze()));
                }
                command = commands.recv(), if room => match command {
                    Some(command) => self.obey(command),
                    None => return self.leave(writing).await,
                },
                () = room_for(stalled.as_ref()), if stalled.is_some() => {
                    if let Some((stream, bytes)) = stalled.take().and_then(deliver) {
                        self.step(SpdyInput::Consumed { stream, bytes });
                    }
                }
                () = abandoned.changed.notified() => {
                    let streams = std::mem::take(&mut *abandoned.streams.lock());
                    for stream in streams {
                        self.streams.remove(&stream);
                        self.step(SpdyInput::Reset { stream, status: STATUS_CANCEL });
                    }
                }
            }
        }
    }

    async fn leave(mut self, mut writing: impl AsyncWrite + Unpin) -> Result<(), SpdySessionError> {
        self.step(SpdyInput::GoAway);
        self.carry_out();
        writing.write_all(&self.output).await?;
        writing.shutdown().await?;
        Ok(())
    }

    fn step(&mut self, input: SpdyInput) {
        self.core.step(Tick::ZERO, input, &mut self.scratch);
        self.effects.extend(self.scratch.drain(..));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open { headers, answer } => {
                let token = self.next_token;
                self.next_token += 1;
                self.opening.insert(token, (headers.clone(), answer));
                self.step(SpdyInput::Open { token, headers });
                // Not started: the connection is leaving or full. Dropping the answer says so.
                let started = |effect: &SpdyEffect| matches!(effect, SpdyEffect::Started { token: t, .. } if *t == token);
                if !self.effects.iter().any(started) {
                    self.opening.remove(&token);
                }
            }
            Command::Send { stream, data } => self.step(SpdyInput::Send { stream, data }),
            Command::Finish { stream } => {
                if let Some(handle) = self.streams.get_mut(&stream) {
                    handle.finished = true;
                }
                self.forget_if_done(stream);
                self.step(SpdyInput::Finish { stream });
            }
        }
    }

    /// Carries out effects up to the first that has to wait.
    fn carry_out(&mut self) -> Option<Stalled> {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                SpdyEffect::Transmit(bytes) => self.output.extend_from_slice(&bytes),
                SpdyEffect::Incoming { stream, headers } => {
                    let Some(handle) = self.handle(stream, headers) else { continue };
                    let Some(incoming) = self.incoming.clone().filter(|incoming| !incoming.is_closed())
                    else {
                        continue;
                    };
                    self.step(SpdyInput::Accept { stream });
                    return Some(Stalled::Stream { incoming, stream: handle });
                }
                SpdyEffect::Started { token, stream } => {
                    if let Some((headers, answer)) = self.opening.remove(&token)
                        && let Some(handle) = self.handle(stream, headers)
                    {
                        // A caller that no longer waits drops the writer, which resets the stream.
                        drop(answer.send(handle));
                    }
                }
                SpdyEffect::Data { stream, data } => {
                    match self.streams.get(&stream).and_then(|handle| handle.pieces.clone()) {
                        Some(pieces) => return Some(Stalled::Piece { stream, pieces, data }),
                        None => self.step(SpdyInput::Consumed { stream, bytes: data.len() }),
                    }
                }
                SpdyEffect::Finished { stream } => {
                    if let Some(handle) = self.streams.get_mut(&stream) {
                        handle.pieces = None;
                    }
                    self.forget_if_done(stream);
                }
                SpdyEffect::Reset { stream, .. } => {
                    if let Some(handle) = self.streams.remove(&stream) {
                        handle.credit.close();
                        if let Some(pieces) = handle.pieces {
                            // With a full channel the reader sees the end after its pieces instead.
                            drop(pieces.try_send(Err(StreamReset)));
                        }
                    }
                }
                SpdyEffect::Sent { stream, bytes } => {
                    if let Some(handle) = self.streams.get(&stream) {
                        handle.credit.add_permits(bytes);
                    }
                }
                SpdyEffect::GoneAway => self.incoming = None,
                SpdyEffect::Accepted { .. } => {}
                SpdyEffect::Failed(error) => self.failure = Some(error),
            }
        }
        None
    }

    fn forget_if_done(&mut self, stream: u32) {
        if self.streams.get(&stream).is_some_and(|handle| handle.finished && handle.pieces.is_none()) {
            self.streams.remove(&stream);
        }
    }

    fn handle(&mut self, stream: u32, headers: Headers) -> Option<SpdyStream> {
        let commands = self.commands.upgrade()?;
        let (sender, pieces) = mpsc::channel(RECEIVE_PIECES);
        let credit = Arc::new(Semaphore::new(SEND_CREDIT_BYTES));
        self.streams.insert(stream, Handle { pieces: Some(sender), credit: credit.clone(), finished: false });
        let abandoned = self.abandoned.clone();
        let reader = SpdyReader { pieces, _alive: commands.clone() };
        let writer = SpdyWriter { stream, commands, credit, abandoned, finished: false };
        Some(SpdyStream { headers, reader, writer })
    }
}

/// Returns when there is room for what stalled, or nobody wants it any more. Nothing is lost when it is dropped.
async fn room_for(stalled: Option<&Stalled>) {
    match stalled {
        Some(Stalled::Piece { pieces, .. }) => drop(pieces.reserve().await),
        Some(Stalled::Stream { incoming, .. }) => drop(incoming.reserve().await),
        None => std::future::pending().await,
    }
}

/// Hands over what stalled; says what was consumed. This task is the channels' only sender, so the room is still there.
fn deliver(stalled: Stalled) -> Option<(u32, usize)> {
    match stalled {
        Stalled::Piece { stream, pieces, data } => {
            let bytes = data.len();
            // A dropped reader discards.
            drop(pieces.try_send(Ok(data)));
            Some((stream, bytes))
        }
        Stalled::Stream { incoming, stream } => {
            // A dropped session refuses: the writer inside resets the stream.
            drop(incoming.try_send(stream));
            None
        }
    }
}
