//! Our requests that wait for an answer.
//!
//! One table per session behind one lock; a call's future looks into its slot when woken. There is no timer per
//! request: the session's pulse sweeps the table when its earliest deadline comes.

use super::failure::Failure;
use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use trireme_core::Tick;
use trireme_kernel::Class;

pub(crate) type Outcome = Result<Bytes, Failure>;

#[derive(Debug, Default)]
pub(crate) struct Pending {
    table: Mutex<Table>,
    /// Told when a full table has room again.
    space: Notify,
}

#[derive(Debug, Default)]
struct Table {
    last_id: u64,
    waiting: usize,
    /// Callers that found the table full.
    crowded: bool,
    slots: HashMap<u64, Slot>,
    closed: bool,
}

#[derive(Debug)]
struct Slot {
    deadline: Tick,
    class: Class,
    /// Position in the class's queue, to tell sent from unsent.
    position: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Done(Outcome),
}

impl Pending {
    /// Makes a slot and sends its request under the same lock, so ids of a class reach the queue in order.
    pub(crate) fn insert<E>(
        &self,
        limit: usize,
        class: Class,
        deadline: Tick,
        send: impl FnOnce(u64) -> Result<u64, E>,
    ) -> Result<u64, InsertError<E>> {
        let mut table = self.table.lock();
        if table.closed {
            return Err(InsertError::Closed);
        }
        if table.waiting >= limit {
            table.crowded = true;
            return Err(InsertError::Full);
        }
        let id = table.last_id + 1;
        let position = send(id).map_err(InsertError::Send)?;
        table.last_id = id;
        table.waiting += 1;
        table.slots.insert(id, Slot { deadline, class, position, state: State::Waiting(None) });
        Ok(id)
    }

    /// Resolves when there may be room again, or the session is over.
    pub(crate) async fn room(&self, limit: usize) {
        loop {
            let notified = self.space.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let mut table = self.table.lock();
                if table.closed || table.waiting < limit {
                    return;
                }
                table.crowded = true;
            }
            notified.await;
        }
    }

    /// An id for a request that does not wait here.
    pub(crate) fn fresh_id(&self) -> u64 {
        let mut table = self.table.lock();
        table.last_id += 1;
        table.last_id
    }

    pub(crate) fn poll(&self, id: u64, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut table = self.table.lock();
        let slot = table.slots.get_mut(&id).expect("a slot lives as long as its future");
        match &mut slot.state {
            State::Waiting(waker) => {
                match waker {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    _ => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            State::Done(_) => match table.slots.remove(&id).map(|slot| slot.state) {
                Some(State::Done(outcome)) => Poll::Ready(outcome),
                _ => unreachable!("seen done under the same lock"),
            },
        }
    }

    /// The answer came. Unknown ids are answers to requests nobody waits for any more.
    pub(crate) fn complete(&self, id: u64, outcome: Outcome) {
        let mut table = self.table.lock();
        let Some(slot) = table.slots.get_mut(&id) else { return };
        let State::Waiting(waker) = &mut slot.state else { return };
        let waker = waker.take();
        slot.state = State::Done(outcome);
        table.waiting -= 1;
        let crowded = std::mem::take(&mut table.crowded);
        drop(table);
        if let Some(waker) = waker {
            waker.wake();
        }
        if crowded {
            self.space.notify_waiters();
        }
    }

    /// The future is gone; the class when the peer may still be working on it.
    pub(crate) fn forget(&self, id: u64) -> Option<Class> {
        let mut table = self.table.lock();
        let slot = table.slots.remove(&id)?;
        let waiting = matches!(slot.state, State::Waiting(_));
        if waiting {
            table.waiting -= 1;
            if std::mem::take(&mut table.crowded) {
                self.space.notify_waiters();
            }
        }
        waiting.then_some(slot.class)
    }

    /// Fails what is overdue; the earliest deadline left.
    pub(crate) fn sweep(&self, now: Tick) -> Option<Tick> {
        let mut earliest = None;
        let mut wakers = Vec::new();
        {
            let mut table = self.table.lock();
            let mut failed = 0;
            for slot in table.slots.values_mut() {
                let State::Waiting(waker) = &mut slot.state else { continue };
                if slot.deadline <= now {
                    wakers.extend(waker.take());
                    slot.state = State::Done(Err(Failure::Deadline));
                    failed += 1;
                } else {
                    earliest = Some(earliest.map_or(slot.deadline, |at: Tick| at.min(slot.deadline)));
                }
            }
            table.waiting -= failed;
            table.crowded = false;
        }
        self.space.notify_waiters();
        wakers.into_iter().for_each(Waker::wake);
        earliest
    }

    /// The session ended: fails everything, telling sent from unsent by the queue positions taken per class.
    pub(crate) fn close(&self, reason: &'static str, taken: impl Fn(Class) -> u64) {
        let mut wakers = Vec::new();
        {
            let mut table = self.table.lock();
            table.closed = true;
            table.waiting = 0;
            for slot in table.slots.values_mut() {
                let State::Waiting(waker) = &mut slot.state else { continue };
                wakers.extend(waker.take());
                let sent = slot.position <= taken(slot.class);
                slot.state =
                    State::Done(Err(if sent { Failure::Lost(reason) } else { Failure::Unsent(reason) }));
            }
        }
        self.space.notify_waiters();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.table.lock().waiting
    }
}

/// Why a request was not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InsertError<E> {
    /// The session is over.
    Closed,
    /// Too many requests without an answer.
    Full,
    /// The queue did not take it.
    Send(E),
}
