//! The replicated state machine: everything that the log has decided.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::delta::Delta;
use crate::history::History;
use crate::keyspace::Keyspace;
use crate::leases::{Lease, Leases};
use crate::limits::Limits;
use crate::object::Object;
use crate::outcome::{ApplyError, Outcome, Refusal};
use crate::proposal::Proposal;
use crate::record::Meta;
use crate::revision::{LeaseId, Revision};
use crate::sessions::Sessions;
use crate::state_hash::StateHash;

/// Every how many log entries a hash is kept for comparison.
pub const CHECKPOINT_ENTRIES: u64 = 64;
/// How many of them are kept: 65,536 entries' worth, seconds even at the highest rates, in 100 KiB.
pub const CHECKPOINTS_MAX: usize = 1_024;

/// The replicated state. Equal logs give equal states on every member, whatever the batches, restarts and
/// snapshots in between; [`State::hash`] lets members check that.
#[derive(Default)]
pub struct State {
    pub(crate) limits: Limits,
    pub(crate) applied_index: u64,
    pub(crate) applied_term: u64,
    pub(crate) highest_term: u64,
    pub(crate) revision: Revision,
    pub(crate) log_time_ms: u64,
    pub(crate) keyspace: Keyspace,
    pub(crate) live_bytes: u64,
    pub(crate) objects_hash: u128,
    pub(crate) history: History,
    pub(crate) leases: Leases,
    pub(crate) sessions: Sessions,
    /// Hashes of past indexes, so that members that are not at the same index can be compared. Of this process only.
    pub(crate) checkpoints: VecDeque<StateHash>,
}

/// Sizes for metrics and quota decisions; bytes as charged, see [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Live objects.
    pub objects: u64,
    /// Bytes of live objects.
    pub live_bytes: u64,
    /// Changes in the history.
    pub history_changes: u64,
    /// Bytes that forgetting the whole history would free.
    pub history_bytes: u64,
    /// Leases.
    pub leases: u64,
    /// Outcomes kept for repeated proposals.
    pub outcomes: u64,
}

impl State {
    /// The empty state before log index 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the entry at `index`, which must follow the last one, and reports what changed into `delta`.
    /// Entries that are none of the state machine's (membership, blanks) are applied as `Entry::Noop`, so that a
    /// missing entry is noticed.
    ///
    /// # Errors
    /// [`ApplyError`] when this is not the next entry of the same log; nothing is changed then. A refusal is no
    /// error here but the entry's outcome.
    pub fn apply(
        &mut self,
        index: u64,
        term: u64,
        proposal: &Proposal,
        delta: &mut Delta,
    ) -> Result<Outcome, ApplyError> {
        self.check_position(index, term)?;
        self.applied_index = index;
        self.applied_term = term;
        self.highest_term = self.highest_term.max(term);
        let outcome = self.decide(index, proposal, delta);
        self.bound_history(delta);
        let meta = self.meta();
        if index.is_multiple_of(CHECKPOINT_ENTRIES) {
            if self.checkpoints.len() >= CHECKPOINTS_MAX {
                self.checkpoints.pop_front();
            }
            self.checkpoints.push_back(meta.hash());
        }
        delta.finish_entry(meta);
        Ok(outcome)
    }

    fn check_position(&self, index: u64, term: u64) -> Result<(), ApplyError> {
        if index <= self.applied_index {
            return Err(ApplyError::AlreadyApplied { index, applied: self.applied_index });
        }
        if index != self.applied_index + 1 {
            return Err(ApplyError::Gap { index, applied: self.applied_index });
        }
        if term < self.applied_term {
            return Err(ApplyError::TermWentBack { index, term, applied: self.applied_term });
        }
        Ok(())
    }

    fn decide(&mut self, index: u64, proposal: &Proposal, delta: &mut Delta) -> Outcome {
        // Size and shape first: a hostile request id must not reach the session table.
        proposal.check()?;
        let Some(request) = &proposal.request else { return self.decide_fenced(proposal, delta) };
        if request.born >= index {
            return Err(Refusal::RequestFromFuture { born: request.born, index });
        }
        // A repeated request gets its recorded outcome even when its term is over by now.
        if let Some(outcome) = self.sessions.repeated(request) {
            return outcome;
        }
        let outcome = self.decide_fenced(proposal, delta);
        self.sessions.record(request, index, &outcome, &mut delta.sessions);
        outcome
    }

    fn decide_fenced(&mut self, proposal: &Proposal, delta: &mut Delta) -> Outcome {
        if let Some(fence) = proposal.fence {
            if fence < self.highest_term {
                return Err(Refusal::FencedOldTerm { fence, current: self.highest_term });
            }
            self.highest_term = fence;
        }
        self.carry_out(&proposal.entry, delta)
    }

    /// Revision of the last write.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The last forgotten revision: reads at it and watches after it are served, earlier ones are not.
    pub fn compacted(&self) -> Revision {
        self.history.compacted()
    }

    /// Index of the last applied log entry.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// Term of the last applied log entry.
    pub fn applied_term(&self) -> u64 {
        self.applied_term
    }

    /// Highest term seen in entries and fences; writers fenced below it are refused.
    pub fn highest_term(&self) -> u64 {
        self.highest_term
    }

    /// Log time in milliseconds. The next leader's `Tick`s continue from here.
    pub fn log_time_ms(&self) -> u64 {
        self.log_time_ms
    }

    /// Log time at which the next lease ends: no `Tick` is needed before.
    pub fn next_lease_end_ms(&self) -> Option<u64> {
        self.leases.next_end_ms()
    }

    /// A lease.
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(id)
    }

    /// Number of keys attached to a lease.
    pub fn lease_key_count(&self, id: LeaseId) -> usize {
        self.leases.key_count(id)
    }

    /// All leases by id.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter()
    }

    /// The replicated limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sizes for metrics.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            objects: self.keyspace.len() as u64,
            live_bytes: self.live_bytes,
            history_changes: self.history.len() as u64,
            history_bytes: self.history.bytes(),
            leases: self.leases.len() as u64,
            outcomes: self.sessions.outcome_count() as u64,
        }
    }

    /// Hash of the whole state at the applied index, kept up in O(1) per write.
    pub fn hash(&self) -> StateHash {
        self.meta().hash()
    }

    /// The hash as it was right after the entry at `index`: known for the applied index, and for multiples of
    /// [`CHECKPOINT_ENTRIES`] among the last [`CHECKPOINTS_MAX`] of them that this process applied.
    pub fn hash_at(&self, index: u64) -> Option<StateHash> {
        if index == self.applied_index {
            return Some(self.hash());
        }
        let at = self.checkpoints.binary_search_by_key(&index, |hash| hash.index).ok()?;
        self.checkpoints.get(at).copied()
    }

    /// The last hash of [`State::hash_at`] before the applied index.
    pub fn last_checkpoint(&self) -> Option<StateHash> {
        self.checkpoints.back().copied()
    }

    /// Fault point for the comparison of members: changes one live object behind the log's back, as a flipped bit in
    /// memory would. False when there is none.
    pub fn plant_divergence(&mut self) -> bool {
        let Some(old) = self.keyspace.iter_from(&[]).next().cloned() else { return false };
        let mut value = old.value().to_vec();
        match value.first_mut() {
            Some(byte) => *byte ^= 1,
            None => value.push(1),
        }
        let (key, created, at) = (old.key().clone(), old.create_revision(), old.mod_revision());
        let object = Arc::new(Object::new(key, &value, created, at, old.version(), old.lease()));
        self.live_bytes = self.live_bytes + object.size_bytes() - old.size_bytes();
        self.objects_hash =
            self.objects_hash.wrapping_sub(old.fingerprint()).wrapping_add(object.fingerprint());
        self.keyspace.insert(object);
        true
    }

    /// The same hash computed from nothing but the content: O(state), for tests and for `load`.
    pub fn recompute_hash(&self) -> StateHash {
        let objects = self.keyspace.iter_from(&[]).fold(0_u128, |sum, object| {
            let fresh = Object::new(
                object.key().clone(),
                object.value(),
                object.create_revision(),
                object.mod_revision(),
                object.version(),
                object.lease(),
            );
            sum.wrapping_add(fresh.fingerprint())
        });
        let meta = Meta {
            objects_hash: objects,
            history_hash: self.history.recompute_hash(),
            leases_hash: self.leases.recompute_hash(),
            sessions_hash: self.sessions.recompute_hash(),
            ..self.meta()
        };
        meta.hash()
    }

    /// Counters and sums at the applied index.
    pub fn meta(&self) -> Meta {
        Meta {
            applied_index: self.applied_index,
            applied_term: self.applied_term,
            highest_term: self.highest_term,
            revision: self.revision,
            compacted: self.history.compacted(),
            log_time_ms: self.log_time_ms,
            session_horizon: self.sessions.horizon(),
            objects: self.keyspace.len() as u64,
            limits: self.limits,
            objects_hash: self.objects_hash,
            history_hash: self.history.hash(),
            leases_hash: self.leases.hash(),
            sessions_hash: self.sessions.hash(),
        }
    }

    /// The live version of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<Object>> {
        self.keyspace.get(key)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("meta", &self.meta())
            .field("sizes", &self.sizes())
            .finish_non_exhaustive()
    }
}
