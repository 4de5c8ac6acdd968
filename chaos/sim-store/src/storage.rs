//! [`Storage`]: what a member has on disk, across its incarnations.
//!
//! The log, the vote and the snapshots are the product's own files on a disk in memory. The applied state is kept by
//! a stand-in for sled, which brings its own file and threads: atomic batches, durable when synced.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use trireme_raft::disk::{Disk, DiskFaults, FaultDisk, Reserve, SimDisk};
use trireme_raft::log_db::{LogDb, SegmentedLog, SegmentedOptions};
use trireme_raft::state_db::{Applied, StateBatch, StateDb, StateError};
use trireme_raft::{Database, Identity, SentinelSync};

/// Size of a segment in bytes: small, so that files change often.
const SEGMENT_BYTES: u32 = 16 * 1024;
/// Room set aside, in bytes.
const RESERVE_BYTES: u64 = 4 * 1024;

/// See the module.
pub(crate) struct Storage {
    identity: Identity,
    disk: SimDisk,
    pub(crate) faults: Arc<DiskFaults>,
    files: Arc<dyn Disk>,
    state: MemoryState,
    created: bool,
}

impl Storage {
    pub(crate) fn new(identity: Identity) -> Self {
        let disk = SimDisk::new();
        let files = FaultDisk::new(disk.clone());
        let (faults, files) = (files.faults(), Arc::new(files));
        Self { identity, disk, faults, files, state: MemoryState::default(), created: false }
    }

    /// Opens what is there, or creates it the first time.
    ///
    /// # Errors
    /// What the product said.
    pub(crate) fn open(&mut self) -> Result<Database, String> {
        let dir = PathBuf::from("/member");
        let options = SegmentedOptions { segment_bytes: SEGMENT_BYTES, sentinel: SentinelSync::Every(8) };
        let log_dir = dir.join("log");
        let lock = self.files.lock(&dir.join("lock")).map_err(|e| format!("the lock: {e}"))?;
        let log = if self.created {
            SegmentedLog::open(self.files.clone(), &log_dir, options)
        } else {
            SegmentedLog::create(self.files.clone(), &log_dir, options)
        };
        let log: Arc<dyn LogDb> = Arc::new(log.map_err(|e| format!("the log: {e}"))?);
        self.created = true;
        let reserve = Reserve::with_sizes(self.files.clone(), &dir, RESERVE_BYTES, RESERVE_BYTES)
            .map_err(|e| format!("the reserve: {e}"))?;
        Ok(Database {
            identity: self.identity,
            log,
            state: Arc::new(self.state.clone()),
            reserve: Arc::new(reserve),
            disk: self.files.clone(),
            dir,
            lock,
        })
    }

    /// Whose it is.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Loses what was not synced, by `seed`.
    pub(crate) fn power_cut(&self, seed: u64) {
        self.disk.power_cut(seed);
        self.state.power_cut(seed);
    }
}

/// An applied state in memory. Clones share it.
#[derive(Clone, Default)]
struct MemoryState {
    inner: Arc<Mutex<Versions>>,
}

#[derive(Default)]
struct Versions {
    now: Content,
    durable: Content,
}

#[derive(Clone, Default)]
struct Content {
    records: BTreeMap<Bytes, Bytes>,
    applied: Option<Applied>,
}

impl MemoryState {
    /// What was not synced is there or not, as a whole; one time in eight nothing is left, as of a damaged file.
    fn power_cut(&self, seed: u64) {
        let mut inner = self.inner.lock();
        match seed % 8 {
            0 => inner.now = Content::default(),
            1..4 => inner.now = inner.durable.clone(),
            _ => {}
        }
        inner.durable = inner.now.clone();
    }
}

impl StateDb for MemoryState {
    fn applied(&self) -> Option<Applied> {
        self.inner.lock().now.applied.clone()
    }

    fn write(&self, batch: &StateBatch, applied: Option<&Applied>) -> Result<(), StateError> {
        let now = &mut self.inner.lock().now;
        for key in &batch.deletes {
            now.records.remove(key);
        }
        now.records.extend(batch.puts.iter().cloned());
        now.applied = applied.cloned();
        Ok(())
    }

    fn sync(&self) -> Result<Option<u64>, StateError> {
        let mut inner = self.inner.lock();
        inner.durable = inner.now.clone();
        Ok(inner.now.applied.as_ref().map(|applied| applied.index))
    }

    fn load(&self, visit: &mut dyn FnMut(Bytes, Bytes)) -> Result<(), StateError> {
        let records = self.inner.lock().now.records.clone();
        records.into_iter().for_each(|(name, value)| visit(name, value));
        Ok(())
    }

    fn clear(&self) -> Result<(), StateError> {
        let mut inner = self.inner.lock();
        inner.now = Content::default();
        inner.durable = Content::default();
        Ok(())
    }
}
