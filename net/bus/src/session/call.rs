//! Our requests.

use super::failure::Failure;
use super::outbound::{Bound, PushError};
use super::pending::{InsertError, Outcome};
use super::{Session, own_stream};
use crate::config::OWN_STREAM_ABOVE_BYTES;
use crate::frame::{Frame, Request, encode_request_head};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use trireme_kernel::{ActorPath, Class};

/// A call to make; texts and key are within the limits of the frames.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) path: ActorPath,
    pub(crate) name: &'static str,
    pub(crate) key: Option<[u8; 16]>,
    pub(crate) body: Bytes,
    pub(crate) class: Class,
}

impl Session {
    /// Makes a call and waits for its answer, at most until the deadline. Dropping the future cancels the work
    /// at the peer.
    pub(crate) async fn call(self: &Arc<Self>, call: &Outgoing, deadline: Duration) -> Outcome {
        let limit_bytes = self.engine.config.session.body_limit(call.class);
        if call.body.len() > limit_bytes {
            return Err(Failure::TooLarge { bytes: call.body.len(), limit_bytes });
        }
        if call.body.len() > OWN_STREAM_ABOVE_BYTES {
            return own_stream::call(self, call, deadline).await;
        }
        let until = Instant::now() + deadline;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.start_call(call, left) {
                Ok(answer) => return answer.await,
                Err(StartError::Closed) => return Err(Failure::Unsent("the session ended")),
                Err(StartError::Full) => {
                    let room = async {
                        self.outbound_of(call.class).room().await;
                        self.pending.room(self.engine.config.session.calls).await;
                    };
                    // A time-out comes first when both are due: a crowd must not outlive its deadline.
                    if tokio::time::timeout_at(until, room).await.is_err() || Instant::now() >= until {
                        return Err(Failure::Full);
                    }
                }
            }
        }
    }

    /// Sends a small request, if there is room; the future gives the answer.
    pub(crate) fn start_call(
        self: &Arc<Self>,
        call: &Outgoing,
        deadline: Duration,
    ) -> Result<CallFuture, StartError> {
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX).max(1);
        let at = self.engine.now() + deadline;
        let key = call.key.as_ref().map(<[u8; 16]>::as_slice);
        let send = |id| {
            if self.engine.faults.is_idle() {
                let head = |out: &mut bytes::BytesMut| {
                    encode_request_head(
                        out,
                        id,
                        deadline_ms,
                        call.path.as_str(),
                        call.name,
                        key,
                        call.body.len(),
                    );
                };
                return self.queue(call.class, Bound::Soft, head, &call.body);
            }
            let request = Request {
                id,
                deadline_ms,
                path: call.path.as_str().into(),
                name: call.name.into(),
                key: key.map(Bytes::copy_from_slice),
                body: call.body.clone(),
            };
            self.send(call.class, Bound::Soft, &Frame::Request(request))
        };
        let limit = self.engine.config.session.calls;
        match self.pending.insert(limit, call.class, at, send) {
            Ok(id) => {
                self.alarm.set(at);
                Ok(CallFuture { session: Arc::clone(self), id, done: false })
            }
            Err(InsertError::Closed | InsertError::Send(PushError::Closed)) => Err(StartError::Closed),
            Err(InsertError::Full | InsertError::Send(PushError::Full)) => Err(StartError::Full),
        }
    }
}

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartError {
    Closed,
    Full,
}

/// The answer to come. Dropped before, it tells the peer to stop working on it.
pub(crate) struct CallFuture {
    session: Arc<Session>,
    id: u64,
    done: bool,
}

impl Future for CallFuture {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let polled = self.session.pending.poll(self.id, cx);
        self.done = polled.is_ready();
        polled
    }
}

impl Drop for CallFuture {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Some(class) = self.session.pending.forget(self.id) {
            // When the session is over there is nobody to tell.
            let _ = self.session.send(class, Bound::Hard, &Frame::Cancel { id: self.id });
        }
    }
}
