//! The threads that actors live on. Each is watched: what it is busy with and since when.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use actix_rt::{Arbiter, ArbiterHandle, System};
use parking_lot::Mutex;
use trireme_core::Tick;
use trireme_core::supervision::Incarnation;

use crate::slot::AnySlot;
use crate::watchdog::Alarm;

/// One arbiter and what the watchdog needs to know about it.
pub(crate) struct ArbiterState {
    pub(crate) id: usize,
    handle: ArbiterHandle,
    abandoned: AtomicBool,
    /// When the input in hand was taken, in nanoseconds plus one; 0 while idle.
    busy_since: AtomicU64,
    turn: Mutex<Option<Turn>>,
    /// By the ids of their slots.
    residents: Mutex<BTreeMap<u64, Resident>>,
    load: AtomicUsize,
    alarm: Arc<Alarm>,
}

/// An incarnation that lives on an arbiter.
type Resident = (Weak<dyn AnySlot>, Incarnation);

/// Whose turn it is on an arbiter.
#[derive(Clone)]
pub(crate) struct Turn {
    pub(crate) slot: Arc<dyn AnySlot>,
    pub(crate) incarnation: Incarnation,
}

impl ArbiterState {
    /// Runs `work` on the arbiter; false when the arbiter is gone.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.handle.spawn_fn(work)
    }

    pub(crate) fn enter(&self, slot: u64, resident: Weak<dyn AnySlot>, incarnation: Incarnation) {
        let before = self.residents.lock().insert(slot, (resident, incarnation));
        if before.is_none() {
            self.load.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn leave(&self, slot: u64) {
        let gone = self.residents.lock().remove(&slot);
        if gone.is_some() {
            self.load.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Everybody who lives here, in the order their slots were made.
    pub(crate) fn residents(&self) -> Vec<(Arc<dyn AnySlot>, Incarnation)> {
        let residents = self.residents.lock();
        residents.values().filter_map(|(slot, life)| Some((slot.upgrade()?, *life))).collect()
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Marks the start of a turn and wakes the watchdog if it sleeps.
    pub(crate) fn begin(&self, slot: Arc<dyn AnySlot>, incarnation: Incarnation, now: Tick) {
        *self.turn.lock() = Some(Turn { slot, incarnation });
        self.busy_since.swap(now.as_nanos() + 1, Ordering::SeqCst);
        self.alarm.work_began();
    }

    /// Marks the start of the next input within a turn.
    pub(crate) fn tick(&self, now: Tick) {
        self.busy_since.store(now.as_nanos() + 1, Ordering::Release);
    }

    /// Marks the end of a turn.
    pub(crate) fn idle(&self) {
        self.busy_since.store(0, Ordering::SeqCst);
        let turn = self.turn.lock().take();
        drop(turn);
    }

    /// What the arbiter is busy with, and since when.
    pub(crate) fn busy(&self) -> Option<(Tick, Turn)> {
        let turn = self.turn.lock();
        let since = self.busy_since.load(Ordering::SeqCst).checked_sub(1)?;
        Some((Tick::from_nanos(since), turn.clone()?))
    }
}

/// All arbiters in service.
pub(crate) struct Arbiters {
    system: System,
    alarm: Arc<Alarm>,
    next: AtomicUsize,
    list: Mutex<Vec<Arc<ArbiterState>>>,
}

impl Arbiters {
    /// Starts `count` arbiters in `system`.
    pub(crate) fn start(system: System, count: usize, alarm: Arc<Alarm>) -> io::Result<Self> {
        let arbiters = Self { system, alarm, next: AtomicUsize::new(0), list: Mutex::new(Vec::new()) };
        for _ in 0..count.max(1) {
            let fresh = arbiters.fresh()?;
            arbiters.list.lock().push(fresh);
        }
        Ok(arbiters)
    }

    /// The arbiter for the next incarnation: the one with the fewest, in turn among equals.
    pub(crate) fn place(&self) -> Arc<ArbiterState> {
        let list = self.list.lock();
        let first = self.next.fetch_add(1, Ordering::Relaxed) % list.len();
        let (before, after) = list.split_at(first);
        let least = after.iter().chain(before).min_by_key(|arbiter| arbiter.load.load(Ordering::Relaxed));
        Arc::clone(least.expect("there is at least one arbiter at all times"))
    }

    pub(crate) fn all(&self) -> Vec<Arc<ArbiterState>> {
        self.list.lock().clone()
    }

    /// Takes an arbiter out of service and puts a fresh one in its place; false when it was out already.
    pub(crate) fn abandon(&self, stuck: &Arc<ArbiterState>) -> io::Result<bool> {
        if stuck.is_abandoned() {
            return Ok(false);
        }
        let fresh = self.fresh()?;
        stuck.abandoned.store(true, Ordering::Release);
        let mut list = self.list.lock();
        if let Some(place) = list.iter_mut().find(|arbiter| Arc::ptr_eq(arbiter, stuck)) {
            *place = fresh;
        }
        // Ends the thread should it ever come back from what it is stuck in.
        stuck.handle.stop();
        Ok(true)
    }

    pub(crate) fn stop(&self) {
        for arbiter in self.all() {
            arbiter.handle.stop();
        }
        self.system.stop();
    }

    fn fresh(&self) -> io::Result<Arc<ArbiterState>> {
        System::set_current(self.system.clone());
        // Time only: actors do their I/O on the shared runtime, and a thread without an I/O driver parks on
        // a futex, which wakes faster than epoll.
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
        let arbiter = Arbiter::try_with_tokio_rt(runtime)?;
        static IDS: AtomicUsize = AtomicUsize::new(0);
        Ok(Arc::new(ArbiterState {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            handle: arbiter.handle(),
            abandoned: AtomicBool::new(false),
            busy_since: AtomicU64::new(0),
            turn: Mutex::new(None),
            residents: Mutex::new(BTreeMap::new()),
            load: AtomicUsize::new(0),
            alarm: Arc::clone(&self.alarm),
        }))
    }
}
