//! Proposals from outside.

use trireme_mvcc::Entry;
use trireme_raft::store::{Committed, Store, StoreError};

use crate::backup::refuse_half_restored;
use crate::calls::Propose;
use crate::member::Member;
use crate::membership::limited;

/// Puts a proposal through the log. What comes from outside is checked at this door; what the server itself proposes
/// does not pass it.
pub(crate) async fn propose(member: &Member, call: Propose) -> Result<Committed, StoreError> {
    if let Entry::Configure(limits) = &call.proposal.entry {
        limits.check()?;
    }
    member.store.read(refuse_half_restored)?;
    member.store.propose(call.proposal, limited(call.timeout_ms)).await
}
