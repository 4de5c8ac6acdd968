//! The subscribing end.

use crate::frame::{Frame, SubEndReason};
use crate::session::Session;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use thiserror::Error;
use trireme_kernel::Class;

/// One pushed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedItem {
    /// 1 for the first, then without gaps.
    pub seq: u64,
    /// Opaque.
    pub body: Bytes,
}

/// The end of a subscription. Subscribing again is safe; from which state is the caller's to know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("subscription ended ({reason:?}): {message}")]
pub struct SubEnd {
    /// Why.
    pub reason: SubEndReason,
    /// For people.
    pub message: String,
}

/// Events of one publisher, in order. Dropping it unsubscribes.
pub struct Subscription {
    session: Arc<Session>,
    class: Class,
    id: u64,
    state: Arc<SubscriptionState>,
}

impl Subscription {
    pub(crate) fn new(session: Arc<Session>, class: Class, id: u64, state: Arc<SubscriptionState>) -> Self {
        state.inner.lock().class = Some(class);
        Self { session, class, id, state }
    }

    /// The next event, or why there is none any more. Taking events grants the publisher new credit.
    pub async fn next(&mut self) -> Result<PushedItem, SubEnd> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Subscription::next`] as a poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<PushedItem, SubEnd>> {
        let (item, grant) = {
            let mut inner = self.state.inner.lock();
            match inner.queue.pop_front() {
                None => {
                    return match &inner.ended {
                        Some(end) => Poll::Ready(Err(end.clone())),
                        None => {
                            inner.waker = Some(cx.waker().clone());
                            Poll::Pending
                        }
                    };
                }
                Some(item) => {
                    inner.consumed += 1;
                    let due = inner.consumed * 2 >= inner.window && inner.ended.is_none();
                    let grant = if due { std::mem::take(&mut inner.consumed) } else { 0 };
                    inner.allowed += u64::from(grant);
                    (item, grant)
                }
            }
        };
        if grant > 0 {
            self.session.send_or_close(self.class, &Frame::Credit { id: self.id, more: grant });
        }
        Poll::Ready(Ok(item))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if self.session.subscriptions.drop_ours(self.id) {
            self.session.send_or_close(self.class, &Frame::Unsubscribe { id: self.id });
        }
    }
}

/// What the session does with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakeEvent {
    Kept,
    /// Delivered before; only injected faults do that.
    Repeated,
    /// The one before it is missing.
    Gap,
    /// The publisher had no credit for it.
    OverCredit,
}

pub(crate) struct SubscriptionState {
    inner: Mutex<Inner>,
}

struct Inner {
    queue: VecDeque<PushedItem>,
    waker: Option<Waker>,
    ended: Option<SubEnd>,
    class: Option<Class>,
    window: u32,
    /// Taken by the caller since credit was last granted.
    consumed: u32,
    /// Sequence number up to which credit was granted.
    allowed: u64,
    last_seq: u64,
}

impl SubscriptionState {
    pub(crate) fn new(window: u32) -> Self {
        Self {
            inner: Mutex::new(Inner {
                queue: VecDeque::new(),
                waker: None,
                ended: None,
                class: None,
                window,
                consumed: 0,
                allowed: u64::from(window),
                last_seq: 0,
            }),
        }
    }

    pub(crate) fn class_or(&self, other: Class) -> Class {
        self.inner.lock().class.unwrap_or(other)
    }

    pub(crate) fn take(&self, seq: u64, body: Bytes) -> TakeEvent {
        let mut inner = self.inner.lock();
        if seq <= inner.last_seq || inner.ended.is_some() {
            return TakeEvent::Repeated;
        }
        if seq > inner.allowed {
            return TakeEvent::OverCredit;
        }
        if seq != inner.last_seq + 1 {
            return TakeEvent::Gap;
        }
        inner.last_seq = seq;
        inner.queue.push_back(PushedItem { seq, body });
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        TakeEvent::Kept
    }

    /// What was delivered before stays readable; the end comes behind it.
    pub(crate) fn end(&self, reason: SubEndReason, message: &str) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.ended.get_or_insert_with(|| SubEnd { reason, message: message.to_owned() });
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
