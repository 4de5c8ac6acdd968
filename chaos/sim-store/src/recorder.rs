//! [`Recorder`]: where everything that is judged is written down.

use std::sync::Arc;

use parking_lot::Mutex;
use trireme_laws::{History, Operation, Record};

use crate::world::World;

/// The history so far. Clones share it.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) world: Arc<World>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    history: History,
    processes: u64,
    values: u64,
    streams: u64,
    /// What is wrong beyond the laws.
    wrong: Vec<String>,
}

impl Recorder {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, inner: Arc::default() }
    }

    pub(crate) fn operation(&self, operation: Operation) {
        self.world.tell(|| operation.to_string());
        self.inner.lock().history.operations.push(operation);
    }

    pub(crate) fn push(&self, record: Record) {
        if !matches!(record, Record::Hash(_)) {
            self.world.tell(|| record.to_string());
        }
        self.inner.lock().history.push(record);
    }

    /// Something that no member may do, and no law is about.
    pub(crate) fn wrong(&self, what: String) {
        self.world.tell(|| format!("WRONG: {what}"));
        self.inner.lock().wrong.push(what);
    }

    /// A number for a client of its own.
    pub(crate) fn process(&self) -> u64 {
        self.count(|inner| &mut inner.processes)
    }

    /// A value that is written once.
    pub(crate) fn value(&self) -> u64 {
        self.count(|inner| &mut inner.values)
    }

    /// A number for a stream.
    pub(crate) fn stream(&self) -> u64 {
        self.count(|inner| &mut inner.streams)
    }

    fn count(&self, which: impl FnOnce(&mut Inner) -> &mut u64) -> u64 {
        let mut inner = self.inner.lock();
        let count = which(&mut inner);
        *count += 1;
        *count
    }

    /// What was recorded, and what was wrong.
    pub(crate) fn take(&self) -> (History, Vec<String>) {
        let mut inner = self.inner.lock();
        (std::mem::take(&mut inner.history), std::mem::take(&mut inner.wrong))
    }
}
