//! [`Reserve`]: room that is set aside so that a full disk can still be emptied.
//!
//! A preallocated file of [`RESERVE_BYTES`] lies beside the log. While it stands, puts are admitted as long as the
//! file system has [`LOW_WATER_BYTES`] left. When the device is full the log gives the file up: deletes and
//! compactions use that room, puts are refused with a typed error until reclaiming let the file stand again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use super::{Disk, is_no_space};

/// Size of the reserve file in bytes: two log segments and the writes of a compaction.
pub const RESERVE_BYTES: u64 = 64 * 1024 * 1024;
/// Below this many free bytes puts are refused.
pub const LOW_WATER_BYTES: u64 = 32 * 1024 * 1024;

/// What a write does to the room on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomClass {
    /// Adds data: refused when the disk is nearly full.
    Put,
    /// Frees data in the end (deletes, compaction, membership): may use the reserve.
    Reclaim,
}

/// The refusal of a put on a nearly full disk. Retry after deleting, compacting or enlarging the disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "no space for new data in {path}: {free_bytes} bytes are free, {need_bytes} are needed; deletes and compaction \
     still work: delete objects or enlarge the disk, then retry"
)]
pub struct NoSpace {
    /// The data directory.
    pub path: PathBuf,
    /// Free bytes in the file system.
    pub free_bytes: u64,
    /// Free bytes at which puts are accepted again.
    pub need_bytes: u64,
}

/// The reserve file of one data directory. Shared by the log (which gives it up) and admission (which asks).
pub struct Reserve {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    reserve_bytes: u64,
    low_water_bytes: u64,
    standing: AtomicBool,
}

impl Reserve {
    /// Sets the room aside in `dir`. On a disk that is full already the reserve starts given up.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<Self> {
        Self::with_sizes(disk, dir, RESERVE_BYTES, LOW_WATER_BYTES)
    }

    /// As [`Reserve::open`] with other sizes in bytes, for small disks.
    pub fn with_sizes(
        disk: Arc<dyn Disk>,
        dir: &Path,
        reserve_bytes: u64,
        low_water_bytes: u64,
    ) -> io::Result<Self> {
        disk.create_dir_all(dir)?;
        let standing = AtomicBool::new(false);
        let reserve = Self { disk, dir: dir.to_owned(), reserve_bytes, low_water_bytes, standing };
        reserve.restore()?;
        Ok(reserve)
    }

    /// Whether a write of this class may be proposed now. Also takes the reserve back when there is room again.
    pub fn admit(&self, class: RoomClass) -> Result<(), NoSpace> {
        if class == RoomClass::Reclaim {
            return Ok(());
        }
        // A failing question is not a full disk: the write itself will tell.
        let free_bytes = self.disk.free_bytes(&self.dir).unwrap_or(u64::MAX);
        let standing = self.standing.load(Ordering::Acquire) || self.restore().unwrap_or(false);
        if standing && free_bytes >= self.low_water_bytes {
            return Ok(());
        }
        let missing = if standing { 0 } else { self.reserve_bytes };
        Err(NoSpace { path: self.dir.clone(), free_bytes, need_bytes: self.low_water_bytes + missing })
    }

    /// Gives the room up so that a write which hit a full disk can be tried once more. False when it was given up
    /// before.
    pub fn release(&self) -> io::Result<bool> {
        if !self.standing.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        tracing::warn!(dir = %self.dir.display(), "disk is full: the reserve is given up, puts are refused");
        self.disk.remove(&self.file())?;
        self.disk.sync_dir(&self.dir)?;
        Ok(true)
    }

    /// Whether the room is set aside at the moment.
    pub fn is_standing(&self) -> bool {
        self.standing.load(Ordering::Acquire)
    }

    /// Tries to set the room aside again; true when it stands.
    fn restore(&self) -> io::Result<bool> {
        if self.standing.load(Ordering::Acquire) {
            return Ok(true);
        }
        let free = self.disk.free_bytes(&self.dir)?;
        let have =
            if self.disk.exists(&self.file())? { self.disk.open(&self.file(), false)?.size()? } else { 0 };
        if free.saturating_add(have) < self.reserve_bytes.saturating_add(self.low_water_bytes) {
            self.standing.store(have >= self.reserve_bytes, Ordering::Release);
            return Ok(have >= self.reserve_bytes);
        }
        let file = self.disk.open(&self.file(), true)?;
        match file.allocate(self.reserve_bytes) {
            Ok(()) => {
                file.sync_all()?;
                self.disk.sync_dir(&self.dir)?;
                self.standing.store(true, Ordering::Release);
                Ok(true)
            }
            Err(error) if is_no_space(&error) => {
                self.disk.remove(&self.file())?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("reserve")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    #[test]
    fn a_full_disk_refuses_puts_and_admits_reclaim_until_there_is_room_again() {
        let disk = SimDisk::new();
        disk.set_capacity(Some(1000));
        let dir = Path::new("/data");
        let reserve = Reserve::with_sizes(Arc::new(disk.clone()), dir, 400, 100).unwrap();
        assert!(reserve.is_standing());
        reserve.admit(RoomClass::Put).unwrap();

        let hog = disk.open(&dir.join("hog"), true).unwrap();
        hog.allocate(600).unwrap();
        let refused = reserve.admit(RoomClass::Put).unwrap_err();
        assert_eq!((refused.free_bytes, refused.need_bytes), (0, 100));
        assert!(hog.allocate(700).is_err(), "the reserve keeps others out");

        assert!(reserve.release().unwrap());
        assert!(!reserve.release().unwrap(), "given up once");
        hog.allocate(700).expect("the released room is usable");
        reserve.admit(RoomClass::Reclaim).unwrap();
        assert!(reserve.admit(RoomClass::Put).is_err());

        disk.remove(&dir.join("hog")).unwrap();
        reserve.admit(RoomClass::Put).expect("room again, so the reserve stands again");
        assert!(reserve.is_standing());
    }
}
