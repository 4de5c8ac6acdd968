//! Answering the peer's requests.

use super::outbound::{Bound, PushError};
use super::{Session, class_index};
use crate::admission::Refusal;
use crate::config::DEADLINE_LIMIT;
use crate::frame::{Frame, Request, encode_response_head};
use crate::service::{Handling, Inbound};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;
use trireme_core::Tick;
use trireme_kernel::{ActorPath, CallError, Class, codec};

type Answer = Result<Bytes, CallError>;

impl Session {
    /// One request of a class's stream.
    pub(super) fn serve(self: &Arc<Self>, class: Class, request: Request, now: Tick) {
        let id = request.id;
        if !self.seen.lock()[class_index(class)].insert(id) {
            tracing::debug!(peer = %self.peer, id, "request repeated on the wire, dropped");
            return;
        }
        let overloaded =
            self.served.len() >= self.engine.config.session.served || self.outbound_of(class).is_full();
        if overloaded {
            self.engine.refuse(Refusal::RequestsFull, &*self.peer, &request.path);
            let path = path_or_root(&request.path);
            return self.answer(class, id, Err(CallError::MailboxFull { path }));
        }
        let deadline = Duration::from_millis(u64::from(request.deadline_ms)).min(DEADLINE_LIMIT);
        match self.begin(class, request, deadline) {
            Handling::Answered(answer) => self.answer(class, id, answer),
            Handling::Running(mut work) => match AssertUnwindSafe(&mut work).catch_unwind().now_or_never() {
                Some(Ok(answer)) => self.answer(class, id, answer),
                Some(Err(_panic)) => {
                    self.answer(class, id, Err(CallError::NoAnswer { path: ActorPath::root() }))
                }
                None => self.work_on(class, id, now + deadline, work),
            },
        }
    }

    /// Checks and starts a request, whichever stream it came on.
    pub(super) fn begin(self: &Arc<Self>, class: Class, request: Request, deadline: Duration) -> Handling {
        let Request { id, path, name, key, body, .. } = request;
        // Below debug level the span costs one check.
        let span =
            tracing::debug_span!("request", peer = %self.peer, request = id, actor = &*path, call = &*name);
        let _within = span.enter();
        if let Err(denied) = self.engine.permit(&self.peer, &path, &name, class) {
            let error = CallError::Denied { path: path_or_root(&path), reason: denied.to_string() };
            return Handling::Answered(Err(error));
        }
        let peer = Arc::clone(&self.peer);
        let caller = self.caller.clone();
        let inbound = Inbound { peer, caller, path, name, body, deadline, class };
        let handling = match key {
            None => self.engine.service.call(inbound),
            Some(key) => {
                let path = path_or_root(&inbound.path);
                self.engine.keyed.handle(&self.engine, &path, inbound, key)
            }
        };
        match handling {
            Handling::Running(work) if !span.is_disabled() => Handling::Running(traced(work, span.clone())),
            handling => handling,
        }
    }

    fn work_on(self: &Arc<Self>, class: Class, id: u64, deadline: Tick, work: BoxFuture<'static, Answer>) {
        let session = Arc::clone(self);
        let task = async move {
            let answer = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(answer) => answer,
                Err(_panic) => Err(CallError::NoAnswer { path: ActorPath::root() }),
            };
            if session.served.finish(id) {
                session.answer(class, id, answer);
            }
        };
        self.served.insert(id, class, deadline, || self.engine.io.spawn(task).abort_handle());
        self.alarm.set(deadline);
    }

    /// Ends overdue requests and tells their callers; the earliest deadline left.
    pub(super) fn sweep_served(self: &Arc<Self>, now: Tick) -> Option<Tick> {
        let mut overdue = Vec::new();
        let earliest = self.served.sweep(now, &mut overdue);
        for late in overdue {
            let error = CallError::DeadlineExceeded { path: ActorPath::root(), waited: Duration::ZERO };
            self.answer(late.class, late.id, Err(error));
        }
        earliest
    }

    pub(super) fn answer(self: &Arc<Self>, class: Class, id: u64, answer: Answer) {
        let outcome = self.encode_answer(class, answer);
        if !self.engine.faults.is_idle() {
            return self.send_or_close(class, &Frame::Response { id, outcome });
        }
        let (ok, body) = match &outcome {
            Ok(body) => (true, body),
            Err(body) => (false, body),
        };
        let head = |out: &mut bytes::BytesMut| encode_response_head(out, id, ok, body.len());
        if self.queue(class, Bound::Hard, head, body) == Err(PushError::Full) {
            self.close_slow_reader(class);
        }
    }

    /// The bytes of an answer; one too large for its class becomes an error.
    pub(super) fn encode_answer(&self, class: Class, answer: Answer) -> Result<Bytes, Bytes> {
        let limit = self.engine.config.session.body_limit(class);
        let error = match answer {
            Ok(body) if body.len() <= limit => return Ok(body),
            Ok(body) => CallError::Malformed {
                path: ActorPath::root(),
                reason: format!("the answer of {} bytes is above the class's limit of {limit}", body.len()),
            },
            Err(error) => error,
        };
        Err(codec::encode(&error).unwrap_or_default())
    }
}

/// Tells at debug level how a request ended, with its id, its peer and the actor it went to.
fn traced(work: BoxFuture<'static, Answer>, span: tracing::Span) -> BoxFuture<'static, Answer> {
    let told = async move {
        let answer = work.await;
        match &answer {
            Ok(body) => tracing::debug!(bytes = body.len(), "answered"),
            Err(error) => tracing::debug!(%error, "failed"),
        }
        answer
    };
    told.instrument(span).boxed()
}

/// The path for an error message; requests with malformed paths get the root.
pub(super) fn path_or_root(path: &str) -> ActorPath {
    path.parse().unwrap_or_else(|_| ActorPath::root())
}
