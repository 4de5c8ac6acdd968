//! [`StateDb`]: the applied state on disk, so that a restart need not replay the whole log.
//!
//! Not on the path of an acknowledgement: it may lag behind the log, and it is synced now and then. What it holds
//! is always one consistent prefix: records and the applied index go in one atomic batch. When it cannot be opened
//! or does not check out it is wiped and rebuilt from the snapshot and the log; the log is the truth.

mod sled_state;

use std::path::PathBuf;

use bytes::Bytes;
use thiserror::Error;

pub use sled_state::SledState;

/// Largest key in bytes.
pub const KEY_LIMIT_BYTES: usize = 4096;
/// Largest value in bytes.
pub const VALUE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// How far the state has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Index of the last applied log entry.
    pub index: u64,
    /// What the caller needs to go on from there; opaque here.
    pub context: Bytes,
}

/// Changes that become visible and durable together.
#[derive(Debug, Clone, Default)]
pub struct StateBatch {
    /// Keys and their new values.
    pub puts: Vec<(Bytes, Bytes)>,
    /// Keys that go.
    pub deletes: Vec<Bytes>,
}

/// The applied state of one member.
pub trait StateDb: Send + Sync + 'static {
    /// The last applied mark, synced or not. `None` for an empty state.
    fn applied(&self) -> Option<Applied>;
    /// One atomic batch with its applied mark. Durable after the next [`StateDb::sync`]. Without a mark it is a part
    /// of a rebuild: until the last part sets one, the state counts as empty.
    fn write(&self, batch: &StateBatch, applied: Option<&Applied>) -> Result<(), StateError>;
    /// Makes everything written durable; returns how far that is.
    fn sync(&self) -> Result<Option<u64>, StateError>;
    /// Hands every record to `visit`, in no particular order, each checked against its checksum.
    fn load(&self, visit: &mut dyn FnMut(Bytes, Bytes)) -> Result<(), StateError>;
    /// Empties the state, durably: what follows is a rebuild.
    fn clear(&self) -> Result<(), StateError>;
}

/// Why a state operation failed. The log is untouched in every case.
#[derive(Debug, Error)]
pub enum StateError {
    /// The disk is full; nothing was written. Retry when there is room.
    #[error("no space left for the applied state in {path}: free disk space, then retry")]
    NoSpace {
        /// The database directory.
        path: PathBuf,
    },
    /// The database failed or cannot be opened; wipe it and rebuild.
    #[error("the applied state in {path} failed: {message}; it is rebuilt from the snapshot and the log")]
    Failed {
        /// The database directory.
        path: PathBuf,
        /// What happened.
        message: String,
    },
    /// A record does not check out; wipe and rebuild.
    #[error("the applied state in {path} is damaged: {what}; it is rebuilt from the snapshot and the log")]
    Damaged {
        /// The database directory.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A key or value over its limit. Nothing was written.
    #[error("{bytes} bytes are over the limit of {limit_bytes} of the applied state")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
}
