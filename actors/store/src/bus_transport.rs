//! [`BusTransport`]: Raft's messages over the bus. A member's address is its machine's name.
//!
//! | lane | class | how |
//! |---|---|---|
//! | append | raft | one numbered stream of calls per direction; the answer of message `n` is the answer of call `n` |
//! | heartbeat, vote | raft | one call |
//! | control | control | one call |
//! | snapshot | bulk | one call per part, each on a stream of its own: never in front of an append |
//!
//! A replication stream answers each message but its first (the hello) with exactly one message, in order: that is
//! how the store uses streams. Large appends leave the class's stream for one of their own, so calls may overtake
//! each other; the numbers put them back in order at the receiver.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use trireme_bus::{IdentityKind, Peer};
use trireme_kernel::{ActorPath, CallError, CallOptions, Class, Retry};
use trireme_process::random_u64;
use trireme_raft::MemberId;
use trireme_raft::store::transport::{DUPLEX_MESSAGES, Duplex, Lane, RaftTransport, Target, TransportError};

use crate::host::{StoreHost, store_path};
use crate::inbox::{ASK, CLOSE, STREAM};

/// Above this a message travels as bulk: more than the other classes take.
const BULK_ABOVE_BYTES: usize = 3 * 1024 * 1024;
/// Longest wait for the answer of one message of a stream. The store's own limit is shorter.
const STREAM_ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for a stream's first message to be taken.
const STREAM_OPEN_LIMIT: Duration = Duration::from_secs(2);
/// Bytes in front of each message of a stream: its id and its number, little endian.
pub(crate) const STREAM_HEAD_BYTES: usize = 16;

/// See the module.
pub(crate) struct BusTransport {
    // The host owns the store, which owns this.
    host: Weak<StoreHost>,
}

impl BusTransport {
    pub(crate) fn new(host: &Arc<StoreHost>) -> Self {
        Self { host: Arc::downgrade(host) }
    }

    fn peer(&self, to: &Target) -> Result<Peer, TransportError> {
        let host = self.host.upgrade();
        let peer = host.as_ref().and_then(|host| host.bus()?.peer(IdentityKind::Server, &to.address));
        let why = || format!("no connection to server {}", to.address);
        peer.ok_or_else(|| TransportError::Unreachable { member: to.member, why: why() })
    }
}

impl RaftTransport for BusTransport {
    fn request(
        &self,
        to: &Target,
        lane: Lane,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let peer = match self.peer(to) {
            Ok(peer) => peer,
            Err(error) => return std::future::ready(Err(error)).boxed(),
        };
        let (member, path) = (to.member, store_path(&to.address));
        async move {
            let options = options(lane, body.len(), timeout);
            let answer = peer.call(&path, ASK, body, options).await;
            answer.map_err(|error| told(member, &error))
        }
        .boxed()
    }

    fn open(&self, to: &Target, lane: Lane) -> BoxFuture<'static, Result<Duplex, TransportError>> {
        let opened = self.peer(to).map(|peer| {
            let (mine, theirs) = Duplex::pair();
            let outgoing = Outgoing {
                peer,
                path: store_path(&to.address),
                member: to.member,
                lane,
                // Differs from those of an earlier process of this server.
                id: random_u64(),
            };
            tokio::spawn(outgoing.run(theirs));
            mine
        });
        std::future::ready(opened).boxed()
    }
}

fn options(lane: Lane, bytes: usize, deadline: Duration) -> CallOptions {
    let class = match lane {
        Lane::Snapshot => Class::Bulk,
        _ if bytes > BULK_ABOVE_BYTES => Class::Bulk,
        Lane::Append | Lane::Heartbeat => Class::Raft,
        Lane::Control => Class::Control,
    };
    CallOptions::within(deadline).with_class(class)
}

fn told(member: MemberId, error: &CallError) -> TransportError {
    let why = error.to_string();
    match error {
        CallError::Denied { .. } | CallError::NoSuchCall { .. } => {
            TransportError::Unreachable { member, why }
        }
        error if error.retry() == Retry::Safe => TransportError::Unreachable { member, why },
        _ => TransportError::NoAnswer { member, why },
    }
}

/// The sending end of one stream.
struct Outgoing {
    peer: Peer,
    path: ActorPath,
    member: MemberId,
    lane: Lane,
    id: u64,
}

impl Outgoing {
    /// Moves messages until either side lets go.
    async fn run(self, duplex: Duplex) {
        let Duplex { send: back, receive: mut out } = duplex;
        let Some(hello) = out.recv().await else { return };
        if let Err(error) = self.send(0, hello, STREAM_OPEN_LIMIT).await {
            tracing::debug!(member = self.member, %error, "a replication stream does not open");
            return;
        }
        if let Err(error) = self.pump(&mut out, &back).await {
            tracing::debug!(member = self.member, %error, "a replication stream ended");
        }
        // The receiver notices sooner; without it the stream ends with the next one.
        let head = self.head(0);
        let _told =
            self.peer.call(&self.path, CLOSE, head.freeze(), options(self.lane, 0, STREAM_OPEN_LIMIT)).await;
    }

    async fn pump(
        &self,
        out: &mut mpsc::Receiver<Bytes>,
        back: &mpsc::Sender<Bytes>,
    ) -> Result<(), CallError> {
        let mut answers = FuturesOrdered::new();
        let (mut number, mut open) = (1, true);
        while open || !answers.is_empty() {
            tokio::select! {
                message = out.recv(), if open && answers.len() < DUPLEX_MESSAGES => match message {
                    Some(message) => {
                        answers.push_back(self.send(number, message, STREAM_ANSWER_LIMIT));
                        number += 1;
                    }
                    None => open = false,
                },
                Some(answer) = answers.next(), if !answers.is_empty() => {
                    if back.send(answer?).await.is_err() {
                        return Ok(());
                    }
                }
                () = back.closed() => return Ok(()),
            }
        }
        Ok(())
    }

    async fn send(&self, number: u64, message: Bytes, limit: Duration) -> Result<Bytes, CallError> {
        let mut body = self.head(number);
        body.reserve(message.len());
        body.put_slice(&message);
        let options = options(self.lane, body.len(), limit);
        self.peer.call(&self.path, STREAM, body.freeze(), options).await
    }

    fn head(&self, number: u64) -> BytesMut {
        let mut head = BytesMut::with_capacity(STREAM_HEAD_BYTES);
        head.put_u64_le(self.id);
        head.put_u64_le(number);
        head
    }
}
