//! [`Steward`]: the operator of a cluster in which nothing fails by itself. It asks for leadership to move, kills the
//! leader now and then, reads, and holds the store to what an operator expects: a leader stays until it is asked to go
//! or dies, the one that was asked for leads soon, and a term is spent for nothing else.

use std::time::Duration;

use trireme_core::Rng;
use trireme_raft::MemberId;
use trireme_raft::store::Store;

use crate::cluster::{Cluster, Death};
use crate::recorder::Recorder;
use crate::settle;
use crate::workload::Bell;

/// How long leadership is watched while nobody asks for anything: several election time-outs.
const CALM: Duration = Duration::from_millis(1_500);
/// How long a hand-over may take: a few syncs of 150 ms.
const HANDED_LIMIT: Duration = Duration::from_millis(2_500);
/// How long nobody may lead after a leader was killed.
const ELECTED_LIMIT: Duration = Duration::from_millis(3_000);
/// How long a linearizable read may take: no sync is in its way, but those of what it has to see.
const READ_LIMIT: Duration = Duration::from_millis(500);
/// Terms that the death of a leader may cost: two may stand in one, and then again.
const TERMS_PER_DEATH: u64 = 3;
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// See the module.
pub(crate) struct Steward {
    pub(crate) cluster: Cluster,
    pub(crate) rng: Rng,
    pub(crate) bell: Bell,
    pub(crate) recorder: Recorder,
}

/// Who leads in which term.
type Reign = (MemberId, u64);

impl Steward {
    /// Works until the bell rings, or until something is wrong.
    pub(crate) async fn run(mut self) {
        if let Err(why) = self.work().await {
            self.recorder.wrong(why);
        }
    }

    async fn work(&mut self) -> Result<(), String> {
        let mut reign = self.reign(ELECTED_LIMIT).await?;
        while !self.bell.rang() {
            self.stays(reign).await?;
            self.reads().await?;
            reign = match self.rng.below(4) {
                0 => self.kill(reign).await?,
                _ => self.hand_over(reign).await?,
            };
        }
        Ok(())
    }

    /// Waits until somebody leads, and the others know.
    async fn reign(&self, limit: Duration) -> Result<Reign, String> {
        let (world, since) = (&self.cluster.world, self.cluster.world.now());
        loop {
            if let Some(reign) = self.now() {
                return Ok(reign);
            }
            if Duration::from_nanos(world.now() - since) > limit {
                return Err(format!("nobody leads within {limit:?}"));
            }
            world.sleep(LOOK).await;
        }
    }

    fn now(&self) -> Option<Reign> {
        let leader = settle::leader(&self.cluster)?;
        let now = self.cluster.look(leader, |store| *store.leadership().borrow())?;
        now.is_me.then_some((leader, now.term))
    }

    async fn stays(&self, reign: Reign) -> Result<(), String> {
        self.cluster.world.sleep(CALM).await;
        match self.now() {
            Some(now) if now == reign => Ok(()),
            now => Err(format!("{reign:?} led (member, term), {now:?} does now, and nobody asked for that")),
        }
    }

    async fn reads(&mut self) -> Result<(), String> {
        let through = self.any();
        let asked =
            self.cluster.call(through, READ_LIMIT, |store| Box::pin(async move { store.read_index().await }));
        match asked.await {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(format!("a read through member {through}: {error}")),
            None => Err(format!("a read through member {through} takes longer than {READ_LIMIT:?}")),
        }
    }

    async fn hand_over(&mut self, (from, term): Reign) -> Result<Reign, String> {
        let (through, to) = (self.any(), self.any());
        self.cluster.world.tell(|| format!("member {through} is asked to have {to} lead, not {from}"));
        let asked = self.cluster.call(through, HANDED_LIMIT, move |store| {
            Box::pin(async move { store.transfer_leader(to, HANDED_LIMIT).await })
        });
        match asked.await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(format!("{to} does not take over from {from}: {error}")),
            None => return Err(format!("{to} has not taken over from {from} within {HANDED_LIMIT:?}")),
        }
        let now = self.reign(HANDED_LIMIT).await?;
        let spent = u64::from(to != from);
        if now != (to, term + spent) {
            return Err(format!("{from} led in term {term} and {to} was asked for: {now:?} leads"));
        }
        Ok(now)
    }

    async fn kill(&mut self, (leader, term): Reign) -> Result<Reign, String> {
        self.cluster.hold(leader, Death::Killed);
        let (member, now) = self.reign(ELECTED_LIMIT).await?;
        self.cluster.release(leader).await?;
        if now > term + TERMS_PER_DEATH {
            return Err(format!("terms climbed from {term} to {now} when leader {leader} was killed"));
        }
        Ok((member, now))
    }

    fn any(&mut self) -> MemberId {
        let present = self.cluster.present();
        present[self.rng.index(present.len()).expect("members stay")]
    }
}
