//! [`ClusterCompactor`]: `/cluster/compactor`, forgets history that is older than it has to be.
//!
//! Size is bounded by the state machine itself, at every write, on every member alike; age is not known to it, so the
//! leader proposes. A new leader begins to count anew: history may live up to twice as long around a failover.
//! Watchers that stand before what is forgotten are told that their place is gone, and list again.

use std::time::Duration;

use trireme_kernel::{ActorSpec, Behaviour, Context, StartError};
use trireme_mvcc::{Entry, Proposal, Refusal};
use trireme_raft::store::{Committed, Store, StoreError};

use super::Reign;
use super::compaction::CompactionPlan;

/// How long one proposal may take.
const PROPOSE_LIMIT: Duration = Duration::from_secs(5);

/// What the compactor receives.
#[derive(Debug)]
pub enum CompactorInput {
    /// A compaction was carried out, or not.
    Compacted(Result<Committed, StoreError>),
}

/// See the module.
pub struct ClusterCompactor {
    reign: Reign,
    plan: CompactionPlan,
    /// A later term has begun: nothing this one says counts.
    over: bool,
}

impl ClusterCompactor {
    /// The actor called `compactor` of one reign; history is kept for `keep`.
    pub fn spec(reign: &Reign, keep: Duration) -> ActorSpec<Self> {
        let reign = reign.clone();
        ActorSpec::new("compactor", move |_| Self {
            reign: reign.clone(),
            plan: CompactionPlan::new(keep),
            over: false,
        })
    }
}

impl Behaviour for ClusterCompactor {
    type Input = CompactorInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        self.timer(cx);
        Ok(())
    }

    fn handle(&mut self, input: CompactorInput, cx: &mut Context<Self>) {
        let CompactorInput::Compacted(outcome) = input;
        match outcome.map(|committed| committed.outcome) {
            Ok(Ok(answer)) => tracing::debug!(?answer, "old history is forgotten"),
            Ok(Err(Refusal::FencedOldTerm { .. })) => {
                self.over = true;
                cx.disarm();
            }
            // Somebody was faster, or the next look asks for more.
            Ok(Err(refusal)) => tracing::debug!(%refusal, "history was not compacted"),
            Err(error) => tracing::debug!(%error, "history is compacted at the next look"),
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        let (revision, compacted) = self.reign.store().read(|state| (state.revision(), state.compacted()));
        if let Some(revision) = self.plan.look(cx.now(), revision, compacted) {
            let reign = self.reign.clone();
            let proposing = cx.spawn_io(async move {
                let proposal = Proposal::new(Entry::Compact { revision });
                CompactorInput::Compacted(reign.propose(proposal, PROPOSE_LIMIT).await)
            });
            if let Err(limit) = proposing {
                tracing::debug!(%limit, "history is compacted at the next look");
            }
        }
        cx.arm(cx.now() + self.plan.pause());
    }

    fn state_name(&self) -> &'static str {
        if self.over { "over" } else { "watching" }
    }

    fn label(_: &CompactorInput) -> &'static str {
        "compacted"
    }
}
