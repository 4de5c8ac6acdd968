//! [`Shared`]: the applied state as everyone in the process reads it, and the watchers of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use trireme_mvcc::{Batch, CursorId, ReadLimits, Revision, State, WatchError, WatchRequest, Watches};

/// The applied state of one member. Lock order: state, then watches.
pub(super) struct Shared {
    state: RwLock<State>,
    watches: Mutex<WatchTable>,
    applied: watch::Sender<u64>,
    /// Watchers were woken since somebody asked.
    woke: AtomicBool,
}

#[derive(Default)]
struct WatchTable {
    watches: Watches,
    wakers: BTreeMap<CursorId, Arc<Notify>>,
    due: Vec<CursorId>,
}

impl Shared {
    pub(super) fn new(state: State) -> Arc<Self> {
        let applied = watch::Sender::new(state.applied_index());
        let woke = AtomicBool::new(false);
        Arc::new(Self { state: RwLock::new(state), watches: Mutex::default(), applied, woke })
    }

    /// Reads the state as it is now on this member.
    pub(super) fn read<T>(&self, work: impl FnOnce(&State) -> T) -> T {
        work(&self.state.read())
    }

    /// Changes the state, then wakes whom it concerns.
    pub(super) fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = work(&mut self.state.write());
        self.wake();
        result
    }

    fn wake(&self) {
        let state = self.state.read();
        let table = &mut *self.watches.lock();
        table.watches.wake(&state, &mut table.due);
        if !table.due.is_empty() {
            self.woke.store(true, Ordering::Relaxed);
        }
        for id in table.due.drain(..) {
            if let Some(waker) = table.wakers.get(&id) {
                waker.notify_one();
            }
        }
        self.applied.send_replace(state.applied_index());
    }

    /// Whether watchers were woken since the last call.
    pub(super) fn has_woken(&self) -> bool {
        self.woke.swap(false, Ordering::Relaxed)
    }

    /// Waits until this member applied `index` (as the state machine counts: from 1).
    pub(super) async fn wait_applied(&self, index: u64) {
        let mut applied = self.applied.subscribe();
        // The sender lives in `self`, so this cannot fail.
        drop(applied.wait_for(|now| *now >= index).await.expect("the sender is borrowed"));
    }

    pub(super) fn watch(self: &Arc<Self>, request: WatchRequest) -> Result<WatchCursor, WatchError> {
        let state = self.state.read();
        let mut table = self.watches.lock();
        let id = table.watches.open(&state, request)?;
        let waker = Arc::new(Notify::new());
        table.wakers.insert(id, waker.clone());
        Ok(WatchCursor { shared: self.clone(), id, waker })
    }
}

/// One watch: a cursor over the applied log of this member. Closes when dropped.
pub struct WatchCursor {
    shared: Arc<Shared>,
    id: CursorId,
    waker: Arc<Notify>,
}

impl WatchCursor {
    /// Waits until there is something, and fills `batch` with it. Dropping the future loses nothing.
    ///
    /// # Errors
    /// `Compacted` when the history this cursor needs is gone: list again and open a new one.
    pub async fn next(&mut self, limits: ReadLimits, batch: &mut Batch) -> Result<(), WatchError> {
        loop {
            {
                let state = self.shared.state.read();
                let mut table = self.shared.watches.lock();
                table.watches.read(&state, self.id, limits, batch)?;
            }
            if !batch.events.is_empty() {
                return Ok(());
            }
            if !batch.more {
                self.waker.notified().await;
            }
        }
    }

    /// A bookmark, if the watch asked for them and everything up to it was delivered.
    ///
    /// # Errors
    /// As for [`WatchCursor::next`].
    pub fn bookmark(&mut self) -> Result<Option<Revision>, WatchError> {
        let state = self.shared.state.read();
        self.shared.watches.lock().watches.bookmark(&state, self.id)
    }
}

impl Drop for WatchCursor {
    fn drop(&mut self) {
        let mut table = self.shared.watches.lock();
        table.watches.close(self.id);
        table.wakers.remove(&self.id);
    }
}
