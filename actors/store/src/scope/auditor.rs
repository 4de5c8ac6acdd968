//! [`ClusterAuditor`]: `/cluster/auditor`, compares the states of the members, round after round.
//!
//! Equal logs must give equal states; if they do not (a flipped bit, a bug in apply, members of different builds), the
//! cluster would answer the same question differently depending on whom it is asked. The auditor asks every member for
//! its hash at one log index; a member that differs from a majority of the voters is told to stop serving.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use trireme_kernel::{ActorSpec, Behaviour, CallOptions, Context, Registry, StartError};
use trireme_mvcc::StateHash;
use trireme_raft::store::{Role, Store};

use super::Reign;
use super::verdict::{Divergence, Sample, judge};
use crate::calls::{GetHashesAt, Quarantine};
use crate::host::store_path;

/// Time between two comparisons.
const AUDIT_EVERY: Duration = Duration::from_secs(5);
/// How long a member may take to answer. One that does not is compared the next time.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What the auditor receives.
#[derive(Debug)]
pub enum AuditInput {
    /// A round is over.
    Compared,
}

/// See the module.
pub struct ClusterAuditor {
    reign: Reign,
}

impl ClusterAuditor {
    /// The actor called `auditor` of one reign.
    pub fn spec(reign: &Reign) -> ActorSpec<Self> {
        let reign = reign.clone();
        ActorSpec::new("auditor", move |_| Self { reign: reign.clone() })
    }
}

impl Behaviour for ClusterAuditor {
    type Input = AuditInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        cx.arm(cx.now() + AUDIT_EVERY);
        Ok(())
    }

    fn handle(&mut self, input: AuditInput, cx: &mut Context<Self>) {
        match input {
            AuditInput::Compared => cx.arm(cx.now() + AUDIT_EVERY),
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        let round = Round { reign: self.reign.clone(), registry: cx.registry() };
        let comparing = cx.spawn_io(async move {
            round.compare().await;
            AuditInput::Compared
        });
        comparing.expect("there is one task at a time, far below the limit");
    }

    fn state_name(&self) -> &'static str {
        "comparing"
    }

    fn label(_: &AuditInput) -> &'static str {
        "compared"
    }
}

/// One comparison.
struct Round {
    reign: Reign,
    registry: Registry,
}

impl Round {
    async fn compare(&self) {
        // The applied index is shared by idle members, the checkpoint by busy ones.
        let own = self.reign.store().read(|state| [Some(state.hash()), state.last_checkpoint()]);
        let own: Vec<StateHash> = own.into_iter().flatten().collect();
        let status = self.reign.store().status();
        let voters = status.members.values().filter(|member| member.role == Role::Voter).count();
        let asked = status.members.iter().filter(|(id, _)| **id != status.member).map(|(_, other)| async {
            let call = GetHashesAt { indexes: own.iter().map(|hash| hash.index).collect() };
            let options = CallOptions::within(ANSWER_LIMIT);
            let answer = self.registry.call(&store_path(&other.peer.address), call, options).await;
            (other.peer.address.clone(), other.role == Role::Voter, answer.unwrap_or_default())
        });
        let answers = join_all(asked).await;
        for mine in &own {
            let mut samples: BTreeMap<String, Sample> = BTreeMap::new();
            for (machine, votes, hashes) in &answers {
                let hash = hashes.iter().flatten().find(|hash| hash.index == mine.index);
                samples.extend(hash.map(|hash| (machine.clone(), Sample { hash: *hash, votes: *votes })));
            }
            let me = status.members.get(&status.member);
            if let Some(me) = me.filter(|_| !samples.is_empty()) {
                let votes = me.role == Role::Voter;
                samples.insert(me.peer.address.clone(), Sample { hash: *mine, votes });
            }
            match judge(mine.index, voters, &samples) {
                Ok(differing) => self.stop(differing).await,
                Err(no_majority) => tracing::error!(error = %no_majority, "members differ"),
            }
        }
    }

    async fn stop(&self, differing: Vec<Divergence>) {
        for Divergence { machine, part, found, expected } in differing {
            tracing::error!(machine, part, %found, %expected, "a member differs from the majority; it stops serving");
            let call = Quarantine { found, expected };
            let told =
                self.registry.call(&store_path(&machine), call, CallOptions::within(ANSWER_LIMIT)).await;
            if let Err(error) = told {
                tracing::error!(machine, %error, "it was not told; the next comparison tries again");
            }
        }
    }
}
