use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts of what exists, kept by guards so that nothing can be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) live: AtomicU64,
    pub(crate) io_tasks: AtomicU64,
    pub(crate) timers: AtomicU64,
    pub(crate) arbiters_abandoned: AtomicU64,
    pub(crate) watchdog_wakes: AtomicU64,
    /// Notified when `live` falls to zero.
    pub(crate) quiet: Notify,
}

impl Gauges {
    pub(crate) fn born(&self) {
        self.live.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn died(&self) {
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.quiet.notify_waiters();
        }
    }
}

/// Counts one I/O task for as long as it exists.
pub(crate) struct IoGuard {
    gauges: Arc<Gauges>,
}

impl IoGuard {
    pub(crate) fn new(gauges: &Arc<Gauges>) -> Self {
        gauges.io_tasks.fetch_add(1, Ordering::AcqRel);
        Self { gauges: Arc::clone(gauges) }
    }
}

impl Drop for IoGuard {
    fn drop(&mut self) {
        self.gauges.io_tasks.fetch_sub(1, Ordering::AcqRel);
    }
}
