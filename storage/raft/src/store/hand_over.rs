//! Handing leadership to another voter, without a moment in which nobody leads.
//!
//! openraft's own hand-over ends every lease and every heartbeat before the successor has said whether it can, and is
//! void when the successor does not have the whole log on disk within a vote's time: with slow disks each try costs an
//! election that anybody may win, and terms climb. Here the leader leads on. It lets the successor catch up, takes no
//! proposals while it does (see [`super::gate`]), and then tells that one alone. The successor stands for election at
//! once, in the leader's name, which makes the others vote in spite of the lease that they have granted.

use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::raft::TransferLeaderRequest;

use super::error::StoreError;
use super::member::Inner;
use super::status::Status;
use super::transport::Lane;
use super::types::{LogId, Vote};
use super::wire::{Answer, Ask};
use crate::identity::MemberId;
use crate::rt;

/// Entries that the successor may lack and still count as keeping up.
const NEAR_ENTRIES: u64 = 64;
/// How long the successor may take to keep up, while this member goes on taking proposals.
const NEAR_LIMIT: Duration = Duration::from_millis(1_000);
/// How long it may take for the rest, while nobody's proposals are taken: several syncs of a slow disk.
const CATCH_UP_LIMIT: Duration = Duration::from_millis(1_000);
/// Pause between two looks at what it has.
const LOOK_PAUSE: Duration = Duration::from_millis(2);
/// How long it may take to answer the offer. It waits for nothing.
const OFFER_LIMIT: Duration = Duration::from_millis(500);
/// How long this member waits for the successor's call for votes: its vote has to be synced.
const CALL_LIMIT: Duration = Duration::from_millis(1_500);
/// How long the election may take once it has begun.
const ELECTION_LIMIT: Duration = Duration::from_millis(3_000);

/// What came of an offer.
pub(super) enum Handed {
    /// The successor leads.
    Done,
    /// It does not, for this reason. It may be asked again.
    Not(String),
}

impl Inner {
    /// Offers leadership to a voter once.
    ///
    /// # Errors
    /// It can never lead, or the core has ended.
    pub(super) async fn hand_to(&self, to: MemberId) -> Result<Handed, StoreError> {
        let now = self.leader();
        if now.leader == Some(to) {
            return Ok(Handed::Done);
        }
        if !now.is_me {
            return Ok(Handed::Not("this member does not lead".to_owned()));
        }
        if !self.raft.voter_ids().any(|voter| voter == to) {
            return Err(StoreError::Membership { why: format!("member {to} is no voter") });
        }
        // One that stays behind is given its chance below.
        drop(rt::timeout(NEAR_LIMIT, self.until_near(to)).await);
        let Some(closed) = self.gate.close() else {
            return Ok(Handed::Not("another hand-over is under way".to_owned()));
        };
        let Ok(caught_up) = rt::timeout(CATCH_UP_LIMIT, self.until_equal(to)).await else {
            return Ok(Handed::Not(format!("member {to} does not keep up with the log")));
        };
        let (vote, last) = caught_up?;
        if let Err(why) = self.offer(to, vote, last).await {
            return Ok(Handed::Not(why));
        }
        let called = rt::timeout(CALL_LIMIT, self.until_leadership(|now| !now.is_me)).await.is_ok();
        drop(closed);
        if !called {
            return Ok(Handed::Not(format!("member {to} accepted and did not call for votes")));
        }
        let elected = rt::timeout(ELECTION_LIMIT, self.until_leadership(|now| now.leader.is_some()));
        let leader = elected.await.ok().and_then(|now| now.leader);
        Ok(match leader {
            Some(leader) if leader == to => Handed::Done,
            _ => Handed::Not(format!("member {to} was not elected, {leader:?} leads")),
        })
    }

    async fn until_near(&self, to: MemberId) {
        loop {
            let status = Status::of(&self.raft.metrics().borrow_watched());
            let matched = status.members.get(&to).and_then(|other| other.matched).unwrap_or(0);
            if status.leader != Some(status.member) || matched + NEAR_ENTRIES >= status.last_index {
                return;
            }
            rt::sleep(LOOK_PAUSE).await;
        }
    }

    /// Waits until a member has everything durable that this one has taken in; what the offer says of that. It is seen
    /// twice in a row: the numbers are a little late.
    async fn until_equal(&self, to: MemberId) -> Result<(Vote, Option<LogId>), StoreError> {
        let mut before = None;
        loop {
            let vote = self.raft.with_raft_state(|state| *state.vote_ref()).await;
            let vote = vote.map_err(|e| StoreError::Stopped { why: e.to_string() })?;
            let held = {
                let metrics = self.raft.metrics();
                let metrics = metrics.borrow_watched();
                let held = metrics.replication.as_ref().and_then(|all| all.get(&to).copied().flatten());
                held.filter(|held| Some(held.index) == metrics.last_log_index)
            };
            if held.is_some() && held == before {
                return Ok((vote, held));
            }
            before = held;
            rt::sleep(LOOK_PAUSE).await;
        }
    }

    /// No answer says nothing: it may have been heard.
    async fn offer(&self, to: MemberId, vote: Vote, last: Option<LogId>) -> Result<(), String> {
        let peer = self.peer(to).ok_or("it has left")?;
        let ask = Ask::Transfer(TransferLeaderRequest::new(vote, to, last));
        match self.network.ask(to, &peer, Lane::Heartbeat, ask, OFFER_LIMIT).await {
            Ok(Ok(Answer::Transfer(Err(refused)))) => Err(format!("member {to} refused: {refused}")),
            Ok(Err(refused)) => Err(format!("member {to} refused: {refused}")),
            Ok(Ok(_)) => Ok(()),
            Err(lost) => {
                tracing::debug!(to, %lost, "an offer of leadership was not answered");
                Ok(())
            }
        }
    }
}
