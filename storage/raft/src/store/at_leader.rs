//! Carrying out a [`Wish`] where the leader is: here, or at another member that is asked.
//!
//! Law: whatever may have been done is never reported as not done. An attempt whose outcome is open is repeated only
//! if repeating changes nothing, and a later refusal does not take the doubt back.

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, ReadPolicy};
use trireme_mvcc::{Entry, Operation, Proposal};

use super::error::StoreError;
use super::hand_over::Handed;
use super::member::Inner;
use super::transport::{Lane, TransportError};
use super::types::{Command, TypeConfig};
use super::wire::{Answer, Ask, Committed, MembershipChange, Reply, Wish};
use crate::disk::RoomClass;
use crate::identity::MemberId;
use crate::rt::{self, Instant};

/// Pause before asking again who leads, when nothing changed.
const LEADER_PAUSE: Duration = Duration::from_millis(20);

/// What came of one attempt at the leader.
enum Attempt {
    Done(Answer),
    /// Nothing was done; try again when the leader is known.
    Again(String),
    /// It may have been done.
    Unsure(String),
}

impl Inner {
    /// Has the leader do something, wherever it is, until it is done or the time is up.
    pub(super) async fn at_leader(&self, wish: Wish, timeout: Duration) -> Result<Answer, StoreError> {
        // The state machine carries a named request out once; the others change nothing when repeated.
        let repeatable = !matches!(&wish, Wish::Propose(proposal) if proposal.request.is_none());
        let started = Instant::now();
        let mut why = "no leader is known".to_owned();
        // Why an earlier attempt may have been carried out: a later refusal does not take that back.
        let mut doubt: Option<String> = None;
        let mut leadership = self.leadership.clone();
        loop {
            // Asked for before the look, so that no change in between is missed.
            let changed = self.leader_changed.notified();
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                let waited_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                return Err(in_doubt(doubt, StoreError::Unavailable { waited_ms, why }));
            }
            let now = *leadership.borrow_and_update();
            let attempt = match now.leader {
                _ if now.is_me => self.here(wish.clone(), left).await,
                Some(leader) if leader != self.network.me.0 => {
                    self.ask_leader(leader, wish.clone(), left).await
                }
                _ => Ok(Attempt::Again(why)),
            };
            why = match attempt {
                Ok(Attempt::Done(answer)) => return Ok(answer),
                Ok(Attempt::Again(why)) => why,
                Ok(Attempt::Unsure(why)) if repeatable => {
                    // A read changes nothing, whatever became of it; a hand-over shows.
                    doubt = (!matches!(wish, Wish::ReadIndex | Wish::TransferTo(_))).then(|| why.clone());
                    why
                }
                Ok(Attempt::Unsure(why)) => return Err(StoreError::Unknown { why }),
                Err(error) => return Err(in_doubt(doubt, error)),
            };
            // Whichever comes first: a change of leadership, or a pause.
            drop(rt::timeout(LEADER_PAUSE.min(left), changed).await);
            if leadership.has_changed().is_err() {
                return Err(StoreError::Stopped { why: "the raft core has ended".to_owned() });
            }
        }
    }

    async fn ask_leader(
        &self,
        leader: MemberId,
        wish: Wish,
        timeout: Duration,
    ) -> Result<Attempt, StoreError> {
        let Some(peer) = self.peer(leader) else {
            return Ok(Attempt::Again(format!("leader {leader} is in no membership")));
        };
        let ask = Ask::Leader(wish, u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let answer = self.network.ask(leader, &peer, Lane::Control, ask, timeout);
        // What is asked of the leader is not waited for once another one leads: a dead one would cost the whole time.
        let moved = self.until_leadership(|now| now.leader.is_some_and(|other| other != leader));
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            _ = moved => {
                let why = "another member leads by now".to_owned();
                Err(TransportError::NoAnswer { member: leader, why })
            }
        };
        match answer {
            Ok(Ok(answer)) => Ok(Attempt::Done(answer)),
            Ok(Err(error @ (StoreError::NotLeader { .. } | StoreError::Unavailable { .. }))) => {
                Ok(Attempt::Again(error.to_string()))
            }
            Ok(Err(StoreError::Unknown { why })) => Ok(Attempt::Unsure(why)),
            Ok(Err(error)) => Err(error),
            Err(error @ TransportError::Unreachable { .. }) => Ok(Attempt::Again(error.to_string())),
            Err(error @ TransportError::NoAnswer { .. }) => Ok(Attempt::Unsure(error.to_string())),
        }
    }

    /// At this member or not at all.
    pub(super) async fn as_leader(&self, wish: Wish, timeout: Duration) -> Reply {
        match self.here(wish, timeout).await? {
            Attempt::Done(answer) => Ok(answer),
            Attempt::Again(_) => Err(StoreError::NotLeader { leader: self.leader().leader }),
            Attempt::Unsure(why) => Err(StoreError::Unknown { why }),
        }
    }

    async fn here(&self, wish: Wish, timeout: Duration) -> Result<Attempt, StoreError> {
        let work = async {
            match wish {
                Wish::Propose(proposal) => self.propose_here(proposal).await,
                Wish::ReadIndex => self.index_here().await,
                Wish::Change(change) => self.change_here(change).await,
                Wish::TransferTo(to) => match self.hand_to(to).await? {
                    Handed::Done => Ok(Attempt::Done(Answer::Done)),
                    Handed::Not(why) => Ok(Attempt::Again(why)),
                },
            }
        };
        let timed_out = |_| Ok(Attempt::Unsure("no quorum confirmed it in time".to_owned()));
        rt::timeout(timeout, work).await.unwrap_or_else(timed_out)
    }

    async fn propose_here(&self, proposal: Arc<Proposal>) -> Result<Attempt, StoreError> {
        if self.gate.is_closed() {
            return Ok(Attempt::Again("leadership is being handed over".to_owned()));
        }
        let refused = |e: crate::disk::NoSpace| StoreError::NoSpace { message: e.to_string() };
        self.reserve.admit(room_class(&proposal)).map_err(refused)?;
        match self.raft.client_write(Command(proposal)).await {
            Ok(response) => {
                let index = response.log_id.index + 1;
                let outcome = response.data.expect("a proposal has an outcome when it was applied");
                Ok(Attempt::Done(Answer::Committed(Committed { index, outcome })))
            }
            Err(error) => Ok(failed(error)),
        }
    }

    /// The index that a linearizable read has to wait for, confirmed by a quorum (or by the lease).
    async fn index_here(&self) -> Result<Attempt, StoreError> {
        if self.lease_reads
            && let Ok(linearizer) = self.raft.get_read_linearizer(ReadPolicy::LeaseRead).await
        {
            return Ok(Attempt::Done(Answer::ReadIndex(linearizer.read_log_id().index() + 1)));
        }
        match self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Ok(Attempt::Done(Answer::ReadIndex(linearizer.read_log_id().index() + 1))),
            Err(RaftError::APIError(error)) => Ok(Attempt::Again(error.to_string())),
            Err(RaftError::Fatal(error)) => Err(StoreError::Stopped { why: error.to_string() }),
        }
    }

    /// The index that a read at this moment must see.
    pub(super) async fn confirm_index(&self, timeout: Duration) -> Result<u64, StoreError> {
        match self.at_leader(Wish::ReadIndex, timeout).await? {
            Answer::ReadIndex(index) => Ok(index),
            _ => Err(odd()),
        }
    }

    async fn change_here(&self, change: MembershipChange) -> Result<Attempt, StoreError> {
        if self.gate.is_closed() {
            return Ok(Attempt::Again("leadership is being handed over".to_owned()));
        }
        let changed = match change {
            MembershipChange::AddLearner(id, peer) => {
                if let Some(known) = self.known_database(id).filter(|known| *known != peer.database) {
                    return Err(StoreError::OtherDatabase { member: id, found: peer.database, known });
                }
                self.raft.add_learner(id, peer, false).await
            }
            MembershipChange::Promote(id) => {
                self.raft.change_membership(ChangeMembers::AddVoterIds([id].into()), false).await
            }
            MembershipChange::Remove(id) => {
                let votes = self.raft.voter_ids().any(|voter| voter == id);
                let change = if votes {
                    ChangeMembers::RemoveVoters([id].into())
                } else {
                    ChangeMembers::RemoveNodes([id].into())
                };
                self.raft.change_membership(change, false).await
            }
        };
        match changed {
            Ok(_) => Ok(Attempt::Done(Answer::Done)),
            // One change at a time: this one waits for the one before, or for the leader's first entry.
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                e @ (ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_)),
            ))) => Ok(Attempt::Again(e.to_string())),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(e))) => {
                Err(StoreError::Membership { why: e.to_string() })
            }
            Err(error) => Ok(failed(error)),
        }
    }
}

/// What a proposal does to the room on disk.
fn room_class(proposal: &Proposal) -> RoomClass {
    let puts = match &proposal.entry {
        Entry::Transaction(t) => {
            t.room == trireme_mvcc::Room::Ordinary
                && t.operations.iter().any(|operation| matches!(operation, Operation::Put { .. }))
        }
        Entry::LeaseGrant { .. } => true,
        _ => false,
    };
    if puts { RoomClass::Put } else { RoomClass::Reclaim }
}

/// What an error means when an earlier attempt is in doubt: nobody may say any more that nothing was done.
fn in_doubt(doubt: Option<String>, error: StoreError) -> StoreError {
    match doubt {
        Some(earlier) => StoreError::Unknown { why: format!("{earlier}; then: {error}") },
        None => error,
    }
}

fn failed(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Attempt {
    match error {
        // Refused before it was appended.
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
            Attempt::Again(format!("this member does not lead, {:?} does", to.leader_id))
        }
        error => Attempt::Unsure(error.to_string()),
    }
}

pub(super) fn odd() -> StoreError {
    StoreError::Malformed { why: "the leader answered another question".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_does_not_take_back_an_earlier_doubt() {
        let refusal = || StoreError::Unavailable { waited_ms: 1, why: "no leader is known".to_owned() };
        assert_eq!(in_doubt(None, refusal()), refusal());
        let unsure = in_doubt(Some("the leader did not answer".to_owned()), refusal());
        assert!(matches!(unsure, StoreError::Unknown { .. }), "{unsure}");
    }
}
