//! What all clients have in common: a member to ask, request ids, doubt.

use std::time::Duration;

use trireme_core::Rng;
use trireme_laws::{Action, Answer, Operation, Outcome};
use trireme_mvcc::{ClientId, Proposal, RequestId, State};
use trireme_raft::MemberId;
use trireme_raft::store::{Committed, Store, StoreError};

use super::Bell;
use super::outcome::Told;
use crate::cluster::Cluster;
use crate::recorder::Recorder;

/// How long the store may try.
const PROPOSE_LIMIT: Duration = Duration::from_millis(800);
/// How long a client waits; sometimes less than what the store may take, sometimes more.
const CALL_LIMIT_MS: (u64, u64) = (500, 1_500);
/// Attempts under one request id before the outcome stays unknown.
const ATTEMPTS_LIMIT: u32 = 6;
/// Pause behind an answer that says that nothing was done.
const PAUSE: Duration = Duration::from_millis(30);
/// Shortest and longest pause between two operations, in microseconds.
const PACE_US: (u64, u64) = (1_000, 120_000);

/// See the module.
pub(crate) struct Client {
    pub(crate) cluster: Cluster,
    pub(crate) recorder: Recorder,
    pub(crate) rng: Rng,
    pub(crate) bell: Bell,
    process: u64,
    identity: ClientId,
    born: Option<u64>,
    sequence: u64,
    at: MemberId,
}

impl Client {
    pub(crate) fn new(cluster: Cluster, recorder: Recorder, mut rng: Rng, bell: Bell) -> Self {
        let identity = ClientId(u128::from(rng.next_u64()));
        let process = recorder.process();
        let mut client =
            Self { cluster, recorder, rng, bell, process, identity, born: None, sequence: 0, at: 1 };
        client.elsewhere();
        client
    }

    pub(crate) fn now(&self) -> u64 {
        self.cluster.world.now()
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        self.cluster.world.sleep(span).await;
    }

    /// The pause between two operations.
    pub(crate) async fn pace(&mut self) {
        let pause = self.rng.between(PACE_US.0, PACE_US.1);
        self.sleep(Duration::from_micros(pause)).await;
        if self.rng.chance(1, 12) {
            self.elsewhere();
        }
    }

    /// Asks another member from now on.
    pub(crate) fn elsewhere(&mut self) {
        let present = self.cluster.present();
        if let Some(at) = self.rng.index(present.len()) {
            self.at = present[at];
        }
    }

    /// Reads the state of the member that is asked, after everything that was answered before; `None` when no answer
    /// came, which proves nothing.
    pub(crate) async fn read<T: Send + 'static>(
        &mut self,
        look: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Option<T> {
        let limit = self.limit();
        let answer = self.cluster.call(self.at, limit, |store| {
            Box::pin(async move {
                store.read_index().await?;
                Ok::<T, StoreError>(store.read(look))
            })
        });
        let answer = answer.await.and_then(Result::ok);
        if answer.is_none() {
            self.elsewhere();
            self.sleep(PAUSE).await;
        }
        answer
    }

    /// Proposes, half of the time under a request id; gives the call's moment and what is known of the outcome.
    pub(crate) async fn propose(&mut self, proposal: Proposal) -> (u64, Told) {
        if self.born.is_none() {
            let index = |store: &trireme_raft::store::RaftStore| store.read(State::applied_index);
            self.born = self.cluster.look(self.at, index);
        }
        let call = self.now();
        let told = match self.born {
            Some(born) if self.rng.chance(1, 2) => self.propose_named(proposal, born).await,
            _ => {
                let told = Told::of(self.attempt(self.at, proposal).await);
                self.settle(&told).await;
                told
            }
        };
        (call, told)
    }

    /// Until the state machine speaks: again and again under one id, each time at another member, sometimes at two
    /// at once. Whatever it says is what came of the proposal, however often it was sent.
    async fn propose_named(&mut self, proposal: Proposal, born: u64) -> Told {
        self.sequence += 1;
        let (client, sequence) = (self.identity, self.sequence);
        let request = RequestId { client, born, sequence, acknowledged: sequence - 1 };
        let proposal = proposal.with_request(request);
        let mut known: Option<Told> = None;
        for _ in 0..ATTEMPTS_LIMIT {
            if self.rng.chance(1, 6) {
                // A copy that nobody listens for, from a connection that broke.
                self.send_unheard(proposal.clone());
            }
            let told = Told::of(self.attempt(self.at, proposal.clone()).await).after(known.as_ref());
            if told.is_final() {
                return told;
            }
            self.settle(&told).await;
            known = Some(told);
        }
        // A copy may be on its way: only the state machine can say that nothing was done.
        Told::Unsure
    }

    fn send_unheard(&mut self, proposal: Proposal) {
        let present = self.cluster.present();
        let Some(at) = self.rng.index(present.len()) else { return };
        let (cluster, member) = (self.cluster.clone(), present[at]);
        let delay = Duration::from_millis(self.rng.below(300));
        let world = cluster.world.clone();
        world.clone().spawn_on(crate::world::OUTSIDE, async move {
            world.sleep(delay).await;
            let sent = cluster.call(member, PROPOSE_LIMIT, |store| {
                Box::pin(async move { store.propose(proposal, PROPOSE_LIMIT).await })
            });
            drop(sent.await);
        });
    }

    async fn attempt(&mut self, at: MemberId, proposal: Proposal) -> Option<Result<Committed, StoreError>> {
        let limit = self.limit();
        let answer = self
            .cluster
            .call(at, limit, |store| Box::pin(async move { store.propose(proposal, PROPOSE_LIMIT).await }));
        answer.await
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

    async fn settle(&mut self, told: &Told) {
        match told {
            Told::Done(_) | Told::GuardFailed | Told::Fenced => {}
            Told::NotDone => {
                self.elsewhere();
                self.sleep(PAUSE).await;
            }
            Told::Unsure => self.elsewhere(),
        }
    }

    fn limit(&mut self) -> Duration {
        Duration::from_millis(self.rng.between(CALL_LIMIT_MS.0, CALL_LIMIT_MS.1))
    }
}
