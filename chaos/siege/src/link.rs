//! A client's way to one server: a session that is made when it is needed and given up when it is in doubt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trireme_bus::{Bus, Peer, Subscription};
use trireme_kernel::{ActorPath, Call, CallError, CallOptions, Class, codec};
use trireme_pki::{Credentials, ExpectedPeer};
use trireme_process::{guest_bus, random_u64};
use trireme_store::WatchTopic;

/// Longest time for making a session.
const CONNECT_LIMIT: Duration = Duration::from_millis(1_000);
/// Events that a watched server may send ahead.
const WATCH_CREDIT_EVENTS: u32 = 64;

/// Where a server is and who asks.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) credentials: Arc<Credentials>,
}

impl Server {
    /// The path of one of its actors.
    pub(crate) fn path(&self, actor: &str) -> ActorPath {
        format!("/server/{}/{actor}", self.name).parse().expect("names of the fleet are well-formed")
    }
}

/// See the module. Clones share the session.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) server: Server,
    open: Arc<tokio::sync::Mutex<Option<Open>>>,
}

#[derive(Clone)]
struct Open {
    number: u64,
    // Ends the session when the last clone is dropped.
    _bus: Bus,
    peer: Peer,
}

impl Link {
    pub(crate) fn new(server: Server) -> Self {
        Self { server, open: Arc::default() }
    }

    /// Calls an actor of the server. A session that left a call without an answer is given up.
    pub(crate) async fn call<C: Call>(
        &self,
        actor: &str,
        call: &C,
        deadline: Duration,
    ) -> Result<C::Answer, CallError> {
        let path = self.server.path(actor);
        let malformed = |reason: String| CallError::Malformed { path: path.clone(), reason };
        let body = codec::encode(call).map_err(|error| malformed(error.to_string()))?;
        let since = Instant::now();
        let open = self.open(&path, deadline).await?;
        let left = deadline.saturating_sub(since.elapsed());
        let answer = open.peer.call(&path, C::NAME, body, CallOptions::within(left)).await;
        match answer {
            Ok(answer) => codec::decode(&answer).map_err(|error| malformed(error.to_string())),
            Err(error) => {
                if matches!(
                    error,
                    CallError::UnknownOutcome { .. }
                        | CallError::DeadlineExceeded { .. }
                        | CallError::Unreachable { .. }
                ) {
                    self.give_up(open.number).await;
                }
                Err(error)
            }
        }
    }

    /// Subscribes at the server's store, over a session of its own.
    pub(crate) async fn watch(&self, topic: &WatchTopic) -> Result<Watch, CallError> {
        let path = self.server.path("store");
        let topic = codec::encode(topic)
            .map_err(|error| CallError::Malformed { path: path.clone(), reason: error.to_string() })?;
        let open = self.open(&path, CONNECT_LIMIT).await?;
        let subscription = open.peer.subscribe(Class::Watch, &path, topic, WATCH_CREDIT_EVENTS);
        Ok(Watch { subscription, number: open.number, _open: open })
    }

    /// Gives up the session with this number, if it is the one in use.
    pub(crate) async fn give_up(&self, number: u64) {
        let mut open = self.open.lock().await;
        if open.as_ref().is_some_and(|open| open.number == number) {
            *open = None;
        }
    }

    async fn open(&self, path: &ActorPath, deadline: Duration) -> Result<Open, CallError> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok(open.clone());
        }
        let unreachable = |reason: String| CallError::Unreachable { path: path.clone(), reason };
        let bus = self.bus().map_err(|error| unreachable(error.to_string()))?;
        let dial = bus.connect(self.server.address, ExpectedPeer::AnyServer);
        let peer = match tokio::time::timeout(deadline.min(CONNECT_LIMIT), dial).await {
            Ok(Ok(peer)) => peer,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable(format!("no session with {} in time", self.server.address))),
        };
        let opened = Open { number: random_u64(), _bus: bus, peer };
        *open = Some(opened.clone());
        Ok(opened)
    }

    fn bus(&self) -> Result<Bus, trireme_bus::BusError> {
        guest_bus(Arc::clone(&self.server.credentials))
    }
}

/// A subscription with the session that carries it.
pub(crate) struct Watch {
    pub(crate) subscription: Subscription,
    /// The session's number, for [`Link::give_up`].
    pub(crate) number: u64,
    _open: Open,
}
