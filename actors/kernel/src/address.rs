use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;
use trireme_core::supervision::Incarnation;

use crate::mailbox::Refused;
use crate::reply::Outcome;
use crate::slot::Slot;
use crate::{ActorPath, CallError, Reply, Retry};

/// The way to one actor on this machine. Stays valid over restarts; cheap to clone.
pub struct Address<I> {
    slot: Arc<Slot<I>>,
}

/// Why an input was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The mailbox is full.
    #[error("{path}: mailbox full ({capacity} inputs); try again later")]
    Full {
        /// The actor.
        path: ActorPath,
        /// Its limit.
        capacity: usize,
    },
    /// No room appeared in time.
    #[error("{path}: mailbox still full after {waited:?}; try again later")]
    DeadlineExceeded {
        /// The actor.
        path: ActorPath,
        /// How long the sender waited.
        waited: Duration,
    },
    /// The actor was stopped for good.
    #[error("{path}: stopped")]
    Stopped {
        /// The actor.
        path: ActorPath,
    },
}

impl SendError {
    /// What may be done about it; the input was not delivered in any case.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Full { .. } | Self::DeadlineExceeded { .. } => Retry::Safe,
            Self::Stopped { .. } => Retry::Never,
        }
    }
}

impl From<SendError> for CallError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Full { path, .. } | SendError::DeadlineExceeded { path, .. } => {
                Self::MailboxFull { path }
            }
            SendError::Stopped { path } => Self::Stopped { path },
        }
    }
}

impl<I: Send + 'static> Address<I> {
    pub(crate) fn new(slot: Arc<Slot<I>>) -> Self {
        Self { slot }
    }

    /// The actor's path.
    pub fn path(&self) -> &ActorPath {
        &self.slot.meta.path
    }

    /// Puts an input into the mailbox without waiting; delivered at most once.
    ///
    /// # Errors
    /// When the mailbox is full or the actor was stopped for good. An actor between two incarnations still
    /// accepts.
    pub fn send(&self, input: I) -> Result<(), SendError> {
        self.push(input).map(|_| ()).map_err(|refused| self.refusal(&refused))
    }

    /// Puts an input into the mailbox, waiting up to `deadline` for room. Needs a tokio runtime with time,
    /// such as [`Kernel::io`](crate::Kernel::io).
    ///
    /// # Errors
    /// When no room appears in time or the actor was stopped for good.
    pub async fn send_wait(&self, input: I, deadline: Duration) -> Result<(), SendError> {
        let mut input = input;
        let mut late = pin!(tokio::time::sleep(deadline));
        loop {
            let mut room = pin!(self.slot.room.notified());
            room.as_mut().enable();
            match self.push(input) {
                Ok(_) => return Ok(()),
                Err(Refused::Full(back)) => input = back,
                Err(refused) => return Err(self.refusal(&refused)),
            }
            let _waiting = Waiting::new(&self.slot);
            if self.has_room() {
                continue;
            }
            tokio::select! {
                () = &mut late => {
                    return Err(SendError::DeadlineExceeded { path: self.path().clone(), waited: deadline });
                }
                () = room => {}
            }
        }
    }

    /// Sends the input that `request` makes around a [`Reply`], and waits up to `deadline` for the answer.
    /// Needs a tokio runtime with time.
    ///
    /// # Errors
    /// Every way in which no answer can come, see [`CallError`].
    pub async fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(Reply<T>) -> I,
        deadline: Duration,
    ) -> Result<T, CallError> {
        let (reply, answer) = Reply::new();
        let number = self.push(request(reply)).map_err(|refused| CallError::from(self.refusal(&refused)))?;
        self.wait(number, answer, deadline).await
    }

    /// Inputs waiting.
    pub fn depth(&self) -> usize {
        self.slot.mailbox.lock().depth()
    }

    /// True once the actor was stopped for good.
    pub fn is_closed(&self) -> bool {
        self.slot.mailbox.lock().is_closed()
    }

    /// Waits until the actor was stopped for good: removed, or its kernel shut down.
    pub async fn closed(&self) {
        let mut closed = pin!(self.slot.meta.closed.notified());
        closed.as_mut().enable();
        if !self.is_closed() {
            closed.await;
        }
    }

    /// The last incarnation that was started.
    pub fn incarnation(&self) -> Incarnation {
        Incarnation(self.slot.meta.last_incarnation.load(Ordering::Acquire))
    }

    pub(crate) async fn wait<T>(
        &self,
        number: u64,
        mut answer: oneshot::Receiver<Outcome<T>>,
        deadline: Duration,
    ) -> Result<T, CallError> {
        let asked = self.incarnation();
        let mut late = pin!(tokio::time::sleep(deadline));
        loop {
            let mut fenced = pin!(self.slot.meta.fenced.notified());
            fenced.as_mut().enable();
            let lost = self.slot.meta.fence_mark.load(Ordering::Acquire) > number;
            tokio::select! {
                biased;
                outcome = &mut answer => return self.settle(outcome.ok(), asked),
                () = std::future::ready(()), if lost => {
                    return Err(CallError::Restarted { path: self.path().clone() });
                }
                () = &mut late => {
                    return Err(CallError::DeadlineExceeded { path: self.path().clone(), waited: deadline });
                }
                () = fenced => {}
            }
        }
    }

    pub(crate) fn push(&self, input: I) -> Result<u64, Refused<I>> {
        let (number, waker) = self.slot.mailbox.lock().push(input, self.slot.meta.capacity)?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(number)
    }

    pub(crate) fn refusal(&self, refused: &Refused<I>) -> SendError {
        let path = self.path().clone();
        match refused {
            Refused::Full(_) => SendError::Full { path, capacity: self.slot.meta.capacity },
            Refused::Closed(_) => SendError::Stopped { path },
        }
    }

    fn has_room(&self) -> bool {
        let mailbox = self.slot.mailbox.lock();
        mailbox.is_closed() || mailbox.depth() < self.slot.meta.capacity
    }

    fn settle<T>(&self, outcome: Option<Outcome<T>>, asked: Incarnation) -> Result<T, CallError> {
        let path = || self.path().clone();
        match outcome {
            Some(Outcome::Answer(value)) => Ok(value),
            Some(Outcome::Refused(reason)) => Err(CallError::Refused { path: path(), reason }),
            Some(Outcome::Denied(reason)) => Err(CallError::Denied { path: path(), reason }),
            Some(Outcome::Dropped) => Err(CallError::NoAnswer { path: path() }),
            Some(Outcome::Panicked) => Err(CallError::Restarted { path: path() }),
            None if self.is_closed() => Err(CallError::Stopped { path: path() }),
            None if self.incarnation() != asked || self.slot.mailbox.lock().owner().is_none() => {
                Err(CallError::Restarted { path: path() })
            }
            None => Err(CallError::NoAnswer { path: path() }),
        }
    }
}

impl<I> Clone for Address<I> {
    fn clone(&self) -> Self {
        Self { slot: Arc::clone(&self.slot) }
    }
}

impl<I> fmt::Debug for Address<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.slot.meta.path).finish()
    }
}

/// Tells the incarnation that somebody waits for room.
struct Waiting<'a, I> {
    slot: &'a Slot<I>,
}

impl<'a, I> Waiting<'a, I> {
    fn new(slot: &'a Slot<I>) -> Self {
        slot.mailbox.lock().waiting += 1;
        Self { slot }
    }
}

impl<I> Drop for Waiting<'_, I> {
    fn drop(&mut self) {
        self.slot.mailbox.lock().waiting -= 1;
    }
}
