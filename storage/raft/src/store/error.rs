//! What callers of the store are told.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trireme_mvcc::Refusal;

use crate::identity::{DatabaseId, MemberId};

/// Why the store did not do what was asked. Travels between members.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum StoreError {
    /// This member does not lead, and the caller asked for the leader. Nothing was done; ask the one named.
    #[error("this member does not lead (the leader is {leader:?}); nothing was done")]
    NotLeader {
        /// Who leads, as far as this member knows.
        leader: Option<MemberId>,
    },
    /// No leader or no quorum within the deadline. Nothing was done; retry.
    #[error("no leader could be reached within {waited_ms} ms: {why}; nothing was done, retry")]
    Unavailable {
        /// How long it was tried, in milliseconds.
        waited_ms: u64,
        /// The last obstacle.
        why: String,
    },
    /// The proposal may have been carried out or may be yet. Read to find out, or repeat it under its request id.
    #[error(
        "the outcome is unknown: {why}; read the state, or repeat the proposal under the same request id"
    )]
    Unknown {
        /// What got in between.
        why: String,
    },
    /// The proposal can never be carried out.
    #[error(transparent)]
    Invalid(#[from] Refusal),
    /// The disk is nearly full: puts are refused, deletes and compaction pass.
    #[error("{message}")]
    NoSpace {
        /// Where, how much is free and what to do.
        message: String,
    },
    /// The membership cannot be changed like that now.
    #[error("the membership was not changed: {why}")]
    Membership {
        /// What is in the way.
        why: String,
    },
    /// The message is for another cluster.
    #[error("member {member} belongs to another cluster; check the server list and the data directories")]
    OtherCluster {
        /// Who refused.
        member: MemberId,
    },
    /// The member came back with another database than the one that joined.
    #[error(
        "member {member} has database {found}, the cluster knows {known}: it lost its data or the directory was \
         replaced. It must not rejoin under this id: remove it from the cluster and add it again under a new id"
    )]
    OtherDatabase {
        /// Which member.
        member: MemberId,
        /// What it has.
        found: DatabaseId,
        /// What the cluster knows.
        known: DatabaseId,
    },
    /// This member has stopped; its last message says why.
    #[error("this member has stopped: {why}")]
    Stopped {
        /// The reason.
        why: String,
    },
    /// The message does not decode here.
    #[error("the message of a peer does not decode: {why}; run the same version on all servers")]
    Malformed {
        /// What is wrong.
        why: String,
    },
}

/// What a caller may do after a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreRetry {
    /// The same call is safe to repeat.
    Safe,
    /// Only under the same request id.
    SameRequestOnly,
    /// Not before something else changed.
    Never,
}

impl StoreError {
    /// What a caller may do.
    pub fn retry(&self) -> StoreRetry {
        match self {
            Self::NotLeader { .. } | Self::Unavailable { .. } => StoreRetry::Safe,
            Self::Unknown { .. } => StoreRetry::SameRequestOnly,
            Self::Invalid(_)
            | Self::NoSpace { .. }
            | Self::Membership { .. }
            | Self::OtherCluster { .. }
            | Self::OtherDatabase { .. }
            | Self::Stopped { .. }
            | Self::Malformed { .. } => StoreRetry::Never,
        }
    }
}
