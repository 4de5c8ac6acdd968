//! Writes and reads from other machines, past the store actor's mailbox: they go straight to the member on the I/O
//! runtime, as Raft's messages do. Three changes of thread less for each call, and an actor that is killed takes
//! none of them along. While the member does not run, or too many are under way, the actor answers: it waits for
//! the member, or says what is wrong.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trireme_bus::{Handling, Inbound};
use trireme_kernel::{ActorPath, Call, CallError, codec};

use crate::calls::{Get, List, Propose};
use crate::host::StoreHost;
use crate::member::Member;
use crate::{read, write};

/// Calls worked on this way at a time.
const CALLS_IN_FLIGHT: usize = 16_384;

/// See the module.
pub(crate) struct DataCalls {
    host: Arc<StoreHost>,
    path: ActorPath,
    room: Arc<Semaphore>,
}

impl DataCalls {
    pub(crate) fn new(host: Arc<StoreHost>) -> Self {
        let path = host.path();
        Self { host, path, room: Arc::new(Semaphore::new(CALLS_IN_FLIGHT)) }
    }

    /// Answers a call to the store's path if it is one of these and can be answered now.
    pub(crate) fn take(&self, request: &Inbound) -> Option<Handling> {
        match &*request.name {
            Propose::NAME => self
                .answer(request, |member, call: Propose| async move { write::propose(&member, call).await }),
            Get::NAME => self.answer(request, |member, call| async move { read::get(&member, call).await }),
            List::NAME => self.answer(request, |member, call| async move { read::list(&member, call).await }),
            _ => None,
        }
    }

    fn answer<C, F>(
        &self,
        request: &Inbound,
        work: impl FnOnce(Member, C) -> F + Send + 'static,
    ) -> Option<Handling>
    where
        C: Call,
        F: Future<Output = C::Answer> + Send,
    {
        let member = self.host.member()?;
        let room: OwnedSemaphorePermit = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let path = self.path.clone();
        let malformed =
            move |error: codec::CodecError| CallError::Malformed { path, reason: error.to_string() };
        let call = match codec::decode::<C>(&request.body) {
            Ok(call) => call,
            Err(error) => return Some(Handling::Answered(Err(malformed(error)))),
        };
        let running = async move {
            let _room = room;
            let answer = work(member, call).await;
            codec::encode(&answer).map_err(malformed)
        };
        Some(Handling::Running(running.boxed()))
    }
}
