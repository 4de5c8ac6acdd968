//! What comes of a proposal.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::key::Key;
use crate::limits::{
    GUARDS_MAX, KEY_BYTES_MAX, LEASE_KEYS_MAX, LEASE_TTL_MS_MAX, LEASE_TTL_MS_MIN, LEASES_MAX,
    OPERATIONS_MAX, TRANSACTION_BYTES_MAX, VALUE_BYTES_MAX,
};
use crate::revision::{LeaseId, Revision};

/// What came of a proposal: an answer, or a refusal that changed nothing.
pub type Outcome = Result<Answer, Refusal>;

/// The proposal was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing was asked for.
    Noop,
    /// The transaction's writes are in the state.
    Committed {
        /// One per operation, in order; `None` for a delete of a key that did not exist.
        revisions: Vec<Option<Revision>>,
        /// The store's revision after the transaction.
        revision: Revision,
    },
    /// The lease lives.
    LeaseGranted {
        /// Log time of its end.
        expires_ms: u64,
    },
    /// The lease lives on.
    LeaseRefreshed {
        /// Log time of its new end.
        expires_ms: u64,
    },
    /// The lease is gone.
    LeaseRevoked {
        /// Keys deleted with it.
        deleted: u64,
        /// The store's revision after that.
        revision: Revision,
    },
    /// Log time moved.
    Ticked {
        /// Leases that ended.
        expired: u64,
        /// Keys deleted with them.
        deleted: u64,
        /// Due leases are left for the next tick ([`crate::limits::EXPIRY_DELETES_PER_TICK`]).
        more: bool,
        /// The store's revision after that.
        revision: Revision,
    },
    /// History up to here is forgotten.
    Compacted {
        /// The last forgotten revision.
        revision: Revision,
    },
    /// The counter jumped.
    Bumped {
        /// The store's revision now; the next write gets the one after.
        revision: Revision,
    },
    /// The limits hold from now on.
    Configured,
}

/// What a caller may do after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Read the current state, decide again, propose under a new sequence.
    Reload,
    /// The same proposal (under a new sequence) may pass later, when space or a slot was freed.
    Later,
    /// The same proposal can never pass.
    Never,
    /// Whether an earlier copy of the proposal was applied is unknown: read the state to find out.
    Unknown,
}

/// Why a proposal was refused. Nothing was changed by it.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Refusal {
    /// A guard does not hold.
    #[error("guard {guard} on {key} does not hold: the key is {}; read it again and decide anew",
        .current.map_or_else(|| "absent".to_owned(), |revision| format!("at revision {revision}")))]
    GuardFailed {
        /// Position in the transaction's guards.
        guard: u32,
        /// The guarded key.
        key: Key,
        /// The key's revision; `None`: it does not exist.
        current: Option<Revision>,
    },
    /// The writer decided under a term that is over.
    #[error(
        "fenced: decided under term {fence}, the cluster is at term {current}; stop writing as the leader"
    )]
    FencedOldTerm {
        /// The writer's term.
        fence: u64,
        /// The highest term seen.
        current: u64,
    },
    /// No such lease.
    #[error("lease {lease} does not exist (it ended or was never granted); grant a new one")]
    LeaseNotFound {
        /// Which.
        lease: LeaseId,
    },
    /// The id is taken.
    #[error("lease {lease} exists; choose another id")]
    LeaseExists {
        /// Which.
        lease: LeaseId,
    },
    /// Too many keys on one lease.
    #[error("lease {lease} would hold {keys} keys, the limit is {LEASE_KEYS_MAX}; use another lease")]
    LeaseFull {
        /// Which.
        lease: LeaseId,
        /// Keys it would hold.
        keys: u64,
    },
    /// Too many leases.
    #[error("there are {LEASES_MAX} leases, the limit; revoke some or wait until they end")]
    TooManyLeases,
    /// A time to live out of bounds.
    #[error("a time to live of {ttl_ms} ms is outside {LEASE_TTL_MS_MIN}..={LEASE_TTL_MS_MAX} ms")]
    LeaseTtl {
        /// What was asked for, in milliseconds.
        ttl_ms: u64,
    },
    /// The store is full.
    #[error(
        "no space: {live_bytes} bytes live, {growth_bytes} more asked for, the limit is {limit_bytes}; delete objects or raise the limit (deletes always pass)"
    )]
    NoSpace {
        /// Bytes of live objects.
        live_bytes: u64,
        /// By how much the transaction grows them.
        growth_bytes: u64,
        /// The limit that applies to the transaction's room.
        limit_bytes: u64,
    },
    /// The key has no bytes.
    #[error("the empty key cannot be written")]
    EmptyKey,
    /// The key is too long.
    #[error("a key of {key_bytes} bytes exceeds the limit of {KEY_BYTES_MAX}")]
    KeyTooLong {
        /// Its length.
        key_bytes: usize,
    },
    /// The value is too large.
    #[error("the value of {key} has {value_bytes} bytes, the limit is {VALUE_BYTES_MAX}")]
    ValueTooLarge {
        /// Whose value.
        key: Key,
        /// Its length.
        value_bytes: usize,
    },
    /// The transaction is too large.
    #[error("the transaction has {total_bytes} bytes, the limit is {TRANSACTION_BYTES_MAX}; split it")]
    TransactionTooLarge {
        /// Keys and values together.
        total_bytes: usize,
    },
    /// Too many operations.
    #[error("the transaction has {operations} operations, the limit is {OPERATIONS_MAX}; split it")]
    TooManyOperations {
        /// How many.
        operations: usize,
    },
    /// Too many guards.
    #[error("the transaction has {guards} guards, the limit is {GUARDS_MAX}")]
    TooManyGuards {
        /// How many.
        guards: usize,
    },
    /// One key is written twice.
    #[error("the transaction writes {key} twice; write it once")]
    DuplicateKey {
        /// Which.
        key: Key,
    },
    /// Already compacted so far.
    #[error("history is already compacted to revision {compacted}")]
    AlreadyCompacted {
        /// The last forgotten revision.
        compacted: Revision,
    },
    /// Compaction of what has not been written.
    #[error("cannot compact to revision {revision}: the store is at {current}")]
    CompactFuture {
        /// Asked for.
        revision: Revision,
        /// The store's revision.
        current: Revision,
    },
    /// The bump would leave no room to count on.
    #[error("cannot bump to revision {floor}: it leaves too few numbers to write with")]
    BumpTooFar {
        /// Asked for.
        floor: Revision,
    },
    /// The outcome of this sequence is no longer kept.
    #[error(
        "the outcome of request {sequence} is no longer kept (all up to {floor} are forgotten): it may have been applied; read the state"
    )]
    OutcomeForgotten {
        /// The repeated sequence.
        sequence: u64,
        /// Everything up to here is forgotten.
        floor: u64,
    },
    /// The client's outcomes may have been evicted.
    #[error(
        "the client was born at log index {born}, outcomes up to {horizon} were evicted: an earlier copy may have been applied; read the state and continue under a new client id"
    )]
    SessionExpired {
        /// The client's birth.
        born: u64,
        /// Outcomes of entries up to this index may be missing.
        horizon: u64,
    },
    /// The client claims to know a log index that this entry does not follow.
    #[error(
        "the client claims birth at log index {born}, but its entry has index {index}; take the applied index"
    )]
    RequestFromFuture {
        /// The client's claim.
        born: u64,
        /// The entry's index.
        index: u64,
    },
    /// A request acknowledges itself.
    #[error("request {sequence} acknowledges {acknowledged}, which is not before it")]
    RequestOrder {
        /// The sequence.
        sequence: u64,
        /// What it acknowledges.
        acknowledged: u64,
    },
    /// A limit under which the cluster could not do its work.
    #[error("the limit {limit} cannot be {value}: it is at least {least}")]
    LimitTooSmall {
        /// Which.
        limit: String,
        /// What was asked for.
        value: u64,
        /// The least.
        least: u64,
    },
}

impl Refusal {
    /// What the caller may do next.
    pub fn retry(&self) -> Retry {
        match self {
            Self::GuardFailed { .. }
            | Self::LeaseNotFound { .. }
            | Self::LeaseExists { .. }
            | Self::AlreadyCompacted { .. } => Retry::Reload,
            Self::NoSpace { .. }
            | Self::LeaseFull { .. }
            | Self::TooManyLeases
            | Self::CompactFuture { .. } => Retry::Later,
            Self::OutcomeForgotten { .. } | Self::SessionExpired { .. } => Retry::Unknown,
            Self::FencedOldTerm { .. }
            | Self::LeaseTtl { .. }
            | Self::EmptyKey
            | Self::KeyTooLong { .. }
            | Self::ValueTooLarge { .. }
            | Self::TransactionTooLarge { .. }
            | Self::TooManyOperations { .. }
            | Self::TooManyGuards { .. }
            | Self::DuplicateKey { .. }
            | Self::BumpTooFar { .. }
            | Self::RequestFromFuture { .. }
            | Self::RequestOrder { .. }
            | Self::LimitTooSmall { .. } => Retry::Never,
        }
    }
}

/// The log handed in is not the log that this state comes from. Nothing was changed; the shell must stop and
/// reload, since going on would make this member differ from its peers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// The index has been applied.
    #[error(
        "log index {index} was applied before (applied up to {applied}): the caller applies entries twice"
    )]
    AlreadyApplied {
        /// Handed in.
        index: u64,
        /// The state's applied index.
        applied: u64,
    },
    /// Entries are missing in between.
    #[error("log index {index} does not follow {applied}: entries are missing; reload state and log")]
    Gap {
        /// Handed in.
        index: u64,
        /// The state's applied index.
        applied: u64,
    },
    /// The term of the log went back.
    #[error("log index {index} has term {term}, below the applied term {applied}: this is another log")]
    TermWentBack {
        /// Handed in.
        index: u64,
        /// Its term.
        term: u64,
        /// The state's applied term.
        applied: u64,
    },
}
