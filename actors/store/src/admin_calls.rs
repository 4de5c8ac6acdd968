//! Calls for saving, restoring, comparing and testing; part of [`crate::calls`].

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use trireme_kernel::Call;
use trireme_mvcc::{Revision, StateHash};
use trireme_raft::store::StoreError;

/// Freezes the state of the asked member, after a linearizable read, for saving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSnapshot {}

/// A frozen state that can be read chunk by chunk until [`SESSION_IDLE_MS`] pass without a read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotOpened {
    /// Names it in [`ReadSnapshot`].
    pub session: u64,
    /// The last write in it.
    pub revision: Revision,
    /// The log index it stands for.
    pub applied: u64,
    /// Live objects in it.
    pub objects: u64,
}

/// A snapshot or restore session that is not used for this long is forgotten, in milliseconds.
pub const SESSION_IDLE_MS: u64 = 60_000;
/// Payload of one snapshot chunk, in bytes.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1024 * 1024;

impl Call for OpenSnapshot {
    type Answer = Result<SnapshotOpened, StoreError>;
    const NAME: &'static str = "store.snapshot.open";
}

/// Reads the next chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSnapshot {
    /// From [`SnapshotOpened`].
    pub session: u64,
    /// 0 for the first; then one more each time. The last chunk can be asked for again.
    pub index: u32,
}

impl Call for ReadSnapshot {
    /// `None` behind the last chunk; the session is over then. Refused when the session is unknown.
    type Answer = Option<Bytes>;
    const NAME: &'static str = "store.snapshot.read";
}

/// Begins to upload a snapshot that shall replace the cluster's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRestore {}

impl Call for OpenRestore {
    /// Names the session.
    type Answer = u64;
    const NAME: &'static str = "store.restore.open";
}

/// Uploads one chunk, in order; checked at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteRestore {
    /// From [`OpenRestore`].
    pub session: u64,
    /// The chunk as [`ReadSnapshot`] gave it.
    pub chunk: Bytes,
}

impl Call for WriteRestore {
    type Answer = ();
    const NAME: &'static str = "store.restore.write";
}

/// Replaces the cluster's content by the uploaded snapshot, through the log.
///
/// Every key gets a new revision, above all that the cluster or the snapshot ever used, and the history before is
/// forgotten, so that every watcher lists again. Reads and proposals from outside are refused meanwhile (retry): a
/// reader sees what was before or all of the snapshot. When it fails half way, they stay refused: restore again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRestore {
    /// From [`OpenRestore`], all chunks written.
    pub session: u64,
}

/// Key of the mark that is there while a restore is under way.
pub const RESTORING_KEY: &str = "\0trireme/restoring";

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Objects written.
    pub objects: u64,
    /// Keys deleted that the snapshot does not have.
    pub deleted: u64,
    /// The store's revision after it.
    pub revision: Revision,
}

impl Call for CommitRestore {
    type Answer = Result<Restored, StoreError>;
    const NAME: &'static str = "store.restore.commit";
}

/// Makes the disk below this member's log misbehave, for chaos runs; replaces what was set before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDiskFaults {
    /// Every sync takes this much longer, in milliseconds.
    pub sync_delay_ms: u64,
    /// Every sync fails.
    pub fail_syncs: bool,
    /// Every sync reports success without doing anything.
    pub skip_syncs: bool,
    /// After this many more bytes the device is full.
    pub room_bytes: Option<u64>,
    /// Everything heals by itself after this long, in milliseconds; at most [`DISK_FAULTS_MS_MAX`].
    pub dead_man_ms: u64,
}

/// Longest life of disk faults, in milliseconds.
pub const DISK_FAULTS_MS_MAX: u64 = 600_000;

impl Call for SetDiskFaults {
    /// Syncs asked of the disk so far.
    type Answer = u64;
    const NAME: &'static str = "store.faults.disk";
}

/// Asks for the hash of the state right after each of these log indexes, once this member has applied them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetHashesAt {
    /// Log indexes; at most [`HASHES_MAX`] are looked at.
    pub indexes: Vec<u64>,
}

/// Most hashes in one answer.
pub const HASHES_MAX: usize = 16;

impl Call for GetHashesAt {
    /// One for each index; `None` where this member does not know it (any more).
    type Answer = Vec<Option<StateHash>>;
    const NAME: &'static str = "store.hashes";
}

/// Tells a member that its state differs from that of the majority. It stops serving if it really has this state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The member's own hash, with the index at which it was compared.
    pub found: StateHash,
    /// The majority's hash at that index.
    pub expected: StateHash,
}

impl Call for Quarantine {
    /// Whether it stopped.
    type Answer = bool;
    const NAME: &'static str = "store.quarantine";
}

/// Makes this member's state depart from the log, for tests of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlantDivergence {}

impl Call for PlantDivergence {
    /// Whether there was an object to change.
    type Answer = bool;
    const NAME: &'static str = "store.faults.diverge";
}

/// Sets the wall clock of this member's process off, for chaos runs; replaces what was set before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetClock {
    /// How far ahead the clock is, in seconds; negative: behind; zero: right.
    pub ahead_s: i64,
    /// It is right again by itself after this long, in milliseconds; at most [`DISK_FAULTS_MS_MAX`].
    pub dead_man_ms: u64,
}

impl Call for SetClock {
    type Answer = ();
    const NAME: &'static str = "store.faults.clock";
}
