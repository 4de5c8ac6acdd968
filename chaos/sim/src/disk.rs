//! A disk that forgets what was not synced.

use std::collections::BTreeMap;

use thiserror::Error;
use trireme_core::Rng;

/// The files of one peer.
///
/// Reads see every write at once. A crash keeps what a finished sync covered; of each later change it keeps all,
/// nothing, or (of a write) a part, independently of the others, as a real cache may.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: BTreeMap<String, File>,
    capacity_bytes: usize,
    /// How many changes there were.
    changes: u64,
}

/// Why a disk refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DiskError {
    /// There is no room for the write; nothing was written.
    #[error("the simulated disk is full; remove or truncate files")]
    Full,
    /// The sync failed; what it should have covered may never reach the disk unless it is written again.
    #[error("the simulated sync failed; write the data again before relying on it")]
    SyncFailed,
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Option<Vec<u8>>,
    seen: Option<Vec<u8>>,
    /// Changes that no finished sync covers, with their numbers.
    pending: Vec<(u64, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
    Remove,
}

impl Disk {
    pub(crate) fn new(capacity_bytes: usize) -> Disk {
        Disk { files: BTreeMap::new(), capacity_bytes, changes: 0 }
    }

    /// The file's bytes as a running peer sees them; none if there is no such file.
    pub fn read(&self, file: &str) -> Option<&[u8]> {
        self.files.get(file)?.seen.as_deref()
    }

    /// Writes at an offset, creating the file and filling a gap with zeros.
    pub fn write(&mut self, file: &str, offset: usize, bytes: &[u8]) -> Result<(), DiskError> {
        let length = self.read(file).map_or(0, <[u8]>::len);
        let growth = (offset + bytes.len()).saturating_sub(length);
        if self.used_bytes() + growth > self.capacity_bytes {
            return Err(DiskError::Full);
        }
        self.change(file, Change::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    /// Appends to a file.
    pub fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let length = self.read(file).map_or(0, <[u8]>::len);
        self.write(file, length, bytes)
    }

    /// Cuts a file to a length; a shorter file is left as it is.
    pub fn truncate(&mut self, file: &str, length: usize) {
        if self.read(file).is_some_and(|bytes| bytes.len() > length) {
            self.change(file, Change::Truncate { length });
        }
    }

    /// Removes a file.
    pub fn remove(&mut self, file: &str) {
        if self.read(file).is_some() {
            self.change(file, Change::Remove);
        }
    }

    /// The names of all files, sorted.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter(|(_, file)| file.seen.is_some()).map(|(name, _)| name.as_str())
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> usize {
        self.files.values().filter_map(|file| file.seen.as_ref()).map(Vec::len).sum()
    }

    fn change(&mut self, file: &str, change: Change) {
        let file = self.files.entry(file.to_owned()).or_default();
        change.apply(&mut file.seen);
        self.changes += 1;
        file.pending.push((self.changes, change));
    }

    /// The last change so far; what a sync that starts now will cover.
    pub(crate) fn last_change(&self) -> u64 {
        self.changes
    }

    /// Ends a sync: all changes up to this one are durable, or lost if it failed.
    pub(crate) fn finish_sync(&mut self, covered: u64, succeeded: bool) {
        for file in self.files.values_mut() {
            let count = file.pending.partition_point(|(number, _)| *number <= covered);
            for (_, change) in file.pending.drain(..count) {
                if succeeded {
                    change.apply(&mut file.durable);
                }
            }
        }
    }

    /// Power is lost: the cache is gone, but for what it had written out on its own.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        for file in self.files.values_mut() {
            for (_, change) in file.pending.drain(..) {
                match rng.below(4) {
                    0 => change.apply(&mut file.durable),
                    1 => change.torn(rng).apply(&mut file.durable),
                    _ => {}
                }
            }
            file.seen.clone_from(&file.durable);
        }
        self.files.retain(|_, file| file.seen.is_some());
    }
}

impl Change {
    fn apply(&self, bytes: &mut Option<Vec<u8>>) {
        match self {
            Change::Write { offset, bytes: new } => {
                let bytes = bytes.get_or_insert_default();
                let end = offset + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(new);
            }
            Change::Truncate { length } => {
                if let Some(bytes) = bytes {
                    bytes.truncate(*length);
                }
            }
            Change::Remove => *bytes = None,
        }
    }

    /// The change as a power cut in its middle leaves it.
    fn torn(self, rng: &mut Rng) -> Change {
        match self {
            Change::Write { offset, mut bytes } => {
                let length = rng.index(bytes.len()).unwrap_or(0);
                bytes.truncate(length);
                Change::Write { offset, bytes }
            }
            Change::Truncate { .. } | Change::Remove => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced(disk: &mut Disk, succeeded: bool) {
        let covered = disk.last_change();
        disk.finish_sync(covered, succeeded);
    }

    #[test]
    fn what_is_synced_survives_and_the_rest_may_not() {
        let (mut kept, mut lost, mut torn) = (0, 0, 0);
        for seed in 0..300 {
            let mut disk = Disk::new(1_000);
            disk.append("log", b"durable").expect("room");
            synced(&mut disk, true);
            disk.append("log", b"cached").expect("room");
            disk.crash(&mut Rng::new(seed));
            match disk.read("log").expect("the file") {
                b"durable" => lost += 1,
                b"durablecached" => kept += 1,
                other => {
                    assert!(other.starts_with(b"durable"));
                    torn += 1;
                }
            }
        }
        assert!(kept > 30 && lost > 30 && torn > 30, "{kept} kept, {lost} lost, {torn} torn");
    }

    #[test]
    fn a_failed_sync_loses_what_it_covered_though_it_stays_readable() {
        let mut disk = Disk::new(1_000);
        disk.append("log", b"x").expect("room");
        synced(&mut disk, false);
        assert_eq!(disk.read("log"), Some(&b"x"[..]));
        synced(&mut disk, true);
        disk.crash(&mut Rng::new(1));
        assert_eq!(disk.read("log"), None);
    }

    #[test]
    fn a_write_after_the_sync_began_is_not_covered() {
        let mut disk = Disk::new(1_000);
        disk.append("log", b"a").expect("room");
        let covered = disk.last_change();
        disk.append("log", b"b").expect("room");
        disk.finish_sync(covered, true);
        let survivors: Vec<usize> = (0..100)
            .map(|seed| {
                let mut copy = disk.clone();
                copy.crash(&mut Rng::new(seed));
                copy.read("log").expect("the first byte").len()
            })
            .collect();
        assert!(survivors.contains(&1) && survivors.contains(&2));
    }

    #[test]
    fn a_full_disk_refuses_and_removal_makes_room() {
        let mut disk = Disk::new(4);
        disk.append("a", b"1234").expect("room");
        assert_eq!(disk.append("b", b"5"), Err(DiskError::Full));
        disk.remove("a");
        disk.append("b", b"5").expect("room");
        assert_eq!(disk.files().collect::<Vec<_>>(), ["b"]);
    }
}
