//! The fault point of the wall clock: it can be set off while the process runs.
//!
//! The store itself measures time with the monotonic clock alone; certificates are judged by the wall clock. A dead-man
//! timer sets it right whatever happens to whoever set it off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use trireme_pki::WallTime;

use crate::calls::{DISK_FAULTS_MS_MAX, SetClock};

/// See the module.
pub(crate) struct ClockFault {
    /// Counts what was set: an older dead-man timer leaves a newer fault alone.
    set: Arc<AtomicU64>,
    io: Handle,
}

impl ClockFault {
    pub(crate) fn new(io: Handle) -> Self {
        Self { set: Arc::default(), io }
    }

    /// Replaces what is set.
    pub(crate) fn set(&self, wanted: SetClock) {
        let number = self.set.fetch_add(1, Ordering::AcqRel) + 1;
        tracing::warn!(?wanted, "the wall clock of this process is set");
        WallTime::set_off_by(wanted.ahead_s);
        let set = Arc::clone(&self.set);
        self.io.spawn(async move {
            tokio::time::sleep(Duration::from_millis(wanted.dead_man_ms.min(DISK_FAULTS_MS_MAX))).await;
            if set.load(Ordering::Acquire) == number {
                WallTime::set_off_by(0);
            }
        });
    }
}
