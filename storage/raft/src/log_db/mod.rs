//! [`LogDb`]: the durable Raft log and vote of one member, below any Raft library.
//!
//! Two implementations behind one test suite: [`SegmentedLog`] (own append-only files) and [`SledLog`]. Both keep
//! these laws:
//! - what [`LogDb::sync`] or [`LogDb::save_vote`] returned for survives a power cut;
//! - entries are contiguous; nothing is dropped silently: whatever is missing below the last synced point, or does
//!   not match its checksum, makes opening fail with an error that says what happened and what to do;
//! - after a failed sync the log refuses everything: the kernel may have dropped the pages, so trying again could
//!   report success for lost data. The member restarts, and opening syncs what is there.
//!
//! One writer at a time (an internal lock sees to it), any number of readers beside it. Blocking calls: the caller
//! brings the thread.

mod record;
mod segment;
mod segmented_log;
mod sled_log;

use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use thiserror::Error;

use crate::sentinel::SentinelError;

pub use segmented_log::{SegmentedLog, SegmentedOptions};
pub use sled_log::SledLog;

/// Largest payload of one entry in bytes.
pub const ENTRY_LIMIT_BYTES: usize = 64 * 1024 * 1024;
/// Largest vote or mark in bytes.
pub const MARK_LIMIT_BYTES: usize = 4096;

/// One entry of the Raft log. The payload is opaque here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Position in the log.
    pub index: u64,
    /// Encoded entry, at most [`ENTRY_LIMIT_BYTES`].
    pub payload: Bytes,
}

/// Which indexes a log holds: `first..next`; everything below `first` was purged (or never existed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSpan {
    /// Lowest index held, equal to `next` when empty.
    pub first: u64,
    /// The index that the next entry must have; any index will do until the log has started.
    pub next: u64,
    /// False until the first append or purge.
    pub started: bool,
}

impl LogSpan {
    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.first == self.next
    }

    /// The highest index held.
    pub fn last(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.next - 1)
    }
}

/// A small opaque value beside the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The vote; written by [`LogDb::save_vote`] only.
    Vote,
    /// The last log id known to be committed.
    Committed,
    /// The log id up to which the log was purged; written by [`LogDb::purge`] only.
    Purged,
}

/// The durable log of one member.
pub trait LogDb: Send + Sync + 'static {
    /// The indexes held now, synced or not.
    fn span(&self) -> LogSpan;
    /// The last value of a mark, synced or not.
    fn mark(&self, mark: Mark) -> Option<Bytes>;
    /// Adds entries at the end. Readable at once, durable after the next [`LogDb::sync`].
    fn append(&self, entries: &[LogEntry]) -> Result<(), LogError>;
    /// Sets [`Mark::Committed`]; durable after the next [`LogDb::sync`].
    fn save_committed(&self, value: &[u8]) -> Result<(), LogError>;
    /// One durable sync of everything before it. Returns the highest index held durably.
    fn sync(&self) -> Result<Option<u64>, LogError>;
    /// What a sync leaves to be done when nobody waits: called after the answers of a sync are out. A log that is not
    /// asked does it later by itself.
    fn tidy(&self) -> Result<(), LogError> {
        Ok(())
    }
    /// Sets the vote; durable when this returns (together with everything written before).
    fn save_vote(&self, vote: &[u8]) -> Result<(), LogError>;
    /// Removes all entries at and above `from`; durable when this returns.
    fn truncate_from(&self, from: u64) -> Result<(), LogError>;
    /// Forgets all entries up to and including `upto` (also beyond the end, after a snapshot) and sets
    /// [`Mark::Purged`]. Durable after the next [`LogDb::sync`]; disk space comes back at that time or later.
    fn purge(&self, upto: u64, mark: &[u8]) -> Result<(), LogError>;
    /// The entries of `range` that are held, in order, stopping after `limit_bytes` of payload (but at least one).
    fn read(&self, range: Range<u64>, limit_bytes: usize) -> Result<Vec<LogEntry>, LogError>;
}

/// Why a log operation failed.
#[derive(Debug, Error)]
pub enum LogError {
    /// The disk is full. The log is unchanged; retry after room was made.
    #[error("no space left for the log in {path}: free disk space (delete, compact, enlarge), then retry")]
    NoSpace {
        /// The data directory or file.
        path: PathBuf,
    },
    /// An operation of the file system failed. The log is closed for writing; restart the member.
    #[error("{what} of {path} failed: {source}; the log is closed for writing, check the disk and restart")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// sled refused.
    #[error("the sled database {path} failed: {message}; check the disk and restart the member")]
    Sled {
        /// The database directory.
        path: PathBuf,
        /// What sled said.
        message: String,
    },
    /// An earlier sync or write failed; what is on disk is unknown until the log is opened again.
    #[error("the log in {path} was closed by an earlier I/O failure; restart the member")]
    Closed {
        /// The data directory.
        path: PathBuf,
    },
    /// The entries do not continue the log. A mistake of the caller; nothing was written.
    #[error("entry {got} does not continue the log, which expects {expected}")]
    Gap {
        /// The index the log expects.
        expected: u64,
        /// The index that was given.
        got: u64,
    },
    /// A payload or mark over its limit. Nothing was written.
    #[error("{bytes} bytes at index {index} are over the limit of {limit_bytes}")]
    TooLarge {
        /// Index of the entry, 0 for a mark.
        index: u64,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// Stored data does not match its checksum or its place.
    #[error(
        "{path} is damaged at byte {offset}: {what}; this member cannot vouch for what it acknowledged. Remove it \
         from the cluster and add it again under a new id, or restore a snapshot"
    )]
    Corrupt {
        /// The file or database.
        path: PathBuf,
        /// Byte offset in a file, or the index in a database.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// A file of the log is not there.
    #[error(
        "log segment {missing} is missing in {path} ({why}); put the file back, or remove this member from the \
         cluster and add it again under a new id"
    )]
    MissingSegment {
        /// The log directory.
        path: PathBuf,
        /// File name of the segment.
        missing: String,
        /// How we know.
        why: String,
    },
    /// The sentinel could not be used.
    #[error(transparent)]
    Sentinel(SentinelError),
    /// Less is stored than was synced before.
    #[error(
        "the log in {path} holds {found}, but {synced} was synced before: acknowledged data is lost. This member \
         must not rejoin under its id: remove it from the cluster and add it again under a new id"
    )]
    BehindSentinel {
        /// The data directory.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What the sentinel says.
        synced: String,
    },
}

/// What a caller may do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRetry {
    /// The same call may succeed once there is room.
    AfterReclaim,
    /// Only after closing and opening again.
    AfterRestart,
    /// Never: a person has to decide.
    Never,
}

impl LogError {
    /// What a caller may do.
    pub fn retry(&self) -> LogRetry {
        match self {
            Self::NoSpace { .. } => LogRetry::AfterReclaim,
            Self::Io { .. } | Self::Sled { .. } | Self::Closed { .. } => LogRetry::AfterRestart,
            Self::Sentinel(SentinelError::Io { .. }) => LogRetry::AfterRestart,
            Self::Sentinel(_)
            | Self::Gap { .. }
            | Self::TooLarge { .. }
            | Self::Corrupt { .. }
            | Self::MissingSegment { .. }
            | Self::BehindSentinel { .. } => LogRetry::Never,
        }
    }

    pub(crate) fn io(what: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        if crate::disk::is_no_space(&source) {
            return Self::NoSpace { path: path.to_owned() };
        }
        Self::Io { what, path: path.to_owned(), source }
    }
}

impl From<SentinelError> for LogError {
    fn from(error: SentinelError) -> Self {
        Self::Sentinel(error)
    }
}

/// Checks limits and continuity of a batch against `span`; both implementations ask this first.
fn check_batch(span: LogSpan, entries: &[LogEntry]) -> Result<(), LogError> {
    let Some(head) = entries.first() else { return Ok(()) };
    let start = if span.started { span.next } else { head.index };
    for (expected, entry) in (start..).zip(entries) {
        if entry.index != expected {
            return Err(LogError::Gap { expected, got: entry.index });
        }
        if entry.payload.len() > ENTRY_LIMIT_BYTES {
            let bytes = entry.payload.len();
            return Err(LogError::TooLarge { index: entry.index, bytes, limit_bytes: ENTRY_LIMIT_BYTES });
        }
    }
    Ok(())
}

/// Checks the size of a mark.
fn check_mark(value: &[u8]) -> Result<(), LogError> {
    if value.len() > MARK_LIMIT_BYTES {
        return Err(LogError::TooLarge { index: 0, bytes: value.len(), limit_bytes: MARK_LIMIT_BYTES });
    }
    Ok(())
}

#[cfg(test)]
mod suite_test;
