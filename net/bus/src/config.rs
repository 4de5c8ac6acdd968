//! Settings and limits of a bus, each with its unit.

use crate::admission::AdmissionLimits;
use crate::class::class_index;
use crate::dedupe::DedupeLimits;
use crate::frame::OVERHEAD_LIMIT_BYTES;
use std::time::Duration;
use trireme_kernel::Class;

/// Bodies above this travel on a stream of their own.
pub const OWN_STREAM_ABOVE_BYTES: usize = 64 * 1024;
/// Longest deadline a request may carry; longer ones are cut to it.
pub(crate) const DEADLINE_LIMIT: Duration = Duration::from_secs(600);
/// Calls with a stream of their own that one peer may have open at a time.
pub(crate) const OWN_STREAMS_LIMIT: u32 = 8;
/// Streams of bytes that may be open on one session at a time, whoever opened them. Apart from the calls above, so that
/// neither takes the other's room.
pub(crate) const BYTE_STREAMS_LIMIT: usize = 128;
/// Unread bytes of each, in the window of the connection: many of them are idle, and one that is not read holds up
/// itself alone as long as the others leave room.
const BYTE_STREAMS_SHARE_BYTES: u32 = 32 * STREAM_WINDOW_BYTES;
/// Long-lived streams that one peer may open: one per class.
pub(crate) const CLASS_STREAMS_LIMIT: u32 = 4;
/// Unread bytes a peer may send on one stream.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Unread bytes a peer may send on one connection. Above what the streams can hold together, so that a bulk
/// reader that lags never blocks raft.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 =
    (OWN_STREAMS_LIMIT + CLASS_STREAMS_LIMIT + 4) * STREAM_WINDOW_BYTES + BYTE_STREAMS_SHARE_BYTES;
/// Bytes written to a connection and not yet acknowledged. Above what stream windows allow, for the same reason.
pub(crate) const SEND_WINDOW_BYTES: u64 = 64 * 1024 * 1024;
/// Receive and send buffer asked of the operating system for a UDP socket.
pub(crate) const UDP_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Everything a bus can be told.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// Time between heartbeats to a peer.
    pub heartbeat: Duration,
    /// Without a sign of life for this long a peer counts as silent.
    pub silent_after: Duration,
    /// Without a sign of life for this long a connection is given up.
    pub idle_timeout: Duration,
    /// Time for TLS, certificate check and hello together.
    pub handshake_timeout: Duration,
    /// Time for one join, from connection to answer.
    pub join_timeout: Duration,
    /// Joins served at a time.
    pub joins_limit: usize,
    /// A superseded or closing session may finish its requests for this long.
    pub drain_limit: Duration,
    /// Bounds of the front door.
    pub admission: AdmissionLimits,
    /// Sessions one user or component may hold.
    pub guest_sessions_limit: usize,
    /// Bounds of one session.
    pub session: SessionLimits,
    /// Bounds of the idempotency memory.
    pub dedupe: DedupeLimits,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(500),
            silent_after: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            join_timeout: Duration::from_secs(10),
            joins_limit: 16,
            drain_limit: Duration::from_secs(10),
            admission: AdmissionLimits::default(),
            guest_sessions_limit: 256,
            session: SessionLimits::default(),
            dedupe: DedupeLimits::default(),
        }
    }
}

/// Bounds of one session, per direction.
#[derive(Debug, Clone)]
pub struct SessionLimits {
    /// Largest frame body in bytes for raft, control, watch and bulk.
    pub body_bytes: [u32; 4],
    /// Bytes queued for sending per class above which calls wait and events stay with their publisher.
    pub queue_bytes: usize,
    /// Frames queued for sending per class, likewise.
    pub queue_frames: usize,
    /// Bytes queued per class above which the peer is closed as a slow reader: only answers to its own requests
    /// get this far.
    pub queue_hard_bytes: usize,
    /// Our requests without an answer.
    pub calls: usize,
    /// The peer's requests being worked on.
    pub served: usize,
    /// Subscriptions per direction.
    pub subscriptions: usize,
    /// Events a publisher keeps for a subscriber without credit.
    pub publisher_events: usize,
    /// Bytes of events a publisher keeps for a subscriber without credit.
    pub publisher_bytes: usize,
}

impl SessionLimits {
    /// Largest length field accepted on a stream of the class.
    pub fn frame_limit(&self, class: Class) -> u32 {
        let overhead = u32::try_from(OVERHEAD_LIMIT_BYTES).expect("a few KiB");
        self.body_bytes[class_index(class)].saturating_add(overhead)
    }

    /// Largest body of the class, in bytes.
    pub fn body_limit(&self, class: Class) -> usize {
        usize::try_from(self.body_bytes[class_index(class)])
            .expect("32 bits fit a usize on every supported target")
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        const MIB: u32 = 1024 * 1024;
        Self {
            body_bytes: [8 * MIB, 4 * MIB, 4 * MIB, 16 * MIB],
            queue_bytes: 8 * 1024 * 1024,
            queue_frames: 65_536,
            queue_hard_bytes: 64 * 1024 * 1024,
            calls: 16_384,
            served: 16_384,
            subscriptions: 16_384,
            publisher_events: 1024,
            publisher_bytes: 1024 * 1024,
        }
    }
}
