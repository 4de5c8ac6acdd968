//! Opening a [`SegmentedLog`]: every record is read and checked before the member may speak.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::begun::Begun;
use super::names::{segment_name, segment_number, segment_path, sentinel_path};
use super::{Segment, SegmentedLog, SegmentedOptions, to_u32};
use crate::disk::{Disk, DiskFile, read_to_limit};
use crate::log_db::LogError;
use crate::log_db::record::{Header, Kind};
use crate::log_db::segment::{End, Location, LogTable, Scan, proof_of_sync, scan};
use crate::sentinel::{Position, Sentinel};

/// See [`SegmentedLog::open`].
pub(super) fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: SegmentedOptions,
) -> Result<SegmentedLog, LogError> {
    let sentinel = Sentinel::open(disk.as_ref(), &sentinel_path(dir), options.sentinel)?;
    let position = sentinel.position();
    let numbers = list_segments(disk.as_ref(), dir, position)?;
    let (&last, older) = numbers.split_last().expect("an empty list was refused");
    let mut loader = Loader { dir, table: None, files: BTreeMap::new() };
    for &number in older {
        let loaded = loader.load(disk.as_ref(), number)?;
        if loaded.scan.end != End::Sealed {
            let what = format!("the segment has no end, though {} follows", segment_name(number + 1));
            return Err(corrupt(dir, number, loaded.scan.end_offset, what));
        }
    }
    let loaded = loader.load(disk.as_ref(), last)?;
    let table = loader.table.take().expect("each file starts with a checkpoint");
    check_complete(dir, numbers[0], &table)?;
    check_tail(dir, last, &loaded, position)?;
    let active = if loaded.scan.end == End::Sealed {
        let marks = table.clone_marks();
        let begun = Begun::prepare(disk.as_ref(), dir, last + 1, &marks, options.segment_bytes)?;
        begun.publish(disk.as_ref(), dir)?;
        begun
    } else {
        settle_tail(dir, last, &loaded, position)?;
        let base = loader.files.get(&last).map_or(0, |s| s.base);
        let Scan { end_offset, prev, .. } = loaded.scan;
        let (size, end) = (to_u32(loaded.bytes.len()), to_u32(end_offset));
        Begun { file: loaded.file, segment: last, base, size, end, prev }
    };
    let next = table.span().next;
    let log = SegmentedLog::assemble(disk, dir, options, table, loader.files, active, sentinel);
    log.writer.lock().advance_sentinel(next, true)?;
    Ok(log)
}

/// The numbers of the segment files: without holes, and reaching as far as the sentinel.
fn list_segments(disk: &dyn Disk, dir: &Path, synced: Position) -> Result<Vec<u64>, LogError> {
    let files = disk.list(dir).map_err(|e| LogError::io("listing", dir, e))?;
    let mut numbers: Vec<u64> = files.iter().filter_map(|path| segment_number(path)).collect();
    numbers.sort_unstable();
    let missing = |number, why: String| {
        Err(LogError::MissingSegment { path: dir.to_owned(), missing: segment_name(number), why })
    };
    let Some(&last) = numbers.last() else {
        return missing(synced.major, format!("no segment is left, entry {} was synced", synced.next_index));
    };
    if let Some(hole) = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        return missing(hole[0] + 1, format!("{} follows it", segment_name(hole[1])));
    }
    if last < synced.major {
        return missing(synced.major, "the sentinel says that it was synced".to_owned());
    }
    Ok(numbers)
}

struct Loader<'a> {
    dir: &'a Path,
    table: Option<LogTable>,
    files: BTreeMap<u64, Segment>,
}

struct Loaded {
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
    scan: Scan,
}

impl Loader<'_> {
    fn load(&mut self, disk: &dyn Disk, number: u64) -> Result<Loaded, LogError> {
        let path = segment_path(self.dir, number);
        let file: Arc<dyn DiskFile> =
            disk.open(&path, false).map_err(|e| LogError::io("opening", &path, e))?.into();
        let bytes =
            read_to_limit(file.as_ref(), usize::MAX).map_err(|e| LogError::io("reading", &path, e))?;
        let mut base = None;
        let found = scan(&bytes, number, |header, payload, at| match base {
            None => {
                base = Some(header.index);
                self.checkpoint(header, payload)
            }
            Some(_) => {
                let table = self.table.as_mut().expect("set by the checkpoint");
                let len = u32::try_from(header.len).expect("a length of 32 bits");
                let offset = to_u32(at + crate::log_db::record::HEADER_BYTES);
                table.apply(header.kind, header.index, payload, Location { segment: number, offset, len })
            }
        });
        let scan = found.map_err(|(at, why)| corrupt(self.dir, number, at, why))?;
        let Some(base) = base else {
            return Err(corrupt(self.dir, number, 0, "the segment has no readable checkpoint".to_owned()));
        };
        self.files.insert(number, Segment { file: file.clone(), base });
        Ok(Loaded { file, bytes, scan })
    }

    fn checkpoint(&mut self, header: Header, payload: &[u8]) -> Result<(), String> {
        if header.kind != Kind::Checkpoint {
            return Err("the segment does not start with a checkpoint".to_owned());
        }
        let said =
            LogTable::from_checkpoint(header.index, payload).ok_or("the checkpoint does not decode")?;
        match &self.table {
            None => self.table = Some(said),
            Some(table) if table.encode_checkpoint() != payload || table.span().next != header.index => {
                return Err(format!(
                    "the checkpoint says that entry {} is next, the files before end at {}",
                    header.index,
                    table.span().next
                ));
            }
            Some(_) => {}
        }
        Ok(())
    }
}

/// Everything that was not purged must be in the files.
fn check_complete(dir: &Path, oldest: u64, table: &LogTable) -> Result<(), LogError> {
    let span = table.span();
    let complete = match table.required_first() {
        Some(required) => span.first <= required,
        None => oldest == 1,
    };
    if complete {
        return Ok(());
    }
    let required = table.required_first().unwrap_or(1);
    let why = format!("entries from {required} were not purged, the oldest file starts at {}", span.first);
    Err(LogError::MissingSegment { path: dir.to_owned(), missing: segment_name(oldest - 1), why })
}

/// A torn tail is only believed where nothing had been synced.
fn check_tail(dir: &Path, number: u64, loaded: &Loaded, synced: Position) -> Result<(), LogError> {
    let Scan { end_offset, end, .. } = loaded.scan;
    let synced_offset = if synced.major == number { synced.minor } else { 0 };
    let short = (end_offset as u64) < synced_offset;
    match end {
        End::Damaged(what) if short => {
            let what = format!("{what}, though everything up to byte {synced_offset} was synced");
            Err(corrupt(dir, number, end_offset, what))
        }
        End::Blank | End::Sealed if short => Err(LogError::BehindSentinel {
            path: segment_path(dir, number),
            found: format!("{end_offset} bytes of records"),
            synced: format!("{synced_offset} bytes (up to entry {})", synced.next_index.saturating_sub(1)),
        }),
        End::Damaged(what) => match proof_of_sync(&loaded.bytes, number, end_offset) {
            Some(later) => {
                let what = format!("{what}, though the record at byte {later} proves that it was synced");
                Err(corrupt(dir, number, end_offset, what))
            }
            None => Ok(()),
        },
        End::Blank | End::Sealed => Ok(()),
    }
}

/// Cuts the torn tail, and writes and syncs again what may exist in the page cache alone: after this everything
/// readable is durable.
fn settle_tail(dir: &Path, number: u64, loaded: &Loaded, synced: Position) -> Result<(), LogError> {
    let path = segment_path(dir, number);
    let end = loaded.scan.end_offset;
    let dirty = loaded.bytes.iter().rposition(|b| *b != 0).map_or(end, |last| end.max(last + 1));
    if let End::Damaged(what) = loaded.scan.end {
        let bytes = dirty - end;
        tracing::warn!(path = %path.display(), offset = end, bytes, what, "cut a torn tail that was never synced");
    }
    let synced_offset = if synced.major == number { synced.minor } else { 0 };
    let from = usize::try_from(synced_offset).unwrap_or(end).min(end);
    let mut tail = loaded.bytes[from..end].to_vec();
    tail.resize(dirty - from, 0);
    let settled = loaded.file.write_all_at(&tail, from as u64).and_then(|()| loaded.file.sync_all());
    settled.map_err(|e| LogError::io("settling the tail", &path, e))
}

fn corrupt(dir: &Path, number: u64, offset: usize, what: String) -> LogError {
    LogError::Corrupt { path: segment_path(dir, number), offset: offset as u64, what }
}
