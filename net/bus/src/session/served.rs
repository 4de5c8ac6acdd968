//! The peer's requests that are being worked on here.

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use trireme_core::Tick;
use trireme_kernel::Class;

#[derive(Debug, Default)]
pub(super) struct Served {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    works: HashMap<u64, Work>,
    closed: bool,
}

#[derive(Debug)]
struct Work {
    class: Class,
    deadline: Tick,
    abort: AbortHandle,
}

/// A request whose deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overdue {
    pub(super) id: u64,
    pub(super) class: Class,
}

impl Served {
    /// Adds a work started by `start`, unless the session is over. The work ends itself with [`Served::finish`].
    pub(super) fn insert(&self, id: u64, class: Class, deadline: Tick, start: impl FnOnce() -> AbortHandle) {
        let mut table = self.table.lock();
        if !table.closed {
            let abort = start();
            table.works.insert(id, Work { class, deadline, abort });
        }
    }

    /// The work is done; false when it was cancelled or overdue meanwhile, so nobody wants its answer.
    pub(super) fn finish(&self, id: u64) -> bool {
        self.table.lock().works.remove(&id).is_some()
    }

    pub(super) fn cancel(&self, id: u64) {
        let work = self.table.lock().works.remove(&id);
        if let Some(work) = work {
            work.abort.abort();
        }
    }

    /// Ends what is overdue; the earliest deadline left.
    pub(super) fn sweep(&self, now: Tick, overdue: &mut Vec<Overdue>) -> Option<Tick> {
        let mut table = self.table.lock();
        let mut earliest: Option<Tick> = None;
        table.works.retain(|id, work| {
            if work.deadline <= now {
                work.abort.abort();
                overdue.push(Overdue { id: *id, class: work.class });
                return false;
            }
            earliest = Some(earliest.map_or(work.deadline, |at| at.min(work.deadline)));
            true
        });
        earliest
    }

    pub(super) fn close(&self) {
        let mut table = self.table.lock();
        table.closed = true;
        for work in std::mem::take(&mut table.works).into_values() {
            work.abort.abort();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.lock().works.len()
    }
}
