//! What members say to each other.

use std::sync::Arc;

use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};
use trireme_mvcc::{Outcome, Proposal};

use super::error::StoreError;
use super::types::{Peer, SnapshotMeta, TypeConfig, Vote};
use crate::identity::{ClusterId, DatabaseId, MemberId};

/// Every message names both databases: nobody acts on a message of, or for, a member that lost its data.
#[derive(Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) cluster: ClusterId,
    pub(super) from: (MemberId, DatabaseId),
    pub(super) to: (MemberId, DatabaseId),
    pub(super) ask: Ask,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    Append(AppendEntriesRequest<TypeConfig>),
    Transfer(TransferLeaderRequest<TypeConfig>),
    /// The first message of a replication stream; the others are bare append requests.
    Stream,
    /// Where a transfer of this snapshot goes on.
    SnapshotBegin {
        meta: SnapshotMeta,
        size_bytes: u64,
    },
    SnapshotPart {
        offset: u64,
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    SnapshotEnd {
        vote: Vote,
        meta: SnapshotMeta,
    },
    /// For the leader, within a number of milliseconds.
    Leader(Wish, u64),
}

/// What only the leader can do.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Wish {
    Propose(Arc<Proposal>),
    ReadIndex,
    Change(MembershipChange),
    TransferTo(MemberId),
}

/// A change of the membership, one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipChange {
    /// A new member that receives the log and does not vote.
    AddLearner(MemberId, Peer),
    /// A learner becomes a voter.
    Promote(MemberId),
    /// A member goes, whether it lives or not.
    Remove(MemberId),
}

#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    Vote(VoteResponse<TypeConfig>),
    Append(AppendEntriesResponse<TypeConfig>),
    Transfer(TransferLeaderResponse<TypeConfig>),
    SnapshotAt { offset: u64 },
    Installed(SnapshotResponse<TypeConfig>),
    Committed(Committed),
    ReadIndex(u64),
    Done,
}

/// A proposal that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Its place in the log, as the state machine counts (from 1).
    pub index: u64,
    /// What came of it: a refusal is an outcome as well.
    pub outcome: Outcome,
}

pub(super) type Reply = Result<Answer, StoreError>;
