//! A session: one established connection to one peer.
//!
//! Per class there is a pair of long-lived framed streams, one in each direction, each opened by its sender when
//! it first has something to say. (Two one-way streams instead of one two-way stream: no race over who opens it.)
//! Streams of urgent classes are sent first. Calls with large bodies get a stream of their own. Heartbeats are
//! datagrams.
//!
//! Tasks of an idle session: the driver (accepts streams and datagrams), the pulse (heartbeats, liveness, overdue
//! requests) and reader and writer of the control class; the other classes' tasks start with their first frame.
//! Sessions are no actors: they belong to the process's table, outlive the link actor that made them, and end
//! with their connection. They keep no truth; what was in flight gets a typed error.

mod byte_stream;
mod call;
mod driver;
pub(crate) mod failure;
mod gate;
mod greet;
mod outbound;
mod own_stream;
mod pending;
mod pulse;
mod receive;
mod seen;
mod serve;
mod served;
mod subscriptions;
mod transmit;

pub(crate) use byte_stream::open as open_stream;
pub use byte_stream::{ByteStream, STREAM_PREFIX};
pub(crate) use call::Outgoing;
pub(crate) use greet::greet;
pub(crate) use outbound::Bound;

use crate::admission::Refusal;
use crate::class::{ALL_CLASSES, CLASSES, class_index};
use crate::config::BYTE_STREAMS_LIMIT;
use crate::endpoint::congestion::BulkGauge;
use crate::engine::Engine;
use crate::frame::Frame;
use crate::identity::PeerIdentity;
use crate::link::Claim;
use gate::Held;
use greet::Greeted;
use outbound::{Outbound, PushError};
use parking_lot::Mutex;
use pending::Pending;
use pulse::Alarm;
use seen::Seen;
use served::Served;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use subscriptions::Subscriptions;
use tokio::sync::Semaphore;
use trireme_core::Tick;
use trireme_kernel::{Caller, Class};
use trireme_pki::{PeerCertificate, TlsProfile};

/// Codes with which a connection is closed.
pub(crate) mod close_code {
    pub(crate) const DONE: u32 = 0;
    pub(crate) const SUPERSEDED: u32 = 1;
    pub(crate) const REVOKED: u32 = 2;
    pub(crate) const BROKE_PROTOCOL: u32 = 3;
    pub(crate) const SLOW_READER: u32 = 4;
    pub(crate) const NO_IDENTITY: u32 = 5;
    pub(crate) const PARTITIONED: u32 = 6;
    pub(crate) const TOO_MANY: u32 = 7;
    pub(crate) const SHUTDOWN: u32 = 8;
}

const LIVE: u8 = 0;
const DRAINING: u8 = 1;
const CLOSED: u8 = 2;

pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) peer: Arc<PeerIdentity>,
    pub(crate) caller: Caller,
    pub(crate) engine: Arc<Engine>,
    pub(crate) connection: quinn::Connection,
    /// What the peer's certificate said at the handshake.
    facts: PeerCertificate,
    dialed: bool,
    peer_instance: u64,
    outbound: [Outbound; CLASSES],
    pending: Pending,
    served: Served,
    seen: Mutex<[Seen; CLASSES]>,
    pub(crate) subscriptions: Subscriptions,
    held: Held,
    alarm: Alarm,
    /// Bulk writes under way, for the connection's congestion controller.
    bulk: BulkGauge,
    /// Room for streams of bytes, in both directions together.
    byte_streams: Arc<Semaphore>,
    last_heard: AtomicU64,
    phase: AtomicU8,
    peer_drains: AtomicBool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Session {
    /// Starts the tasks of a greeted connection.
    pub(crate) fn start(
        engine: &Arc<Engine>,
        connection: quinn::Connection,
        peer: PeerIdentity,
        facts: PeerCertificate,
        dialed: bool,
        greeted: Greeted,
    ) -> Arc<Self> {
        let limits = &engine.config.session;
        let session = Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            caller: Caller::new(&peer.to_string()),
            peer: Arc::new(peer),
            engine: Arc::clone(engine),
            facts,
            dialed,
            peer_instance: greeted.peer_instance,
            outbound: std::array::from_fn(|_| Outbound::new(limits)),
            pending: Pending::default(),
            served: Served::default(),
            seen: Mutex::default(),
            subscriptions: Subscriptions::default(),
            held: Held::default(),
            alarm: Alarm::default(),
            bulk: BulkGauge::of(&connection),
            byte_streams: Arc::new(Semaphore::new(BYTE_STREAMS_LIMIT)),
            last_heard: AtomicU64::new(engine.now().as_nanos()),
            phase: AtomicU8::new(LIVE),
            peer_drains: AtomicBool::new(false),
            connection,
        });
        session.outbound_of(Class::Control).claim_writer();
        let io = &engine.io;
        io.spawn(transmit::write_opened(Arc::clone(&session), Class::Control, greeted.send));
        io.spawn(receive::read(Arc::clone(&session), Class::Control, greeted.recv, greeted.decoder));
        io.spawn(driver::drive(Arc::clone(&session)));
        io.spawn(pulse::run(Arc::clone(&session)));
        session
    }

    /// What decides over duplicates.
    pub(crate) fn claim(&self) -> Claim {
        let dialed_by = if self.dialed { &self.engine.me.name } else { &self.peer.name };
        Claim {
            session: self.id,
            dialed_by: dialed_by.to_string(),
            peer: self.peer.name.to_string(),
            peer_instance: self.peer_instance,
        }
    }

    /// Closes the session at once if its certificate was withdrawn; true when it was.
    pub(crate) fn recheck(self: &Arc<Self>, profile: &TlsProfile) -> bool {
        let Err(refused) = profile.trust().recheck(&self.facts) else { return false };
        self.engine.refuse(Refusal::NoIdentity, &*self.peer, &refused);
        self.close(close_code::REVOKED, "the peer's certificate was revoked");
        true
    }

    /// Whether this side dialled.
    pub(crate) fn dialed(&self) -> bool {
        self.dialed
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase.load(Ordering::Acquire) == CLOSED
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase.load(Ordering::Acquire) != LIVE || self.peer_drains.load(Ordering::Acquire)
    }

    /// Starts no further requests here; the session closes when nothing is in flight in either direction.
    pub(crate) fn drain(self: &Arc<Self>) {
        let swapped = self.phase.compare_exchange(LIVE, DRAINING, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_err() {
            return;
        }
        self.engine.sessions.reconsider(&self.peer);
        self.send_or_close(Class::Control, &Frame::Drain);
        self.engine.io.spawn(drain_out(Arc::clone(self)));
    }

    /// Drains if the peer has asked for it; called when there is another way to the peer.
    pub(crate) fn drain_if_asked(self: &Arc<Self>) {
        if self.peer_drains.load(Ordering::Acquire) {
            self.drain();
        }
    }

    pub(crate) fn heard(&self, now: Tick) {
        self.last_heard.store(now.as_nanos(), Ordering::Relaxed);
    }

    pub(crate) fn last_heard(&self) -> Tick {
        Tick::from_nanos(self.last_heard.load(Ordering::Relaxed))
    }

    pub(crate) fn calls_in_flight(&self) -> usize {
        self.pending.waiting()
    }

    pub(crate) fn requests_served(&self) -> usize {
        self.served.len()
    }

    fn byte_streams_open(&self) -> usize {
        BYTE_STREAMS_LIMIT.saturating_sub(self.byte_streams.available_permits())
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.outbound.iter().map(Outbound::bytes).sum()
    }

    fn outbound_of(&self, class: Class) -> &Outbound {
        &self.outbound[class_index(class)]
    }

    /// Sends what must not get lost. A peer that lets its own answers pile up is closed.
    pub(crate) fn send_or_close(self: &Arc<Self>, class: Class, frame: &Frame) {
        match self.send(class, Bound::Hard, frame) {
            Ok(_) | Err(PushError::Closed) => {}
            Err(PushError::Full) => self.close_slow_reader(class),
        }
    }

    fn close_slow_reader(self: &Arc<Self>, class: Class) {
        let bytes = self.outbound_of(class).bytes();
        let detail = format!("slow reader: {bytes} bytes of answers in class {class:?} not taken");
        self.engine.refuse(Refusal::RequestsFull, &*self.peer, &detail);
        self.close(close_code::SLOW_READER, "slow reader: answers are not taken");
    }

    /// The peer broke the protocol.
    fn broke(self: &Arc<Self>, detail: &dyn std::fmt::Display) {
        self.engine.refuse(Refusal::BadFrame, &*self.peer, detail);
        self.close(close_code::BROKE_PROTOCOL, "protocol broken");
    }

    /// Ends the session at once: everything in flight gets a typed error.
    pub(crate) fn close(self: &Arc<Self>, code: u32, reason: &'static str) {
        if self.phase.swap(CLOSED, Ordering::AcqRel) == CLOSED {
            return;
        }
        self.connection.close(quinn::VarInt::from_u32(code), reason.as_bytes());
        // After this nothing is taken from the queues any more, so the positions below are final.
        for class in ALL_CLASSES {
            self.outbound_of(class).close();
        }
        self.pending.close(reason, |class| self.outbound_of(class).taken());
        self.served.close();
        self.subscriptions.close();
        self.alarm.wake();
        self.engine.sessions.remove(self);
        tracing::debug!(peer = %self.peer, session = self.id, reason, "session ended");
    }
}

/// Closes a draining session when it is empty or its time is over.
async fn drain_out(session: Arc<Session>) {
    // How often emptiness is looked at while a session drains; it drains once and not for long.
    const LOOK: std::time::Duration = std::time::Duration::from_millis(50);
    // Requests that the peer sent before it heard of the drain are on their way for no longer than this.
    const ON_THE_WAY: u32 = 5;
    let limit = session.engine.now() + session.engine.config.drain_limit;
    let mut empty_looks = 0;
    while session.engine.now() < limit && session.phase.load(Ordering::Acquire) == DRAINING {
        let idle = session.pending.waiting() == 0 && session.served.len() == 0;
        let empty = idle && session.queued_bytes() == 0 && session.byte_streams_open() == 0;
        let quiet = empty && session.peer_drains.load(Ordering::Acquire);
        empty_looks = if quiet { empty_looks + 1 } else { 0 };
        if empty_looks > ON_THE_WAY {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    session.close(close_code::SUPERSEDED, "another connection to this peer stays");
}
