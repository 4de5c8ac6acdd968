//! Requests with an idempotency key: the shell around [`Dedupe`].
//!
//! The work of a keyed request is a task of its own. It goes on when the caller's session ends, because the
//! repetition over the next session joins it; it ends at the deadline of the first request.

use crate::dedupe::{Begin, Dedupe, DedupeKey, DedupeLimits};
use crate::engine::Engine;
use crate::service::{Handling, Inbound};
use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::oneshot;
use trireme_kernel::{ActorPath, CallError, Retry};

type Outcome = Result<Bytes, CallError>;

pub(crate) struct KeyedCalls {
    memory: Mutex<Dedupe<Outcome, oneshot::Sender<Outcome>>>,
}

impl KeyedCalls {
    pub(crate) fn new(limits: DedupeLimits) -> Self {
        Self { memory: Mutex::new(Dedupe::new(limits)) }
    }

    /// Handles a request with a key: executes, joins or replays.
    pub(crate) fn handle(
        &self,
        engine: &Arc<Engine>,
        path: &ActorPath,
        request: Inbound,
        key: Bytes,
    ) -> Handling {
        let key = DedupeKey { identity: request.peer.to_string().into(), key };
        let subject = format!("{} {}", &*request.path, &*request.name);
        let (tell, told) = oneshot::channel();
        let begin = self.memory.lock().begin(engine.now(), &key, &subject, tell);
        match begin {
            Begin::Replay(outcome) => Handling::Answered(outcome),
            Begin::Misused => Handling::Answered(Err(CallError::Malformed {
                path: path.clone(),
                reason: "this idempotency key was used for another call; make a new one per intent"
                    .to_owned(),
            })),
            Begin::Full => Handling::Answered(Err(CallError::MailboxFull { path: path.clone() })),
            Begin::Joined => {
                let path = path.clone();
                Handling::Running(
                    async move { told.await.unwrap_or(Err(CallError::NoAnswer { path })) }.boxed(),
                )
            }
            Begin::Execute => self.execute(engine, path.clone(), request, key),
        }
    }

    fn execute(&self, engine: &Arc<Engine>, path: ActorPath, request: Inbound, key: DedupeKey) -> Handling {
        let deadline = request.deadline;
        let (tell, told) = oneshot::channel();
        let shared = Arc::clone(engine);
        let work_path = path.clone();
        engine.io.spawn(async move {
            let work = async {
                match shared.service.call(request) {
                    Handling::Answered(outcome) => outcome,
                    Handling::Running(work) => work.await,
                }
            };
            let outcome = match tokio::time::timeout(deadline, AssertUnwindSafe(work).catch_unwind()).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_panic)) => Err(CallError::NoAnswer { path: work_path }),
                Err(_late) => Err(CallError::DeadlineExceeded { path: work_path, waited: deadline }),
            };
            let waiters = shared.keyed.memory.lock().complete(shared.now(), &key, remembered(&outcome));
            for waiter in waiters.into_iter().chain([tell]) {
                // A waiter whose session ended has nobody to tell.
                let _gone = waiter.send(outcome.clone());
            }
        });
        Handling::Running(async move { told.await.unwrap_or(Err(CallError::NoAnswer { path })) }.boxed())
    }
}

/// What is kept: everything but errors that prove that nothing was executed. An unknown outcome is kept too: the
/// caller must look at the state, not act again.
fn remembered(outcome: &Outcome) -> Option<(Outcome, usize)> {
    match outcome {
        Ok(body) => Some((Ok(Bytes::copy_from_slice(body)), body.len())),
        Err(error) if error.retry() == Retry::Safe => None,
        Err(error) => Some((Err(error.clone()), 256)),
    }
}
