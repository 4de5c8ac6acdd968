//! The place of an actor in the tree: path, mailbox and counters. It outlives incarnations.
//!
//! Two gates make an incarnation's end happen once. The mailbox's owner decides who may take inputs; `live`
//! decides who reports the end to the supervisor. The incarnation itself passes both when it ends; the
//! watchdog passes them in its place when it is stuck, and whatever the stuck one does later finds them shut.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use trireme_core::Tick;
use trireme_core::supervision::{ChildId, ChildPolicy, ExitReason, Incarnation};

use crate::ActorPath;
use crate::arbiter::ArbiterState;
use crate::call_table::CallTable;
use crate::io_table::IoTable;
use crate::mailbox::{Closed, Control, Mailbox};
use crate::panic_text::drop_each;
use crate::report::{ActorKind, ActorReport, LAST_INPUTS, LastInput};
use crate::shared::Shared;
use crate::supervisor::SupervisorShared;

/// Whoever decides about an actor's incarnations: its supervisor, or the kernel's origin for the root.
pub(crate) trait ExitSink: Send + Sync {
    fn started(&self, child: ChildId, incarnation: Incarnation);
    fn exited(&self, child: ChildId, incarnation: Incarnation, reason: ExitReason);
}

/// Builds an incarnation; runs on the arbiter it is given.
pub(crate) type Launch<I> = Box<dyn Fn(Arc<Slot<I>>, Incarnation, Arc<ArbiterState>) + Send + Sync>;

pub(crate) struct Slot<I> {
    pub(crate) meta: SlotMeta,
    pub(crate) mailbox: Mutex<Mailbox<I>>,
    /// Notified when room appears while senders wait for it.
    pub(crate) room: Notify,
    pub(crate) launch: Launch<I>,
}

/// What of a slot does not depend on the kind of its inputs.
pub(crate) struct SlotMeta {
    pub(crate) id: u64,
    pub(crate) path: ActorPath,
    pub(crate) kind: ActorKind,
    pub(crate) child: ChildId,
    pub(crate) policy: ChildPolicy,
    pub(crate) capacity: usize,
    pub(crate) io_limit: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) parent: Arc<dyn ExitSink>,
    /// The supervisor this slot is, if it is one.
    pub(crate) supervises: Option<Arc<SupervisorShared>>,
    /// The supervisor this slot's actor lives under; none for the root.
    pub(crate) supervised_by: Option<Weak<SupervisorShared>>,
    pub(crate) calls: CallTable,
    pub(crate) live: Mutex<Option<Live>>,
    pub(crate) last_incarnation: AtomicU64,
    pub(crate) finished: AtomicBool,
    pub(crate) kill_asked: AtomicBool,
    pub(crate) io: Mutex<IoTable>,
    pub(crate) notes: Mutex<Notes>,
    /// Notified when an incarnation was fenced: its replies may never be dropped.
    pub(crate) fenced: Notify,
    /// Inputs with a smaller number were held by a fenced incarnation or an earlier one.
    pub(crate) fence_mark: AtomicU64,
    /// Notified when the slot is closed for good.
    pub(crate) closed: Notify,
}

/// The incarnation that is alive, and where.
pub(crate) struct Live {
    pub(crate) incarnation: Incarnation,
    pub(crate) arbiter: Arc<ArbiterState>,
}

pub(crate) struct Notes {
    pub(crate) state: &'static str,
    pub(crate) since: Tick,
    last_error: Option<String>,
    ring: [(&'static str, Tick); LAST_INPUTS],
    next: usize,
}

impl Notes {
    pub(crate) fn new(now: Tick) -> Self {
        Self { state: "declared", since: now, last_error: None, ring: [("", now); LAST_INPUTS], next: 0 }
    }

    pub(crate) fn input(&mut self, label: &'static str, now: Tick) {
        self.ring[self.next % LAST_INPUTS] = (label, now);
        self.next += 1;
    }

    pub(crate) fn enter(&mut self, state: &'static str, now: Tick) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }

    fn last_inputs(&self) -> Vec<LastInput> {
        let first = self.next.saturating_sub(LAST_INPUTS);
        let entry = |at: usize| self.ring[at % LAST_INPUTS];
        (first..self.next).map(entry).map(|(label, at)| LastInput { label: label.to_owned(), at }).collect()
    }
}

/// A slot of any kind.
pub(crate) trait AnySlot: Send + Sync {
    fn meta(&self) -> &SlotMeta;
    fn start(self: Arc<Self>, incarnation: Incarnation);
    fn stop(&self, incarnation: Incarnation, grace: Duration);
    fn kill(&self, incarnation: Incarnation);
    /// Lets an incarnation pass its fault point once.
    fn poke(&self, incarnation: Incarnation);
    /// Takes the mailbox away from an incarnation that is stuck or lost; true when it was alive.
    fn fence(&self, incarnation: Incarnation, reason: ExitReason, error: String) -> bool;
    /// Closes the mailbox for good and drops what is in it; an incarnation that is alive all the same ends.
    fn close(&self);
    fn is_closed(&self) -> bool;
    fn report(&self) -> ActorReport;
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<I: Send + 'static> Slot<I> {
    pub(crate) fn post(&self, control: Control<I>) {
        let waker = self.mailbox.lock().control(control);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// First gate: no more inputs for this incarnation. Gives what was meant for it alone, to be dropped.
    pub(crate) fn disown(&self, incarnation: Incarnation) -> Vec<Control<I>> {
        self.mailbox.lock().disown(incarnation).unwrap_or_default()
    }
}

/// Drops what nobody will take any more.
fn drop_left<T>(left: impl IntoIterator<Item = T>) {
    if let Err(error) = drop_each(left) {
        tracing::error!(%error, "an input that nobody took panicked when it was dropped");
    }
}

impl SlotMeta {
    /// Second gate: reports an end to the supervisor, once per incarnation.
    pub(crate) fn report_end(
        &self,
        incarnation: Incarnation,
        reason: ExitReason,
        error: Option<String>,
    ) -> bool {
        let live = {
            let mut live = self.live.lock();
            match &*live {
                Some(alive) if alive.incarnation == incarnation => live.take(),
                _ => return false,
            }
        };
        if let Some(live) = live {
            live.arbiter.leave(self.id);
        }
        {
            let mut notes = self.notes.lock();
            notes.enter("down", self.shared.clock.now());
            if let Some(error) = error {
                tracing::error!(actor = %self.path, incarnation = incarnation.0, ?reason, %error, "actor failed");
                notes.last_error = Some(error);
            } else {
                tracing::debug!(actor = %self.path, incarnation = incarnation.0, ?reason, "actor ended");
            }
        }
        self.kill_asked.store(false, Ordering::Release);
        if let Some(below) = &self.supervises {
            // Nothing is left after an orderly stop. After any other end nobody decides about it any more.
            below.kill_children();
        }
        // Counted before it is told, so that who waits for the end finds the count right.
        self.shared.gauges.died();
        self.parent.exited(self.child, incarnation, reason);
        true
    }

    pub(crate) fn alive(&self) -> Option<Incarnation> {
        self.live.lock().as_ref().map(|live| live.incarnation)
    }
}

impl<I: Send + 'static> AnySlot for Slot<I> {
    fn meta(&self) -> &SlotMeta {
        &self.meta
    }

    fn start(self: Arc<Self>, incarnation: Incarnation) {
        let arbiter = self.meta.shared.arbiters.place();
        {
            let mut live = self.meta.live.lock();
            if let Some(alive) = &*live {
                // The supervisor starts nothing twice; if it ever does, the second start is what must fail.
                tracing::error!(actor = %self.meta.path, alive = alive.incarnation.0, asked = incarnation.0,
                    "refused to start a second incarnation");
                drop(live);
                self.meta.parent.exited(self.meta.child, incarnation, ExitReason::StartFailed);
                return;
            }
            *live = Some(Live { incarnation, arbiter: Arc::clone(&arbiter) });
        }
        self.meta.shared.gauges.born();
        self.meta.last_incarnation.store(incarnation.0, Ordering::Release);
        self.meta.finished.store(false, Ordering::Release);
        self.meta.io.lock().open(incarnation);
        self.mailbox.lock().own(incarnation);
        self.meta.notes.lock().enter("starting", self.meta.shared.clock.now());
        let any: Arc<dyn AnySlot> = self.clone();
        arbiter.enter(self.meta.id, Arc::downgrade(&any), incarnation);
        let slot = Arc::clone(&self);
        let host = Arc::clone(&arbiter);
        let sent = arbiter.run(move || (slot.launch)(Arc::clone(&slot), incarnation, host));
        if !sent || arbiter.is_abandoned() {
            self.fence(incarnation, ExitReason::Abandoned, "its arbiter is gone".to_owned());
        }
    }

    fn stop(&self, incarnation: Incarnation, grace: Duration) {
        self.post(Control::Stop { incarnation, grace });
    }

    fn kill(&self, incarnation: Incarnation) {
        if self.meta.alive() == Some(incarnation) {
            self.meta.kill_asked.store(true, Ordering::Release);
        }
        self.post(Control::Kill { incarnation });
    }

    fn poke(&self, incarnation: Incarnation) {
        self.post(Control::Poke { incarnation });
    }

    fn fence(&self, incarnation: Incarnation, reason: ExitReason, error: String) -> bool {
        let left = {
            let mut mailbox = self.mailbox.lock();
            if mailbox.owner().is_none_or(|owner| owner == incarnation) {
                // A later incarnation still holds what it took.
                self.meta.fence_mark.store(mailbox.taken(), Ordering::Release);
            }
            mailbox.disown(incarnation).unwrap_or_default()
        };
        if !left.is_empty() {
            // Not here: the watchdog must neither panic nor wait in the code of others.
            self.meta.shared.io.spawn_blocking(move || drop_left(left));
        }
        self.meta.io.lock().close(incarnation);
        let error = (reason != ExitReason::Abandoned).then_some(error);
        let fenced = self.meta.report_end(incarnation, reason, error);
        self.meta.fenced.notify_waiters();
        fenced
    }

    fn close(&self) {
        let Closed { inputs, controls, waker } = self.mailbox.lock().close();
        if let Some(waker) = waker {
            waker.wake();
        }
        self.room.notify_waiters();
        self.meta.fenced.notify_waiters();
        self.meta.closed.notify_waiters();
        drop_left(inputs);
        drop_left(controls);
    }

    fn is_closed(&self) -> bool {
        self.mailbox.lock().is_closed()
    }

    fn report(&self) -> ActorReport {
        let meta = &self.meta;
        let alive = meta.alive().is_some();
        let (depth, high_water, taken) = {
            let mailbox = self.mailbox.lock();
            (mailbox.depth() as u64, mailbox.high_water() as u64, mailbox.taken())
        };
        let incarnation = meta.last_incarnation.load(Ordering::Acquire);
        let notes = meta.notes.lock();
        let since = meta.shared.clock.now().since(notes.since);
        ActorReport {
            path: meta.path.clone(),
            kind: meta.kind,
            alive,
            state: notes.state.to_owned(),
            since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            incarnation,
            restarts: incarnation.saturating_sub(1),
            mailbox_depth: depth,
            mailbox_capacity: meta.capacity as u64,
            mailbox_high_water: high_water,
            handled: taken,
            io_in_flight: meta.io.lock().len() as u64,
            last_error: notes.last_error.clone(),
            last_inputs: notes.last_inputs(),
        }
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

#[cfg(test)]
#[path = "slot_test.rs"]
mod tests;
