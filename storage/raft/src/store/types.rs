//! openraft's types, as this crate uses them. Nothing of this leaves the crate but through `Store`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trireme_mvcc::{Outcome, Proposal};

use crate::identity::{DatabaseId, MemberId};

openraft::declare_raft_types!(
    /// One leader for each term: fencing compares terms, so two leaders of one term must not exist.
    pub(crate) TypeConfig:
        D = Command,
        R = Option<Outcome>,
        NodeId = MemberId,
        Node = Peer,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, MemberId>,
        AsyncRuntime = crate::rt::Runtime,
);

/// A proposal in the log. Shared, since replication, the log writer and apply all hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command(pub(crate) Arc<Proposal>);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("proposal")
    }
}

/// How to reach a member, as the membership in the log says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Peer {
    /// Address in the form that the transport understands.
    pub address: String,
    /// The database this member joined with. A member that comes back with another one is refused.
    pub database: DatabaseId,
}

pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
