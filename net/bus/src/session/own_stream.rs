//! Calls with a stream of their own: large bodies, which would hold up the class's stream.
//!
//! The stream carries a hello with the class, one request and one response. Dropping the caller's future resets
//! it, which drops the work at the other end. The body limit is the class's, as everywhere.

use super::Session;
use super::byte_stream::{self, Asked, STREAM_PREFIX};
use super::call::Outgoing;
use super::failure::Failure;
use super::greet::{GreetError, read_hello};
use super::pending::Outcome;
use super::receive::remote_failure;
use super::transmit::hello;
use crate::admission::Refusal;
use crate::class::{class_from_code, class_name, stream_priority};
use crate::config::DEADLINE_LIMIT;
use crate::frame::{Decoder, Frame, INLINE_BODY_BYTES, Request, encode};
use crate::service::Handling;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use trireme_faults::{BusFault, Direction};
use trireme_kernel::{CallError, Class};

/// Code with which a cancelled call's stream is reset.
const CANCELLED: u32 = 1;
/// Chunks taken from a stream at a time.
const CHUNKS: usize = 32;

/// Resets the stream unless the call came to its end.
struct CallStream {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    done: bool,
}

impl Drop for CallStream {
    fn drop(&mut self) {
        if !self.done {
            // Errors mean that the stream is closed already.
            let _ = self.send.reset(quinn::VarInt::from_u32(CANCELLED));
            let _ = self.recv.stop(quinn::VarInt::from_u32(CANCELLED));
        }
    }
}

/// Makes a call on a stream of its own.
pub(super) async fn call(session: &Arc<Session>, call: &Outgoing, deadline: Duration) -> Outcome {
    let mut sent = false;
    match tokio::time::timeout(deadline, exchange(session, call, deadline, &mut sent)).await {
        Ok(outcome) => outcome,
        Err(_late) if sent => Err(Failure::Deadline),
        Err(_late) => Err(Failure::Full),
    }
}

async fn exchange(session: &Arc<Session>, call: &Outgoing, deadline: Duration, sent: &mut bool) -> Outcome {
    hold_for_faults(session, call.class).await;
    let opened = session.connection.open_bi().await;
    let (send, recv) = opened.map_err(|_| Failure::Unsent("the connection was lost"))?;
    let mut stream = CallStream { send, recv, done: false };
    // Fails only when the stream is closed, which the write below tells better.
    let _ = stream.send.set_priority(stream_priority(call.class));
    let request = Request {
        id: session.pending.fresh_id(),
        deadline_ms: u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX).max(1),
        path: call.path.as_str().into(),
        name: call.name.into(),
        key: call.key.as_ref().map(|key| Bytes::copy_from_slice(key)),
        body: call.body.clone(),
    };
    *sent = true;
    let mut chunks = wire(&Frame::Request(request));
    chunks.insert(0, hello(call.class, session.engine.instance));
    let lost = Failure::Lost("the connection was lost");
    let bulk = session.bulk.enter();
    stream.send.write_all_chunks(&mut chunks).await.map_err(|_| lost.clone())?;
    drop(bulk);
    // Fails only when the peer stopped the stream; then the read tells.
    let _ = stream.send.finish();
    let mut decoder = Decoder::new(session.engine.config.session.frame_limit(call.class));
    let answer = read_frame(&mut stream.recv, &mut decoder).await;
    stream.done = answer.is_ok();
    match answer {
        Ok(Frame::Response { outcome, .. }) => outcome.map_err(|body| remote_failure(&body)),
        Ok(_) => Err(Failure::Malformed("the peer answered with something else than a response".to_owned())),
        Err(StreamError::Frame(error)) => Err(Failure::Malformed(error.to_string())),
        Err(StreamError::Ended | StreamError::Read(_)) => Err(lost),
    }
}

/// A dropped or cut call is never sent and waits for its deadline, as one whose packets vanish.
pub(super) async fn hold_for_faults(session: &Session, class: Class) {
    let now = session.engine.now();
    match session.engine.faults.bus(&session.peer.name, class_name(class), Direction::Out, now) {
        Some(BusFault::Drop | BusFault::Partition) => std::future::pending().await,
        Some(BusFault::Delay(wait)) => tokio::time::sleep(wait).await,
        // A stream of one call has no frame behind it, and QUIC delivers it once.
        Some(BusFault::Duplicate | BusFault::Reorder) | None => {}
    }
}

#[derive(Debug, Error)]
pub(super) enum StreamError {
    #[error(transparent)]
    Frame(#[from] crate::frame::FrameError),
    #[error("the stream ended early")]
    Ended,
    #[error(transparent)]
    Read(#[from] quinn::ReadError),
}

pub(super) async fn read_frame(
    recv: &mut quinn::RecvStream,
    decoder: &mut Decoder,
) -> Result<Frame, StreamError> {
    let mut chunks: [Bytes; CHUNKS] = std::array::from_fn(|_| Bytes::new());
    loop {
        if let Some(frame) = decoder.next_frame()? {
            return Ok(frame);
        }
        let Some(count) = recv.read_chunks(&mut chunks).await? else {
            decoder.finish()?;
            return Err(StreamError::Ended);
        };
        for chunk in &mut chunks[..count] {
            decoder.push(std::mem::take(chunk));
        }
    }
}

/// A frame as chunks.
pub(super) fn wire(frame: &Frame) -> Vec<Bytes> {
    let mut head = BytesMut::with_capacity(INLINE_BODY_BYTES);
    let body = encode(&mut head, frame);
    std::iter::once(head.freeze()).chain(body).collect()
}

/// Serves a call on a stream that the peer opened.
pub(super) async fn serve(session: Arc<Session>, mut send: quinn::SendStream, recv: quinn::RecvStream) {
    let config = &session.engine.config;
    // The request itself may take its time on a slow network, but not for ever.
    let taken = tokio::time::timeout(DEADLINE_LIMIT, take_request(&session, recv)).await;
    let (class, request, recv) = match taken {
        Ok(Ok(taken)) => taken,
        Ok(Err(GreetError::Frame(error))) => return session.broke(&error),
        Ok(Err(error)) => {
            return tracing::debug!(peer = %session.peer, %error, "call stream ended before its request");
        }
        Err(_late) => return tracing::debug!(peer = %session.peer, "call stream without a request in time"),
    };
    session.heard(session.engine.now());
    let _ = send.set_priority(stream_priority(class));
    let deadline = Duration::from_millis(u64::from(request.deadline_ms)).min(DEADLINE_LIMIT);
    if request.name.starts_with(STREAM_PREFIX) {
        return byte_stream::serve(session, Asked { class, request, deadline, send, recv }).await;
    }
    let answer = if session.served.len() >= config.session.served {
        session.engine.refuse(Refusal::RequestsFull, &*session.peer, &request.path);
        Err(CallError::MailboxFull { path: super::serve::path_or_root(&request.path) })
    } else {
        let id = request.id;
        let Some(answer) = work(&session, class, request, deadline, &mut send, recv).await else {
            tracing::debug!(peer = %session.peer, id, "call cancelled by its caller");
            return;
        };
        answer
    };
    let outcome = session.encode_answer(class, answer);
    let bulk = session.bulk.enter();
    let written = send.write_all_chunks(&mut wire(&Frame::Response { id: 0, outcome })).await;
    drop(bulk);
    if written.is_ok() {
        // Fails only when the caller stopped the stream: then it does not want the answer.
        let _ = send.finish();
    }
}

async fn take_request(
    session: &Session,
    recv: quinn::RecvStream,
) -> Result<(Class, Request, quinn::RecvStream), GreetError> {
    let limits = &session.engine.config.session;
    let (hello, mut recv, mut decoder) = read_hello(recv, limits.frame_limit(Class::Bulk)).await?;
    let class = class_from_code(hello.class).ok_or(GreetError::WrongClass(hello.class))?;
    decoder.set_limit(limits.frame_limit(class));
    match read_frame(&mut recv, &mut decoder).await {
        Ok(Frame::Request(request)) => {
            // Nothing follows a request before its answer.
            decoder.finish()?;
            Ok((class, request, recv))
        }
        Ok(_) => Err(GreetError::NoHello),
        Err(StreamError::Frame(error)) => Err(error.into()),
        Err(StreamError::Ended) => Err(GreetError::Ended),
        Err(StreamError::Read(error)) => Err(error.into()),
    }
}

/// Runs the work until it answers, its deadline passes or the caller resets the stream (`None`).
async fn work(
    session: &Arc<Session>,
    class: Class,
    request: Request,
    deadline: Duration,
    send: &mut quinn::SendStream,
    _recv: quinn::RecvStream,
) -> Option<Result<Bytes, CallError>> {
    let path = super::serve::path_or_root(&request.path);
    let running = match session.begin(class, request, deadline) {
        Handling::Answered(answer) => return Some(answer),
        Handling::Running(running) => AssertUnwindSafe(running).catch_unwind(),
    };
    tokio::select! {
        answer = running => Some(answer.unwrap_or(Err(CallError::NoAnswer { path }))),
        () = tokio::time::sleep(deadline) => Some(Err(CallError::DeadlineExceeded { path, waited: deadline })),
        _stopped = send.stopped() => None,
    }
}
