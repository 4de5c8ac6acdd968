//! [`Persister`]: writes what was applied to the [`StateDb`], off the path of acknowledgements.
//!
//! Apply adds to one pending delta; a thread takes it, writes it as one batch and syncs at most every
//! [`SYNC_INTERVAL`]. When writing fails (a full disk, say) the stored state is stale but consistent; the thread
//! writes it anew from the live state later. The log and the snapshot are the truth until then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use trireme_mvcc::{Delta, Snapshot, State};

use super::shared::Shared;
use crate::rt::{self, Instant};
use crate::state_db::{Applied, StateBatch, StateDb, StateError};

/// Time between two syncs of the stored state.
const SYNC_INTERVAL: Duration = Duration::from_millis(500);
/// Time after a failed write before everything is written anew.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// A pending delta of this many bytes is written at once.
pub(super) const WRITE_BYTES: u64 = 4 * 1024 * 1024;
/// Apply waits while this many bytes are pending.
const PENDING_BYTES: u64 = 64 * 1024 * 1024;
/// Records of a rebuild in one batch, in bytes.
const REBUILD_BYTES: usize = 4 * 1024 * 1024;

/// The state and its way to disk. Dropping it writes and syncs what is pending.
pub(super) struct Persister {
    inner: Arc<Inner>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Inner {
    db: Arc<dyn StateDb>,
    shared: Arc<Shared>,
    pending: Mutex<Pending>,
    wake: Condvar,
    room: Notify,
}

#[derive(Default)]
struct Pending {
    /// Deltas of [`WRITE_BYTES`], oldest first: written one by one, so that a backlog is not copied at once.
    full: VecDeque<(Delta, Applied)>,
    full_bytes: u64,
    /// What follows them.
    delta: Delta,
    applied: Option<Applied>,
    /// The stored state is not the one that `delta` continues.
    rebuild: bool,
    stop: bool,
}

impl Pending {
    fn size_bytes(&self) -> u64 {
        self.full_bytes + self.delta.size_bytes()
    }

    /// Ends the current delta, if it is large enough.
    fn fill_up(&mut self) -> bool {
        let Some(applied) = self.applied.as_ref().filter(|_| self.delta.size_bytes() >= WRITE_BYTES) else {
            return false;
        };
        self.full_bytes += self.delta.size_bytes();
        self.full.push_back((std::mem::take(&mut self.delta), applied.clone()));
        true
    }

    fn pop_full(&mut self) -> Option<(Delta, Applied)> {
        let (delta, applied) = self.full.pop_front()?;
        self.full_bytes -= delta.size_bytes();
        Some((delta, applied))
    }

    /// What was to be written leads nowhere.
    fn forget(&mut self) {
        (self.full, self.full_bytes, self.delta) = (VecDeque::new(), 0, Delta::new());
    }
}

impl Persister {
    pub(super) fn start(db: Arc<dyn StateDb>, shared: Arc<Shared>) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            db,
            shared,
            pending: Mutex::default(),
            wake: Condvar::new(),
            room: Notify::new(),
        });
        let worker = inner.clone();
        if rt::is_virtual() {
            rt::spawn(async move { worker.run_as_task().await });
            return Ok(Self { inner, thread: None });
        }
        let thread = std::thread::Builder::new().name("raft-state".to_owned()).spawn(move || {
            // sled's own threads are started from this one.
            crate::priority::step_back();
            worker.run();
        })?;
        Ok(Self { inner, thread: Some(thread) })
    }

    /// Waits until there is room for more changes.
    pub(super) async fn wait_room(&self) {
        loop {
            let room = self.inner.room.notified();
            if self.inner.pending.lock().size_bytes() < PENDING_BYTES {
                return;
            }
            room.await;
        }
    }

    /// Changes the state; `work` returns the context of the new applied mark, or an error that leaves the mark.
    pub(super) fn apply<T, E>(
        &self,
        work: impl FnOnce(&mut State, &mut Delta) -> Result<(Bytes, T), E>,
    ) -> Result<T, E> {
        let mut pending = self.inner.pending.lock();
        let Pending { delta, .. } = &mut *pending;
        let (context, result, index) = self.inner.shared.change(|state| {
            let (context, result) = work(state, delta)?;
            Ok((context, result, state.applied_index()))
        })?;
        pending.applied = Some(Applied { index, context });
        if pending.fill_up() {
            self.inner.wake.notify_one();
        }
        Ok(result)
    }

    /// Replaces the state; the stored one is written anew.
    pub(super) fn replace(&self, state: State, context: Bytes) {
        let mut pending = self.inner.pending.lock();
        let index = state.applied_index();
        self.inner.shared.change(|now| *now = state);
        *pending = Pending {
            applied: Some(Applied { index, context }),
            rebuild: true,
            stop: pending.stop,
            ..Pending::default()
        };
        self.inner.wake.notify_one();
        self.inner.room.notify_waiters();
    }
}

impl Drop for Persister {
    fn drop(&mut self) {
        self.inner.pending.lock().stop = true;
        self.inner.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the applied state panicked");
        }
    }
}

/// What the thread remembers from round to round.
struct Rounds {
    synced: Instant,
    /// After a failed write: when everything is written anew.
    retry: Option<Instant>,
}

impl Rounds {
    fn rests(&self) -> bool {
        self.retry.is_some_and(|at| Instant::now() < at)
    }
}

/// What the thread takes in one round.
enum Work {
    Delta(Box<Delta>, Applied),
    Rebuild(Arc<Snapshot>, Applied),
    Nothing,
}

impl Inner {
    fn run(&self) {
        let mut rounds = Rounds { synced: Instant::now(), retry: None };
        loop {
            self.wait(&rounds);
            if self.round(&mut rounds) {
                return;
            }
        }
    }

    /// The same in a world of its own time, where nothing may wait on a thread.
    async fn run_as_task(&self) {
        let mut rounds = Rounds { synced: Instant::now(), retry: None };
        loop {
            rt::sleep(SYNC_INTERVAL).await;
            rt::before_sync().await;
            if self.round(&mut rounds) {
                return;
            }
        }
    }

    /// Writes what there is; whether that was the last round.
    fn round(&self, rounds: &mut Rounds) -> bool {
        let (work, stop) = self.take(rounds);
        let rebuilt = matches!(work, Work::Rebuild(..));
        let mut written = self.carry_out(work);
        if written.is_ok() && (stop || rebuilt || rounds.synced.elapsed() >= SYNC_INTERVAL) {
            written = self.db.sync().map(|_| ());
            rounds.synced = Instant::now();
        }
        match written {
            Ok(()) if rebuilt => rounds.retry = None,
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "the applied state was not written; it is written anew later");
                self.pending.lock().rebuild = true;
                rounds.retry = Some(Instant::now() + RETRY_INTERVAL);
            }
        }
        stop
    }

    /// Waits for an interval or for much to do.
    fn wait(&self, rounds: &Rounds) {
        let mut pending = self.pending.lock();
        let due = pending.rebuild && !rounds.rests();
        if !pending.stop && !due && (rounds.rests() || pending.full.is_empty()) {
            self.wake.wait_for(&mut pending, SYNC_INTERVAL);
        }
    }

    /// Takes what is to be written.
    fn take(&self, rounds: &Rounds) -> (Work, bool) {
        let mut pending = self.pending.lock();
        let stop = pending.stop;
        if pending.rebuild && rounds.rests() && !stop {
            // Deltas lead nowhere until the rebuild, which takes the state as it is then.
            pending.forget();
            self.room.notify_waiters();
            return (Work::Nothing, stop);
        }
        let Some(applied) = pending.applied.clone() else { return (Work::Nothing, stop) };
        self.room.notify_waiters();
        if std::mem::take(&mut pending.rebuild) {
            pending.forget();
            // Apply holds `pending` while it changes the state: mark and state belong together.
            let snapshot = self.shared.read(State::snapshot);
            return (Work::Rebuild(Arc::new(snapshot), applied), stop);
        }
        if let Some((delta, applied)) = pending.pop_full() {
            // More follows, also when the store is ending.
            return (Work::Delta(Box::new(delta), applied), false);
        }
        let delta = std::mem::take(&mut pending.delta);
        if delta.is_empty() { (Work::Nothing, stop) } else { (Work::Delta(Box::new(delta), applied), stop) }
    }

    fn carry_out(&self, work: Work) -> Result<(), StateError> {
        match work {
            Work::Nothing => Ok(()),
            Work::Delta(delta, applied) => self.db.write(&batch_of(&delta), Some(&applied)),
            Work::Rebuild(snapshot, applied) => self.rebuild(&snapshot, &applied),
        }
    }

    fn rebuild(&self, snapshot: &Snapshot, applied: &Applied) -> Result<(), StateError> {
        self.db.clear()?;
        let (mut batch, mut bytes, mut failed) = (StateBatch::default(), 0, None);
        snapshot.for_each_record(|name, value| {
            if failed.is_some() {
                return;
            }
            bytes += name.len() + value.len();
            batch.puts.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
            if bytes >= REBUILD_BYTES {
                failed = self.db.write(&std::mem::take(&mut batch), None).err();
                bytes = 0;
            }
        });
        match failed {
            Some(error) => Err(error),
            None => self.db.write(&batch, Some(applied)),
        }
    }
}

fn batch_of(delta: &Delta) -> StateBatch {
    // Later records of a name override earlier ones, and a batch must not hold a put and a delete of one name.
    let mut last = std::collections::BTreeMap::<Bytes, Option<Bytes>>::new();
    delta.for_each_record(|name, value| {
        last.insert(Bytes::copy_from_slice(name), value.map(Bytes::copy_from_slice));
    });
    let mut batch = StateBatch::default();
    for (name, value) in last {
        match value {
            Some(value) => batch.puts.push((name, value)),
            None => batch.deletes.push(name),
        }
    }
    batch
}
