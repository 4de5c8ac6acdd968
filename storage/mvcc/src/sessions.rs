//! Outcomes of recent proposals by client, so that a repeated one applies once.
//!
//! Laws: a request is carried out at most once; a repeated request gets the recorded outcome or, when that is no
//! longer kept, a refusal that says so, never a second execution. All outcomes are kept, refusals as well: a
//! delayed duplicate of a refused request must not pass after its client was told that it failed.
//!
//! A client exists while it has outcomes. Eviction goes by log index, oldest first, and raises the `horizon`;
//! an unknown client born before the horizon may be an evicted one and is refused.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::codec::Hasher;
use crate::limits::{SESSION_OUTCOMES_MAX, SESSION_WINDOW_MAX};
use crate::outcome::{Outcome, Refusal};
use crate::proposal::{ClientId, RequestId};

/// One kept outcome as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Whose.
    pub client: ClientId,
    /// Of which request.
    pub sequence: u64,
    /// Log index of the entry that was carried out.
    pub index: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What is known of a client as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its name.
    pub id: ClientId,
    /// Outcomes up to this sequence are forgotten.
    pub floor: u64,
}

/// What changed in the table, for persistence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionChange {
    Recorded(Recorded),
    Forgotten(ClientId, u64),
    Client(Client),
    ClientGone(ClientId),
}

#[derive(Default)]
pub(crate) struct Sessions {
    clients: BTreeMap<ClientId, Window>,
    by_index: BTreeMap<u64, (ClientId, u64)>,
    horizon: u64,
    hash: u128,
    /// Bounds, smaller in tests.
    bounds: Bounds,
}

#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) outcomes: usize,
    pub(crate) window: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { outcomes: SESSION_OUTCOMES_MAX, window: SESSION_WINDOW_MAX }
    }
}

#[derive(Default)]
struct Window {
    floor: u64,
    outcomes: BTreeMap<u64, Recorded>,
}

impl Sessions {
    pub(crate) fn with_horizon(horizon: u64) -> Self {
        Self { horizon, ..Self::default() }
    }

    /// Outcomes of entries up to this log index may be missing.
    pub(crate) fn horizon(&self) -> u64 {
        self.horizon
    }

    pub(crate) fn hash(&self) -> u128 {
        self.hash
    }

    pub(crate) fn outcome_count(&self) -> usize {
        self.by_index.len()
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = Client> + '_ {
        self.clients.iter().map(|(id, window)| Client { id: *id, floor: window.floor })
    }

    pub(crate) fn outcomes(&self) -> impl Iterator<Item = &Recorded> {
        self.clients.values().flat_map(|window| window.outcomes.values())
    }

    /// `None`: carry the request out. Otherwise: what to answer instead.
    pub(crate) fn repeated(&self, request: &RequestId) -> Option<Outcome> {
        let Some(window) = self.clients.get(&request.client) else {
            let unknown = Refusal::SessionExpired { born: request.born, horizon: self.horizon };
            // Every entry of a client lies after its birth: born at the horizon, none of them was evicted.
            return (request.born < self.horizon).then_some(Err(unknown));
        };
        if request.sequence <= window.floor {
            let forgotten = Refusal::OutcomeForgotten { sequence: request.sequence, floor: window.floor };
            return Some(Err(forgotten));
        }
        window.outcomes.get(&request.sequence).map(|recorded| recorded.outcome.clone())
    }

    /// Keeps the outcome of a request that was just carried out at `index`.
    pub(crate) fn record(
        &mut self,
        request: &RequestId,
        index: u64,
        outcome: &Outcome,
        changes: &mut Vec<SessionChange>,
    ) {
        let recorded =
            Recorded { client: request.client, sequence: request.sequence, index, outcome: outcome.clone() };
        changes.push(SessionChange::Recorded(recorded.clone()));
        self.insert(recorded);
        let window = &self.clients[&request.client];
        let crowded = window.outcomes.len().saturating_sub(self.bounds.window);
        let mut forget: VecDeque<u64> =
            window.outcomes.range(..=request.acknowledged).map(|(sequence, _)| *sequence).collect();
        let beyond = crowded.saturating_sub(forget.len());
        forget.extend(window.outcomes.keys().copied().skip(forget.len()).take(beyond));
        let floor = request.acknowledged.max(forget.back().copied().unwrap_or(0));
        for sequence in forget {
            self.forget(request.client, sequence, changes);
        }
        self.raise_floor(request.client, floor, changes);
        while self.by_index.len() > self.bounds.outcomes {
            self.evict_oldest(changes);
        }
    }

    /// Puts a stored outcome back (load).
    pub(crate) fn insert(&mut self, recorded: Recorded) {
        self.hash = self.hash.wrapping_add(Hasher::record(&recorded));
        self.by_index.insert(recorded.index, (recorded.client, recorded.sequence));
        let client = recorded.client;
        let known = self.clients.contains_key(&client);
        let window = self.clients.entry(client).or_default();
        window.outcomes.insert(recorded.sequence, recorded);
        if !known {
            self.hash = self.hash.wrapping_add(Hasher::record(&Client { id: client, floor: 0 }));
        }
    }

    /// Puts a stored client back (load), after its outcomes; `false` when it has none.
    pub(crate) fn restore_client(&mut self, client: Client) -> bool {
        let known = self.clients.contains_key(&client.id);
        if known {
            self.raise_floor(client.id, client.floor, &mut Vec::new());
        }
        known
    }

    fn raise_floor(&mut self, id: ClientId, floor: u64, changes: &mut Vec<SessionChange>) {
        let Some(window) = self.clients.get_mut(&id) else { return };
        if floor > window.floor {
            self.hash = self.hash.wrapping_sub(Hasher::record(&Client { id, floor: window.floor }));
            window.floor = floor;
            let client = Client { id, floor };
            self.hash = self.hash.wrapping_add(Hasher::record(&client));
            changes.push(SessionChange::Client(client));
        }
    }

    fn forget(&mut self, id: ClientId, sequence: u64, changes: &mut Vec<SessionChange>) {
        let window = self.clients.get_mut(&id).expect("outcomes belong to clients");
        let recorded = window.outcomes.remove(&sequence).expect("the caller saw it");
        self.by_index.remove(&recorded.index);
        self.hash = self.hash.wrapping_sub(Hasher::record(&recorded));
        changes.push(SessionChange::Forgotten(id, sequence));
        if window.outcomes.is_empty() {
            self.hash = self.hash.wrapping_sub(Hasher::record(&Client { id, floor: window.floor }));
            self.clients.remove(&id);
            self.horizon = self.horizon.max(recorded.index);
            changes.push(SessionChange::ClientGone(id));
        }
    }

    fn evict_oldest(&mut self, changes: &mut Vec<SessionChange>) {
        let (_, (client, sequence)) = self.by_index.first_key_value().expect("only called above the bound");
        let (client, sequence) = (*client, *sequence);
        self.raise_floor(client, sequence, changes);
        // Lower sequences that arrived later fall below the floor with it.
        let below: Vec<u64> =
            self.clients[&client].outcomes.range(..=sequence).map(|(sequence, _)| *sequence).collect();
        for sequence in below {
            self.forget(client, sequence, changes);
        }
    }

    /// The hash computed from nothing but the table.
    pub(crate) fn recompute_hash(&self) -> u128 {
        let outcomes = self.outcomes().fold(0_u128, |sum, one| sum.wrapping_add(Hasher::record(one)));
        self.clients().fold(outcomes, |sum, client| sum.wrapping_add(Hasher::record(&client)))
    }

    #[cfg(test)]
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }
}
