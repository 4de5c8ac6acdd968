//! [`FaultDisk`]: another disk with faults switched on and off while it runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::{Disk, DiskFile, DiskLock};

/// The switches of a [`FaultDisk`]; shared with whoever injects. All off at creation.
#[derive(Debug)]
pub struct DiskFaults {
    sync_delay_ms: AtomicU64,
    fail_syncs: AtomicBool,
    skip_syncs: AtomicBool,
    /// Bytes that may still be written before "no space left"; negative is unlimited.
    room_bytes: AtomicI64,
    /// The next write keeps only this many bytes and then fails; negative is off.
    tear_next_write: AtomicI64,
    syncs: AtomicU64,
}

impl Default for DiskFaults {
    fn default() -> Self {
        Self {
            sync_delay_ms: AtomicU64::new(0),
            fail_syncs: AtomicBool::new(false),
            skip_syncs: AtomicBool::new(false),
            room_bytes: AtomicI64::new(-1),
            tear_next_write: AtomicI64::new(-1),
            syncs: AtomicU64::new(0),
        }
    }
}

impl DiskFaults {
    /// Every sync takes this much longer.
    pub fn slow_sync(&self, delay: Duration) {
        self.sync_delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Every sync fails with an I/O error.
    pub fn fail_sync(&self, on: bool) {
        self.fail_syncs.store(on, Ordering::SeqCst);
    }

    /// Every sync reports success without doing anything: a lying device.
    pub fn skip_sync(&self, on: bool) {
        self.skip_syncs.store(on, Ordering::SeqCst);
    }

    /// After `bytes` more written or allocated bytes the device is full. `None` heals it.
    pub fn limit_room(&self, bytes: Option<u64>) {
        let value = bytes.map_or(-1, |b| i64::try_from(b).unwrap_or(i64::MAX));
        self.room_bytes.store(value, Ordering::SeqCst);
    }

    /// The next write keeps its first `bytes` bytes and fails.
    pub fn tear_next_write(&self, bytes: u32) {
        self.tear_next_write.store(i64::from(bytes), Ordering::SeqCst);
    }

    /// Syncs asked for so far (also skipped and failed ones).
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    fn on_sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        let delay_ms = self.sync_delay_ms.load(Ordering::SeqCst);
        if delay_ms > 0 {
            std::thread::sleep(Duration::from_millis(delay_ms));
        }
        if self.fail_syncs.load(Ordering::SeqCst) {
            return Err(io::Error::other("injected fault: sync failed"));
        }
        if self.skip_syncs.load(Ordering::SeqCst) {
            return Ok(());
        }
        sync()
    }

    fn take_room(&self, bytes: u64) -> io::Result<()> {
        let wanted = i64::try_from(bytes).unwrap_or(i64::MAX);
        let taken = self.room_bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
            left if left < 0 => Some(left),
            left => (left >= wanted).then_some(left - wanted),
        });
        taken.map(|_| ()).map_err(|_| io::ErrorKind::StorageFull.into())
    }
}

/// A disk that misbehaves as its [`DiskFaults`] say.
#[derive(Clone)]
pub struct FaultDisk<D> {
    disk: D,
    faults: Arc<DiskFaults>,
}

impl<D: Disk> FaultDisk<D> {
    /// Wraps `disk`; no fault is on.
    pub fn new(disk: D) -> Self {
        Self { disk, faults: Arc::default() }
    }

    /// The switches.
    pub fn faults(&self) -> Arc<DiskFaults> {
        self.faults.clone()
    }
}

impl<D: Disk> Disk for FaultDisk<D> {
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultFile { file: self.disk.open(path, create)?, faults: self.faults.clone() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.on_sync(|| self.disk.sync_dir(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // A removed file gives its room back, so that a full device can be reclaimed in a test.
        if let Ok(size) = self.disk.open(path, false).and_then(|f| f.size())
            && self.faults.room_bytes.load(Ordering::SeqCst) >= 0
        {
            self.faults.room_bytes.fetch_add(i64::try_from(size).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
        self.disk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let room = self.faults.room_bytes.load(Ordering::SeqCst);
        let free = self.disk.free_bytes(path)?;
        Ok(u64::try_from(room).map_or(free, |room| room.min(free)))
    }
}

struct FaultFile {
    file: Box<dyn DiskFile>,
    faults: Arc<DiskFaults>,
}

impl DiskFile for FaultFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let torn = self.faults.tear_next_write.swap(-1, Ordering::SeqCst);
        if let Ok(keep) = usize::try_from(torn) {
            self.file.write_all_at(&buf[..keep.min(buf.len())], offset)?;
            return Err(io::Error::other("injected fault: torn write"));
        }
        // Without the fault no write asks for the size first.
        if self.faults.room_bytes.load(Ordering::SeqCst) >= 0 {
            let grows = (offset + buf.len() as u64).saturating_sub(self.file.size()?);
            self.faults.take_room(grows)?;
        }
        self.file.write_all_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.on_sync(|| self.file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.faults.on_sync(|| self.file.sync_all())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.faults.take_room(len.saturating_sub(self.file.size()?))?;
        self.file.allocate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn set_size(&self, len: u64) -> io::Result<()> {
        self.file.set_size(len)
    }
}
