//! A peer one has a session with.

use crate::identity::PeerIdentity;
#[cfg(doc)]
use crate::session::STREAM_PREFIX;
use crate::session::{ByteStream, Outgoing, Session, open_stream};
use crate::subscribe::Subscription;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use trireme_core::Tick;
use trireme_kernel::{ActorPath, CallError, CallOptions, Class};

/// A handle on one session: for subscriptions and for calls past the registry.
#[derive(Clone)]
pub struct Peer {
    session: Arc<Session>,
}

impl Peer {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// Who it is.
    pub fn identity(&self) -> &PeerIdentity {
        &self.session.peer
    }

    /// Calls an actor there with encoded bytes. Dropping the future cancels the work at the peer.
    pub async fn call(
        &self,
        path: &ActorPath,
        name: &'static str,
        body: Bytes,
        options: CallOptions,
    ) -> Result<Bytes, CallError> {
        let CallOptions { deadline, key, class } = options;
        let key = key.map(|key| key.0.to_be_bytes());
        let outgoing = Outgoing { path: path.clone(), name, key, body, class };
        let outcome = self.session.call(&outgoing, deadline).await;
        outcome.map_err(|failure| failure.into_call_error(path, deadline))
    }

    /// Asks an actor there for a stream of bytes, at most until the deadline of `options`; `name` begins with
    /// [`STREAM_PREFIX`]. How many may be open at a time is bounded for each session.
    ///
    /// # Errors
    /// Nobody takes it, or may: as of a call. What is said over the stream later has its own errors.
    pub async fn open(
        &self,
        path: &ActorPath,
        name: &'static str,
        body: Bytes,
        options: CallOptions,
    ) -> Result<ByteStream, CallError> {
        let CallOptions { deadline, class, .. } = options;
        let ask = Outgoing { path: path.clone(), name, key: None, body, class };
        let opened = open_stream(&self.session, &ask, deadline).await;
        opened.map_err(|failure| failure.into_call_error(path, deadline))
    }

    /// Subscribes to what an actor there publishes, with room for `credit` events.
    pub fn subscribe(&self, class: Class, path: &ActorPath, topic: Bytes, credit: u32) -> Subscription {
        self.session.subscribe(class, path.as_str(), topic, credit)
    }

    /// What the session says of itself.
    pub fn report(&self) -> PeerReport {
        PeerReport::of(&self.session)
    }
}

/// A session at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReport {
    /// Who.
    pub peer: PeerIdentity,
    /// Number of the session in this process.
    pub session: u64,
    /// Estimate of a round trip.
    pub round_trip: Duration,
    /// When something was last received.
    pub last_heard: Tick,
    /// Our calls without an answer.
    pub calls: usize,
    /// The peer's requests being worked on.
    pub served: usize,
    /// Bytes queued for sending, all classes.
    pub queued_bytes: usize,
    /// Whether it takes no new requests.
    pub draining: bool,
}

impl PeerReport {
    pub(crate) fn of(session: &Session) -> Self {
        Self {
            peer: (*session.peer).clone(),
            session: session.id,
            round_trip: session.connection.rtt(),
            last_heard: session.last_heard(),
            calls: session.calls_in_flight(),
            served: session.requests_served(),
            queued_bytes: session.queued_bytes(),
            draining: session.is_draining(),
        }
    }
}
