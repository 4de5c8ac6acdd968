//! What a process offers to its peers: the seam between the bus and what stands behind it.

use crate::frame::{SubEndReason, Text};
use crate::identity::PeerIdentity;
use crate::session::ByteStream;
use crate::subscribe::Publisher;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use trireme_kernel::{ActorPath, CallError, Caller, Class};

/// A request that passed the permission check.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// Who asks.
    pub peer: Arc<PeerIdentity>,
    /// The same, in the kernel's form.
    pub caller: Caller,
    /// The actor that is asked; not yet checked for its form.
    pub path: Text,
    /// The call's name.
    pub name: Text,
    /// The encoded call.
    pub body: Bytes,
    /// Time left for the answer.
    pub deadline: Duration,
    /// The class it came in.
    pub class: Class,
}

/// How a request is handled.
pub enum Handling {
    /// Answered at once, without a task.
    Answered(Result<Bytes, CallError>),
    /// Answered later; dropped when the deadline passes, the caller cancels or the session ends.
    Running(BoxFuture<'static, Result<Bytes, CallError>>),
}

/// Takes a stream of bytes and runs until it is done with it.
pub type StreamTaker = Box<dyn FnOnce(ByteStream) -> BoxFuture<'static, ()> + Send>;

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Must not block.
    fn call(&self, request: Inbound) -> Handling;

    /// A stream of bytes is asked for; whoever takes it gets it once the asker was told so. Refused unless this is
    /// written.
    fn open(&self, request: Inbound) -> BoxFuture<'static, Result<StreamTaker, CallError>> {
        let path = request.path.parse().unwrap_or_else(|_| ActorPath::root());
        std::future::ready(Err(CallError::NoSuchActor { path })).boxed()
    }
}

/// A subscription that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRefused {
    /// Told to the subscriber.
    pub reason: SubEndReason,
    /// For people: what to do next.
    pub message: String,
}

/// Serves subscriptions.
pub trait Publishers: Send + Sync + 'static {
    /// A subscription that passed the permission check. Keep the publisher; dropping it ends the subscription.
    fn subscribe(
        &self,
        peer: &Arc<PeerIdentity>,
        path: &str,
        topic: Bytes,
        publisher: Publisher,
    ) -> Result<(), SubscribeRefused>;
}

/// For a process without anything to subscribe to.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPublishers;

impl Publishers for NoPublishers {
    fn subscribe(
        &self,
        _: &Arc<PeerIdentity>,
        path: &str,
        _: Bytes,
        _: Publisher,
    ) -> Result<(), SubscribeRefused> {
        let message = format!("nothing is published at {path} on this machine");
        Err(SubscribeRefused { reason: SubEndReason::NoSuchActor, message })
    }
}

/// Answers machines that have no certificate yet. The requester is anonymous: its token is in the request.
pub trait JoinService: Send + Sync + 'static {
    /// The answer's bytes, at most [`crate::JOIN_BODY_LIMIT_BYTES`]. Ended after the join time-out.
    fn join(&self, from: SocketAddr, request: Bytes) -> BoxFuture<'static, Bytes>;
}
