//! [`SimDisk`]: a disk in memory that forgets, by seed, what was not synced.
//!
//! Model: a write is volatile until its file is synced; a creation, rename or removal is volatile until its
//! directory is synced. [`SimDisk::power_cut`] keeps everything durable, and of each volatile write nothing, all,
//! or any of its 512-byte sectors, in any order, as a real device may. A file whose directory entry was not synced
//! may be gone or (as on journalling file systems) still there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile, DiskLock};
use parking_lot::Mutex;

/// The unit a device writes whole.
const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones share the content.
#[derive(Clone, Default)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// What the running system sees.
    names: BTreeMap<PathBuf, u64>,
    /// What a power cut keeps of the names.
    durable_names: BTreeMap<PathBuf, u64>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    /// Bytes that may still be allocated; `None` is unlimited.
    capacity: Option<u64>,
    locks: BTreeSet<PathBuf>,
    /// Bumped by a power cut: older handles then fail.
    epoch: u64,
}

#[derive(Default, Clone)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Volatile writes since the last sync, oldest first.
    writes: Vec<(u64, Vec<u8>)>,
}

impl SimDisk {
    /// An empty disk without a size limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the sum of all file sizes to `bytes`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.inner.lock().capacity = bytes;
    }

    /// Cuts the power: what was not synced is lost in whole or in part, chosen by `seed`. Handles opened before
    /// fail from now on, as those of a dead process.
    pub fn power_cut(&self, seed: u64) {
        let mut rng = Dice(seed);
        let mut inner = self.inner.lock();
        inner.epoch += 1;
        inner.locks.clear();
        for content in inner.files.values_mut() {
            content.cut(&mut rng);
        }
        let volatile: Vec<PathBuf> = inner.names.keys().chain(inner.durable_names.keys()).cloned().collect();
        for path in volatile {
            let (now, durable) = (inner.names.get(&path).copied(), inner.durable_names.get(&path).copied());
            if now != durable && rng.roll().is_multiple_of(2) {
                match durable {
                    Some(file) => inner.names.insert(path, file),
                    None => inner.names.remove(&path),
                };
            }
        }
        inner.durable_names = inner.names.clone();
    }

    /// Overwrites bytes in place, durably: bit rot for tests.
    pub fn corrupt(&self, path: &Path, offset: usize, xor: u8) {
        let mut inner = self.inner.lock();
        let id = *inner.names.get(path).expect("the test names an existing file");
        let content = inner.files.get_mut(&id).expect("a named file has content");
        content.now[offset] ^= xor;
        content.durable[offset] ^= xor;
    }
}

impl Content {
    fn cut(&mut self, rng: &mut Dice) {
        for (offset, bytes) in std::mem::take(&mut self.writes) {
            let fate = rng.roll() % 3;
            for (n, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                let kept = match fate {
                    0 => false,
                    1 => true,
                    _ => rng.roll().is_multiple_of(2),
                };
                if kept {
                    put(&mut self.durable, usize_of(offset) + n * SECTOR_BYTES, sector);
                }
            }
        }
        self.now = self.durable.clone();
    }

    fn sync(&mut self) {
        self.writes.clear();
        self.durable.clone_from(&self.now);
    }
}

/// splitmix64: the fate of each volatile write, by seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

fn usize_of(n: u64) -> usize {
    usize::try_from(n).expect("a simulated file fits in memory")
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner.lock();
        let id = match inner.names.get(path) {
            Some(id) => *id,
            None if create => {
                let id = inner.next_file;
                inner.next_file += 1;
                inner.names.insert(path.to_owned(), id);
                inner.files.insert(id, Content::default());
                id
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(SimFile { disk: self.clone(), id, epoch: inner.epoch }))
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let Inner { names, durable_names, .. } = &mut *inner;
        durable_names.retain(|name, _| name.parent() != Some(path));
        let here = names.iter().filter(|(name, _)| name.parent() == Some(path));
        durable_names.extend(here.map(|(name, id)| (name.clone(), *id)));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.lock().names.remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let id = inner.names.remove(from).ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        inner.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let inner = self.inner.lock();
        Ok(inner.names.keys().any(|name| name.starts_with(path)))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.inner.lock().names.keys().filter(|name| name.parent() == Some(path)).cloned().collect())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.lock().names.retain(|name, _| !name.starts_with(path));
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut inner = self.inner.lock();
        if !inner.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), epoch: inner.epoch }))
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let inner = self.inner.lock();
        Ok(inner.capacity.map_or(u64::MAX, |limit| limit.saturating_sub(inner.used())))
    }
}

impl Inner {
    fn used(&self) -> u64 {
        self.names.values().map(|id| self.files.get(id).map_or(0, |c| c.now.len() as u64)).sum()
    }

    fn grow(&mut self, id: u64, to: u64) -> io::Result<()> {
        let have = self.files.get(&id).map_or(0, |c| c.now.len() as u64);
        let more = to.saturating_sub(have);
        match self.capacity {
            Some(limit) if more > 0 && self.used() + more > limit => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    epoch: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut inner = self.disk.inner.lock();
        if inner.epoch == self.epoch {
            inner.locks.remove(&self.path);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    id: u64,
    epoch: u64,
}

impl SimFile {
    fn with<T>(&self, work: impl FnOnce(&mut Inner, u64) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.disk.inner.lock();
        if inner.epoch != self.epoch {
            return Err(io::Error::other("the power was cut"));
        }
        work(&mut inner, self.id)
    }

    fn content<T>(&self, work: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        self.with(|inner, id| Ok(work(inner.files.get_mut(&id).expect("an open file has content"))))
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.content(|c| {
            let from = usize_of(offset).min(c.now.len());
            let n = buf.len().min(c.now.len() - from);
            buf[..n].copy_from_slice(&c.now[from..from + n]);
            n
        })
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.with(|inner, id| inner.grow(id, offset + buf.len() as u64))?;
        self.content(|c| {
            put(&mut c.now, usize_of(offset), buf);
            c.writes.push((offset, buf.to_vec()));
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.content(Content::sync)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.content(Content::sync)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.with(|inner, id| inner.grow(id, len))?;
        self.content(|c| {
            if c.now.len() < usize_of(len) {
                c.now.resize(usize_of(len), 0);
            }
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.content(|c| c.now.len() as u64)
    }

    fn set_size(&self, len: u64) -> io::Result<()> {
        self.content(|c| c.now.resize(usize_of(len), 0))
    }
}
