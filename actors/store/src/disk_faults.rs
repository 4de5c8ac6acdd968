//! The fault point below the member's log: a disk that can be made slow, failing, lying or full while it runs.
//!
//! Off, it costs a few relaxed looks per sync. A dead-man timer heals it whatever happens to whoever set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use trireme_raft::disk::{Disk, DiskFaults, FaultDisk, RealDisk};

use crate::calls::{DISK_FAULTS_MS_MAX, SetDiskFaults};

/// See the module.
pub(crate) struct FaultyDisk {
    disk: Arc<FaultDisk<RealDisk>>,
    /// Counts what was set: an older dead-man timer leaves newer faults alone.
    set: Arc<AtomicU64>,
    io: Handle,
}

impl FaultyDisk {
    pub(crate) fn new(io: Handle) -> Self {
        Self { disk: Arc::new(FaultDisk::new(RealDisk)), set: Arc::default(), io }
    }

    /// The disk for a database.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    /// Replaces what is set; gives the syncs so far.
    pub(crate) fn set(&self, wanted: SetDiskFaults) -> u64 {
        let number = self.set.fetch_add(1, Ordering::AcqRel) + 1;
        tracing::warn!(?wanted, "disk faults");
        let (faults, set) = (self.disk.faults(), Arc::clone(&self.set));
        apply(&faults, wanted);
        let syncs = faults.syncs();
        self.io.spawn(async move {
            tokio::time::sleep(Duration::from_millis(wanted.dead_man_ms.min(DISK_FAULTS_MS_MAX))).await;
            if set.load(Ordering::Acquire) == number {
                apply(&faults, SetDiskFaults::default());
            }
        });
        syncs
    }
}

fn apply(faults: &DiskFaults, wanted: SetDiskFaults) {
    faults.slow_sync(Duration::from_millis(wanted.sync_delay_ms));
    faults.fail_sync(wanted.fail_syncs);
    faults.skip_sync(wanted.skip_syncs);
    faults.limit_room(wanted.room_bytes);
}
