use std::collections::BTreeMap;

use tokio::task::AbortHandle;
use trireme_core::supervision::Incarnation;

/// The I/O tasks of a slot's incarnation. Kept with the slot, so that those of an incarnation that is stuck
/// can be aborted without it.
#[derive(Debug, Default)]
pub(crate) struct IoTable {
    owner: Option<Incarnation>,
    tasks: BTreeMap<u64, AbortHandle>,
}

impl IoTable {
    /// Begins an incarnation; what an earlier one left is aborted.
    pub(crate) fn open(&mut self, incarnation: Incarnation) {
        self.abort_all();
        self.owner = Some(incarnation);
    }

    /// Ends an incarnation and aborts its tasks.
    pub(crate) fn close(&mut self, incarnation: Incarnation) {
        if self.owner == Some(incarnation) {
            self.owner = None;
            self.abort_all();
        }
    }

    /// Notes a task; one of an incarnation that has ended meanwhile is aborted.
    pub(crate) fn insert(&mut self, incarnation: Incarnation, id: u64, task: AbortHandle) {
        if self.owner == Some(incarnation) {
            self.tasks.insert(id, task);
        } else {
            task.abort();
        }
    }

    /// Takes a task out; `None` when it is unknown or another incarnation's.
    pub(crate) fn remove(&mut self, incarnation: Incarnation, id: u64) -> Option<AbortHandle> {
        if self.owner == Some(incarnation) { self.tasks.remove(&id) } else { None }
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    fn abort_all(&mut self) {
        for task in std::mem::take(&mut self.tasks).into_values() {
            task.abort();
        }
    }
}
