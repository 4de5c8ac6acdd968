//! Where every task leaves its records.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use trireme_laws::{History, Operation, Record};

use crate::clock::Clock;

/// Most records of one siege; the first beyond it ends the recording, and the verdict says so.
const RECORDS_LIMIT: usize = 4_000_000;

/// Shared by all tasks of a siege.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) clock: Clock,
    inner: Arc<Inner>,
}

struct Inner {
    records: Mutex<Records>,
    processes: AtomicU64,
    values: AtomicU64,
}

#[derive(Default)]
struct Records {
    history: History,
    count: usize,
    overflowed: bool,
    notes: Vec<String>,
}

impl Recorder {
    pub(crate) fn new(clock: Clock) -> Self {
        let inner =
            Inner { records: Mutex::default(), processes: AtomicU64::new(1), values: AtomicU64::new(1) };
        Self { clock, inner: Arc::new(inner) }
    }

    /// A number for a client; a client whose operation never returned goes on under a new one.
    pub(crate) fn process(&self) -> u64 {
        self.inner.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// A value that nobody else writes.
    pub(crate) fn value(&self) -> u64 {
        self.inner.values.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn push(&self, record: Record) {
        let mut records = self.inner.records.lock();
        if records.count >= RECORDS_LIMIT {
            records.overflowed = true;
            return;
        }
        records.count += 1;
        records.history.push(record);
    }

    pub(crate) fn operation(&self, operation: Operation) {
        self.push(Record::Operation(operation));
    }

    /// Something that people should know, not a record.
    pub(crate) fn note(&self, text: String) {
        let at = std::time::Duration::from_nanos(self.clock.now());
        self.inner.records.lock().notes.push(format!("{:8.3} s  {text}", at.as_secs_f64()));
    }

    /// How many operations were recorded, and how many of them were acknowledged.
    pub(crate) fn operations(&self) -> (usize, usize) {
        let records = self.inner.records.lock();
        let operations = &records.history.operations;
        (operations.len(), operations.iter().filter(|operation| operation.is_acknowledged()).count())
    }

    /// The highest revision that anyone was told.
    pub(crate) fn highest_revision(&self) -> u64 {
        let records = self.inner.records.lock();
        records.history.operations.iter().filter_map(Operation::revision).max().unwrap_or(0)
    }

    /// Everything so far; the recorder is empty afterwards. `Err` when records had to be left out.
    pub(crate) fn take(&self) -> Result<(History, Vec<String>), usize> {
        let records = std::mem::take(&mut *self.inner.records.lock());
        if records.overflowed { Err(RECORDS_LIMIT) } else { Ok((records.history, records.notes)) }
    }
}

#[cfg(test)]
mod tests {
    use trireme_laws::state_hash::HashSample;

    use super::*;

    #[test]
    fn numbers_are_given_once_and_records_are_kept_in_order() {
        let recorder = Recorder::new(Clock::start());
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let recorder = recorder.clone();
                std::thread::spawn(move || (0..100).map(|_| recorder.value()).collect::<Vec<_>>())
            })
            .collect();
        let mut values: Vec<u64> = tasks.into_iter().flat_map(|task| task.join().unwrap()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 400);
        for index in 0..3 {
            recorder.push(Record::Hash(HashSample { member: 1, at: recorder.clock.now(), index, hash: 1 }));
        }
        let (history, _) = recorder.take().unwrap();
        assert_eq!(history.hashes.iter().map(|sample| sample.index).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(history.hashes.is_sorted_by_key(|sample| sample.at));
    }
}
