//! [`SledLog`]: the Raft log in sled, by the recipe of `sled_file.rs`.
//!
//! Keys: `e | index (8, big endian) | chunk (2)` for entries, `m | name` for marks, `g` for the generation. Each
//! value starts with a CRC-32C over its key and the rest; an entry's chunks say how many there are. Every change is
//! one atomic sled batch that also raises the generation; the sentinel holds the generation that was synced, so a
//! database that opens empty or older than that is noticed.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::{LogDb, LogEntry, LogError, LogSpan, Mark, check_batch, check_mark};
use crate::disk::Disk;
use crate::sentinel::{Position, Sentinel, SentinelSync};
use crate::sled_file::{CHUNK_BYTES, SledFailure, SledFile, SledSizes, framed, unframed};

const GENERATION: &[u8] = b"g";
/// Keys removed in one batch.
const REMOVE_BATCH: usize = 4096;

/// The log of one member in sled.
pub struct SledLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    sled: SledFile,
    shared: RwLock<Shared>,
    writer: Mutex<Writer>,
    closed: AtomicBool,
}

#[derive(Debug, Clone)]
struct Shared {
    span: LogSpan,
    vote: Option<Bytes>,
    committed: Option<Bytes>,
    purged: Option<Bytes>,
}

struct Writer {
    generation: u64,
    synced_generation: u64,
    sentinel: Sentinel,
}

impl SledLog {
    /// Creates an empty log in `dir`, durably. `dir` must hold no log.
    pub fn create(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, LogError> {
        disk.create_dir_all(dir).map_err(|e| LogError::io("creating", dir, e))?;
        Sentinel::create(disk.as_ref(), &dir.join("sentinel"), SentinelSync::Always)?;
        Self::open(disk, dir)
    }

    /// Opens an existing log, checks every record against its checksum and its neighbours, and everything against
    /// the sentinel.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, LogError> {
        let sentinel = Sentinel::open(disk.as_ref(), &dir.join("sentinel"), SentinelSync::Always)?;
        let synced = sentinel.position();
        let base = dir.join("sled");
        let sled = SledFile::open(disk.as_ref(), &base, SledSizes::TRUTH).map_err(|e| failure(&base, e))?;
        let generation = load_generation(&base, &sled.db)?;
        let shared = load(&base, &sled.db)?;
        if generation < synced.major || (generation == synced.major && shared.span.next < synced.next_index) {
            return Err(LogError::BehindSentinel {
                path: base,
                found: format!("generation {generation} up to entry {:?}", shared.span.last()),
                synced: format!("generation {} up to entry {}", synced.major, synced.next_index),
            });
        }
        let writer = Writer { generation, synced_generation: synced.major, sentinel };
        let log = Self {
            disk,
            dir: dir.to_owned(),
            sled,
            shared: RwLock::new(shared),
            writer: Mutex::new(writer),
            closed: AtomicBool::new(false),
        };
        // Opening synced the file; from here on everything readable counts as durable.
        log.sync_writer(&mut log.writer.lock())?;
        Ok(log)
    }

    fn commit(&self, writer: &mut Writer, mut batch: sled::Batch) -> Result<(), LogError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(LogError::Closed { path: self.dir.clone() });
        }
        let generation = writer.generation + 1;
        batch.insert(GENERATION, framed(GENERATION, &[&generation.to_le_bytes()]));
        self.sled.db.apply_batch(batch).map_err(|e| {
            self.closed.store(true, Ordering::Release);
            LogError::Sled { path: self.dir.clone(), message: e.to_string() }
        })?;
        writer.generation = generation;
        Ok(())
    }

    fn sync_writer(&self, writer: &mut Writer) -> Result<Option<u64>, LogError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(LogError::Closed { path: self.dir.clone() });
        }
        let span = self.span();
        if writer.synced_generation != writer.generation {
            let close = |e| {
                self.closed.store(true, Ordering::Release);
                e
            };
            self.sled.sync().map_err(|e| close(failure(&self.dir, e)))?;
            writer.synced_generation = writer.generation;
            let position = Position { major: writer.generation, minor: 0, next_index: span.next };
            writer.sentinel.advance(position).map_err(|e| close(e.into()))?;
        }
        Ok(span.last())
    }

    fn set_mark(&self, writer: &mut Writer, mark: Mark, value: &[u8]) -> Result<(), LogError> {
        check_mark(value)?;
        let mut batch = sled::Batch::default();
        batch.insert(mark_key(mark), framed(mark_key(mark), &[value]));
        self.commit(writer, batch)?;
        *self.shared.write().slot(mark) = Some(Bytes::copy_from_slice(value));
        Ok(())
    }

    /// Removes the chunks of `range`, highest index first, so that what is left is always contiguous.
    fn remove_down(&self, writer: &mut Writer, range: Range<u64>) -> Result<(), LogError> {
        let keys = self.sled.db.range(entry_key(range.start, 0)..entry_key(range.end, 0)).keys();
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|e| self.sled_error(&e))?;
        for keys in keys.rchunks(REMOVE_BATCH) {
            let mut batch = sled::Batch::default();
            keys.iter().rev().for_each(|key| batch.remove(key));
            self.commit(writer, batch)?;
        }
        Ok(())
    }

    fn sled_error(&self, error: &sled::Error) -> LogError {
        LogError::Sled { path: self.dir.clone(), message: error.to_string() }
    }
}

impl Shared {
    fn slot(&mut self, mark: Mark) -> &mut Option<Bytes> {
        match mark {
            Mark::Vote => &mut self.vote,
            Mark::Committed => &mut self.committed,
            Mark::Purged => &mut self.purged,
        }
    }
}

impl LogDb for SledLog {
    fn span(&self) -> LogSpan {
        self.shared.read().span
    }

    fn mark(&self, mark: Mark) -> Option<Bytes> {
        // A purge mark is stored behind the index it purges.
        let value = self.shared.write().slot(mark).clone();
        if mark == Mark::Purged { value.map(|v| v.slice(8..)) } else { value }
    }

    fn append(&self, entries: &[LogEntry]) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        let span = self.span();
        check_batch(span, entries)?;
        let Some((head, last)) = entries.first().zip(entries.last()) else { return Ok(()) };
        let bytes = entries.iter().map(|e| e.payload.len()).sum();
        if !self.sled.has_room(self.disk.as_ref(), bytes) {
            return Err(LogError::NoSpace { path: self.dir.clone() });
        }
        let mut batch = sled::Batch::default();
        for entry in entries {
            insert_entry(&mut batch, entry);
        }
        self.commit(&mut writer, batch)?;
        let first = if span.started { span.first } else { head.index };
        self.shared.write().span = LogSpan { first, next: last.index + 1, started: true };
        Ok(())
    }

    fn save_committed(&self, value: &[u8]) -> Result<(), LogError> {
        self.set_mark(&mut self.writer.lock(), Mark::Committed, value)
    }

    fn sync(&self) -> Result<Option<u64>, LogError> {
        self.sync_writer(&mut self.writer.lock())
    }

    fn save_vote(&self, vote: &[u8]) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        self.set_mark(&mut writer, Mark::Vote, vote)?;
        self.sync_writer(&mut writer).map(|_| ())
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
        self.shared.write().span.next = from;
        self.remove_down(&mut writer, from..span.next)?;
        self.sync_writer(&mut writer).map(|_| ())
    }

    fn purge(&self, upto: u64, mark: &[u8]) -> Result<(), LogError> {
        check_mark(mark)?;
        let mut writer = self.writer.lock();
        let value = Bytes::from([&upto.to_le_bytes(), mark].concat());
        let mut batch = sled::Batch::default();
        batch.insert(mark_key(Mark::Purged), framed(mark_key(Mark::Purged), &[&value]));
        self.commit(&mut writer, batch)?;
        let span = {
            let mut shared = self.shared.write();
            let before = shared.span;
            let first = before.first.max(upto + 1);
            shared.span = LogSpan { first, next: before.next.max(first), started: true };
            shared.purged = Some(value);
            before
        };
        self.remove_down(&mut writer, span.first..span.next.min(upto + 1).max(span.first))
    }

    fn read(&self, range: Range<u64>, limit_bytes: usize) -> Result<Vec<LogEntry>, LogError> {
        let span = self.span();
        let (mut entries, mut bytes) = (Vec::new(), 0_usize);
        for index in range.start.max(span.first)..range.end.min(span.next) {
            let Some(payload) = read_entry(&self.dir, &self.sled.db, index)? else {
                // Purged since the span was read, with all before it; anything else is damage.
                if index < self.span().first {
                    (entries, bytes) = (Vec::new(), 0);
                    continue;
                }
                return Err(corrupt(&self.dir, index, "the entry is missing"));
            };
            bytes += payload.len();
            if bytes > limit_bytes && !entries.is_empty() {
                break;
            }
            entries.push(LogEntry { index, payload });
        }
        Ok(entries)
    }
}

fn insert_entry(batch: &mut sled::Batch, entry: &LogEntry) {
    let count = entry.payload.len().div_ceil(CHUNK_BYTES).max(1);
    let count = u16::try_from(count).expect("the entry limit is below 65,536 chunks");
    for chunk in 0..count {
        let from = usize::from(chunk) * CHUNK_BYTES;
        let data = &entry.payload[from..entry.payload.len().min(from + CHUNK_BYTES)];
        let key = entry_key(entry.index, chunk);
        batch.insert(&key, framed(&key, &[&count.to_le_bytes(), data]));
    }
}

fn read_entry(path: &Path, db: &sled::Db, index: u64) -> Result<Option<Bytes>, LogError> {
    let mut chunks = Chunks { index, count: 0, seen: 0, payload: Vec::new() };
    for item in db.range(entry_key(index, 0)..entry_key(index + 1, 0)) {
        let (key, value) =
            item.map_err(|e| LogError::Sled { path: path.to_owned(), message: e.to_string() })?;
        chunks.add(path, &key, &value)?;
    }
    if chunks.seen == 0 {
        return Ok(None);
    }
    chunks.finish(path).map(Some)
}

/// Puts the chunks of one entry together and checks them.
struct Chunks {
    index: u64,
    count: u16,
    seen: u16,
    payload: Vec<u8>,
}

impl Chunks {
    fn add(&mut self, path: &Path, key: &[u8], value: &[u8]) -> Result<(), LogError> {
        let body = unframed(key, value)
            .ok_or_else(|| corrupt(path, self.index, "the checksum of a chunk does not match"))?;
        let Some((count, data)) = body.split_at_checked(2) else {
            return Err(corrupt(path, self.index, "a chunk has no header"));
        };
        let count = u16::from_le_bytes(count.try_into().expect("two bytes were split"));
        if key != entry_key(self.index, self.seen) || (self.seen > 0 && count != self.count) {
            return Err(corrupt(path, self.index, "chunks are missing or mixed"));
        }
        (self.count, self.seen) = (count, self.seen + 1);
        self.payload.extend_from_slice(data);
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<Bytes, LogError> {
        if self.seen != self.count {
            return Err(corrupt(path, self.index, "the last chunks are missing"));
        }
        Ok(self.payload.into())
    }
}

fn load_generation(path: &Path, db: &sled::Db) -> Result<u64, LogError> {
    let found = db.get(GENERATION);
    let found = found.map_err(|e| LogError::Sled { path: path.to_owned(), message: e.to_string() })?;
    let Some(value) = found else { return Ok(0) };
    let body = unframed(GENERATION, &value).and_then(|body| body.try_into().ok());
    body.map(u64::from_le_bytes).ok_or_else(|| corrupt(path, 0, "the generation is damaged"))
}

/// Reads everything once: checksums, chunk counts and gaps. Left-overs of an interrupted purge are removed.
fn load(path: &Path, db: &sled::Db) -> Result<Shared, LogError> {
    let fail = |e: sled::Error| LogError::Sled { path: path.to_owned(), message: e.to_string() };
    let mark = |mark: Mark| -> Result<Option<Bytes>, LogError> {
        let Some(value) = db.get(mark_key(mark)).map_err(fail)? else { return Ok(None) };
        let body = unframed(mark_key(mark), &value);
        let body = body.ok_or_else(|| corrupt(path, 0, &format!("the {mark:?} mark is damaged")))?;
        Ok(Some(Bytes::copy_from_slice(body)))
    };
    let purged = mark(Mark::Purged)?;
    let upto = match &purged {
        None => None,
        Some(value) => match value.get(..8) {
            Some(head) => Some(u64::from_le_bytes(head.try_into().expect("eight bytes"))),
            None => return Err(corrupt(path, 0, "the purge mark is too short")),
        },
    };
    if let Some(upto) = upto {
        for key in db.range(entry_key(0, 0)..entry_key(upto + 1, 0)).keys() {
            db.remove(key.map_err(fail)?).map_err(fail)?;
        }
    }
    let mut first = upto.map(|upto| upto + 1);
    let mut next = first;
    let mut open: Option<Chunks> = None;
    for item in db.scan_prefix(b"e") {
        let (key, value) = item.map_err(fail)?;
        let index = index_of(&key).ok_or_else(|| corrupt(path, 0, "an entry has a malformed key"))?;
        if open.as_ref().is_none_or(|chunks| chunks.index != index) {
            if let Some(chunks) = open.take() {
                chunks.finish(path)?;
            }
            if next.is_some_and(|next| next != index) {
                let what = format!("entry {index} stands where entry {next:?} is expected");
                return Err(corrupt(path, index, &what));
            }
            first.get_or_insert(index);
            next = Some(index + 1);
            open = Some(Chunks { index, count: 0, seen: 0, payload: Vec::new() });
        }
        open.as_mut().expect("set above").add(path, &key, &value)?;
    }
    if let Some(chunks) = open {
        chunks.finish(path)?;
    }
    let span = LogSpan { first: first.unwrap_or(0), next: next.unwrap_or(0), started: next.is_some() };
    Ok(Shared { span, vote: mark(Mark::Vote)?, committed: mark(Mark::Committed)?, purged })
}

fn failure(path: &Path, failure: SledFailure) -> LogError {
    match failure {
        SledFailure::Sled(message) => LogError::Sled { path: path.to_owned(), message },
        SledFailure::Io(what, source) => LogError::Io { what, path: path.to_owned(), source },
    }
}

fn corrupt(path: &Path, index: u64, what: &str) -> LogError {
    LogError::Corrupt { path: path.to_owned(), offset: index, what: what.to_owned() }
}

fn mark_key(mark: Mark) -> &'static [u8] {
    match mark {
        Mark::Vote => b"m/vote",
        Mark::Committed => b"m/committed",
        Mark::Purged => b"m/purged",
    }
}

fn entry_key(index: u64, chunk: u16) -> [u8; 11] {
    let mut key = [b'e'; 11];
    key[1..9].copy_from_slice(&index.to_be_bytes());
    key[9..].copy_from_slice(&chunk.to_be_bytes());
    key
}

fn index_of(key: &[u8]) -> Option<u64> {
    (key.len() == 11).then(|| u64::from_be_bytes(key[1..9].try_into().expect("eight bytes")))
}
