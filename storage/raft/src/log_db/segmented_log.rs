//! [`SegmentedLog`]: the Raft log as append-only files with a checksum per record.
//!
//! Files `log-<number>.seg` are preallocated and filled one after the other; a full one ends in a seal. Each starts
//! with a checkpoint (vote, marks), so old files are deleted without rewriting. One `fdatasync` makes a batch
//! durable; see `record.rs` for how damage is told from a torn tail, and [`crate::Sentinel`] for how a lost end is
//! noticed.
//!
//! What the last sync did not cover may be torn after a power cut: it was never acknowledged and is cut, with a
//! line in the log of the process. Everything else that does not check out is refused.

mod begun;
mod load;
mod names;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use self::begun::Begun;
use self::names::{segment_path, sentinel_path};
use super::record::{HEADER_BYTES, Kind, Place, encode, framed_bytes};
use super::segment::{Location, LogTable};
use super::{LogDb, LogEntry, LogError, LogSpan, Mark, check_batch, check_mark};
use crate::disk::{Disk, DiskFile};
use crate::sentinel::{Position, Sentinel, SentinelSync};

/// Size of a segment file in bytes; a larger batch gets a file of its own size.
const SEGMENT_BYTES: u32 = 16 * 1024 * 1024;
/// Largest batch in one append, in bytes on disk.
const BATCH_LIMIT_BYTES: usize = 1024 * 1024 * 1024;
/// The sentinel is synced after every n-th sync of the log (when its answers are out), with each vote, truncation and
/// new file. Between, the marks inside the records guard the end.
const SENTINEL_EVERY: u32 = 64;

/// Settings of a [`SegmentedLog`].
#[derive(Debug, Clone, Copy)]
pub struct SegmentedOptions {
    /// Size of a segment file in bytes.
    pub segment_bytes: u32,
    /// When the sentinel is synced.
    pub sentinel: SentinelSync,
}

impl Default for SegmentedOptions {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES, sentinel: SentinelSync::Every(SENTINEL_EVERY) }
    }
}

/// The log of one member in segment files.
pub struct SegmentedLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: SegmentedOptions,
    shared: RwLock<Shared>,
    writer: Mutex<Writer>,
    closed: AtomicBool,
}

/// What readers need. Never locked during I/O.
struct Shared {
    table: LogTable,
    files: BTreeMap<u64, Segment>,
}

#[derive(Clone)]
struct Segment {
    file: Arc<dyn DiskFile>,
    /// The next index when the file was begun: all live entries of earlier files are below.
    base: u64,
}

/// The end of the active file.
struct Writer {
    segment: u64,
    file: Arc<dyn DiskFile>,
    size: u32,
    end: u32,
    prev: u32,
    synced: u32,
    sentinel: Sentinel,
    buffer: Vec<u8>,
}

/// One record to be written.
struct Draft<'a> {
    kind: Kind,
    index: u64,
    payload: &'a [u8],
}

impl SegmentedLog {
    /// Creates an empty log in `dir`, durably. `dir` must hold no log.
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, options: SegmentedOptions) -> Result<Self, LogError> {
        disk.create_dir_all(dir).map_err(|e| LogError::io("creating", dir, e))?;
        let sentinel = Sentinel::create(disk.as_ref(), &sentinel_path(dir), options.sentinel)?;
        let table = LogTable::default();
        let begun = Begun::prepare(disk.as_ref(), dir, 1, &table, options.segment_bytes)?;
        begun.publish(disk.as_ref(), dir)?;
        let log = Self::assemble(disk, dir, options, table, BTreeMap::new(), begun, sentinel);
        log.writer.lock().advance_sentinel(0, true)?;
        Ok(log)
    }

    /// Opens an existing log, checks every record, and makes everything that is readable durable.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: SegmentedOptions) -> Result<Self, LogError> {
        load::open(disk, dir, options)
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: SegmentedOptions,
        table: LogTable,
        mut files: BTreeMap<u64, Segment>,
        active: Begun,
        sentinel: Sentinel,
    ) -> Self {
        let file = active.file.clone();
        files.insert(active.segment, Segment { file: file.clone(), base: active.base });
        let writer = Writer {
            segment: active.segment,
            file,
            size: active.size,
            end: active.end,
            prev: active.prev,
            synced: active.end,
            sentinel,
            buffer: Vec::new(),
        };
        Self {
            disk,
            dir: dir.to_owned(),
            options,
            shared: RwLock::new(Shared { table, files }),
            writer: Mutex::new(writer),
            closed: AtomicBool::new(false),
        }
    }

    /// Writes records behind each other into one file and applies them to the table.
    fn write(&self, writer: &mut Writer, drafts: &[Draft<'_>]) -> Result<(), LogError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(LogError::Closed { path: self.dir.clone() });
        }
        let bytes: usize = drafts.iter().map(|d| framed_bytes(d.payload.len())).sum();
        if bytes > BATCH_LIMIT_BYTES {
            let index = drafts.first().map_or(0, |d| d.index);
            return Err(LogError::TooLarge { index, bytes, limit_bytes: BATCH_LIMIT_BYTES });
        }
        if writer.end as usize + bytes + framed_bytes(0) > writer.size as usize {
            self.roll(writer, bytes)?;
        }
        writer.buffer.clear();
        let mut prev = writer.prev;
        let mut locations = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let place = Place { segment: writer.segment, prev, synced: writer.synced };
            let offset = to_u32(writer.end as usize + writer.buffer.len() + HEADER_BYTES);
            locations.push(Location { segment: writer.segment, offset, len: to_u32(draft.payload.len()) });
            prev = encode(&mut writer.buffer, place, draft.kind, draft.index, draft.payload);
        }
        let written = writer.file.write_all_at(&writer.buffer, u64::from(writer.end));
        written.map_err(|e| self.failed("writing", e))?;
        writer.end = to_u32(writer.end as usize + writer.buffer.len());
        writer.prev = prev;
        let mut shared = self.shared.write();
        for (draft, at) in drafts.iter().zip(locations) {
            let applied = shared.table.apply(draft.kind, draft.index, draft.payload, at);
            applied.expect("the batch was checked against this table before it was written");
        }
        Ok(())
    }

    /// Seals the active file and begins the next one, with room for `bytes` of records. On a full disk nothing has
    /// changed.
    fn roll(&self, writer: &mut Writer, bytes: usize) -> Result<(), LogError> {
        let table = self.shared.read().table.clone_marks();
        let checkpoint = framed_bytes(table.encode_checkpoint().len());
        let size = self.options.segment_bytes.max(to_u32(checkpoint + bytes + framed_bytes(0)));
        let begun = Begun::prepare(self.disk.as_ref(), &self.dir, writer.segment + 1, &table, size)
            .inspect_err(|e| self.close_unless_full(e))?;
        writer.buffer.clear();
        let place = Place { segment: writer.segment, prev: writer.prev, synced: writer.synced };
        encode(&mut writer.buffer, place, Kind::Seal, table.span().next, &[]);
        let sealed = writer.file.write_all_at(&writer.buffer, u64::from(writer.end));
        sealed.map_err(|e| self.failed("sealing", e))?;
        writer.file.sync_data().map_err(|e| self.failed("syncing", e))?;
        begun.publish(self.disk.as_ref(), &self.dir).inspect_err(|_| self.close())?;
        let segment = Segment { file: begun.file.clone(), base: begun.base };
        self.shared.write().files.insert(begun.segment, segment);
        (writer.segment, writer.file, writer.size) = (begun.segment, begun.file, begun.size);
        (writer.end, writer.prev, writer.synced) = (begun.end, begun.prev, begun.end);
        writer.advance_sentinel(table.span().next, true).inspect_err(|_| self.close())?;
        self.drop_purged(writer)
    }

    /// `fdatasync` and then the sentinel.
    fn sync_writer(&self, writer: &mut Writer, strict: bool) -> Result<Option<u64>, LogError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(LogError::Closed { path: self.dir.clone() });
        }
        let (last, next) = {
            let span = self.shared.read().table.span();
            (span.last(), span.next)
        };
        if writer.synced != writer.end {
            writer.file.sync_data().map_err(|e| self.failed_sync(e))?;
            writer.synced = writer.end;
            writer.advance_sentinel(next, strict).inspect_err(|_| self.close())?;
        }
        Ok(last)
    }

    /// Removes the files in which every entry is purged, oldest first.
    fn drop_purged(&self, writer: &Writer) -> Result<(), LogError> {
        let gone: Vec<u64> = {
            let shared = self.shared.read();
            let Some(first) = shared.table.required_first() else { return Ok(()) };
            let bases = shared.files.iter().skip(1).take_while(|(_, next)| next.base <= first);
            let kept = bases.map(|(number, _)| *number).last().unwrap_or(0).min(writer.segment);
            shared.files.range(..kept).map(|(number, _)| *number).collect()
        };
        for number in gone {
            let path = segment_path(&self.dir, number);
            self.shared.write().files.remove(&number);
            self.disk.remove(&path).map_err(|e| self.failed("removing a purged segment", e))?;
            self.disk.sync_dir(&self.dir).map_err(|e| self.failed("syncing the directory", e))?;
        }
        Ok(())
    }

    fn failed_sync(&self, source: std::io::Error) -> LogError {
        self.close();
        LogError::Io { what: "syncing", path: self.dir.clone(), source }
    }

    fn failed(&self, what: &'static str, source: std::io::Error) -> LogError {
        let error = LogError::io(what, &self.dir, source);
        self.close_unless_full(&error);
        error
    }

    fn close_unless_full(&self, error: &LogError) {
        if !matches!(error, LogError::NoSpace { .. }) {
            self.close();
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn read_one(&self, at: Location, file: &dyn DiskFile, index: u64) -> Result<LogEntry, LogError> {
        let mut payload = vec![0; at.len as usize];
        let mut filled = 0;
        while filled < payload.len() {
            let offset = u64::from(at.offset) + filled as u64;
            let path = segment_path(&self.dir, at.segment);
            match file.read_at(&mut payload[filled..], offset) {
                Ok(0) => {
                    return Err(LogError::Corrupt { path, offset, what: "the file ends early".to_owned() });
                }
                Ok(n) => filled += n,
                Err(source) => return Err(LogError::Io { what: "reading", path, source }),
            }
        }
        Ok(LogEntry { index, payload: payload.into() })
    }
}

impl LogDb for SegmentedLog {
    fn span(&self) -> LogSpan {
        self.shared.read().table.span()
    }

    fn mark(&self, mark: Mark) -> Option<Bytes> {
        let shared = self.shared.read();
        match mark {
            Mark::Vote => shared.table.vote.clone(),
            Mark::Committed => shared.table.committed.clone(),
            Mark::Purged => shared.table.purged.as_ref().map(|(_, mark)| mark.clone()),
        }
    }

    fn append(&self, entries: &[LogEntry]) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        check_batch(self.span(), entries)?;
        let drafts = entries.iter().map(|e| Draft { kind: Kind::Entry, index: e.index, payload: &e.payload });
        self.write(&mut writer, &drafts.collect::<Vec<_>>())
    }

    fn save_committed(&self, value: &[u8]) -> Result<(), LogError> {
        check_mark(value)?;
        self.write(&mut self.writer.lock(), &[Draft { kind: Kind::Committed, index: 0, payload: value }])
    }

    fn sync(&self) -> Result<Option<u64>, LogError> {
        self.sync_writer(&mut self.writer.lock(), false)
    }

    /// Frees files that are purged as a whole, and syncs the sentinel when it is its turn.
    fn tidy(&self) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        // Purged only when the purge is durable.
        if writer.synced == writer.end {
            self.drop_purged(&writer)?;
        }
        Ok(writer.sentinel.sync_due().inspect_err(|_| self.close())?)
    }

    fn save_vote(&self, vote: &[u8]) -> Result<(), LogError> {
        check_mark(vote)?;
        let mut writer = self.writer.lock();
        self.write(&mut writer, &[Draft { kind: Kind::Vote, index: 0, payload: vote }])?;
        self.sync_writer(&mut writer, true).map(|_| ())
    }

    fn truncate_from(&self, from: u64) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        let span = self.span();
        if from >= span.next {
            return Ok(());
        }
        if from < span.first {
            return Err(LogError::Gap { expected: span.first, got: from });
        }
        self.write(&mut writer, &[Draft { kind: Kind::Truncate, index: from, payload: &[] }])?;
        self.sync_writer(&mut writer, true).map(|_| ())
    }

    fn purge(&self, upto: u64, mark: &[u8]) -> Result<(), LogError> {
        check_mark(mark)?;
        self.write(&mut self.writer.lock(), &[Draft { kind: Kind::Purge, index: upto, payload: mark }])
    }

    fn read(&self, range: Range<u64>, limit_bytes: usize) -> Result<Vec<LogEntry>, LogError> {
        let mut places = Vec::new();
        {
            let shared = self.shared.read();
            let span = shared.table.span();
            let mut bytes = 0_usize;
            for index in range.start.max(span.first)..range.end.min(span.next) {
                let at = shared.table.location(index).expect("the span is held");
                bytes += at.len as usize;
                if bytes > limit_bytes && !places.is_empty() {
                    break;
                }
                // The handle keeps the content readable even if the file is purged meanwhile.
                let file = shared.files.get(&at.segment).expect("a held entry has its file").file.clone();
                places.push((index, at, file));
            }
        }
        places.into_iter().map(|(index, at, file)| self.read_one(at, file.as_ref(), index)).collect()
    }
}

impl Writer {
    fn advance_sentinel(&mut self, next_index: u64, strict: bool) -> Result<(), LogError> {
        let position = Position { major: self.segment, minor: u64::from(self.synced), next_index };
        self.sentinel.advance_lazily(position)?;
        if strict {
            self.sentinel.sync_now()?;
        }
        Ok(())
    }
}

impl LogTable {
    /// A copy without the entries, for a checkpoint.
    fn clone_marks(&self) -> Self {
        Self::from_checkpoint(self.span().next, &self.encode_checkpoint())
            .expect("what was encoded here decodes here")
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).expect("batches and segments stay below 4 GiB")
}

#[cfg(test)]
mod damage_test;
