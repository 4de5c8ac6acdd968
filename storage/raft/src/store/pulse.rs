//! The member's timer: when a leader sends heartbeats, and when a follower calls for an election.
//!
//! openraft's own timer looks at the clock five times in a heartbeat interval, in every member, which is most of what
//! an idle member costs. It is switched off. This one sleeps until there is something to do: a leader until its next
//! heartbeat, a follower until the silence that it bears would be over. openraft decides all the same: it sends no
//! heartbeat unless it leads, and asks for no vote while the lease that it granted lasts.

use std::sync::Weak;
use std::time::Duration;

use openraft::vote::RaftLeaderId;

use super::config::StoreConfig;
use super::member::Inner;
use crate::rt::{self, Instant};

/// How often one that has no vote, or no other members, looks whether that has changed.
const IDLE_PAUSE: Duration = Duration::from_millis(200);
/// How long a member that nobody else has to vote for may take to be elected: it syncs its vote.
const SOLE_ELECTION: Duration = Duration::from_millis(3_000);

/// What is to be done next.
enum Next {
    Heartbeat,
    /// An election; without asking first if nobody else votes.
    Election {
        pre_vote: bool,
    },
    /// Nothing, for so long.
    Wait(Duration),
}

/// See the module.
struct Pulse {
    heartbeat: Duration,
    election: (Duration, Duration),
    /// What is borne beyond the lease, until the next election.
    patience: Duration,
    /// When this member called for an election.
    called: Option<Instant>,
}

/// Runs until the store is gone.
pub(super) async fn run(store: Weak<Inner>, config: StoreConfig) {
    let millis = Duration::from_millis;
    let mut pulse = Pulse {
        heartbeat: millis(config.heartbeat_ms),
        election: (millis(config.election_ms.0), millis(config.election_ms.1)),
        patience: Duration::ZERO,
        called: None,
    };
    pulse.draw();
    loop {
        let Some(inner) = store.upgrade() else { return };
        // Asked for before the look, so that no change in between is missed.
        let notify = inner.leader_changed.clone();
        let changed = notify.notified();
        let pause = match pulse.next(&inner).await {
            Some(Next::Heartbeat) => inner.raft.trigger().heartbeat().await.map(|()| pulse.heartbeat),
            Some(Next::Election { pre_vote }) => {
                pulse.draw();
                pulse.called = Some(Instant::now());
                inner.raft.trigger().elect(pre_vote).await.map(|()| pulse.patience)
            }
            Some(Next::Wait(pause)) => Ok(pause),
            None => return,
        };
        drop(inner);
        // The core has ended.
        let Ok(pause) = pause else { return };
        tokio::select! {
            biased;
            () = changed => {}
            () = rt::sleep(pause) => {}
        }
    }
}

impl Pulse {
    /// A new patience, by chance: members whose patience ends together hinder each other.
    fn draw(&mut self) {
        let (low, high) = self.election;
        let span = u64::try_from((high - low).as_micros()).unwrap_or(u64::MAX).max(1);
        self.patience = low + Duration::from_micros(rt::chance() % span);
    }

    /// None when the core has ended.
    async fn next(&self, inner: &Inner) -> Option<Next> {
        let me = inner.network.me.0;
        let (mut voters, mut votes) = (0, false);
        inner.raft.voter_ids().for_each(|voter| {
            voters += 1;
            votes |= voter == me;
        });
        if inner.leader().is_me {
            return Some(if inner.is_alone() { Next::Wait(IDLE_PAUSE) } else { Next::Heartbeat });
        }
        if !votes {
            return Some(Next::Wait(IDLE_PAUSE));
        }
        let heard = inner.raft.with_raft_state(|state| (state.vote_last_modified(), *state.vote_ref()));
        let (heard, vote) = heard.await.ok()?;
        let borne = if voters > 1 {
            // The lease that a vote for a leader grants is the upper bound of the patience.
            self.patience + if vote.is_committed() { self.election.1 } else { Duration::ZERO }
        } else if *vote.leader_id().node_id() == me && !vote.is_committed() {
            // It is being elected.
            SOLE_ELECTION
        } else {
            Duration::ZERO
        };
        let silent = heard.map_or(borne, |at| openraft::rt::Instant::elapsed(&at));
        let waited = self.called.map_or(self.patience, |at| at.elapsed());
        let left = borne.saturating_sub(silent).max(self.patience.saturating_sub(waited));
        Some(if left.is_zero() { Next::Election { pre_vote: voters > 1 } } else { Next::Wait(left) })
    }
}
