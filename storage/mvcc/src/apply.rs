//! What each kind of entry does to the state.
//!
//! Every handler checks everything before it changes anything: a refusal leaves no trace but the applied index
//! (and the recorded outcome).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::Change;
use crate::delta::Delta;
use crate::key::Key;
use crate::leases::Lease;
use crate::limits::{EXPIRY_DELETES_PER_TICK, LEASE_KEYS_MAX, LEASES_MAX};
use crate::object::{Object, size_bytes};
use crate::outcome::{Answer, Outcome, Refusal};
use crate::proposal::{Entry, Operation, Room, Transaction};
use crate::revision::{LeaseId, Revision};
use crate::state::State;

impl State {
    pub(crate) fn carry_out(&mut self, entry: &Entry, delta: &mut Delta) -> Outcome {
        match entry {
            Entry::Noop => Ok(Answer::Noop),
            Entry::Transaction(transaction) => self.transact(transaction, delta),
            Entry::LeaseGrant { lease, ttl_ms } => self.grant(*lease, *ttl_ms, delta),
            Entry::LeaseRefresh { lease } => self.refresh(*lease, delta),
            Entry::LeaseRevoke { lease } => self.revoke(*lease, delta),
            Entry::Tick { log_time_ms } => Ok(self.tick(*log_time_ms, delta)),
            Entry::Compact { revision } => self.compact(*revision, delta),
            Entry::Bump { floor } => Ok(self.bump(*floor, delta)),
            Entry::Configure(limits) => {
                self.limits = *limits;
                Ok(Answer::Configured)
            }
        }
    }

    fn transact(&mut self, transaction: &Transaction, delta: &mut Delta) -> Outcome {
        self.check_guards(transaction)?;
        self.check_leases(transaction)?;
        self.check_space(transaction)?;
        // Keys are unique, so what a delete finds now is what it finds in turn.
        let writes = transaction.operations.iter().filter(|operation| match operation {
            Operation::Put { .. } => true,
            Operation::Delete { key } => self.keyspace.get(key).is_some(),
        });
        let end = self.revision.plus(writes.count() as u64);
        let revisions = transaction
            .operations
            .iter()
            .map(|operation| match operation {
                Operation::Put { key, value, lease } => Some(self.put(key, value, *lease, end, delta)),
                Operation::Delete { key } => self.delete(key, end, delta),
            })
            .collect();
        assert_eq!(self.revision, end, "a transaction writes what was counted before");
        Ok(Answer::Committed { revisions, revision: self.revision })
    }

    fn check_guards(&self, transaction: &Transaction) -> Result<(), Refusal> {
        for (guard, at) in transaction.guards.iter().zip(0_u32..) {
            let current = self.keyspace.get(guard.key()).map(|object| object.mod_revision());
            if !guard.holds(current) {
                return Err(Refusal::GuardFailed { guard: at, key: guard.key().clone(), current });
            }
        }
        Ok(())
    }

    fn check_leases(&self, transaction: &Transaction) -> Result<(), Refusal> {
        let mut joining: BTreeMap<LeaseId, usize> = BTreeMap::new();
        for operation in &transaction.operations {
            let Operation::Put { key, lease: Some(lease), .. } = operation else { continue };
            if self.leases.get(*lease).is_none() {
                return Err(Refusal::LeaseNotFound { lease: *lease });
            }
            let joins = self.keyspace.get(key).and_then(|object| object.lease()) != Some(*lease);
            let keys = joining.entry(*lease).or_insert_with(|| self.leases.key_count(*lease));
            *keys += usize::from(joins);
            if *keys > LEASE_KEYS_MAX {
                return Err(Refusal::LeaseFull { lease: *lease, keys: *keys as u64 });
            }
        }
        Ok(())
    }

    /// Refuses what grows the live bytes above the limit. What shrinks them or leaves them equal passes however
    /// full the store is, so that it can always be emptied.
    fn check_space(&self, transaction: &Transaction) -> Result<(), Refusal> {
        let (mut added, mut removed) = (0_u64, 0_u64);
        for operation in &transaction.operations {
            removed += self.keyspace.get(operation.key()).map_or(0, |object| object.size_bytes());
            if let Operation::Put { key, value, .. } = operation {
                added += size_bytes(key.len(), value.len());
            }
        }
        let limit_bytes = match transaction.room {
            Room::Ordinary => self.limits.space_bytes,
            Room::Reserved => self.limits.space_bytes.saturating_add(self.limits.reserve_bytes),
        };
        let growth_bytes = added.saturating_sub(removed);
        if growth_bytes > 0 && self.live_bytes.saturating_add(growth_bytes) > limit_bytes {
            return Err(Refusal::NoSpace { live_bytes: self.live_bytes, growth_bytes, limit_bytes });
        }
        Ok(())
    }

    fn put(
        &mut self,
        key: &Key,
        value: &[u8],
        lease: Option<LeaseId>,
        end: Revision,
        delta: &mut Delta,
    ) -> Revision {
        let revision = self.revision.next();
        let current = self.keyspace.get(key);
        let object = match current {
            // The stored key is used again: one allocation per key, however many versions.
            Some(old) => {
                let (key, created) = (old.key().clone(), old.create_revision());
                Object::new(key, value, created, revision, old.version() + 1, lease)
            }
            None => Object::new(key.clone(), value, revision, revision, 1, lease),
        };
        let object = Arc::new(object);
        self.live_bytes += object.size_bytes();
        self.objects_hash = self.objects_hash.wrapping_add(object.fingerprint());
        let previous = self.keyspace.insert(object.clone());
        self.leases.reattach(object.key(), previous.as_ref().and_then(|old| old.lease()), lease);
        self.supersede(Some(object), previous, revision, end, delta)
    }

    fn delete(&mut self, key: &Key, end: Revision, delta: &mut Delta) -> Option<Revision> {
        let previous = self.keyspace.remove(key)?;
        self.leases.reattach(previous.key(), previous.lease(), None);
        let revision = self.revision.next();
        Some(self.supersede(None, Some(previous), revision, end, delta))
    }

    /// Accounts for the version that went and appends the change.
    fn supersede(
        &mut self,
        object: Option<Arc<Object>>,
        previous: Option<Arc<Object>>,
        revision: Revision,
        transaction_end: Revision,
        delta: &mut Delta,
    ) -> Revision {
        let prior = match &previous {
            Some(old) => {
                self.live_bytes -= old.size_bytes();
                self.objects_hash = self.objects_hash.wrapping_sub(old.fingerprint());
                old.mod_revision()
            }
            None => {
                let key = object.as_ref().map(|object| object.key());
                key.and_then(|key| self.history.tombstone(key)).unwrap_or_default()
            }
        };
        let change = Change { revision, prior, transaction_end, object, previous };
        delta.written(&change);
        self.history.push(change);
        self.revision = revision;
        revision
    }

    fn grant(&mut self, id: LeaseId, ttl_ms: u64, delta: &mut Delta) -> Outcome {
        if self.leases.get(id).is_some() {
            return Err(Refusal::LeaseExists { lease: id });
        }
        if self.leases.len() >= LEASES_MAX {
            return Err(Refusal::TooManyLeases);
        }
        let expires_ms = self.set_lease(id, ttl_ms, delta);
        Ok(Answer::LeaseGranted { expires_ms })
    }

    fn refresh(&mut self, id: LeaseId, delta: &mut Delta) -> Outcome {
        let lease = self.leases.get(id).ok_or(Refusal::LeaseNotFound { lease: id })?;
        let expires_ms = self.set_lease(id, lease.ttl_ms, delta);
        Ok(Answer::LeaseRefreshed { expires_ms })
    }

    fn set_lease(&mut self, id: LeaseId, ttl_ms: u64, delta: &mut Delta) -> u64 {
        let lease = Lease { id, ttl_ms, expires_ms: self.log_time_ms.saturating_add(ttl_ms) };
        self.leases.set(lease);
        delta.lease(lease);
        lease.expires_ms
    }

    fn revoke(&mut self, id: LeaseId, delta: &mut Delta) -> Outcome {
        if self.leases.get(id).is_none() {
            return Err(Refusal::LeaseNotFound { lease: id });
        }
        let deleted = self.end_lease(id, delta);
        Ok(Answer::LeaseRevoked { deleted, revision: self.revision })
    }

    /// Deletes the lease and its keys, ascending, as one transaction.
    fn end_lease(&mut self, id: LeaseId, delta: &mut Delta) -> u64 {
        let keys: Vec<Key> = self.leases.keys(id).cloned().collect();
        let end = self.revision.plus(keys.len() as u64);
        for key in &keys {
            self.delete(key, end, delta).expect("a lease holds live keys only");
        }
        let left = self.leases.remove(id);
        assert!(left.is_empty(), "every key of the lease was deleted with it");
        delta.lease_gone(id);
        keys.len() as u64
    }

    fn tick(&mut self, log_time_ms: u64, delta: &mut Delta) -> Answer {
        self.log_time_ms = self.log_time_ms.max(log_time_ms);
        let (mut expired, mut deleted) = (0, 0);
        while deleted < EXPIRY_DELETES_PER_TICK as u64 && expired < EXPIRY_DELETES_PER_TICK as u64 {
            let Some(id) = self.leases.first_due(self.log_time_ms) else { break };
            deleted += self.end_lease(id, delta);
            expired += 1;
        }
        let more = self.leases.first_due(self.log_time_ms).is_some();
        Answer::Ticked { expired, deleted, more, revision: self.revision }
    }

    fn compact(&mut self, revision: Revision, delta: &mut Delta) -> Outcome {
        if revision > self.revision {
            return Err(Refusal::CompactFuture { revision, current: self.revision });
        }
        let compacted = self.history.compacted();
        if revision <= compacted {
            return Err(Refusal::AlreadyCompacted { compacted });
        }
        self.forget_through(revision, delta);
        Ok(Answer::Compacted { revision })
    }

    fn bump(&mut self, floor: Revision, delta: &mut Delta) -> Answer {
        self.forget_through(self.revision, delta);
        self.revision = self.revision.max(floor);
        self.history.jump(self.revision);
        Answer::Bumped { revision: self.revision }
    }

    fn forget_through(&mut self, revision: Revision, delta: &mut Delta) {
        while self.history.compacted() < revision {
            let change = self.history.pop().expect("history reaches the store's revision");
            delta.forgotten(&change);
        }
    }

    /// Keeps the history within the replicated limits.
    pub(crate) fn bound_history(&mut self, delta: &mut Delta) {
        while self.history.len() as u64 > self.limits.history_changes
            || self.history.bytes() > self.limits.history_bytes
        {
            let Some(change) = self.history.pop() else { break };
            delta.forgotten(&change);
        }
    }
}
