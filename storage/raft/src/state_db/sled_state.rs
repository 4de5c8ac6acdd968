//! [`SledState`]: the applied state in sled, by the recipe of `sled_file.rs`.
//!
//! Keys: `s | length of the key (2, big endian) | key | chunk (2)` for records, `a` for the applied mark. Values
//! start with a CRC-32C over key and rest; the first chunk of a record says how many there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Applied, KEY_LIMIT_BYTES, StateBatch, StateDb, StateError, VALUE_LIMIT_BYTES};
use crate::disk::Disk;
use crate::sled_file::{CHUNK_BYTES, SledFailure, SledFile, SledSizes, framed, unframed};

const APPLIED: &[u8] = b"a";

/// The applied state of one member in sled.
pub struct SledState {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    sled: SledFile,
    applied: Mutex<Option<Applied>>,
    /// How many chunks the records of more than one have; `None` while nobody has looked at all of them. Saves a
    /// look at the stored record for each one that is written.
    large: Mutex<Option<BTreeMap<Bytes, u16>>>,
}

impl SledState {
    /// Opens or creates the state in `dir`. Damage to single records is found by [`StateDb::load`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, StateError> {
        let failed = |message: String| StateError::Failed { path: dir.to_owned(), message };
        disk.create_dir_all(dir).map_err(|e| failed(e.to_string()))?;
        let sled = SledFile::open(disk.as_ref(), dir, SledSizes::COPY).map_err(|e| failed(describe(e)))?;
        let applied = match sled.db.get(APPLIED).map_err(|e| failed(e.to_string()))? {
            None => None,
            Some(value) => Some(decode_applied(&value).ok_or_else(|| StateError::Damaged {
                path: dir.to_owned(),
                what: "the applied mark".to_owned(),
            })?),
        };
        let large = Mutex::new(sled.db.is_empty().then(BTreeMap::new));
        Ok(Self { disk, dir: dir.to_owned(), sled, applied: Mutex::new(applied), large })
    }

    /// Deletes a state that cannot be used, so that [`SledState::open`] starts with an empty one.
    pub fn wipe(disk: &dyn Disk, dir: &Path) -> Result<(), StateError> {
        disk.remove_dir_all(dir)
            .map_err(|e| StateError::Failed { path: dir.to_owned(), message: e.to_string() })
    }

    fn failed(&self, message: impl ToString) -> StateError {
        StateError::Failed { path: self.dir.clone(), message: message.to_string() }
    }

    fn damaged(&self, what: &str) -> StateError {
        StateError::Damaged { path: self.dir.clone(), what: what.to_owned() }
    }

    /// Chunks that the stored value of `key` has at most, 0 or 1 when there is none.
    fn chunk_count(&self, key: &[u8]) -> Result<u16, StateError> {
        if let Some(large) = self.large.lock().as_ref() {
            return Ok(large.get(key).copied().unwrap_or(1));
        }
        let stored = chunk_key(key, 0);
        let Some(value) = self.sled.db.get(&stored).map_err(|e| self.failed(e))? else { return Ok(0) };
        let body = unframed(&stored, &value).and_then(|body| body.get(..2));
        let body = body.ok_or_else(|| self.damaged("the checksum of a record does not match"))?;
        Ok(u16::from_le_bytes(body.try_into().expect("two bytes")))
    }

    fn note_large(&self, changes: &StateBatch) {
        let mut large = self.large.lock();
        let Some(large) = large.as_mut() else { return };
        for key in &changes.deletes {
            large.remove(key);
        }
        for (key, value) in &changes.puts {
            match count_of(value) {
                0 | 1 => drop(large.remove(key)),
                count => drop(large.insert(key.clone(), count)),
            }
        }
    }

    fn put(&self, batch: &mut sled::Batch, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        let count = count_of(value);
        for (chunk, from) in (0..count).zip((0..).step_by(CHUNK_BYTES)) {
            let data = &value[from..value.len().min(from + CHUNK_BYTES)];
            let stored = chunk_key(key, chunk);
            let framed = framed(&stored, &[&count.to_le_bytes(), data]);
            batch.insert(stored, framed);
        }
        (count..self.chunk_count(key)?).for_each(|chunk| batch.remove(chunk_key(key, chunk)));
        Ok(())
    }
}

impl StateDb for SledState {
    fn applied(&self) -> Option<Applied> {
        self.applied.lock().clone()
    }

    fn write(&self, changes: &StateBatch, applied: Option<&Applied>) -> Result<(), StateError> {
        let mut bytes = 0;
        for (key, value) in &changes.puts {
            check(key.len(), KEY_LIMIT_BYTES)?;
            check(value.len(), VALUE_LIMIT_BYTES)?;
            bytes += key.len() + value.len();
        }
        if !self.sled.has_room(self.disk.as_ref(), bytes) {
            return Err(StateError::NoSpace { path: self.dir.clone() });
        }
        let mut batch = sled::Batch::default();
        for key in &changes.deletes {
            (0..self.chunk_count(key)?).for_each(|chunk| batch.remove(chunk_key(key, chunk)));
        }
        for (key, value) in &changes.puts {
            self.put(&mut batch, key, value)?;
        }
        if let Some(applied) = applied {
            batch.insert(APPLIED, framed(APPLIED, &[&applied.index.to_le_bytes(), &applied.context]));
        }
        let mut mark = self.applied.lock();
        if let Err(error) = self.sled.db.apply_batch(batch) {
            *self.large.lock() = None;
            return Err(self.failed(error));
        }
        self.note_large(changes);
        if let Some(applied) = applied {
            *mark = Some(applied.clone());
        }
        Ok(())
    }

    fn sync(&self) -> Result<Option<u64>, StateError> {
        let index = self.applied.lock().as_ref().map(|a| a.index);
        self.sled.sync().map_err(|e| self.failed(describe(e)))?;
        Ok(index)
    }

    fn load(&self, visit: &mut dyn FnMut(Bytes, Bytes)) -> Result<(), StateError> {
        let mut large = BTreeMap::new();
        let mut open: Option<(Vec<u8>, u16, u16, Vec<u8>)> = None;
        for item in self.sled.db.scan_prefix(b"s") {
            let (stored, value) = item.map_err(|e| self.failed(e))?;
            let body = unframed(&stored, &value).and_then(|body| body.split_at_checked(2));
            let (count, data) =
                body.ok_or_else(|| self.damaged("the checksum of a record does not match"))?;
            let count = u16::from_le_bytes(count.try_into().expect("two bytes"));
            let (key, chunk) = split_key(&stored).ok_or_else(|| self.damaged("a malformed key"))?;
            match &mut open {
                Some((of, wanted, seen, value)) if *of == key && *seen == chunk && *wanted == count => {
                    *seen += 1;
                    value.extend_from_slice(data);
                }
                None if chunk == 0 => open = Some((key.to_vec(), count, 1, data.to_vec())),
                _ => return Err(self.damaged("chunks of a record are missing or mixed")),
            }
            if let Some((key, count, _, value)) = open.take_if(|(_, wanted, seen, _)| wanted == seen) {
                let key = Bytes::from(key);
                if count > 1 {
                    large.insert(key.clone(), count);
                }
                visit(key, value.into());
            }
        }
        if open.is_some() {
            return Err(self.damaged("the last chunks of a record are missing"));
        }
        *self.large.lock() = Some(large);
        Ok(())
    }

    fn clear(&self) -> Result<(), StateError> {
        let mut mark = self.applied.lock();
        *self.large.lock() = None;
        self.sled.db.clear().map_err(|e| self.failed(e))?;
        *self.large.lock() = Some(BTreeMap::new());
        *mark = None;
        self.sled.sync().map_err(|e| self.failed(describe(e)))
    }
}

/// Chunks of a value.
fn count_of(value: &[u8]) -> u16 {
    u16::try_from(value.len().div_ceil(CHUNK_BYTES).max(1)).expect("values are limited")
}

fn check(bytes: usize, limit_bytes: usize) -> Result<(), StateError> {
    if bytes > limit_bytes { Err(StateError::TooLarge { bytes, limit_bytes }) } else { Ok(()) }
}

fn describe(failure: SledFailure) -> String {
    match failure {
        SledFailure::Sled(message) => message,
        SledFailure::Io(what, source) => format!("{what} failed: {source}"),
    }
}

fn chunk_key(key: &[u8], chunk: u16) -> Vec<u8> {
    let len = u16::try_from(key.len()).expect("keys are limited");
    [b"s", &len.to_be_bytes()[..], key, &chunk.to_be_bytes()].concat()
}

fn split_key(stored: &[u8]) -> Option<(&[u8], u16)> {
    let rest = stored.get(3..)?;
    let (key, chunk) = rest.split_at_checked(rest.len().checked_sub(2)?)?;
    Some((key, u16::from_be_bytes(chunk.try_into().ok()?)))
}

fn decode_applied(value: &[u8]) -> Option<Applied> {
    let (index, context) = unframed(APPLIED, value)?.split_at_checked(8)?;
    let index = u64::from_le_bytes(index.try_into().ok()?);
    Some(Applied { index, context: Bytes::copy_from_slice(context) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::disk::{FaultDisk, RealDisk};

    fn open(dir: &Path) -> SledState {
        SledState::open(Arc::new(RealDisk), dir).unwrap()
    }

    fn all(state: &SledState) -> BTreeMap<Bytes, Bytes> {
        let mut found = BTreeMap::new();
        state.load(&mut |key, value| assert!(found.insert(key, value).is_none())).unwrap();
        found
    }

    fn applied(index: u64) -> Applied {
        Applied { index, context: Bytes::from(vec![7; 3]) }
    }

    fn put(key: &str, bytes: usize) -> (Bytes, Bytes) {
        (Bytes::copy_from_slice(key.as_bytes()), Bytes::from(vec![b'v'; bytes]))
    }

    #[test]
    fn records_and_the_applied_mark_go_together() {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path());
        assert_eq!(state.applied(), None);
        let puts = vec![put("a", 10), put("a\0\0", 200_000), put("", 0), put("big", 1_500_000)];
        state.write(&StateBatch { puts: puts.clone(), deletes: vec![] }, Some(&applied(5))).unwrap();
        assert_eq!(state.sync().unwrap(), Some(5));
        drop(state);
        let state = open(dir.path());
        assert_eq!(state.applied(), Some(applied(5)));
        assert_eq!(all(&state), puts.into_iter().collect());

        let shrunk = StateBatch { puts: vec![put("big", 1)], deletes: vec!["a".into(), "none".into()] };
        state.write(&shrunk, Some(&applied(6))).unwrap();
        let expected: BTreeMap<_, _> = [put("a\0\0", 200_000), put("", 0), put("big", 1)].into();
        assert_eq!(all(&state), expected);
        state.clear().unwrap();
        drop(state);
        let state = open(dir.path());
        assert!(all(&state).is_empty() && state.applied().is_none());
    }

    #[test]
    fn damage_is_found_and_wiping_starts_over() {
        let dir = tempfile::tempdir().unwrap();
        let state = open(dir.path());
        state.write(&StateBatch { puts: vec![put("a", 100)], deletes: vec![] }, Some(&applied(1))).unwrap();
        let key = chunk_key(b"a", 0);
        let mut value = state.sled.db.get(&key).unwrap().unwrap().to_vec();
        value[50] ^= 1;
        state.sled.db.insert(&key, value).unwrap();
        assert!(matches!(state.load(&mut |_, _| {}), Err(StateError::Damaged { .. })));
        drop(state);
        SledState::wipe(&RealDisk, dir.path()).unwrap();
        assert!(all(&open(dir.path())).is_empty());
    }

    #[test]
    fn a_full_disk_is_a_typed_error() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new(RealDisk);
        let state = SledState::open(Arc::new(disk.clone()), dir.path()).unwrap();
        disk.faults().limit_room(Some(1000));
        let batch = StateBatch { puts: vec![put("a", 100)], deletes: vec![] };
        assert!(matches!(state.write(&batch, Some(&applied(1))), Err(StateError::NoSpace { .. })));
        disk.faults().limit_room(None);
        state.write(&batch, Some(&applied(1))).unwrap();
    }
}
