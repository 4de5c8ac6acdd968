//! The disk seam: every file operation of this crate that matters for durability goes through [`Disk`].
//!
//! Three implementations: [`RealDisk`] (syscalls), [`SimDisk`] (in memory, forgets what was not synced when the
//! power is cut, by seed) and [`FaultDisk`] (wraps another one and injects slow or failing syncs, skipped syncs,
//! torn writes and a full device while it runs).
//!
//! Deliberately absent: sled reads and writes its own file. What we do around sled (the `fdatasync` of its file,
//! the sentinel, the identity, the room check) is behind this seam, sled's own `pwrite` is not.

mod fault_disk;
mod real_disk;
mod reserve;
mod sim_disk;

use std::io;
use std::path::{Path, PathBuf};

pub use fault_disk::{DiskFaults, FaultDisk};
pub use real_disk::RealDisk;
pub use reserve::{LOW_WATER_BYTES, NoSpace, RESERVE_BYTES, Reserve, RoomClass};
pub use sim_disk::SimDisk;

/// A file system, reduced to what a log needs.
pub trait Disk: Send + Sync + 'static {
    /// Opens `path` for reading and writing; creates it when `create` is set. A created file is durable only after
    /// [`DiskFile::sync_all`] and [`Disk::sync_dir`] of its directory.
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `path` durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes one file. Durable after [`Disk::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Replaces `to` by `from` atomically. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Whether a file or directory of this name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// The files in `path`, sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Removes a directory with everything in it; nothing happens when it is not there.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Takes the lock file `path` for this process until the guard is dropped; an error of kind `WouldBlock` says
    /// that someone else has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// Bytes that this process can still write in the file system of `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// Holds a lock file until it is dropped.
pub trait DiskLock: Send + Sync {}

/// One open file. All operations are positioned, so that readers and the writer share a handle.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; 0 means end of file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`. On an error any prefix may have been written.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// `fdatasync`: content (and the size, if it changed) is on the device when this returns.
    fn sync_data(&self) -> io::Result<()>;
    /// `fsync`: content and metadata are on the device when this returns.
    fn sync_all(&self) -> io::Result<()>;
    /// Reserves blocks for `len` bytes from the start and extends the size; new bytes read as zero.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros, without reserving blocks).
    fn set_size(&self, len: u64) -> io::Result<()>;
}

/// Reads a file to its end, at most `limit_bytes`.
pub(crate) fn read_to_limit(file: &dyn DiskFile, limit_bytes: usize) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.size()?).unwrap_or(usize::MAX).min(limit_bytes);
    let mut content = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match file.read_at(&mut content[filled..], filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    content.truncate(filled);
    Ok(content)
}

/// Whether an error says that the device or the quota is full.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
