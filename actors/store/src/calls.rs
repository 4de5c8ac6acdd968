//! The calls that `/server/<name>/store` answers. Frozen shapes: a changed one takes a new name.
//!
//! Who may call: servers and administrators. Every member answers; what only the leader can do is forwarded.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use trireme_kernel::Call;
use trireme_mvcc::{Key, KeyRange, LeaseId, Proposal, Revision, StateHash};
use trireme_raft::store::{Committed, Status, StoreError};

pub use crate::admin_calls::*;

/// Longest time that one call may ask the store to try, in milliseconds.
pub const TIMEOUT_MS_MAX: u64 = 60_000;
/// Most objects in one page of a list.
pub const PAGE_OBJECTS_MAX: u32 = 10_000;
/// Most bytes of keys and values in one page of a list (one object is given in any case).
pub const PAGE_BYTES_MAX: u32 = 2 * 1024 * 1024;

/// Puts a proposal through the log.
///
/// A refusal by the state machine is an outcome inside [`Committed`]. `Err` says what is known: see
/// [`StoreError::retry`]. A call that ends in a [`trireme_kernel::CallError`] has an unknown outcome unless that
/// error says that nothing was sent: repeat it under the same request id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Propose {
    /// What to do. Encoded at most 4 MiB when it comes over the bus.
    pub proposal: Proposal,
    /// How long to look for a leader and a quorum, at most [`TIMEOUT_MS_MAX`]. Keep it below the call's deadline.
    pub timeout_ms: u64,
}

impl Call for Propose {
    type Answer = Result<Committed, StoreError>;
    const NAME: &'static str = "store.propose";
}

/// Which state a read is answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consistency {
    /// A state that includes every write acknowledged before the read began (one round to the quorum, batched).
    Linearizable,
    /// What the asked member has applied; never goes back on one member, may lag behind others.
    Local,
    /// The state right after this revision was written; waits for nothing.
    AtRevision(Revision),
}

/// Reads one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// Which key.
    pub key: Key,
    /// From which state.
    pub consistency: Consistency,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Got {
    /// The object; `None` when the key does not exist.
    pub item: Option<Item>,
    /// The revision of the state that was read.
    pub revision: Revision,
    /// The log index that the answering member had applied.
    pub applied: u64,
}

impl Call for Get {
    type Answer = Result<Got, ReadRefused>;
    const NAME: &'static str = "store.get";
}

/// Reads one page of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Which keys.
    pub range: KeyRange,
    /// From which state; every further page names the first one's revision with [`Consistency::AtRevision`].
    pub consistency: Consistency,
    /// Continue behind this key.
    pub after: Option<Key>,
    /// Most objects, at most [`PAGE_OBJECTS_MAX`]; zero asks for the count alone.
    pub limit_objects: u32,
    /// Most bytes of keys and values, at most [`PAGE_BYTES_MAX`].
    pub limit_bytes: u32,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The revision all of it speaks of: where a watch continues.
    pub revision: Revision,
    /// Objects by key.
    pub items: Vec<Item>,
    /// How many follow behind this page.
    pub remaining: u64,
    /// The log index that the answering member had applied.
    pub applied: u64,
}

impl Call for List {
    type Answer = Result<Listed, ReadRefused>;
    const NAME: &'static str = "store.list";
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its key.
    pub key: Key,
    /// Its value.
    pub value: Bytes,
    /// Revision of the write that created the key.
    pub create_revision: Revision,
    /// Revision of the write that made this version.
    pub mod_revision: Revision,
    /// 1 at creation, one more per put.
    pub version: u64,
    /// The lease whose end deletes the key.
    pub lease: Option<LeaseId>,
}

/// Why a read is not served.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum ReadRefused {
    /// The history no longer reaches back so far.
    #[error("revision {requested} is compacted (history begins after {compacted}); list again at the latest")]
    Compacted {
        /// Asked for.
        requested: Revision,
        /// The last forgotten revision.
        compacted: Revision,
    },
    /// The member has not applied so far.
    #[error(
        "revision {requested} is not here yet (this member is at {current}); retry, or ask another member"
    )]
    Future {
        /// Asked for.
        requested: Revision,
        /// The member's revision.
        current: Revision,
    },
    /// No quorum, or the member has stopped.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks a member for its numbers. Answered from what the member knows, also without a quorum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetStatus {}

/// A member's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// The machine's name.
    pub machine: String,
    /// The database of this member, 32 hex digits.
    pub database: String,
    /// How far this member has come in joining the cluster.
    pub standing: Standing,
    /// Raft's side.
    pub raft: Status,
    /// The term for which the leader scope runs here; `None` when it does not.
    pub leader_scope_term: Option<u64>,
    /// Revision of the last write applied.
    pub revision: Revision,
    /// The last forgotten revision.
    pub compacted: Revision,
    /// Live objects.
    pub objects: u64,
    /// Bytes of live objects.
    pub live_bytes: u64,
    /// Changes in the history.
    pub history_changes: u64,
    /// Leases.
    pub leases: u64,
    /// Hash of the state at its applied index.
    pub hash: StateHash,
}

/// How far a member has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Asks to be taken in; the text says what it waits for.
    Joining {
        /// The last obstacle, if there was one.
        why: Option<String>,
    },
    /// Takes in the log as a learner; asks to vote when it has caught up.
    Learning,
    /// A voter.
    Voter,
    /// Will not be taken in until somebody acts; the text says what to do.
    Refused {
        /// What happened and what to do.
        why: String,
    },
}

impl Call for GetStatus {
    type Answer = StoreStatus;
    const NAME: &'static str = "store.status";
}

/// Asks a member for the numbers of all members, each from itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetClusterStatus {}

impl Call for GetClusterStatus {
    /// One entry for each member of the membership, by machine: its numbers, or why it cannot be asked. The
    /// answering machine is there in any case.
    type Answer = BTreeMap<String, Result<StoreStatus, String>>;
    const NAME: &'static str = "store.status.all";
}

/// Asks for the hash of the applied state, once this member has applied `at_least`.
///
/// Members whose hashes carry the same index must have equal hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetStateHash {
    /// A log index, as in [`Committed::index`]; zero for now.
    pub at_least: u64,
}

impl Call for GetStateHash {
    type Answer = StateHash;
    const NAME: &'static str = "store.hash";
}

/// A server asks to be taken into the membership. Only for servers, each for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// The server's name; must be the caller's own.
    pub machine: String,
    /// The id it chose for its member.
    pub member: u64,
    /// The database it created.
    pub database: u128,
    /// Its log is empty: it has never been a member.
    pub fresh: bool,
}

/// What becomes of a server that asks to be taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// It is a member (at least a learner).
    Member,
    /// Not now; ask again.
    Later(String),
    /// Not without somebody's help; the text says what to do.
    Refused(String),
}

impl Call for Admit {
    type Answer = Admission;
    const NAME: &'static str = "store.admit";
}

/// Who a server's member is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetIdentity {}

/// A member's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberIdentity {
    /// Its id.
    pub member: u64,
    /// Its database.
    pub database: u128,
}

impl Call for GetIdentity {
    type Answer = MemberIdentity;
    const NAME: &'static str = "store.identity";
}

/// Changes the membership by a server's name and waits until the change is committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeMember {
    /// What to do.
    pub change: MemberChange,
    /// The server.
    pub machine: String,
    /// How long to try, in milliseconds, at most [`TIMEOUT_MS_MAX`].
    pub timeout_ms: u64,
}

/// A change of the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// Takes a running server in as a learner.
    Add,
    /// A learner becomes a voter.
    Promote,
    /// The member goes, dead or alive.
    Remove,
}

impl Call for ChangeMember {
    type Answer = Result<(), StoreError>;
    const NAME: &'static str = "store.member";
}

/// Hands leadership to a server. The leader scope is stopped here first. Answered once the new leader is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferLeadership {
    /// The server that shall lead; a voter.
    pub machine: String,
    /// How long to wait for it, in milliseconds, at most [`TIMEOUT_MS_MAX`].
    pub timeout_ms: u64,
}

impl Call for TransferLeadership {
    type Answer = Result<(), StoreError>;
    const NAME: &'static str = "store.transfer";
}
