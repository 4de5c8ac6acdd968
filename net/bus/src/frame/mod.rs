//! Frames: what travels on the bus's streams.
//!
//! A frame is a 32-bit big-endian length, one byte of kind, a compact hand-made header and a body of opaque
//! bytes. The length is checked against the limit of the stream's class before anything is allocated for it;
//! bodies are slices of what was received, never copies. Nothing here knows what a body means: calls are decoded
//! by the actor that is asked, after the permission check.
//!
//! Deliberate absences: no self-describing format (both sides run the protocol version of [`Hello`]), no
//! compression, no checksum (QUIC authenticates every packet).

mod decode;
mod encode;
mod error;
mod text;

pub use decode::Decoder;
pub use encode::{INLINE_BODY_BYTES, encode, encode_event_head, encode_request_head, encode_response_head};
pub use error::FrameError;
pub use text::Text;

use bytes::Bytes;

/// Version of everything in this module; peers with another one are refused in the hello.
pub const PROTOCOL_VERSION: u16 = 1;

/// Bytes of the length field in front of every frame.
pub const LENGTH_BYTES: usize = 4;
/// Longest actor path on the wire, in bytes.
pub const PATH_LIMIT_BYTES: usize = 4096;
/// Longest call name on the wire, in bytes.
pub const NAME_LIMIT_BYTES: usize = 255;
/// Longest idempotency key on the wire, in bytes.
pub const KEY_LIMIT_BYTES: usize = 128;
/// Most bytes of header that any frame adds to its body.
pub const OVERHEAD_LIMIT_BYTES: usize =
    LENGTH_BYTES + 32 + PATH_LIMIT_BYTES + NAME_LIMIT_BYTES + KEY_LIMIT_BYTES;

/// One frame, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// First frame of every long-lived stream.
    Hello(Hello),
    /// A call to an actor.
    Request(Request),
    /// The answer to the request of the same id.
    Response {
        /// The request's id.
        id: u64,
        /// The answer's bytes, or an encoded call error.
        outcome: Result<Bytes, Bytes>,
    },
    /// The caller no longer wants the answer to this request.
    Cancel {
        /// The request's id.
        id: u64,
    },
    /// Opens a subscription.
    Subscribe(Subscribe),
    /// One pushed event of a subscription.
    Event {
        /// The subscription's id, chosen by the subscriber.
        id: u64,
        /// 1 for the first event, then without gaps.
        seq: u64,
        /// Opaque event.
        body: Bytes,
    },
    /// The subscriber has room for this many more events.
    Credit {
        /// The subscription's id.
        id: u64,
        /// Events, added to what is left.
        more: u32,
    },
    /// The subscriber is done.
    Unsubscribe {
        /// The subscription's id.
        id: u64,
    },
    /// The publisher's side is done; no event follows.
    SubEnd {
        /// The subscription's id.
        id: u64,
        /// Why.
        reason: SubEndReason,
        /// For people: what happened and what to do next.
        message: Text,
    },
    /// The sender starts no further requests on this connection.
    Drain,
}

/// Opens a long-lived stream and says what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub version: u16,
    /// Class code of the stream, see [`crate::class_code`].
    pub class: u8,
    /// Changes with every start of the sender's process: tells a restarted peer from a second connection.
    pub instance: u64,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the caller; increases within one class of one connection.
    pub id: u64,
    /// Time left for the answer, in milliseconds.
    pub deadline_ms: u32,
    /// The actor that is asked.
    pub path: Text,
    /// The call's name.
    pub name: Text,
    /// Makes a repetition of this request harmless.
    pub key: Option<Bytes>,
    /// The encoded call.
    pub body: Bytes,
}

/// A wish for events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Chosen by the subscriber.
    pub id: u64,
    /// The actor whose events are wanted.
    pub path: Text,
    /// Events the subscriber has room for at the start.
    pub credit: u32,
    /// Opaque: what the publisher needs to know.
    pub topic: Bytes,
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubEndReason {
    /// The publisher has nothing more to say.
    Finished,
    /// The subscriber did not keep up and the publisher's buffer was full: events were lost after the last one
    /// delivered. Subscribe again from a known state.
    Lagged,
    /// The identity may not subscribe here.
    Denied,
    /// Nobody publishes under this path.
    NoSuchActor,
    /// The publisher refused the topic.
    Refused,
    /// The publishing actor restarted.
    Restarted,
    /// An event was missing in the sequence; noticed by the subscriber.
    Gap,
    /// The connection ended; noticed by the subscriber.
    Disconnected,
    /// Too many subscriptions on one connection.
    TooMany,
}

impl SubEndReason {
    const ALL: [Self; 9] = [
        Self::Finished,
        Self::Lagged,
        Self::Denied,
        Self::NoSuchActor,
        Self::Refused,
        Self::Restarted,
        Self::Gap,
        Self::Disconnected,
        Self::TooMany,
    ];

    /// The code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Finished => 0,
            Self::Lagged => 1,
            Self::Denied => 2,
            Self::NoSuchActor => 3,
            Self::Refused => 4,
            Self::Restarted => 5,
            Self::Gap => 6,
            Self::Disconnected => 7,
            Self::TooMany => 8,
        }
    }

    /// The reason of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// Codes of the kind byte.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 1;
    pub(crate) const REQUEST: u8 = 2;
    pub(crate) const RESPONSE_OK: u8 = 3;
    pub(crate) const RESPONSE_ERROR: u8 = 4;
    pub(crate) const CANCEL: u8 = 5;
    pub(crate) const SUBSCRIBE: u8 = 6;
    pub(crate) const EVENT: u8 = 7;
    pub(crate) const CREDIT: u8 = 8;
    pub(crate) const UNSUBSCRIBE: u8 = 9;
    pub(crate) const SUB_END: u8 = 10;
    pub(crate) const DRAIN: u8 = 11;
}

#[cfg(test)]
#[path = "frame_test.rs"]
mod frame_test;
