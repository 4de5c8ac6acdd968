//! Looks for actors that are stuck in one input past their progress limit, and takes their arbiter away.
//!
//! A thread of its own, outside the tree: it must work when every arbiter is stuck. It sleeps without a
//! timer while all arbiters are idle; the first turn after that wakes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use trireme_core::supervision::ExitReason;

use crate::arbiter::{ArbiterState, Turn};
use crate::shared::Shared;

/// Longest time between two looks while anything is busy.
const LONGEST_LOOK: Duration = Duration::from_millis(500);
/// Shortest time between two looks.
const SHORTEST_LOOK: Duration = Duration::from_millis(2);
/// How long an actor that is to be killed may stay in one input.
const KILL_PATIENCE: Duration = Duration::from_millis(500);

/// Wakes the watchdog when work begins.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    parked: AtomicBool,
    stopped: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Alarm {
    pub(crate) fn work_began(&self) {
        // Pairs with the watchdog's store of `parked` before its last look: one of the two sees the other.
        if self.parked.load(Ordering::SeqCst) && self.parked.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// Starts the watchdog's thread.
pub(crate) fn spawn(shared: &Arc<Shared>, alarm: Arc<Alarm>) -> std::io::Result<thread::JoinHandle<()>> {
    let shared = Arc::downgrade(shared);
    thread::Builder::new().name("trireme-watchdog".to_owned()).stack_size(256 * 1024).spawn(move || {
        let _first = alarm.thread.set(thread::current());
        watch(&shared, &alarm);
    })
}

fn watch(shared: &Weak<Shared>, alarm: &Alarm) {
    while !alarm.stopped.load(Ordering::SeqCst) {
        let Some(strong) = shared.upgrade() else { return };
        strong.gauges.watchdog_wakes.fetch_add(1, Ordering::Relaxed);
        if let Some(wait) = look(&strong) {
            drop(strong);
            thread::park_timeout(wait);
            continue;
        }
        alarm.parked.store(true, Ordering::SeqCst);
        let quiet = strong.arbiters.all().iter().all(|arbiter| arbiter.busy().is_none());
        drop(strong);
        if quiet && !alarm.stopped.load(Ordering::SeqCst) {
            while alarm.parked.load(Ordering::SeqCst) && !alarm.stopped.load(Ordering::SeqCst) {
                thread::park();
            }
        }
        alarm.parked.store(false, Ordering::SeqCst);
    }
}

/// Looks at all arbiters once; gives the time until the next look, `None` when all are idle.
fn look(shared: &Arc<Shared>) -> Option<Duration> {
    let mut wait = None;
    for arbiter in shared.arbiters.all() {
        let Some((since, turn)) = arbiter.busy() else { continue };
        let meta = turn.slot.meta();
        let killed = meta.kill_asked.load(Ordering::Acquire);
        let limit = meta.policy.progress_limit;
        let limit = if killed { limit.min(KILL_PATIENCE) } else { limit };
        let busy = shared.clock.now().since(since);
        if busy > limit {
            replace(shared, &arbiter, &turn, busy);
        } else {
            let left = (limit - busy).clamp(SHORTEST_LOOK, LONGEST_LOOK);
            wait = Some(wait.map_or(left, |wait: Duration| wait.min(left)));
        }
    }
    wait
}

/// Gives a stuck arbiter up: its actor counts as stalled, its neighbours as lost through no fault of theirs.
fn replace(shared: &Arc<Shared>, arbiter: &Arc<ArbiterState>, turn: &Turn, busy: Duration) {
    let path = &turn.slot.meta().path;
    tracing::error!(actor = %path, incarnation = turn.incarnation.0, ?busy, arbiter = arbiter.id,
        "actor is stuck in one input; replacing it and its arbiter");
    match shared.arbiters.abandon(arbiter) {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            tracing::error!(%error, "cannot start a fresh arbiter; the stuck one stays until the next look");
            return;
        }
    }
    shared.gauges.arbiters_abandoned.fetch_add(1, Ordering::Relaxed);
    let stuck = turn.slot.meta().id;
    let error = format!("stuck in one input for {busy:?}, past its progress limit");
    for (slot, incarnation) in arbiter.residents() {
        let reason = if slot.meta().id == stuck { ExitReason::Stalled } else { ExitReason::Abandoned };
        slot.fence(incarnation, reason, error.clone());
    }
}
