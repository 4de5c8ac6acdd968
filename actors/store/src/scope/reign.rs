//! [`Reign`]: one term of this member as the leader.

use std::time::Duration;

use trireme_mvcc::Proposal;
use trireme_raft::store::{Committed, RaftStore, Store, StoreError};

/// What a leader-scope actor acts under. Cheap to clone.
#[derive(Clone)]
pub struct Reign {
    term: u64,
    store: RaftStore,
}

impl Reign {
    pub(crate) fn new(term: u64, store: RaftStore) -> Self {
        Self { term, store }
    }

    /// The term.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The store, for reads and watches.
    pub fn store(&self) -> &RaftStore {
        &self.store
    }

    /// Proposes under the term's fence: once a later term has begun, the outcome is `FencedOldTerm`.
    ///
    /// # Errors
    /// As [`Store::propose`].
    pub async fn propose(&self, proposal: Proposal, timeout: Duration) -> Result<Committed, StoreError> {
        self.store.propose(proposal.with_fence(self.term), timeout).await
    }
}
