//! A session's subscriptions: ours to the peer, and the peer's to publishers here.

use super::{Bound, Session};
use crate::admission::Refusal;
use crate::frame::{Frame, SubEndReason, Subscribe};
use crate::permission::SUBSCRIBE_CALL;
use crate::subscribe::{Publisher, PublisherCore, Subscription, SubscriptionState, TakeEvent};
use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;
use trireme_kernel::Class;

#[derive(Default)]
pub(crate) struct Subscriptions {
    ours: Mutex<HashMap<u64, Arc<SubscriptionState>>>,
    theirs: Mutex<HashMap<u64, Arc<PublisherCore>>>,
    /// Publishers that have credit and events but met a full queue.
    blocked: Mutex<Vec<Arc<PublisherCore>>>,
}

impl Subscriptions {
    /// Tells every side that the session is over.
    pub(super) fn close(&self) {
        for state in std::mem::take(&mut *self.ours.lock()).into_values() {
            state.end(SubEndReason::Disconnected, "the connection to the publisher ended");
        }
        for publisher in std::mem::take(&mut *self.theirs.lock()).into_values() {
            publisher.forget();
        }
        self.blocked.lock().clear();
    }

    /// Room in the queue: publishers that met a full one go on.
    pub(super) fn flush_blocked(&self, session: &Arc<Session>, class: Class) {
        let blocked = {
            let mut blocked = self.blocked.lock();
            if blocked.is_empty() || session.outbound_of(class).is_full() {
                return;
            }
            std::mem::take(&mut *blocked)
        };
        for publisher in blocked {
            publisher.flush(session);
        }
    }

    /// Remembers a publisher that met a full queue.
    pub(crate) fn block(&self, publisher: Arc<PublisherCore>) {
        self.blocked.lock().push(publisher);
    }

    pub(crate) fn drop_theirs(&self, id: u64) {
        self.theirs.lock().remove(&id);
    }

    pub(crate) fn drop_ours(&self, id: u64) -> bool {
        self.ours.lock().remove(&id).is_some()
    }
}

impl Session {
    /// Subscribes at the peer. `credit`: events the subscriber has room for, at least 1.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        class: Class,
        path: &str,
        topic: Bytes,
        credit: u32,
    ) -> Subscription {
        let id = self.pending.fresh_id();
        let state = Arc::new(SubscriptionState::new(credit.max(1)));
        let full = {
            let mut ours = self.subscriptions.ours.lock();
            let full = ours.len() >= self.engine.config.session.subscriptions;
            if !full {
                ours.insert(id, Arc::clone(&state));
            }
            full
        };
        if full {
            state.end(SubEndReason::TooMany, "this side has too many subscriptions on one connection");
        } else {
            let subscribe = Subscribe { id, path: path.into(), credit: credit.max(1), topic };
            if self.send(class, Bound::Hard, &Frame::Subscribe(subscribe)).is_err() {
                state
                    .end(SubEndReason::Disconnected, "the connection ended before the subscription was sent");
            }
        }
        if self.phase.load(std::sync::atomic::Ordering::Acquire) == super::CLOSED {
            state.end(SubEndReason::Disconnected, "the connection to the publisher ended");
        }
        Subscription::new(Arc::clone(self), class, id, state)
    }

    pub(super) fn open_publisher(self: &Arc<Self>, class: Class, subscribe: Subscribe) {
        let Subscribe { id, path, credit, topic } = subscribe;
        let refuse = |reason, message: &str| {
            self.send_or_close(class, &Frame::SubEnd { id, reason, message: message.into() });
        };
        if let Err(denied) = self.engine.permit(&self.peer, &path, SUBSCRIBE_CALL, class) {
            return refuse(SubEndReason::Denied, &denied.to_string());
        }
        let core = Arc::new(PublisherCore::new(self, class, id, credit));
        {
            let mut theirs = self.subscriptions.theirs.lock();
            if theirs.len() >= self.engine.config.session.subscriptions {
                drop(theirs);
                self.engine.refuse(Refusal::RequestsFull, &*self.peer, &"too many subscriptions");
                return refuse(SubEndReason::TooMany, "too many subscriptions on one connection");
            }
            if theirs.contains_key(&id) {
                return tracing::debug!(peer = %self.peer, id, "subscription repeated on the wire, dropped");
            }
            theirs.insert(id, Arc::clone(&core));
        }
        let publisher = Publisher::new(Arc::clone(&core));
        match self.engine.publishers.subscribe(&self.peer, &path, topic, publisher) {
            Ok(()) => core.opened(),
            Err(refused) => core.end(refused.reason, &refused.message),
        }
    }

    pub(super) fn take_credit(self: &Arc<Self>, id: u64, more: u32) {
        let publisher = self.subscriptions.theirs.lock().get(&id).cloned();
        if let Some(publisher) = publisher {
            publisher.credit(self, more);
        }
    }

    pub(super) fn drop_publisher(&self, id: u64) {
        let publisher = self.subscriptions.theirs.lock().remove(&id);
        if let Some(publisher) = publisher {
            publisher.forget();
        }
    }

    pub(super) fn take_event(self: &Arc<Self>, id: u64, seq: u64, body: Bytes) {
        let Some(state) = self.subscriptions.ours.lock().get(&id).cloned() else { return };
        match state.take(seq, body) {
            TakeEvent::Kept | TakeEvent::Repeated => {}
            TakeEvent::Gap => {
                self.end_subscription(
                    id,
                    SubEndReason::Gap,
                    "an event is missing; subscribe again from a known state",
                );
                self.send_or_close(state.class_or(Class::Watch), &Frame::Unsubscribe { id });
            }
            TakeEvent::OverCredit => self.broke(&"more events than credit"),
        }
    }

    pub(super) fn end_subscription(&self, id: u64, reason: SubEndReason, message: &str) {
        let state = self.subscriptions.ours.lock().remove(&id);
        if let Some(state) = state {
            state.end(reason, message);
        }
    }
}
