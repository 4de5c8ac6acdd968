//! A leader whose disk stalls hands leadership to a voter that keeps up, instead of stalling the cluster.

use std::sync::Weak;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;

use super::hand_over::Handed;
use super::member::Inner;
use super::status::{Role, Status};
use crate::identity::MemberId;
use crate::rt::{self, Instant};

/// How often a leader's disk is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often a follower looks whether it leads by now.
const FOLLOWER_INTERVAL: Duration = Duration::from_millis(500);
/// A sync that takes longer is a stall.
const STALL_LIMIT: Duration = Duration::from_millis(300);
/// Time between two hand-overs from this member.
const REST: Duration = Duration::from_secs(5);
/// Entries that the successor may be behind.
const LAG_ENTRIES: u64 = 10_000;

/// Runs until the store is gone.
pub(super) async fn run(store: Weak<Inner>) {
    let (mut last, mut pause) = (None::<Instant>, LOOK_INTERVAL);
    loop {
        rt::sleep(pause).await;
        let Some(inner) = store.upgrade() else { return };
        pause = if inner.leader().is_me { LOOK_INTERVAL } else { FOLLOWER_INTERVAL };
        let rested = last.is_none_or(|at| at.elapsed() >= REST);
        let stalled = inner.sync_watch.stalled();
        if !rested || stalled < STALL_LIMIT {
            continue;
        }
        let status = Status::of(&inner.raft.metrics().borrow_watched());
        let Some(to) = successor(&status) else { continue };
        tracing::warn!(?stalled, to, "the disk of this leader stalls: handing over");
        match inner.hand_to(to).await {
            Ok(Handed::Done) => {}
            Ok(Handed::Not(why)) => tracing::warn!(to, why, "leadership stays here"),
            Err(error) => tracing::warn!(to, %error, "leadership stays here"),
        }
        last = Some(Instant::now());
    }
}

/// The other voter with the most entries, if this member leads and one is close enough.
fn successor(status: &Status) -> Option<MemberId> {
    if status.leader != Some(status.member) {
        return None;
    }
    let voters = status.members.iter().filter(|(id, m)| **id != status.member && m.role == Role::Voter);
    let held = voters.filter_map(|(id, m)| Some((m.matched?, *id)));
    held.filter(|(matched, _)| matched + LAG_ENTRIES >= status.last_index).max().map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::status::MemberStatus;
    use crate::store::types::Peer;

    fn status(leader: MemberId, members: &[(MemberId, Role, Option<u64>)]) -> Status {
        let member = |(id, role, matched): &(MemberId, Role, Option<u64>)| {
            (*id, MemberStatus { peer: Peer::default(), role: *role, matched: *matched })
        };
        Status {
            member: 1,
            term: 1,
            leader: Some(leader),
            last_index: 50_000,
            committed: 0,
            applied: 0,
            snapshot: 0,
            purged: 0,
            members: members.iter().map(member).collect(),
            stopped: None,
        }
    }

    #[test]
    fn the_successor_is_the_voter_that_holds_most() {
        let me = (1, Role::Voter, Some(50_000));
        let (near, nearer) = ((2, Role::Voter, Some(49_000)), (3, Role::Voter, Some(49_900)));
        let learner = (4, Role::Learner, Some(50_000));
        assert_eq!(successor(&status(1, &[me, near, nearer, learner])), Some(3));
        assert_eq!(successor(&status(2, &[me, near, nearer])), None, "only a leader hands over");
        assert_eq!(successor(&status(1, &[me, (2, Role::Voter, Some(10)), learner])), None);
        assert_eq!(successor(&status(1, &[me])), None);
    }
}
