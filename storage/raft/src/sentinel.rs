//! [`Sentinel`]: how far the log was synced, in a file of its own.
//!
//! The log itself cannot tell that its end is missing; the sentinel can. It holds a position that only grows, and
//! it is written after the log's own sync, never before. Two slots in two sectors are written in turn, so a torn
//! write leaves the older one.
//!
//! The sentinel is written after every sync of the log and synced itself on every one
//! ([`SentinelSync::Always`]) or on every n-th ([`SentinelSync::Every`]); between, a power cut may leave it behind
//! the log (never ahead).

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::disk::{Disk, DiskFile, read_to_limit};

/// Distance of the two slots in bytes: they never share a sector or a page.
const SLOT_BYTES: u64 = 4096;
const MAGIC: u64 = 0x314c_4e54_5345_5254;
const RECORD_BYTES: usize = 48;

/// When the sentinel's own file is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentinelSync {
    /// With each position.
    Always,
    /// With each n-th position.
    Every(u32),
}

/// A synced position. Ordered by `major`, then `minor`; `index` is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Segment number, or the count of sync generations.
    pub major: u64,
    /// Offset in the segment, or 0.
    pub minor: u64,
    /// Highest log index that was synced, plus one.
    pub next_index: u64,
}

/// Why a sentinel could not be used.
#[derive(Debug, Error)]
pub enum SentinelError {
    /// The file is not there though the database was created.
    #[error(
        "{path} is missing: what this member acknowledged is unknown; remove it and add it under a new id"
    )]
    Missing {
        /// The sentinel file.
        path: PathBuf,
    },
    /// Neither slot is readable.
    #[error("{path} is damaged in both slots; remove this member and add it under a new id")]
    Damaged {
        /// The sentinel file.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("{what} of {path} failed: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The sentinel file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The open sentinel of one log.
pub struct Sentinel {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    sync: SentinelSync,
    turn: u64,
    unsynced: u32,
    last: Position,
}

impl Sentinel {
    /// Creates the file with the zero position, durably.
    pub fn create(disk: &dyn Disk, path: &Path, sync: SentinelSync) -> Result<Self, SentinelError> {
        let fail = |what| move |source| SentinelError::Io { what, path: path.to_owned(), source };
        let file = disk.open(path, true).map_err(fail("creating"))?;
        let mut sentinel =
            Self { file, path: path.to_owned(), sync, turn: 0, unsynced: 0, last: Position::default() };
        sentinel.write(Position::default())?;
        sentinel.write(Position::default())?;
        sentinel.file.sync_all().map_err(fail("syncing"))?;
        disk.sync_dir(path.parent().unwrap_or(path)).map_err(fail("syncing the directory"))?;
        Ok(sentinel)
    }

    /// Opens an existing file and reads the newer valid slot.
    pub fn open(disk: &dyn Disk, path: &Path, sync: SentinelSync) -> Result<Self, SentinelError> {
        let fail = |what| move |source| SentinelError::Io { what, path: path.to_owned(), source };
        let file = match disk.open(path, false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(SentinelError::Missing { path: path.to_owned() });
            }
            other => other.map_err(fail("opening"))?,
        };
        let limit = usize::try_from(2 * SLOT_BYTES).expect("two slots fit in memory");
        let content = read_to_limit(file.as_ref(), limit).map_err(fail("reading"))?;
        let second = content.get(limit / 2..).unwrap_or_default();
        let newest = [decode(&content), decode(second)].into_iter().flatten().max_by_key(|(turn, _)| *turn);
        let (turn, last) = newest.ok_or_else(|| SentinelError::Damaged { path: path.to_owned() })?;
        Ok(Self { file, path: path.to_owned(), sync, turn: turn + 1, unsynced: 0, last })
    }

    /// The last position written.
    pub fn position(&self) -> Position {
        self.last
    }

    /// Records that the log is synced up to `position`.
    pub fn advance(&mut self, position: Position) -> Result<(), SentinelError> {
        self.write(position)?;
        self.unsynced += 1;
        match self.sync {
            SentinelSync::Every(n) if self.unsynced < n => Ok(()),
            SentinelSync::Every(_) | SentinelSync::Always => self.sync_now(),
        }
    }

    /// The same, but a sync that is due is left to [`Sentinel::sync_due`] as long as it comes within another turn.
    pub fn advance_lazily(&mut self, position: Position) -> Result<(), SentinelError> {
        self.write(position)?;
        self.unsynced += 1;
        match self.sync {
            SentinelSync::Every(n) if self.unsynced < n.saturating_mul(2) => Ok(()),
            SentinelSync::Every(_) | SentinelSync::Always => self.sync_now(),
        }
    }

    /// Syncs the file if that is due.
    pub fn sync_due(&mut self) -> Result<(), SentinelError> {
        match self.sync {
            SentinelSync::Every(n) if self.unsynced < n => Ok(()),
            SentinelSync::Every(_) | SentinelSync::Always if self.unsynced > 0 => self.sync_now(),
            SentinelSync::Every(_) | SentinelSync::Always => Ok(()),
        }
    }

    /// Syncs the file itself.
    pub fn sync_now(&mut self) -> Result<(), SentinelError> {
        let fail = |source| SentinelError::Io { what: "syncing", path: self.path.clone(), source };
        self.file.sync_data().map_err(fail)?;
        self.unsynced = 0;
        Ok(())
    }

    fn write(&mut self, position: Position) -> Result<(), SentinelError> {
        let offset = (self.turn % 2) * SLOT_BYTES;
        let fail = |source| SentinelError::Io { what: "writing", path: self.path.clone(), source };
        self.file.write_all_at(&encode(self.turn, position), offset).map_err(fail)?;
        self.turn += 1;
        self.last = position;
        Ok(())
    }
}

fn encode(turn: u64, position: Position) -> [u8; RECORD_BYTES] {
    let mut out = [0; RECORD_BYTES];
    let words = [MAGIC, turn, position.major, position.minor, position.next_index];
    for (slot, word) in out.chunks_exact_mut(8).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    let crc = crc32c::crc32c(&out[..RECORD_BYTES - 8]);
    out[RECORD_BYTES - 8..RECORD_BYTES - 4].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<(u64, Position)> {
    let bytes = bytes.get(..RECORD_BYTES)?;
    let word = |n: usize| u64::from_le_bytes(bytes[n * 8..n * 8 + 8].try_into().expect("eight bytes"));
    let crc = u32::from_le_bytes(bytes[40..44].try_into().expect("four bytes"));
    let valid = word(0) == MAGIC && crc == crc32c::crc32c(&bytes[..RECORD_BYTES - 8]);
    valid.then(|| (word(1), Position { major: word(2), minor: word(3), next_index: word(4) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    fn at(n: u64) -> Position {
        Position { major: n, minor: 1, next_index: n }
    }

    #[test]
    fn a_damaged_slot_falls_back_to_the_other_and_two_are_refused() {
        let disk = SimDisk::new();
        let path = Path::new("/d/sentinel");
        let mut sentinel = Sentinel::create(&disk, path, SentinelSync::Always).unwrap();
        sentinel.advance(at(1)).unwrap();
        sentinel.advance(at(2)).unwrap();
        assert_eq!(Sentinel::open(&disk, path, SentinelSync::Always).unwrap().position(), at(2));
        disk.corrupt(path, usize::try_from(SLOT_BYTES).unwrap() + 17, 1);
        assert_eq!(Sentinel::open(&disk, path, SentinelSync::Always).unwrap().position(), at(1));
        disk.corrupt(path, 17, 1);
        let refused = Sentinel::open(&disk, path, SentinelSync::Always).map(|_| ()).unwrap_err();
        assert!(matches!(refused, SentinelError::Damaged { .. }));
        disk.remove(path).unwrap();
        let refused = Sentinel::open(&disk, path, SentinelSync::Always).map(|_| ()).unwrap_err();
        assert!(matches!(refused, SentinelError::Missing { .. }));
    }

    #[test]
    fn a_lazy_sync_is_never_later_than_two_turns() {
        for (asked, least) in [(true, 8), (false, 8)] {
            let disk = SimDisk::new();
            let path = Path::new("/d/sentinel");
            let mut sentinel = Sentinel::create(&disk, path, SentinelSync::Every(4)).unwrap();
            for n in 1..=if asked { 11 } else { 15 } {
                sentinel.advance_lazily(at(n)).unwrap();
                if asked {
                    sentinel.sync_due().unwrap();
                }
            }
            disk.power_cut(3);
            let found = Sentinel::open(&disk, path, SentinelSync::Always).unwrap().position().major;
            assert!(found >= least, "asked: {asked}, found {found}");
        }
    }

    #[test]
    fn a_power_cut_never_puts_it_ahead_and_never_behind_a_synced_one() {
        for seed in 0..200 {
            let disk = SimDisk::new();
            let path = Path::new("/d/sentinel");
            let mut sentinel = Sentinel::create(&disk, path, SentinelSync::Every(4)).unwrap();
            for n in 1..=10 {
                sentinel.advance(at(n)).unwrap();
            }
            disk.power_cut(seed);
            let found = Sentinel::open(&disk, path, SentinelSync::Always).unwrap().position().major;
            assert!((8..=10).contains(&found), "seed {seed}: {found}");
        }
    }
}
