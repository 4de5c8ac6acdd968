//! A naive model of the state machine and a seeded generator of logs, shared by the property tests.
//!
//! The model keeps every change for ever and answers each question by replaying them: slow, but with nothing in
//! common with the real structures.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    reason = "each test binary uses its part"
)]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use trireme_mvcc::*;

/// splitmix64: the same seed gives the same log everywhere.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub fn key(number: u64) -> Key {
    let resource = ["pods", "pods", "nodes", "podsx"][(number % 4) as usize];
    Key::new(format!("/registry/{resource}/ns{}/n{number}", number % 3))
}

pub const FILTERS: [&str; 7] = [
    "",
    "/registry/",
    "/registry/pods",
    "/registry/pods/",
    "/registry/pods/ns1/",
    "/registry/nodes/ns2/n",
    "/x/",
];

pub fn lease(number: u64) -> LeaseId {
    LeaseId::new(number + 1).unwrap()
}

/// Draws the next proposal of a log; `state` gives it realistic revisions to guess at.
pub fn draw(rng: &mut Rng, state: &State, index: u64, keys: u64) -> Proposal {
    let entry = match rng.below(100) {
        0..72 => Entry::Transaction(draw_transaction(rng, state, keys)),
        72..77 => Entry::LeaseGrant { lease: lease(rng.below(4)), ttl_ms: 1 + rng.below(50) },
        77..80 => Entry::LeaseRefresh { lease: lease(rng.below(4)) },
        80..82 => Entry::LeaseRevoke { lease: lease(rng.below(4)) },
        82..89 => Entry::Tick { log_time_ms: (state.log_time_ms() + rng.below(30)).saturating_sub(5) },
        89..93 => Entry::Compact { revision: Revision::new(rng.below(state.revision().get() + 2)) },
        93..94 => Entry::Bump { floor: Revision::new(state.revision().get() + rng.below(9)) },
        94..96 => Entry::Configure(Limits {
            space_bytes: 2000 + rng.below(4000),
            reserve_bytes: 1000,
            history_changes: 4 + rng.below(60),
            history_bytes: 2000 + rng.below(20_000),
        }),
        _ => Entry::Noop,
    };
    let mut proposal = Proposal::new(entry);
    if rng.chance(15) {
        proposal = proposal.with_fence((state.highest_term() + rng.below(3)).saturating_sub(1));
    }
    if rng.chance(30) {
        let sequence = 1 + rng.below(index);
        proposal = proposal.with_request(RequestId {
            client: ClientId(u128::from(rng.below(3))),
            born: 0,
            sequence,
            acknowledged: if rng.chance(20) { sequence.saturating_sub(1 + rng.below(20)) } else { 0 },
        });
    }
    proposal
}

fn draw_transaction(rng: &mut Rng, state: &State, keys: u64) -> Transaction {
    let mut transaction = Transaction::default();
    if rng.chance(40) {
        let key = key(rng.below(keys));
        let current = state.get(&key).map_or(Revision::ZERO, |object| object.mod_revision());
        transaction.guards.push(match rng.below(6) {
            0 => Guard::Absent(key),
            1 => Guard::Present(key),
            2 => Guard::AtRevision(key, Revision::new(current.get() + rng.below(2))),
            _ => Guard::AtRevision(key, current),
        });
    }
    if rng.chance(10) {
        transaction.room = Room::Reserved;
    }
    for _ in 0..[1, 1, 1, 1, 2, 3, 6][rng.below(7) as usize] {
        let key = key(rng.below(keys));
        transaction.operations.push(if rng.chance(30) {
            Operation::Delete { key }
        } else {
            let value = vec![rng.next() as u8; rng.below(90) as usize];
            let lease = rng.chance(20).then(|| lease(rng.below(4)));
            Operation::Put { key, value: Bytes::from(value), lease }
        });
    }
    transaction
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelObject {
    pub value: Bytes,
    pub create: u64,
    pub modified: u64,
    pub version: u64,
    pub lease: Option<LeaseId>,
}

/// Every change ever made: revision, end of its transaction, key, new object.
pub type Log = Vec<(u64, u64, Key, Option<ModelObject>)>;

#[derive(Default)]
pub struct Model {
    pub live: BTreeMap<Key, ModelObject>,
    pub log: Log,
    pub revision: u64,
    pub compacted: u64,
    pub term: u64,
    pub log_time_ms: u64,
    pub leases: BTreeMap<LeaseId, (u64, u64)>,
    pub limits: Limits,
    pub outcomes: BTreeMap<(ClientId, u64), Outcome>,
    pub floors: BTreeMap<ClientId, u64>,
}

impl Model {
    pub fn apply(&mut self, term: u64, proposal: &Proposal) -> Outcome {
        self.term = self.term.max(term);
        let outcome = self.decide(proposal);
        self.bound();
        outcome
    }

    fn decide(&mut self, proposal: &Proposal) -> Outcome {
        proposal.check()?;
        let Some(request) = proposal.request else { return self.fenced(proposal) };
        let floor = self.floors.get(&request.client).copied().unwrap_or(0);
        if request.sequence <= floor {
            return Err(Refusal::OutcomeForgotten { sequence: request.sequence, floor });
        }
        if let Some(outcome) = self.outcomes.get(&(request.client, request.sequence)) {
            return outcome.clone();
        }
        let outcome = self.fenced(proposal);
        self.outcomes.insert((request.client, request.sequence), outcome.clone());
        self.floors.insert(request.client, floor.max(request.acknowledged));
        outcome
    }

    fn fenced(&mut self, proposal: &Proposal) -> Outcome {
        if let Some(fence) = proposal.fence {
            if fence < self.term {
                return Err(Refusal::FencedOldTerm { fence, current: self.term });
            }
            self.term = fence;
        }
        match &proposal.entry {
            Entry::Noop => Ok(Answer::Noop),
            Entry::Transaction(transaction) => self.transact(transaction),
            Entry::LeaseGrant { lease, ttl_ms } => {
                if self.leases.contains_key(lease) {
                    return Err(Refusal::LeaseExists { lease: *lease });
                }
                self.leases.insert(*lease, (*ttl_ms, self.log_time_ms + ttl_ms));
                Ok(Answer::LeaseGranted { expires_ms: self.log_time_ms + ttl_ms })
            }
            Entry::LeaseRefresh { lease } => {
                let now = self.log_time_ms;
                let found = self.leases.get_mut(lease).ok_or(Refusal::LeaseNotFound { lease: *lease })?;
                found.1 = now + found.0;
                Ok(Answer::LeaseRefreshed { expires_ms: found.1 })
            }
            Entry::LeaseRevoke { lease } => {
                if !self.leases.contains_key(lease) {
                    return Err(Refusal::LeaseNotFound { lease: *lease });
                }
                let deleted = self.end_lease(*lease);
                Ok(Answer::LeaseRevoked { deleted, revision: Revision::new(self.revision) })
            }
            Entry::Tick { log_time_ms } => {
                self.log_time_ms = self.log_time_ms.max(*log_time_ms);
                let mut due: Vec<(u64, LeaseId)> =
                    self.leases.iter().map(|(id, (_, end))| (*end, *id)).collect();
                due.retain(|(end, _)| *end <= self.log_time_ms);
                due.sort();
                let deleted = due.iter().map(|(_, id)| self.end_lease(*id)).sum();
                let revision = Revision::new(self.revision);
                Ok(Answer::Ticked { expired: due.len() as u64, deleted, more: false, revision })
            }
            Entry::Compact { revision } => {
                if revision.get() > self.revision {
                    let current = Revision::new(self.revision);
                    return Err(Refusal::CompactFuture { revision: *revision, current });
                }
                if revision.get() <= self.compacted {
                    return Err(Refusal::AlreadyCompacted { compacted: Revision::new(self.compacted) });
                }
                self.compacted = revision.get();
                Ok(Answer::Compacted { revision: *revision })
            }
            Entry::Bump { floor } => {
                self.revision = self.revision.max(floor.get());
                self.compacted = self.revision;
                Ok(Answer::Bumped { revision: Revision::new(self.revision) })
            }
            Entry::Configure(limits) => {
                self.limits = *limits;
                Ok(Answer::Configured)
            }
        }
    }

    fn live_bytes(&self) -> u64 {
        self.live.iter().map(|(key, object)| charged(key, &object.value)).sum()
    }

    fn transact(&mut self, transaction: &Transaction) -> Outcome {
        for (at, guard) in transaction.guards.iter().enumerate() {
            let current = self.live.get(guard.key()).map(|object| object.modified);
            let holds = match guard {
                Guard::Absent(_) => current.is_none(),
                Guard::Present(_) => current.is_some(),
                Guard::AtRevision(_, revision) => current == Some(revision.get()),
            };
            if !holds {
                let (key, current) = (guard.key().clone(), current.map(Revision::new));
                return Err(Refusal::GuardFailed { guard: at as u32, key, current });
            }
        }
        let (before, mut after) = (self.live_bytes(), self.live_bytes());
        for operation in &transaction.operations {
            if let Operation::Put { lease: Some(lease), .. } = operation
                && !self.leases.contains_key(lease)
            {
                return Err(Refusal::LeaseNotFound { lease: *lease });
            }
            after -= self.live.get(operation.key()).map_or(0, |old| charged(operation.key(), &old.value));
            if let Operation::Put { key, value, .. } = operation {
                after += charged(key, value);
            }
        }
        let reserve = if transaction.room == Room::Reserved { self.limits.reserve_bytes } else { 0 };
        let limit_bytes = self.limits.space_bytes + reserve;
        if after > before && after > limit_bytes {
            let growth_bytes = after - before;
            return Err(Refusal::NoSpace { live_bytes: before, growth_bytes, limit_bytes });
        }
        let first = self.log.len();
        let mut revisions = Vec::new();
        for operation in &transaction.operations {
            revisions.push(match operation {
                Operation::Delete { key } => self.delete(key),
                Operation::Put { key, value, lease } => {
                    self.revision += 1;
                    let (create, version) =
                        self.live.get(key).map_or((self.revision, 1), |old| (old.create, old.version + 1));
                    let (value, modified) = (value.clone(), self.revision);
                    let object = ModelObject { value, create, modified, version, lease: *lease };
                    self.live.insert(key.clone(), object.clone());
                    self.log.push((self.revision, 0, key.clone(), Some(object)));
                    Some(self.revision)
                }
            });
        }
        self.close_transaction(first);
        let revisions = revisions.into_iter().map(|revision| revision.map(Revision::new)).collect();
        Ok(Answer::Committed { revisions, revision: Revision::new(self.revision) })
    }

    fn delete(&mut self, key: &Key) -> Option<u64> {
        self.live.remove(key)?;
        self.revision += 1;
        self.log.push((self.revision, 0, key.clone(), None));
        Some(self.revision)
    }

    fn close_transaction(&mut self, first: usize) {
        let end = self.revision;
        self.log[first..].iter_mut().for_each(|change| change.1 = end);
    }

    fn end_lease(&mut self, id: LeaseId) -> u64 {
        self.leases.remove(&id);
        let first = self.log.len();
        let keys: Vec<Key> = self
            .live
            .iter()
            .filter(|(_, object)| object.lease == Some(id))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            self.delete(key);
        }
        self.close_transaction(first);
        keys.len() as u64
    }

    /// The history limits, recounted from the whole log.
    fn bound(&mut self) {
        loop {
            let kept: Vec<_> = self.log.iter().filter(|change| change.0 > self.compacted).collect();
            let bytes: u64 = kept
                .iter()
                .map(|(revision, _, key, _)| {
                    let old = self.at(revision - 1).remove(key);
                    limits::CHANGE_OVERHEAD_BYTES + old.map_or(0, |old| charged(key, &old.value))
                })
                .sum();
            if kept.len() as u64 <= self.limits.history_changes && bytes <= self.limits.history_bytes {
                return;
            }
            self.compacted = kept[0].0;
        }
    }

    /// The keyspace right after a revision.
    pub fn at(&self, revision: u64) -> BTreeMap<Key, ModelObject> {
        let mut objects = BTreeMap::new();
        for (at, _, key, object) in &self.log {
            if *at <= revision {
                match object {
                    Some(object) => drop(objects.insert(key.clone(), object.clone())),
                    None => drop(objects.remove(key)),
                }
            }
        }
        objects
    }

    pub fn keys(&self) -> BTreeSet<Key> {
        self.log.iter().map(|change| change.2.clone()).collect()
    }
}

fn charged(key: &Key, value: &Bytes) -> u64 {
    limits::OBJECT_OVERHEAD_BYTES + key.len() as u64 + value.len() as u64
}

pub fn same(object: &Object, model: &ModelObject) -> bool {
    object.value() == &model.value
        && object.create_revision().get() == model.create
        && object.mod_revision().get() == model.modified
        && object.version() == model.version
        && object.lease() == model.lease
}

/// A log together with the state and the model that it led to.
pub struct Run {
    pub state: State,
    pub model: Model,
    pub log: Vec<(u64, Proposal)>,
    pub term: u64,
    pub rng: Rng,
    pub keys: u64,
}

impl Run {
    pub fn new(seed: u64) -> Self {
        let mut run = Self {
            state: State::new(),
            model: Model::default(),
            log: Vec::new(),
            term: 1,
            rng: Rng(seed),
            keys: 3 + seed % 12,
        };
        let limits = Limits {
            space_bytes: 6000,
            reserve_bytes: 1000,
            history_changes: 8 + seed % 50,
            history_bytes: 16_000,
        };
        run.step(Proposal::new(Entry::Configure(limits)), &mut Delta::new());
        run
    }

    /// Draws and applies one entry to both, comparing outcomes.
    pub fn advance(&mut self, delta: &mut Delta) {
        if self.rng.chance(3) {
            self.term += 1;
        }
        let proposal = if !self.log.is_empty() && self.rng.chance(8) {
            // A duplicate of an earlier entry, as a retry would be.
            self.log[self.rng.below(self.log.len() as u64) as usize].1.clone()
        } else {
            draw(&mut self.rng, &self.state, self.log.len() as u64 + 1, self.keys)
        };
        self.step(proposal, delta);
    }

    pub fn step(&mut self, proposal: Proposal, delta: &mut Delta) {
        let index = self.log.len() as u64 + 1;
        let outcome = self.state.apply(index, self.term, &proposal, delta).expect("the log goes on");
        let wanted = self.model.apply(self.term, &proposal);
        assert_eq!(outcome, wanted, "outcome of entry {index}: {proposal:?}");
        assert_eq!(self.state.revision().get(), self.model.revision, "after entry {index}: {proposal:?}");
        assert_eq!(self.state.compacted().get(), self.model.compacted, "after entry {index}: {proposal:?}");
        self.log.push((self.term, proposal));
    }
}
