//! The publishing end.

use crate::frame::{Frame, SubEndReason, encode_event_head};
use crate::session::{Bound, Session};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use thiserror::Error;
use tokio::sync::Notify;
use trireme_kernel::Class;

/// Most credit a subscriber can pile up, in events.
const CREDIT_LIMIT: u32 = 1 << 20;

/// Why an event was not taken. Never retryable: the subscription is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The subscriber did not keep up; it was told so and may subscribe again.
    #[error("subscriber lagged: its buffer here was full; it was told to subscribe again")]
    Lagged,
    /// The subscriber left or its connection ended.
    #[error("subscription ended")]
    Ended,
    /// The event is larger than the class allows; nothing was sent, the subscription goes on.
    #[error("event of {bytes} bytes is above the class's limit of {limit_bytes}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The class's limit.
        limit_bytes: usize,
    },
}

/// Pushes events to one subscriber. Dropping it ends the subscription.
pub struct Publisher {
    core: Arc<PublisherCore>,
}

impl Publisher {
    pub(crate) fn new(core: Arc<PublisherCore>) -> Self {
        Self { core }
    }

    /// Sends an event, or keeps it until there is credit. Never blocks.
    pub fn publish(&self, body: Bytes) -> Result<(), PublishError> {
        self.core.publish(body)
    }

    /// Waits until nothing is kept here any more, so that the next event is taken whatever its size. A publisher that
    /// waits before each event never lets a slow subscriber lag: it holds back instead, in its own source.
    ///
    /// One waiter at a time. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`PublishError::Ended`] when the subscription is over, also while waiting.
    pub async fn ready(&self) -> Result<(), PublishError> {
        loop {
            {
                let state = self.core.state.lock();
                if state.ended || self.core.session.strong_count() == 0 {
                    return Err(PublishError::Ended);
                }
                if state.waiting.is_empty() {
                    return Ok(());
                }
            }
            // A wake between the look and the wait is kept by the notify.
            self.core.drained.notified().await;
        }
    }

    /// Names the subscriber's connection among those of this process: what is published to one connection without a
    /// pause in between leaves in few packets.
    pub fn connection(&self) -> u64 {
        self.core.connection
    }

    /// Whether the subscriber is gone.
    pub fn is_ended(&self) -> bool {
        self.core.state.lock().ended
    }

    /// Ends the subscription with a reason.
    pub fn end(self, reason: SubEndReason, message: &str) {
        self.core.end(reason, message);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        {
            let mut state = self.core.state.lock();
            if state.opening {
                state.dropped_early = true;
                return;
            }
        }
        self.core.end(SubEndReason::Finished, "the publisher is done");
    }
}

pub(crate) struct PublisherCore {
    session: Weak<Session>,
    connection: u64,
    class: Class,
    id: u64,
    state: Mutex<State>,
    /// Whoever waits for an empty buffer, or for the end.
    drained: Notify,
}

struct State {
    credit: u32,
    last_seq: u64,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    ended: bool,
    /// The publishing side has not said yet whether it takes the subscription.
    opening: bool,
    /// The publisher was dropped while opening: with a refusal if one follows, else because it was done at once.
    dropped_early: bool,
    /// Listed with the session as waiting for room in the queue.
    listed: bool,
}

impl PublisherCore {
    pub(crate) fn new(session: &Arc<Session>, class: Class, id: u64, credit: u32) -> Self {
        let state = State {
            credit: credit.min(CREDIT_LIMIT),
            last_seq: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            ended: false,
            opening: true,
            dropped_early: false,
            listed: false,
        };
        let state = Mutex::new(state);
        Self {
            session: Arc::downgrade(session),
            connection: session.id,
            class,
            id,
            state,
            drained: Notify::new(),
        }
    }

    /// The publishing side took the subscription.
    pub(crate) fn opened(&self) {
        let dropped_early = {
            let mut state = self.state.lock();
            state.opening = false;
            state.dropped_early
        };
        if dropped_early {
            self.end(SubEndReason::Finished, "the publisher is done");
        }
    }

    fn publish(self: &Arc<Self>, body: Bytes) -> Result<(), PublishError> {
        let Some(session) = self.session.upgrade() else { return Err(PublishError::Ended) };
        let limits = &session.engine.config.session;
        let limit_bytes = limits.body_limit(self.class);
        if body.len() > limit_bytes {
            return Err(PublishError::TooLarge { bytes: body.len(), limit_bytes });
        }
        let mut state = self.state.lock();
        if state.ended {
            return Err(PublishError::Ended);
        }
        if state.waiting.is_empty() && state.credit > 0 && self.send(&session, &mut state, &body) {
            return Ok(());
        }
        // A single event waits whatever its size: the class limits it.
        let over_bytes =
            !state.waiting.is_empty() && state.waiting_bytes + body.len() > limits.publisher_bytes;
        if state.waiting.len() >= limits.publisher_events || over_bytes {
            drop(state);
            tracing::debug!(peer = %session.peer, subscription = self.id, "subscriber lagged");
            self.end(
                SubEndReason::Lagged,
                "events were lost after the last one; subscribe again from a known state",
            );
            return Err(PublishError::Lagged);
        }
        state.waiting_bytes += body.len();
        state.waiting.push_back(body);
        self.list(&session, &mut state);
        Ok(())
    }

    /// Sends one event against credit; false when the queue is full.
    fn send(&self, session: &Arc<Session>, state: &mut State, body: &Bytes) -> bool {
        let seq = state.last_seq + 1;
        let sent = if session.engine.faults.is_idle() {
            let head = |out: &mut bytes::BytesMut| encode_event_head(out, self.id, seq, body.len());
            session.queue_event(self.class, head, body)
        } else {
            let frame = Frame::Event { id: self.id, seq, body: body.clone() };
            session.send(self.class, Bound::Soft, &frame).is_ok()
        };
        if sent {
            state.last_seq = seq;
            state.credit -= 1;
        }
        sent
    }

    /// With credit but a full queue, the session calls back when there is room.
    fn list(self: &Arc<Self>, session: &Arc<Session>, state: &mut State) {
        if state.credit > 0 && !state.waiting.is_empty() && !state.listed {
            state.listed = true;
            session.subscriptions.block(Arc::clone(self));
        }
    }

    /// Sends what waits, as far as credit and queue allow.
    pub(crate) fn flush(self: &Arc<Self>, session: &Arc<Session>) {
        let mut state = self.state.lock();
        state.listed = false;
        while state.credit > 0 {
            let Some(body) = state.waiting.front().cloned() else { return };
            if !self.send(session, &mut state, &body) {
                self.list(session, &mut state);
                return;
            }
            state.waiting.pop_front();
            state.waiting_bytes -= body.len();
            if state.waiting.is_empty() {
                self.drained.notify_one();
            }
        }
    }

    pub(crate) fn credit(self: &Arc<Self>, session: &Arc<Session>, more: u32) {
        {
            let mut state = self.state.lock();
            state.credit = state.credit.saturating_add(more).min(CREDIT_LIMIT);
            if state.listed {
                return;
            }
        }
        self.flush(session);
    }

    /// Ends the subscription and tells the subscriber, once.
    pub(crate) fn end(&self, reason: SubEndReason, message: &str) {
        if !self.forget() {
            return;
        }
        if let Some(session) = self.session.upgrade() {
            session.subscriptions.drop_theirs(self.id);
            session
                .send_or_close(self.class, &Frame::SubEnd { id: self.id, reason, message: message.into() });
        }
    }

    /// Ends it without a word; false when it had ended before.
    pub(crate) fn forget(&self) -> bool {
        let mut state = self.state.lock();
        state.waiting = VecDeque::new();
        state.waiting_bytes = 0;
        self.drained.notify_one();
        !std::mem::replace(&mut state.ended, true)
    }
}
