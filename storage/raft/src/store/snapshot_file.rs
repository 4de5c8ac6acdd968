//! Snapshots on disk: one file each, checked frame by frame.
//!
//! A file is a sequence of frames `length u32 | crc u32 | bytes` (little endian), the first with the Raft metadata,
//! the others with the chunks of the state; an empty frame ends it. A file gets its name when it is complete and
//! synced; older ones are removed after that.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use trireme_mvcc::{Restore, Snapshot as StateSnapshot, State};

use super::codec;
use super::types::SnapshotMeta;
use crate::disk::{Disk, DiskFile};

/// Payload of one chunk of the state in bytes.
const CHUNK_BYTES: usize = 256 * 1024;
/// Largest frame accepted, in bytes.
const FRAME_LIMIT_BYTES: usize = 8 * 1024 * 1024;
const HEAD_BYTES: u64 = 8;
/// A snapshot is synced in parts of this many bytes while it is written: one large sync at its end would keep the
/// log's syncs waiting in the disk's queue.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;

/// The directory with the snapshots of one member.
#[derive(Clone)]
pub(super) struct SnapshotDir {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Files begun so far. Each has a name of its own: one that is begun while another is still being filled must not
    /// come under that one's final name.
    begun: Arc<AtomicU64>,
}

/// A complete snapshot. Stays readable when a newer one replaces it.
#[derive(Clone)]
pub(super) struct SnapshotFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    size_bytes: u64,
}

impl SnapshotDir {
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<Self> {
        disk.create_dir_all(dir)?;
        // What was not finished is of no use.
        for file in disk.list(dir)? {
            if file.extension().is_some_and(|extension| extension == "tmp") {
                disk.remove(&file)?;
            }
        }
        Ok(Self { disk, dir: dir.to_owned(), begun: Arc::default() })
    }

    /// Writes a snapshot durably and makes it the current one.
    pub(super) fn write(&self, meta: &SnapshotMeta, state: Arc<StateSnapshot>) -> io::Result<SnapshotFile> {
        let SnapshotFile { file, path, .. } = self.begin()?;
        let (mut at, mut synced) = (0, 0);
        write_frame(file.as_ref(), &mut at, &codec::encode(meta))?;
        for chunk in state.chunks(CHUNK_BYTES) {
            write_frame(file.as_ref(), &mut at, &chunk)?;
            if at - synced >= SYNC_BYTES {
                file.sync_data()?;
                synced = at;
            }
        }
        write_frame(file.as_ref(), &mut at, &[])?;
        self.publish(SnapshotFile { file, path, size_bytes: at }, meta)
    }

    /// An empty file to receive a snapshot into.
    pub(super) fn incoming(&self) -> io::Result<SnapshotFile> {
        self.begin()
    }

    /// Removes a file that is not going to be finished.
    pub(super) fn discard(&self, unfinished: &SnapshotFile) -> io::Result<()> {
        self.disk.remove(&unfinished.path)
    }

    fn begin(&self) -> io::Result<SnapshotFile> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("unfinished-{number}.tmp"));
        let file: Arc<dyn DiskFile> = self.disk.open(&path, true)?.into();
        Ok(SnapshotFile { file, path, size_bytes: 0 })
    }

    /// Gives a complete file its final name, durably, and removes all but the newest. One that took long to write may be
    /// overtaken by one that was received: what the log was purged up to rests on the newer one.
    pub(super) fn publish(&self, snapshot: SnapshotFile, meta: &SnapshotMeta) -> io::Result<SnapshotFile> {
        let index = meta.last_log_id.map_or(0, |id| id.index);
        let path = self.dir.join(format!("{index:020}.snap"));
        if snapshot.path != path {
            snapshot.file.sync_all()?;
            self.disk.rename(&snapshot.path, &path)?;
            self.disk.sync_dir(&self.dir)?;
        }
        let mut old = self.complete()?;
        old.pop();
        for old in old {
            self.disk.remove(&old)?;
        }
        Ok(SnapshotFile { path, ..snapshot })
    }

    /// The newest complete snapshot. One that is damaged is an error: it may be all there is of purged entries.
    pub(super) fn current(&self) -> io::Result<Option<(SnapshotMeta, SnapshotFile)>> {
        let Some(path) = self.complete()?.pop() else { return Ok(None) };
        let file: Arc<dyn DiskFile> = self.disk.open(&path, false)?.into();
        let size_bytes = file.size()?;
        let snapshot = SnapshotFile { file, path, size_bytes };
        Ok(Some((snapshot.meta()?, snapshot)))
    }

    /// The index of the newest complete snapshot, 0 without one; only its name is looked at.
    pub(super) fn newest_index(&self) -> u64 {
        let newest = self.complete().ok().and_then(|mut all| all.pop());
        newest.and_then(|path| path.file_stem()?.to_str()?.parse().ok()).unwrap_or(0)
    }

    /// Oldest first.
    fn complete(&self) -> io::Result<Vec<PathBuf>> {
        let files = self.disk.list(&self.dir)?;
        let mut complete: Vec<PathBuf> =
            files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "snap")).collect();
        // The names are indexes of equal length.
        complete.sort();
        Ok(complete)
    }
}

impl SnapshotFile {
    /// Its size.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Up to `limit` bytes from `offset`; empty at the end.
    pub(super) fn read_part(&self, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut part = vec![0; limit];
        let mut filled = 0;
        while filled < limit {
            match self.file.read_at(&mut part[filled..], offset + filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        part.truncate(filled);
        Ok(part)
    }

    /// Appends a received part.
    pub(super) fn write_part(&mut self, part: &[u8]) -> io::Result<()> {
        let before = self.size_bytes / SYNC_BYTES;
        self.file.write_all_at(part, self.size_bytes)?;
        self.size_bytes += part.len() as u64;
        if self.size_bytes / SYNC_BYTES > before {
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// The Raft metadata in its first frame.
    pub(super) fn meta(&self) -> io::Result<SnapshotMeta> {
        let (frame, _) = self.read_frame(0)?;
        codec::decode(&frame).map_err(|e| self.damaged(&e.to_string()))
    }

    /// Checks every frame.
    pub(super) fn verify(&self) -> io::Result<()> {
        let (mut frame, mut at) = self.read_frame(0)?;
        while !frame.is_empty() {
            (frame, at) = self.read_frame(at)?;
        }
        Ok(())
    }

    /// Reads and checks everything.
    pub(super) fn restore(&self) -> io::Result<State> {
        let (_, mut at) = self.read_frame(0)?;
        let mut restore = Restore::new();
        loop {
            let (frame, next) = self.read_frame(at)?;
            if frame.is_empty() {
                break;
            }
            restore.chunk(&frame).map_err(|e| self.damaged(&e.to_string()))?;
            at = next;
        }
        restore.finish().map_err(|e| self.damaged(&e.to_string()))
    }

    fn read_frame(&self, at: u64) -> io::Result<(Vec<u8>, u64)> {
        let head = self.read_part(at, 8)?;
        let (len, crc) = head.split_at_checked(4).ok_or_else(|| self.damaged("it ends early"))?;
        let len = u32::from_le_bytes(len.try_into().map_err(|_| self.damaged("it ends early"))?) as usize;
        let crc = u32::from_le_bytes(crc.try_into().map_err(|_| self.damaged("it ends early"))?);
        if len > FRAME_LIMIT_BYTES {
            return Err(self.damaged("a frame is over its limit"));
        }
        let frame = self.read_part(at + HEAD_BYTES, len)?;
        if frame.len() != len || crc32c::crc32c(&frame) != crc {
            return Err(self.damaged("a checksum does not match"));
        }
        Ok((frame, at + HEAD_BYTES + len as u64))
    }

    fn damaged(&self, what: &str) -> io::Error {
        let message = format!("snapshot {} is damaged: {what}; take one from a peer", self.path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    }
}

fn write_frame(file: &dyn DiskFile, at: &mut u64, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).expect("chunks are limited");
    let mut frame = Vec::with_capacity(bytes.len() + 8);
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
    frame.extend_from_slice(bytes);
    file.write_all_at(&frame, *at)?;
    *at += frame.len() as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::store::types::LogId;

    fn meta(index: u64) -> SnapshotMeta {
        SnapshotMeta { last_log_id: Some(LogId::new_term_index(1, index)), ..SnapshotMeta::default() }
    }

    /// A long write ends after a newer snapshot was received, and the log was purged up to that one.
    #[test]
    fn a_snapshot_that_is_overtaken_does_not_take_the_newer_one_away() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = SnapshotDir::open(Arc::new(RealDisk), folder.path()).unwrap();
        let received = |index| {
            let mut file = snapshots.incoming().unwrap();
            let mut frame = Vec::new();
            let bytes = codec::encode(&meta(index));
            frame.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
            frame.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
            frame.extend_from_slice(&bytes);
            file.write_part(&frame).unwrap();
            snapshots.publish(file, &meta(index)).unwrap()
        };
        received(43);
        received(79);
        received(44);
        assert_eq!(snapshots.newest_index(), 79);
        assert_eq!(snapshots.current().unwrap().unwrap().0, meta(79));
        assert_eq!(snapshots.complete().unwrap().len(), 1);
    }

    /// A second reception begins while the first is on its way: what is published is the first one's bytes.
    #[test]
    fn receptions_do_not_take_each_others_files() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = SnapshotDir::open(Arc::new(RealDisk), folder.path()).unwrap();
        let mut first = snapshots.incoming().unwrap();
        first.write_part(b"whole").unwrap();
        let second = snapshots.incoming().unwrap();
        let published = snapshots.publish(first, &meta(79)).unwrap();
        drop(second);
        assert_eq!(std::fs::read(&published.path).unwrap(), b"whole");
    }
}
