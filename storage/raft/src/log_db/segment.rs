//! What the records of segment files add up to: [`LogTable`] (pure) and the reading of one file.

use std::collections::VecDeque;

use bytes::Bytes;

use super::record::{ALIGN_BYTES, Found, HEADER_BYTES, Header, Kind, decode, framed_bytes};
use super::{LogSpan, MARK_LIMIT_BYTES};

/// Where the payload of an entry lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u64,
    pub(super) offset: u32,
    pub(super) len: u32,
}

/// The log as the records describe it. The same code runs while writing and while loading.
#[derive(Debug, Clone, Default)]
pub(super) struct LogTable {
    first: u64,
    next: u64,
    started: bool,
    entries: VecDeque<Location>,
    pub(super) vote: Option<Bytes>,
    pub(super) committed: Option<Bytes>,
    pub(super) purged: Option<(u64, Bytes)>,
}

impl LogTable {
    pub(super) fn span(&self) -> LogSpan {
        LogSpan { first: self.first, next: self.next, started: self.started }
    }

    pub(super) fn location(&self, index: u64) -> Option<Location> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.entries.get(at).copied()
    }

    /// Applies one record; an error says how it contradicts the ones before.
    pub(super) fn apply(
        &mut self,
        kind: Kind,
        index: u64,
        payload: &[u8],
        at: Location,
    ) -> Result<(), String> {
        match kind {
            Kind::Entry => self.push(index, at)?,
            Kind::Vote => self.vote = Some(Bytes::copy_from_slice(payload)),
            Kind::Committed => self.committed = Some(Bytes::copy_from_slice(payload)),
            Kind::Truncate => self.truncate_from(index),
            Kind::Purge => self.purge(index, payload),
            Kind::Checkpoint | Kind::Seal => return Err(format!("{kind:?} is no change of the log")),
        }
        Ok(())
    }

    fn push(&mut self, index: u64, at: Location) -> Result<(), String> {
        if !self.started {
            (self.first, self.next, self.started) = (index, index, true);
        }
        if index != self.next {
            return Err(format!("entry {index} stands where entry {} is expected", self.next));
        }
        self.entries.push_back(at);
        self.next += 1;
        Ok(())
    }

    fn truncate_from(&mut self, from: u64) {
        let kept = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.entries.truncate(kept);
        self.next = self.next.min(from);
        // Entries below `first` may lie in segments that are gone because they were purged later on.
        self.first = self.first.min(self.next);
    }

    fn purge(&mut self, upto: u64, mark: &[u8]) {
        let gone = usize::try_from((upto + 1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.entries.drain(..gone.min(self.entries.len()));
        if upto >= self.first {
            self.first = upto + 1;
        }
        self.next = self.next.max(self.first);
        self.started = true;
        self.purged = Some((upto, Bytes::copy_from_slice(mark)));
    }

    /// The payload of a checkpoint record: everything but the entries.
    pub(super) fn encode_checkpoint(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.started)];
        let purged = self.purged.as_ref().map(|(_, mark)| mark);
        out.extend_from_slice(&self.purged.as_ref().map_or(0, |(upto, _)| *upto).to_le_bytes());
        for mark in [self.vote.as_ref(), self.committed.as_ref(), purged] {
            let len = mark.map_or(u32::MAX, |m| u32::try_from(m.len()).expect("marks are small"));
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(mark.map_or(&[], |m| m));
        }
        out
    }

    /// The state that a checkpoint before index `next` describes, without the entries of earlier segments.
    pub(super) fn from_checkpoint(next: u64, payload: &[u8]) -> Option<Self> {
        let (started, rest) = payload.split_first()?;
        let (upto, mut rest) = rest.split_at_checked(8)?;
        let upto = u64::from_le_bytes(upto.try_into().ok()?);
        let mut mark = || {
            let (len, tail) = rest.split_at_checked(4)?;
            rest = tail;
            let len = u32::from_le_bytes(len.try_into().ok()?);
            if len == u32::MAX {
                return Some(None);
            }
            let len = usize::try_from(len).ok().filter(|n| *n <= MARK_LIMIT_BYTES)?;
            let (mark, tail) = rest.split_at_checked(len)?;
            rest = tail;
            Some(Some(Bytes::copy_from_slice(mark)))
        };
        let (vote, committed, purged) = (mark()?, mark()?, mark()?);
        Some(Self {
            first: next,
            next,
            started: *started != 0,
            entries: VecDeque::new(),
            vote,
            committed,
            purged: purged.map(|mark| (upto, mark)),
        })
    }

    /// The lowest index that must be held: everything below was purged. `None` when nothing was purged.
    pub(super) fn required_first(&self) -> Option<u64> {
        self.purged.as_ref().map(|(upto, _)| upto + 1)
    }
}

/// How the reading of one segment file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At its seal: the file is complete.
    Sealed,
    /// Only zeros follow.
    Blank,
    /// Something follows that is no continuation.
    Damaged(&'static str),
}

/// The result of reading one segment file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    /// Offset behind the last good record.
    pub(super) end_offset: usize,
    /// Checksum of the last good record.
    pub(super) prev: u32,
    pub(super) end: End,
}

/// Reads all records of a segment in order and hands each to `visit`, which may refuse one with a reason.
pub(super) fn scan(
    bytes: &[u8],
    segment: u64,
    mut visit: impl FnMut(Header, &[u8], usize) -> Result<(), String>,
) -> Result<Scan, (usize, String)> {
    let (mut at, mut prev) = (0, 0);
    loop {
        let end = match decode(&bytes[at.min(bytes.len())..], segment) {
            Found::Record(header, _) if header.prev != prev => End::Damaged("a left-over record"),
            Found::Record(header, _) if header.kind == Kind::Seal => {
                let end_offset = at + framed_bytes(header.len);
                return Ok(Scan { end_offset, prev: header.crc, end: End::Sealed });
            }
            Found::Record(header, payload) => {
                visit(header, payload, at).map_err(|why| (at, why))?;
                prev = header.crc;
                at += framed_bytes(header.len);
                continue;
            }
            Found::Blank if bytes[at.min(bytes.len())..].iter().all(|b| *b == 0) => End::Blank,
            Found::Blank => End::Damaged("a hole"),
            Found::Damaged(what) => End::Damaged(what),
        };
        return Ok(Scan { end_offset: at, prev, end });
    }
}

/// The offset of a record behind `from` that was written when everything up to beyond `from` had been synced: proof
/// that what stands at `from` was acknowledged.
pub(super) fn proof_of_sync(bytes: &[u8], segment: u64, from: usize) -> Option<usize> {
    let last = bytes.len().saturating_sub(HEADER_BYTES);
    (from..last).step_by(ALIGN_BYTES).find(|at| {
        matches!(decode(&bytes[*at..], segment), Found::Record(header, _) if header.synced as usize > from)
    })
}
