//! What a member says of itself.

use std::collections::BTreeMap;

use openraft::ServerState;
use openraft::metrics::RaftMetrics;
use serde::{Deserialize, Serialize};

use super::types::{Peer, TypeConfig};
use crate::identity::MemberId;

/// Who leads, as this member knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    /// The current term.
    pub term: u64,
    /// The leader of that term, once known.
    pub leader: Option<MemberId>,
    /// Whether it is this member. Its writes are fenced with `term`.
    pub is_me: bool,
}

/// A member's part in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Receives the log, does not vote.
    Learner,
    /// Votes.
    Voter,
}

/// One member as the membership has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its address and database.
    pub peer: Peer,
    /// Its part.
    pub role: Role,
    /// On the leader: the last log index it is known to hold.
    pub matched: Option<u64>,
}

/// The state of Raft on one member. Indexes count as the state machine does, from 1; 0 is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// This member.
    pub member: MemberId,
    /// The current term.
    pub term: u64,
    /// Who leads.
    pub leader: Option<MemberId>,
    /// Last index in the log.
    pub last_index: u64,
    /// Last index known to be committed.
    pub committed: u64,
    /// Last index applied.
    pub applied: u64,
    /// Last index in the snapshot.
    pub snapshot: u64,
    /// Last index purged from the log.
    pub purged: u64,
    /// All members.
    pub members: BTreeMap<MemberId, MemberStatus>,
    /// Why this member stopped, if it did.
    pub stopped: Option<String>,
}

impl Status {
    pub(super) fn of(metrics: &RaftMetrics<TypeConfig>) -> Self {
        let count = |index: Option<u64>| index.map_or(0, |index| index + 1);
        let membership = metrics.membership_config.membership();
        let voters: Vec<MemberId> = membership.voter_ids().collect();
        let member = |(id, peer): (&MemberId, &Peer)| {
            let role = if voters.contains(id) { Role::Voter } else { Role::Learner };
            let progress = metrics.replication.as_ref().and_then(|r| r.get(id));
            let matched = progress.and_then(|log| log.as_ref().map(|id| id.index + 1));
            (*id, MemberStatus { peer: peer.clone(), role, matched })
        };
        Self {
            member: metrics.id,
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_index: count(metrics.last_log_index),
            committed: count(metrics.local_committed.map(|id| id.index)),
            applied: count(metrics.last_applied.map(|id| id.index)),
            snapshot: count(metrics.snapshot.map(|id| id.index)),
            purged: count(metrics.purged.map(|id| id.index)),
            members: membership.nodes().map(member).collect(),
            stopped: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }
}

impl Leadership {
    pub(super) fn of(metrics: &RaftMetrics<TypeConfig>) -> Self {
        let is_me = metrics.state == ServerState::Leader && metrics.running_state.is_ok();
        Self { term: metrics.current_term, leader: metrics.current_leader, is_me }
    }
}
