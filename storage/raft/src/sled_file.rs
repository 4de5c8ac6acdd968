//! [`SledFile`]: one sled database, opened and synced by the recipe that survives power cuts.
//!
//! `sled::Db::flush` ends in `sync_file_range`, which makes nothing durable; in power-cut runs whole databases were
//! gone after it. Therefore: every flush is followed by `fdatasync` of the database file, and creation by `fsync` of
//! the files and their directories; segments of 16 MiB; values of at most [`CHUNK_BYTES`]; a bounded cache; no
//! flushing in the background; and opening under `catch_unwind`, since recovery may panic on damage.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile};

/// Largest value stored in sled, in bytes; larger ones are cut into chunks by the callers.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024 - 64;
/// How often a held lock is tried again, and the pause between: two seconds in all.
const LOCK_TRIES: u32 = 80;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(25);
const CRC_BYTES: usize = 4;
/// The largest unit of allocation that sled has, in bytes.
const SEGMENT_BYTES: usize = 16 * 1024 * 1024;
/// Room that must be left before a write: sled allocates whole segments and cannot recover from a full disk.
const ROOM_BYTES: u64 = 2 * SEGMENT_BYTES as u64;

/// Sizes of one database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SledSizes {
    /// sled's unit of allocation, in bytes: a power of two. It holds several buffers of this size.
    segment_bytes: usize,
    /// sled's page cache in bytes.
    cache_bytes: u64,
}

impl SledSizes {
    /// For what nobody else has: as it went through the power cuts.
    pub(crate) const TRUTH: Self = Self { segment_bytes: SEGMENT_BYTES, cache_bytes: 64 * 1024 * 1024 };
    /// For what is checked as a whole when it is loaded, can be rebuilt, and is read at the start only: a cache
    /// would hold a second copy of what is in memory already.
    pub(crate) const COPY: Self = Self { segment_bytes: 1024 * 1024, cache_bytes: 8 * 1024 * 1024 };
}

/// What went wrong around sled.
#[derive(Debug)]
pub(crate) enum SledFailure {
    /// sled said so, or panicked.
    Sled(String),
    /// The file system did.
    Io(&'static str, std::io::Error),
}

/// An open sled database and the handle that syncs its file.
pub(crate) struct SledFile {
    pub(crate) db: sled::Db,
    file: Box<dyn DiskFile>,
    dir: PathBuf,
}

impl SledFile {
    /// Opens or creates the database in `dir`.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, sizes: SledSizes) -> Result<Self, SledFailure> {
        let config = sled::Config::new()
            .path(dir)
            .segment_size(sizes.segment_bytes)
            .cache_capacity(sizes.cache_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let db = open_locked(&config)?;
        let path = dir.join("db");
        let file = disk.open(&path, false).map_err(|e| SledFailure::Io("opening the file", e))?;
        let opened = Self { db, file, dir: dir.to_owned() };
        opened.sync()?;
        opened.sync_names(disk).map_err(|e| SledFailure::Io("syncing the directory", e))?;
        Ok(opened)
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<(), SledFailure> {
        self.db.flush().map_err(|e| SledFailure::Sled(e.to_string()))?;
        self.file.sync_data().map_err(|e| SledFailure::Io("syncing", e))
    }

    /// Whether the file system has room for a write of `bytes`.
    pub(crate) fn has_room(&self, disk: &dyn Disk, bytes: usize) -> bool {
        // A failing question is not a full disk: the write itself will tell.
        let free = disk.free_bytes(&self.dir).unwrap_or(u64::MAX);
        free >= ROOM_BYTES.saturating_add(bytes as u64)
    }

    fn sync_names(&self, disk: &dyn Disk) -> std::io::Result<()> {
        for path in disk.list(&self.dir)? {
            if path.is_dir() {
                disk.sync_dir(&path)?;
            } else {
                disk.open(&path, false)?.sync_all()?;
            }
        }
        disk.sync_dir(&self.dir)?;
        self.dir.parent().map_or(Ok(()), |parent| disk.sync_dir(parent))
    }
}

/// Opens, waiting a bounded time for a lock: threads of a database that this process just closed may still hold it.
fn open_locked(config: &sled::Config) -> Result<sled::Db, SledFailure> {
    let mut tries = 0;
    loop {
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => return Ok(db),
            // sled wraps the lock's WouldBlock into an error of its own, only its text tells.
            Ok(Err(e)) if tries < LOCK_TRIES && e.to_string().contains("could not acquire lock") => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            Ok(Err(e)) => return Err(SledFailure::Sled(e.to_string())),
            Err(panic) => {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                return Err(SledFailure::Sled(format!("opening panicked: {said}")));
            }
        }
    }
}

/// `crc32c(key | body) | body`: a value at the wrong key does not pass.
pub(crate) fn framed(key: &[u8], body: &[&[u8]]) -> Vec<u8> {
    let crc = body.iter().fold(crc32c::crc32c(key), |crc, part| crc32c::crc32c_append(crc, part));
    let mut value = Vec::with_capacity(CRC_BYTES + body.iter().map(|part| part.len()).sum::<usize>());
    value.extend_from_slice(&crc.to_le_bytes());
    body.iter().for_each(|part| value.extend_from_slice(part));
    value
}

/// The body, when its checksum matches this key.
pub(crate) fn unframed<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (crc, body) = value.split_at_checked(CRC_BYTES)?;
    let found = crc32c::crc32c_append(crc32c::crc32c(key), body);
    (crc == found.to_le_bytes()).then_some(body)
}
