//! The hash of this member's state, for those who compare members; and what becomes of a member that differs.

use std::time::Duration;

use trireme_mvcc::StateHash;
use trireme_raft::store::Store;

use crate::calls::{GetHashesAt, GetStateHash, HASHES_MAX, Quarantine};
use crate::host::StoreHost;
use crate::member::Member;

/// Longest wait for an index to be applied.
const APPLIED_LIMIT: Duration = Duration::from_secs(60);
/// The same, for a comparison that comes again.
const COMPARED_LIMIT: Duration = Duration::from_secs(1);

/// The hash at some index from the one that was asked for on.
pub(crate) async fn now(member: &Member, call: GetStateHash) -> Result<StateHash, String> {
    let applied = member.store.wait_applied(call.at_least);
    if tokio::time::timeout(APPLIED_LIMIT, applied).await.is_err() {
        return Err(format!("index {} is not applied after {APPLIED_LIMIT:?}", call.at_least));
    }
    Ok(member.store.read(|state| state.hash()))
}

/// The hashes at exactly these indexes, as far as they are known.
pub(crate) async fn at(member: &Member, call: &GetHashesAt) -> Vec<Option<StateHash>> {
    let indexes = &call.indexes[..call.indexes.len().min(HASHES_MAX)];
    let last = indexes.iter().copied().max().unwrap_or(0);
    // Late: what is not applied is not known.
    let _late = tokio::time::timeout(COMPARED_LIMIT, member.store.wait_applied(last)).await;
    member.store.read(|state| indexes.iter().map(|index| state.hash_at(*index)).collect())
}

/// Stops serving if this member really was in the state that was found wrong.
pub(crate) async fn quarantine(host: &StoreHost, member: &Member, call: &Quarantine) -> bool {
    let Quarantine { found, expected } = call;
    let own = member.store.read(|state| state.hash_at(found.index));
    let Some(part) = found.difference(expected).filter(|_| own == Some(*found)) else {
        tracing::warn!(%found, %expected, ?own, "asked to stop serving for a state that this member does not have");
        return false;
    };
    let name = host.parts.me.name();
    let why = format!(
        "the state of server {name} differs from that of the majority at log index {} ({part}: {found}, expected \
         {expected}): it stopped serving, so that nobody reads what is wrong. Run `trireme raft remove {name}` on another \
         server, move the folder `store` out of the data folder of {name} (keep it: it shows what went wrong), then \
         start {name} again: it joins as a new member",
        found.index
    );
    host.quarantine(member, why).await;
    true
}
