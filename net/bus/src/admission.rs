//! Which handshakes are let in, and how loudly refusals are told. Pure.
//!
//! A stranger may open handshakes as fast as the network carries them. Up to `retry_above` at a time cost us
//! state at once; above that a client must first prove its address (a stateless retry); above `refuse_above` it is
//! turned away. Refusals are counted always and logged at most once per reason and period.

use std::time::Duration;
use trireme_core::Tick;

/// Bounds of the front door.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// Handshakes in progress above which a client must prove its address.
    pub retry_above: usize,
    /// Handshakes in progress above which clients are turned away.
    pub refuse_above: usize,
    /// Established connections above which clients are turned away.
    pub connections: usize,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self { retry_above: 64, refuse_above: 512, connections: 12_000 }
    }
}

/// What to do with a first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Start the handshake.
    Accept,
    /// Answer with a retry packet and keep no state.
    Retry,
    /// Turn it away.
    Refuse(Refusal),
}

/// Why someone was turned away or thrown out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Too many handshakes in progress.
    HandshakesFull,
    /// Too many established connections.
    ConnectionsFull,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The handshake failed: unknown authority, expired, revoked or missing certificate, wrong protocol.
    HandshakeFailed,
    /// The certificate does not name an identity of this cluster.
    NoIdentity,
    /// The link to this peer is cut by an armed fault.
    Partitioned,
    /// The hello was missing, late or of another version.
    BadHello,
    /// A frame could not be decoded or broke the protocol.
    BadFrame,
    /// Too many joins at a time.
    JoinsFull,
    /// A join request was malformed, too large or too slow.
    BadJoin,
    /// A message the permission table does not allow.
    Denied,
    /// More requests in flight on one connection than allowed.
    RequestsFull,
    /// Too many sessions of one identity.
    SessionsFull,
}

impl Refusal {
    /// Number of reasons.
    pub const COUNT: usize = 13;

    /// Index in counters.
    pub fn index(self) -> usize {
        self as usize
    }

    /// What happened and what to do, for the log line.
    pub fn advice(self) -> &'static str {
        match self {
            Self::HandshakesFull => {
                "too many handshakes in progress, turned a connection away; it may try again"
            }
            Self::ConnectionsFull => {
                "connection limit reached, turned a connection away; raise the limit or look for leaks"
            }
            Self::HandshakeTimeout => {
                "handshake not finished in time, dropped; half-open connections or a lossy network"
            }
            Self::HandshakeFailed => {
                "handshake failed; check the peer's certificate, its authority and its clock"
            }
            Self::NoIdentity => {
                "certificate names no identity of this cluster, closed; issue one with a join token"
            }
            Self::Partitioned => "link cut by an armed fault, closed",
            Self::BadHello => "no valid hello, closed; is the peer of another version?",
            Self::BadFrame => "peer broke the framing, closed",
            Self::JoinsFull => "too many joins at a time, turned one away; it may try again",
            Self::BadJoin => "bad join request, closed",
            Self::Denied => "message denied by the permission table",
            Self::RequestsFull => "peer has too many requests in flight, request turned away",
            Self::SessionsFull => "identity has too many sessions, closed; end unused clients",
        }
    }
}

/// Decides on a first packet, given what is going on.
pub(crate) fn admit(
    limits: &AdmissionLimits,
    handshakes: usize,
    connections: usize,
    validated: bool,
    may_retry: bool,
) -> Admission {
    if connections >= limits.connections {
        Admission::Refuse(Refusal::ConnectionsFull)
    } else if handshakes >= limits.refuse_above {
        Admission::Refuse(Refusal::HandshakesFull)
    } else if handshakes < limits.retry_above || validated {
        Admission::Accept
    } else if may_retry {
        Admission::Retry
    } else {
        Admission::Refuse(Refusal::HandshakesFull)
    }
}

/// Shortest time between two log lines about the same reason.
pub(crate) const REFUSAL_LOG_PERIOD: Duration = Duration::from_secs(5);

/// Counts refusals and says which deserve a log line.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    counts: [u64; Refusal::COUNT],
    unsaid: [u64; Refusal::COUNT],
    last: [Option<Tick>; Refusal::COUNT],
}

impl RefusalLog {
    /// Counts one; `Some(n)` asks for a log line that speaks for `n` refusals.
    pub(crate) fn note(&mut self, now: Tick, refusal: Refusal) -> Option<u64> {
        let index = refusal.index();
        self.counts[index] += 1;
        self.unsaid[index] += 1;
        if self.last[index].is_some_and(|at| now.since(at) < REFUSAL_LOG_PERIOD) {
            return None;
        }
        self.last[index] = Some(now);
        Some(std::mem::take(&mut self.unsaid[index]))
    }

    /// How often this happened.
    pub(crate) fn count(&self, refusal: Refusal) -> u64 {
        self.counts[refusal.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_first_asked_for_its_address_then_refused() {
        let limits = AdmissionLimits { retry_above: 2, refuse_above: 4, connections: 10 };
        assert_eq!(admit(&limits, 1, 0, false, true), Admission::Accept);
        assert_eq!(admit(&limits, 2, 0, false, true), Admission::Retry);
        assert_eq!(admit(&limits, 2, 0, true, false), Admission::Accept);
        assert_eq!(admit(&limits, 2, 0, false, false), Admission::Refuse(Refusal::HandshakesFull));
        assert_eq!(admit(&limits, 4, 0, true, false), Admission::Refuse(Refusal::HandshakesFull));
        assert_eq!(admit(&limits, 0, 10, true, false), Admission::Refuse(Refusal::ConnectionsFull));
    }

    #[test]
    fn refusals_are_counted_always_and_said_rarely() {
        let mut log = RefusalLog::default();
        let at = |s: u64| Tick::from_nanos(s * 1_000_000_000);
        assert_eq!(log.note(at(0), Refusal::BadFrame), Some(1));
        assert_eq!(log.note(at(1), Refusal::BadFrame), None);
        assert_eq!(log.note(at(1), Refusal::Denied), Some(1));
        assert_eq!(log.note(at(6), Refusal::BadFrame), Some(2));
        assert_eq!(log.count(Refusal::BadFrame), 3);
    }
}
