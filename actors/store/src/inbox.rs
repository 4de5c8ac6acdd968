//! [`RaftInbox`]: the receiving end of Raft's messages. They go straight to the member on the I/O runtime, past the
//! store actor's mailbox: neither its load nor its death delays them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use trireme_bus::{Handling, IdentityKind, Inbound, PeerIdentity};
use trireme_kernel::{ActorPath, CallError};
use trireme_raft::store::transport::{DUPLEX_MESSAGES, Duplex, RaftService};

use crate::bus_transport::STREAM_HEAD_BYTES;

/// A message with one answer.
pub(crate) const ASK: &str = "raft.ask";
/// A numbered message of a stream.
pub(crate) const STREAM: &str = "raft.stream";
/// The sender lets go of a stream.
pub(crate) const CLOSE: &str = "raft.close";

/// Streams that one server may have open here; a further one ends the oldest.
const STREAMS_PER_PEER: usize = 4;

/// See the module.
pub(crate) struct RaftInbox {
    io: Handle,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    service: Option<Arc<dyn RaftService>>,
    streams: BTreeMap<StreamKey, Incoming>,
    /// When each was opened, oldest first.
    opened: VecDeque<StreamKey>,
}

/// The server's name, and what tells its streams apart.
type StreamKey = (Arc<str>, u64);

/// One stream: what came too early, and who waits for an answer.
struct Incoming {
    next: u64,
    early: BTreeMap<u64, (Bytes, oneshot::Sender<Bytes>)>,
    to_store: mpsc::Sender<Bytes>,
    owed: VecDeque<oneshot::Sender<Bytes>>,
}

impl RaftInbox {
    pub(crate) fn new(io: Handle) -> Self {
        Self { io, inner: Arc::default() }
    }

    /// From now on messages go to this member.
    pub(crate) fn attach(&self, service: Arc<dyn RaftService>) {
        self.inner.lock().service = Some(service);
    }

    /// No member takes messages; senders are told that nothing was delivered.
    pub(crate) fn detach(&self) {
        let before = std::mem::take(&mut *self.inner.lock());
        drop(before);
    }

    /// Takes a message whose name begins with `raft.`.
    pub(crate) fn take(&self, request: Inbound) -> Handling {
        let path = request.path.parse().unwrap_or_else(|_| ActorPath::root());
        if request.peer.kind != IdentityKind::Server {
            let reason = format!("{} is no server; consensus is between servers", request.peer);
            return Handling::Answered(Err(CallError::Denied { path, reason }));
        }
        let Some(service) = self.inner.lock().service.clone() else {
            return Handling::Answered(Err(CallError::NoSuchActor { path }));
        };
        match &*request.name {
            ASK => Handling::Running(service.serve(request.body).map(Ok).boxed()),
            STREAM => self.take_stream(&service, &request.peer, request.body, path),
            CLOSE => {
                if let Some((key, _)) = key_of(&request.peer, &request.body) {
                    self.inner.lock().forget(&key);
                }
                Handling::Answered(Ok(Bytes::new()))
            }
            name => Handling::Answered(Err(CallError::NoSuchCall { path, name: name.to_owned() })),
        }
    }

    fn take_stream(
        &self,
        service: &Arc<dyn RaftService>,
        peer: &PeerIdentity,
        body: Bytes,
        path: ActorPath,
    ) -> Handling {
        let Some((key, number)) = key_of(peer, &body) else {
            let reason = "a replication message without its head".to_owned();
            return Handling::Answered(Err(CallError::Malformed { path, reason }));
        };
        let message = body.slice(STREAM_HEAD_BYTES..);
        if number == 0 {
            self.open(service, key, message);
            return Handling::Answered(Ok(Bytes::new()));
        }
        let taken = self.inner.lock().take(&key, number, message);
        match taken {
            Some(answer) => Handling::Running(
                // The stream ended: whether the message was taken is unknown, and Raft asks anew.
                async move { answer.await.map_err(|_| CallError::NoAnswer { path }) }.boxed(),
            ),
            None => Handling::Answered(Err(CallError::NoSuchActor { path })),
        }
    }

    fn open(&self, service: &Arc<dyn RaftService>, key: StreamKey, hello: Bytes) {
        let (mine, theirs) = Duplex::pair();
        let Duplex { send: to_store, receive: mut answers } = mine;
        // A fresh pair has room for one message.
        if to_store.try_send(hello).is_err() {
            return;
        }
        self.inner.lock().insert(key.clone(), to_store);
        self.io.spawn(service.serve_stream(theirs));
        let inner = Arc::clone(&self.inner);
        self.io.spawn(async move {
            while let Some(answer) = answers.recv().await {
                let asked = inner.lock().streams.get_mut(&key).and_then(|stream| stream.owed.pop_front());
                let Some(asked) = asked else { break };
                // Whoever asked may be gone; the order of the others stays.
                let _gone = asked.send(answer);
            }
            inner.lock().forget(&key);
        });
    }
}

impl Inner {
    fn insert(&mut self, key: StreamKey, to_store: mpsc::Sender<Bytes>) {
        let stream = Incoming { next: 1, early: BTreeMap::new(), to_store, owed: VecDeque::new() };
        self.streams.insert(key.clone(), stream);
        self.opened.push_back(key.clone());
        let mut of_peer = self.opened.iter().filter(|(peer, _)| *peer == key.0);
        let oldest = of_peer.next().cloned();
        if of_peer.count() >= STREAMS_PER_PEER
            && let Some(oldest) = oldest
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, key: &StreamKey) {
        self.streams.remove(key);
        self.opened.retain(|other| other != key);
    }

    /// Hands a message on as soon as those before it came; `None` when there is no such stream (any more).
    fn take(&mut self, key: &StreamKey, number: u64, message: Bytes) -> Option<oneshot::Receiver<Bytes>> {
        let stream = self.streams.get_mut(key)?;
        let (answer, wait) = oneshot::channel();
        if number < stream.next || stream.early.len() >= DUPLEX_MESSAGES {
            self.forget(key);
            return None;
        }
        stream.early.insert(number, (message, answer));
        while let Some((message, answer)) = stream.early.remove(&stream.next) {
            stream.next += 1;
            stream.owed.push_back(answer);
            // The sender keeps fewer messages under way than fit.
            if stream.to_store.try_send(message).is_err() {
                self.forget(key);
                return None;
            }
        }
        Some(wait)
    }
}

fn key_of(peer: &PeerIdentity, body: &Bytes) -> Option<(StreamKey, u64)> {
    let mut head = body.get(..STREAM_HEAD_BYTES)?;
    let (id, number) = (head.get_u64_le(), head.get_u64_le());
    Some(((Arc::from(&*peer.name), id), number))
}

#[cfg(test)]
#[path = "inbox_test.rs"]
mod inbox_test;
