//! What all clients of the store have in common: members to ask, request ids, doubt.

use std::time::Duration;

use trireme_core::Rng;
use trireme_laws::{Action, Answer, Operation, Outcome};
use trireme_mvcc::{ClientId, Key, KeyRange, Proposal, RequestId};
use trireme_process::random_u64;
use trireme_store::calls::{Consistency, Get, GetStatus, Got, List, Listed, PAGE_BYTES_MAX, Propose};

use super::Bell;
use crate::link::Link;
use crate::outcome::Told;
use crate::recorder::Recorder;

/// How long the store may try.
const PROPOSE_TIMEOUT_MS: u64 = 1_500;
/// How long a client waits for an answer; above what the store may take.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_millis(2_000);
/// Attempts under one request id before the outcome stays unknown.
const ATTEMPTS_LIMIT: u32 = 6;
/// Pause behind an answer that says that nothing was done.
const PAUSE: Duration = Duration::from_millis(40);
/// Shortest and longest pause between two operations of a client, in microseconds.
const PACE_US: (u64, u64) = (2_000, 20_000);

/// See the module.
pub(crate) struct Client {
    pub(crate) recorder: Recorder,
    pub(crate) rng: Rng,
    pub(crate) bell: Bell,
    links: Vec<Link>,
    /// The member that is asked.
    at: usize,
    /// The number under which operations are recorded.
    process: u64,
    identity: ClientId,
    born: Option<u64>,
    sequence: u64,
}

impl Client {
    pub(crate) fn new(recorder: Recorder, rng: Rng, bell: Bell, links: Vec<Link>, at: usize) -> Self {
        let identity = ClientId(u128::from(random_u64()) << 64 | u128::from(random_u64()));
        let process = recorder.process();
        let at = at % links.len();
        Self { recorder, rng, bell, links, at, process, identity, born: None, sequence: 0 }
    }

    pub(crate) fn now(&self) -> u64 {
        self.recorder.clock.now()
    }

    /// The pause between two operations.
    pub(crate) async fn pace(&mut self) {
        let pause = self.rng.between(PACE_US.0, PACE_US.1);
        tokio::time::sleep(Duration::from_micros(pause)).await;
        if self.rng.chance(1, 50) {
            self.elsewhere();
        }
    }

    /// Asks another member from now on.
    pub(crate) fn elsewhere(&mut self) {
        self.at = (self.at + 1) % self.links.len();
    }

    /// Reads one key; `None` when no answer came, which proves nothing.
    pub(crate) async fn get(&mut self, key: &str) -> Option<Got> {
        let call = Get { key: Key::from(key), consistency: Consistency::Linearizable };
        let answer = self.links[self.at].call("store", &call, CALL_DEADLINE).await;
        self.answered(answer.ok().and_then(Result::ok)).await
    }

    /// Reads all keys with a prefix, in pages of one revision.
    pub(crate) async fn list(&mut self, prefix: &str) -> Option<Listed> {
        let mut whole: Option<Listed> = None;
        loop {
            let (consistency, after) = match &whole {
                None => (Consistency::Linearizable, None),
                Some(so_far) => {
                    let last = so_far.items.last().map(|item| item.key.clone());
                    (Consistency::AtRevision(so_far.revision), last)
                }
            };
            let range = KeyRange::prefix(prefix);
            let call = List { range, consistency, after, limit_objects: 100, limit_bytes: PAGE_BYTES_MAX };
            let answer = self.links[self.at].call("store", &call, CALL_DEADLINE).await;
            let page = self.answered(answer.ok().and_then(Result::ok)).await?;
            let more = page.remaining > 0 && !page.items.is_empty();
            match &mut whole {
                None => whole = Some(page),
                Some(so_far) => so_far.items.extend(page.items),
            }
            if !more {
                return whole;
            }
        }
    }

    /// Proposes, half of the time under a request id, and gives the call's tick and what is known of the outcome.
    pub(crate) async fn propose(&mut self, proposal: Proposal) -> (u64, Told) {
        if self.born.is_none() {
            self.be_born().await;
        }
        let call = self.now();
        let told = match self.born {
            Some(born) if self.rng.chance(1, 2) => self.propose_named(proposal, born).await,
            _ => {
                let told = attempt(self.links[self.at].clone(), proposal).await;
                self.settle(&told).await;
                told
            }
        };
        (call, told)
    }

    /// Records an operation that was proposed; one in doubt never returned, and its client goes on as another.
    pub(crate) fn record(&mut self, call: u64, key: &str, action: Action, told: &Told, answer: Answer) {
        self.record_outcome(call, key, action, told.outcome(answer));
    }

    /// Records an operation whose outcome is known in the checkers' terms.
    pub(crate) fn record_outcome(&mut self, call: u64, key: &str, action: Action, outcome: Outcome) {
        let doubt = outcome == Outcome::Unknown;
        let returned = (!doubt).then(|| self.now());
        let (process, key) = (self.process, key.to_owned());
        self.recorder.operation(Operation { process, call, returned, key, action, outcome });
        if doubt {
            self.process = self.recorder.process();
        }
    }

    /// Until the state machine speaks: again and again under one id, each time at another member, sometimes at two
    /// at once. Whatever it says is what came of the proposal, however often it was sent.
    async fn propose_named(&mut self, proposal: Proposal, born: u64) -> Told {
        self.sequence += 1;
        let request = RequestId {
            client: self.identity,
            born,
            sequence: self.sequence,
            acknowledged: self.sequence - 1,
        };
        let proposal = proposal.with_request(request);
        let mut known: Option<Told> = None;
        for _ in 0..ATTEMPTS_LIMIT {
            let first = attempt(self.links[self.at].clone(), proposal.clone());
            let told = if self.rng.chance(1, 8) {
                let twin = self.links[(self.at + 1) % self.links.len()].clone();
                let (one, other) = tokio::join!(first, attempt(twin, proposal.clone()));
                one.after(known.as_ref()).after_twin(other)
            } else {
                first.await.after(known.as_ref())
            };
            if told.is_final() {
                return told;
            }
            self.settle(&told).await;
            known = Some(told);
        }
        known.expect("at least one attempt was made")
    }

    /// An id needs an index that the state has reached.
    async fn be_born(&mut self) {
        if let Ok(status) = self.links[self.at].call("store", &GetStatus {}, CALL_DEADLINE).await {
            self.born = Some(status.hash.index);
        }
    }

    async fn settle(&mut self, told: &Told) {
        match told {
            Told::Done(_) | Told::GuardFailed | Told::Fenced => {}
            Told::NotDone(_) => {
                self.elsewhere();
                tokio::time::sleep(PAUSE).await;
            }
            Told::Unsure(_) => self.elsewhere(),
        }
    }

    async fn answered<T>(&mut self, answer: Option<T>) -> Option<T> {
        if answer.is_none() {
            self.elsewhere();
            tokio::time::sleep(PAUSE).await;
        }
        answer
    }
}

/// Sends a proposal to one member.
async fn attempt(link: Link, proposal: Proposal) -> Told {
    let call = Propose { proposal, timeout_ms: PROPOSE_TIMEOUT_MS };
    Told::of(link.call("store", &call, CALL_DEADLINE).await)
}
