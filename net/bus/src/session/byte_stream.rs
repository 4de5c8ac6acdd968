//! Streams of bytes beside calls: what is tunnelled to a machine that only dials out.
//!
//! Asked for like a call, by path and name, so that the same permission table judges it; when the other end answers
//! yes, the stream carries bytes in both directions until either end drops it. A name that begins with
//! [`STREAM_PREFIX`] asks for one.
//!
//! Deliberately absent: the congestion controller's count of bulk writes, which is for bodies whose end is known. Streams
//! go to nodes; what is urgent between servers does not share their connections.

use super::Session;
use super::call::Outgoing;
use super::failure::Failure;
use super::own_stream::{StreamError, hold_for_faults, read_frame, wire};
use super::receive::remote_failure;
use super::transmit::hello;
use crate::admission::Refusal;
use crate::class::stream_priority;
use crate::frame::{Decoder, Frame, Request};
use crate::service::Inbound;
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use trireme_kernel::{CallError, Class};

/// Begins the names of what is asked for as a stream of bytes.
pub const STREAM_PREFIX: &str = "stream.";

/// A stream of bytes to or from a peer. Dropping it ends it at both ends.
pub struct ByteStream {
    /// Bytes that came together with the answer.
    rest: Bytes,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    _room: OwnedSemaphorePermit,
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            return AsyncRead::poll_read(Pin::new(&mut self.recv), cx, buffer);
        }
        let taken = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..taken]);
        self.rest.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.send), cx)
    }
}

/// Asks the peer for a stream.
pub(crate) async fn open(
    session: &Arc<Session>,
    ask: &Outgoing,
    deadline: Duration,
) -> Result<ByteStream, Failure> {
    debug_assert!(ask.name.starts_with(STREAM_PREFIX), "the peer would take {:?} for a call", ask.name);
    let asked = tokio::time::timeout(deadline, exchange(session, ask, deadline)).await;
    asked.unwrap_or(Err(Failure::Deadline))
}

async fn exchange(session: &Arc<Session>, ask: &Outgoing, deadline: Duration) -> Result<ByteStream, Failure> {
    let room = Arc::clone(&session.byte_streams).try_acquire_owned();
    let room = room.map_err(|_| Failure::Unsent("as many streams to the peer as are allowed are open"))?;
    hold_for_faults(session, ask.class).await;
    let opened = session.connection.open_bi().await;
    let (mut send, mut recv) = opened.map_err(|_| Failure::Unsent("the connection was lost"))?;
    // Fails only when the stream is closed, which the write below tells better.
    let _ = send.set_priority(stream_priority(ask.class));
    let request = Request {
        id: session.pending.fresh_id(),
        deadline_ms: u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX).max(1),
        path: ask.path.as_str().into(),
        name: ask.name.into(),
        key: None,
        body: ask.body.clone(),
    };
    let mut chunks = wire(&Frame::Request(request));
    chunks.insert(0, hello(ask.class, session.engine.instance));
    let lost = Failure::Unsent("the connection was lost");
    send.write_all_chunks(&mut chunks).await.map_err(|_| lost.clone())?;
    let mut decoder = Decoder::new(session.engine.config.session.frame_limit(ask.class));
    match read_frame(&mut recv, &mut decoder).await {
        Ok(Frame::Response { outcome: Ok(_), .. }) => {
            Ok(ByteStream { rest: decoder.into_rest(), send, recv, _room: room })
        }
        Ok(Frame::Response { outcome: Err(body), .. }) => Err(remote_failure(&body)),
        Ok(_) => Err(Failure::Malformed("the peer answered with something else than a response".to_owned())),
        Err(StreamError::Frame(error)) => Err(Failure::Malformed(error.to_string())),
        Err(StreamError::Ended | StreamError::Read(_)) => Err(lost),
    }
}

/// What came with a request for a stream.
pub(super) struct Asked {
    pub(super) class: Class,
    pub(super) request: Request,
    pub(super) deadline: Duration,
    pub(super) send: quinn::SendStream,
    pub(super) recv: quinn::RecvStream,
}

/// Answers a request for a stream, and runs what takes it until it ends.
pub(super) async fn serve(session: Arc<Session>, asked: Asked) {
    let Asked { class, request, deadline, mut send, recv } = asked;
    let path = super::serve::path_or_root(&request.path);
    let room = Arc::clone(&session.byte_streams).try_acquire_owned();
    let taker = match (session.engine.permit(&session.peer, &request.path, &request.name, class), room) {
        (Err(denied), _) => Err(CallError::Denied { path, reason: denied.to_string() }),
        (Ok(()), Err(_)) => {
            session.engine.refuse(Refusal::RequestsFull, &*session.peer, &request.path);
            Err(CallError::MailboxFull { path })
        }
        (Ok(()), Ok(room)) => {
            let inbound = Inbound {
                peer: Arc::clone(&session.peer),
                caller: session.caller.clone(),
                path: request.path,
                name: request.name,
                body: request.body,
                deadline,
                class,
            };
            let taken = tokio::select! {
                taken = tokio::time::timeout(deadline, session.engine.service.open(inbound)) => taken,
                _stopped = send.stopped() => return,
            };
            let taken = taken.unwrap_or(Err(CallError::DeadlineExceeded { path, waited: deadline }));
            taken.map(|taker| (taker, room))
        }
    };
    let answer = taker.as_ref().map(|_| Bytes::new()).map_err(Clone::clone);
    let outcome = session.encode_answer(class, answer);
    if send.write_all_chunks(&mut wire(&Frame::Response { id: request.id, outcome })).await.is_err() {
        return;
    }
    match taker {
        Ok((taker, room)) => {
            // The session is not held: a stream ends with its connection by itself.
            drop(session);
            taker(ByteStream { rest: Bytes::new(), send, recv, _room: room }).await;
        }
        // Fails only when the asker stopped the stream: then it does not want the answer.
        Err(_) => drop(send.finish()),
    }
}
