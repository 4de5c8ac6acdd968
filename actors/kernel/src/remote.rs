use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{ActorPath, CallError, Class, IdempotencyKey};

/// A call to an actor on another machine.
#[derive(Clone, Debug)]
pub struct RemoteCall {
    /// The actor; its leading segments name the machine, or it is the leader's.
    pub path: ActorPath,
    /// The call's name.
    pub name: &'static str,
    /// The encoded call, see [`crate::codec`].
    pub body: Bytes,
    /// How long the caller waits, from now.
    pub deadline: Duration,
    /// Names the caller's intent.
    pub key: Option<IdempotencyKey>,
    /// Its priority.
    pub class: Class,
}

/// The way to other machines. The kernel does not know what it is made of.
pub trait Remote: Send + Sync + 'static {
    /// Carries out a call; the answer is encoded. Must end by `call.deadline`.
    fn call(&self, call: RemoteCall) -> BoxFuture<'static, Result<Bytes, CallError>>;
}
