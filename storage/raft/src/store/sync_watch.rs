//! [`SyncWatch`]: how long the sync that is under way has taken, for whoever wants to do something about it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::rt::Instant;

/// Set by the log writer, read by the hand-over task.
pub(super) struct SyncWatch {
    base: Instant,
    /// Nanoseconds after `base` at which the sync began, plus one; 0 when none is under way.
    began: AtomicU64,
}

impl SyncWatch {
    pub(super) fn new() -> Self {
        Self { base: Instant::now(), began: AtomicU64::new(0) }
    }

    /// Marks that a sync has begun.
    pub(super) fn begin(&self) {
        self.began.store(self.now() + 1, Ordering::Release);
    }

    /// Runs a sync.
    pub(super) fn during<T>(&self, sync: impl FnOnce() -> T) -> T {
        self.begin();
        let result = sync();
        self.began.store(0, Ordering::Release);
        result
    }

    /// How long the sync under way has taken so far.
    pub(super) fn stalled(&self) -> Duration {
        match self.began.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            began => Duration::from_nanos(self.now().saturating_sub(began - 1)),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }
}
