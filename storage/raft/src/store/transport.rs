//! The seam to the network: how the stores of one cluster reach each other.
//!
//! A transport moves opaque messages. It must deliver a message at most once, keep the order within a [`Duplex`],
//! and admit only members of this cluster (the bus does, by certificate). Whose database a message is for is
//! checked above it.

mod memory_net;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::identity::MemberId;

pub use memory_net::MemoryNet;

/// Messages that may wait in one direction of a [`Duplex`].
pub const DUPLEX_MESSAGES: usize = 16;
/// Largest message in bytes, for a transport's frame limit: a replication batch and the entry that ended it.
pub const MESSAGE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// What a message is for: a transport keeps these apart, so that none waits behind another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Replication streams.
    Append,
    /// Votes and heartbeats: small, and late is lost.
    Heartbeat,
    /// Snapshots: large; a connection of their own where possible.
    Snapshot,
    /// Forwarded proposals, reads and administration.
    Control,
}

/// Whom to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The member.
    pub member: MemberId,
    /// Its address, as the membership has it.
    pub address: String,
}

/// Why a message got no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportError {
    /// It was not delivered: safe to send again.
    #[error("member {member} is unreachable: {why}")]
    Unreachable {
        /// Whom.
        member: MemberId,
        /// What happened.
        why: String,
    },
    /// It may have been delivered and carried out.
    #[error("member {member} did not answer: {why}")]
    NoAnswer {
        /// Whom.
        member: MemberId,
        /// What happened.
        why: String,
    },
}

/// Both directions of an open stream. Dropping `send` ends that direction only: answers still come.
#[derive(Debug)]
pub struct Duplex {
    /// To the other side.
    pub send: mpsc::Sender<Bytes>,
    /// From the other side; `None` when the stream has ended.
    pub receive: mpsc::Receiver<Bytes>,
}

impl Duplex {
    /// Two ends of one stream in this process.
    pub fn pair() -> (Self, Self) {
        let (a, b) = (mpsc::channel(DUPLEX_MESSAGES), mpsc::channel(DUPLEX_MESSAGES));
        (Self { send: a.0, receive: b.1 }, Self { send: b.0, receive: a.1 })
    }
}

/// The sending side, implemented over the bus.
pub trait RaftTransport: Send + Sync + 'static {
    /// Sends one message and waits for its answer, at most `timeout`.
    fn request(
        &self,
        to: &Target,
        lane: Lane,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>>;

    /// Opens an ordered stream.
    fn open(&self, to: &Target, lane: Lane) -> BoxFuture<'static, Result<Duplex, TransportError>>;
}

/// The receiving side, implemented by the store: a transport hands over what it gets.
pub trait RaftService: Send + Sync + 'static {
    /// Serves one message.
    fn serve(&self, body: Bytes) -> BoxFuture<'static, Bytes>;
    /// Serves a stream until it ends.
    fn serve_stream(&self, stream: Duplex) -> BoxFuture<'static, ()>;
}
