//! Receiving: chunks of a class's stream into frames, frames to where they belong.

use super::Session;
use super::failure::Failure;
use crate::frame::{Decoder, Frame};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use trireme_core::Tick;
use trireme_kernel::{CallError, Class, codec};

/// Chunks taken from a stream at a time.
const CHUNKS: usize = 32;

/// The reader of a class's stream.
pub(super) async fn read(
    session: Arc<Session>,
    class: Class,
    mut stream: quinn::RecvStream,
    mut decoder: Decoder,
) {
    let mut chunks: [Bytes; CHUNKS] = std::array::from_fn(|_| Bytes::new());
    // The greeting may have left frames in the decoder.
    if !deliver(&session, class, &mut decoder, session.engine.now()) {
        return;
    }
    loop {
        match stream.read_chunks(&mut chunks).await {
            Ok(Some(count)) => {
                let now = session.engine.now();
                session.heard(now);
                for chunk in &mut chunks[..count] {
                    decoder.push(std::mem::take(chunk));
                    if !deliver(&session, class, &mut decoder, now) {
                        return;
                    }
                }
            }
            Ok(None) => {
                if let Err(error) = decoder.finish() {
                    session.broke(&error);
                }
                return;
            }
            Err(error) => {
                tracing::debug!(peer = %session.peer, ?class, %error, "stream ended");
                return;
            }
        }
    }
}

/// Hands over every whole frame; false when the session is over.
fn deliver(session: &Arc<Session>, class: Class, decoder: &mut Decoder, now: Tick) -> bool {
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => {
                if session.engine.faults.is_idle() {
                    session.receive(class, frame, now);
                } else {
                    session.receive_through_gate(class, frame, now);
                }
            }
            Ok(None) => return true,
            Err(error) => {
                session.broke(&error);
                return false;
            }
        }
    }
}

impl Session {
    /// One frame of a class's stream.
    pub(super) fn receive(self: &Arc<Self>, class: Class, frame: Frame, now: Tick) {
        match frame {
            Frame::Request(request) => self.serve(class, request, now),
            Frame::Response { id, outcome } => {
                self.pending.complete(id, outcome.map_err(|body| remote_failure(&body)));
            }
            Frame::Cancel { id } => self.served.cancel(id),
            Frame::Subscribe(subscribe) => self.open_publisher(class, subscribe),
            Frame::Event { id, seq, body } => self.take_event(id, seq, body),
            Frame::Credit { id, more } => self.take_credit(id, more),
            Frame::Unsubscribe { id } => self.drop_publisher(id),
            Frame::SubEnd { id, reason, message } => self.end_subscription(id, reason, &message),
            Frame::Drain => {
                self.peer_drains.store(true, Ordering::Release);
                self.engine.sessions.reconsider(&self.peer);
                // Both ends must be draining before either may close, and this one drains once it has where to go.
                if self.engine.sessions.has_another(self) {
                    self.drain();
                }
            }
            Frame::Hello(_) => self.broke(&"a second hello on one stream"),
        }
    }
}

pub(super) fn remote_failure(body: &[u8]) -> Failure {
    match codec::decode::<CallError>(body) {
        Ok(error) => Failure::Remote(error),
        Err(error) => Failure::Malformed(format!("the peer's error is unreadable: {error}")),
    }
}
