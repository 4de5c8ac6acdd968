//! The operator and the leader's housekeeping: membership, leader transfer, snapshots, compaction, log time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use trireme_core::Rng;
use trireme_mvcc::{Entry, Proposal, Revision};
use trireme_raft::MemberId;
use trireme_raft::store::{MembershipChange, Role, Store};

use crate::cluster::Cluster;
use crate::scribe::Scribe;
use crate::settle;
use crate::workload::Bell;

/// Most members that a run ever has, gone ones included.
const MEMBERS_LIMIT: MemberId = 9;
/// How long one wish may take.
const WISH_LIMIT: Duration = Duration::from_millis(1_500);
/// Attempts at one change of the membership.
const ATTEMPTS_LIMIT: u32 = 4;
/// Time between two ticks of the log.
const TICK: Duration = Duration::from_millis(150);

/// See the module.
pub(crate) struct Operator {
    pub(crate) cluster: Cluster,
    pub(crate) rng: Rng,
    pub(crate) scribe: Scribe,
    pub(crate) bell: Bell,
    /// The number that the next new member gets.
    pub(crate) next: Arc<Mutex<MemberId>>,
    /// Whether the membership may be changed.
    pub(crate) churn: bool,
}

impl Operator {
    /// Works until the bell rings.
    pub(crate) async fn run(mut self) {
        while !self.bell.rang() {
            let pause = self.rng.between(100, 700);
            self.cluster.world.sleep(Duration::from_millis(pause)).await;
            let Some(member) = self.any() else { continue };
            match self.rng.below(10) {
                0 | 1 => self.transfer(member).await,
                2 | 3 => self.snapshot(member).await,
                4 | 5 => self.compact(member).await,
                _ if !self.churn => {}
                6 => self.shrink(member).await,
                _ => self.grow(member).await,
            }
        }
    }

    fn any(&mut self) -> Option<MemberId> {
        let present = self.cluster.present();
        self.rng.index(present.len()).map(|at| present[at])
    }

    async fn transfer(&mut self, through: MemberId) {
        let Some(to) = self.any() else { return };
        self.cluster.world.tell(|| format!("member {through} is asked to have {to} lead"));
        let asked = self.cluster.call(through, WISH_LIMIT, move |store| {
            Box::pin(async move { store.transfer_leader(to, WISH_LIMIT).await })
        });
        drop(asked.await);
    }

    async fn snapshot(&mut self, member: MemberId) {
        self.cluster.world.tell(|| format!("member {member} is asked for a snapshot"));
        let asked = self
            .cluster
            .call(member, WISH_LIMIT, |store| Box::pin(async move { store.take_snapshot().await }));
        drop(asked.await);
    }

    async fn compact(&mut self, member: MemberId) {
        // What the scribe has not read yet must stay.
        let upto = self.scribe.last().saturating_sub(self.rng.below(15));
        if upto == 0 {
            return;
        }
        self.cluster.world.tell(|| format!("history up to {upto} is to be forgotten"));
        let proposal = Proposal::new(Entry::Compact { revision: Revision::new(upto) });
        let asked = self.cluster.call(member, WISH_LIMIT, |store| {
            Box::pin(async move { store.propose(proposal, WISH_LIMIT).await })
        });
        drop(asked.await);
    }

    /// A new member: learner, then voter.
    async fn grow(&mut self, through: MemberId) {
        let member = {
            let mut next = self.next.lock();
            if *next > MEMBERS_LIMIT {
                return;
            }
            *next += 1;
            *next - 1
        };
        if let Err(why) = join(&self.cluster, through, member, u128::from(self.rng.next_u64())).await {
            self.cluster.world.tell(|| why);
        }
    }

    /// A member goes, if enough stay.
    async fn shrink(&mut self, through: MemberId) {
        let Some(status) = self.cluster.status(through) else { return };
        let voters = status.members.values().filter(|m| m.role == Role::Voter).count();
        let Some(member) = self.any() else { return };
        let is_voter = status.members.get(&member).is_some_and(|m| m.role == Role::Voter);
        if voters <= 3 && is_voter {
            return;
        }
        let removed = change(&self.cluster, through, MembershipChange::Remove(member)).await;
        if let Err(why) = removed {
            self.cluster.world.tell(|| why);
        }
    }
}

/// Creates a member and makes it a voter.
///
/// # Errors
/// How far it came.
pub(crate) async fn join(
    cluster: &Cluster,
    through: MemberId,
    member: MemberId,
    database: u128,
) -> Result<(), String> {
    cluster.create(member, database).await?;
    let peer = cluster.peer(member).ok_or("it was just created")?;
    change(cluster, through, MembershipChange::AddLearner(member, peer)).await?;
    change(cluster, through, MembershipChange::Promote(member)).await
}

/// Changes the membership through one member, trying again while that may help.
async fn change(cluster: &Cluster, through: MemberId, change: MembershipChange) -> Result<(), String> {
    let mut why = String::new();
    for _ in 0..ATTEMPTS_LIMIT {
        cluster.world.tell(|| format!("member {through} is asked for {change:?}"));
        let wish = change.clone();
        let asked = cluster.call(through, WISH_LIMIT, |store| {
            Box::pin(async move { store.change_membership(wish, WISH_LIMIT).await })
        });
        match asked.await {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => why = error.to_string(),
            None => why = "no answer".to_owned(),
        }
        cluster.world.sleep(Duration::from_millis(100)).await;
    }
    Err(format!("{change:?} through member {through}: {why}"))
}

/// The leader's clock reaches the log.
pub(crate) async fn tick(cluster: Cluster, mut rng: Rng, bell: Bell) {
    while !bell.rang() {
        cluster.world.sleep(TICK).await;
        let Some(leader) = settle::leader(&cluster) else { continue };
        let Some(leadership) = cluster.look(leader, |store| *store.leadership().borrow()) else { continue };
        // Leaders' clocks differ.
        let log_time_ms = cluster.world.now() / 1_000_000 + rng.below(100);
        let tick = Proposal::new(Entry::Tick { log_time_ms }).with_fence(leadership.term);
        let asked = cluster
            .call(leader, WISH_LIMIT, |store| Box::pin(async move { store.propose(tick, WISH_LIMIT).await }));
        drop(asked.await);
    }
}
