//! [`RaftStore`]: one member of the replicated store.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, Config, Raft, ReadPolicy, SnapshotPolicy};
use tokio::sync::watch;
use trireme_mvcc::{Entry, Operation, Proposal, State, WatchError, WatchRequest};

use super::error::StoreError;
use super::hand_over;
use super::log_store::LogStore;
use super::machine::Machine;
use super::network::Network;
use super::read_index::{self, ReadQueue};
use super::service::Incoming;
use super::shared::{Shared, WatchCursor};
use super::snapshot_file::SnapshotDir;
use super::status::{Leadership, Status};
use super::sync_watch::SyncWatch;
use super::transport::{Lane, RaftService, RaftTransport, TransportError};
use super::types::{Command, Peer, TypeConfig};
use super::wire::{Answer, Ask, Committed, MembershipChange, Reply, Wish};
use super::{Store, StoreConfig};
use crate::database::Database;
use crate::disk::{Reserve, RoomClass};
use crate::identity::{DatabaseId, MemberId};

/// Pause before asking again who leads, when nothing changed.
const LEADER_PAUSE: Duration = Duration::from_millis(20);

pub(super) type RaftHandle = Raft<TypeConfig, Machine>;

/// One member of the replicated store, running. Clones share it.
#[derive(Clone)]
pub struct RaftStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) raft: RaftHandle,
    pub(super) shared: Arc<Shared>,
    pub(super) network: Network,
    pub(super) incoming: Incoming,
    leadership: watch::Receiver<Leadership>,
    reads: ReadQueue,
    reserve: Arc<Reserve>,
    lease_reads: bool,
    pub(super) sync_watch: Arc<SyncWatch>,
    pub(super) me: Weak<Inner>,
}

impl RaftStore {
    /// Starts a member over its open database. A new one waits until a cluster adds it, or until
    /// [`Store::bootstrap`].
    ///
    /// # Errors
    /// The stored state contradicts itself, or a thread cannot be started. Runs inside a tokio runtime.
    pub async fn start(
        database: Database,
        transport: Arc<dyn RaftTransport>,
        config: StoreConfig,
    ) -> Result<Self, StoreError> {
        let stopped = |e: &dyn std::fmt::Display| StoreError::Stopped { why: e.to_string() };
        let Database { identity, log, state, reserve, disk, dir, lock } = database;
        let lock = Arc::new(lock);
        let log = LogStore::start(log, Some(reserve.clone()), Some(lock.clone())).map_err(|e| stopped(&e))?;
        let sync_watch = log.sync_watch();
        let snapshots = SnapshotDir::open(disk, &dir.join("snapshot")).map_err(|e| stopped(&e))?;
        let machine = Machine::open(state, snapshots.clone(), Some(reserve.clone()), Some(lock))
            .map_err(|e| stopped(&e))?;
        let shared = machine.shared();
        let me = (identity.member, identity.database);
        let network = Network { transport, cluster: identity.cluster, me };
        let raft_config = Arc::new(raft_config(&config, identity.cluster)?);
        let raft = Raft::new(identity.member, raft_config, network.clone(), log, machine)
            .await
            .map_err(|e| stopped(&e))?;
        let (reads, queue) = ReadQueue::new();
        let inner = Arc::new_cyclic(|me| Inner {
            me: me.clone(),
            leadership: watch_leadership(&raft),
            raft,
            shared,
            network,
            incoming: Incoming::new(snapshots),
            reads,
            reserve,
            lease_reads: config.lease_reads,
            sync_watch,
        });
        tokio::spawn(read_index::run(Arc::downgrade(&inner), queue));
        tokio::spawn(hand_over::run(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// The receiving side for a transport.
    pub fn service(&self) -> Arc<dyn RaftService> {
        self.inner.clone()
    }

    /// How this member's own entry in the membership reads.
    pub fn peer(&self, address: &str) -> Peer {
        Peer { address: address.to_owned(), database: self.inner.network.me.1 }
    }
}

fn raft_config(config: &StoreConfig, cluster: crate::identity::ClusterId) -> Result<Config, StoreError> {
    let raft = Config {
        cluster_name: cluster.to_string(),
        heartbeat_interval: config.heartbeat_ms,
        election_timeout_min: config.election_ms.0,
        election_timeout_max: config.election_ms.1,
        enable_pre_vote: Some(true),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_entries),
        max_in_snapshot_log_to_keep: config.kept_entries,
        replication_lag_threshold: config.snapshot_entries.saturating_mul(2),
        install_snapshot_timeout: config.snapshot_part_ms,
        ..Config::default()
    };
    raft.validate().map_err(|e| StoreError::Stopped { why: format!("the timing does not fit: {e}") })
}

fn watch_leadership(raft: &RaftHandle) -> watch::Receiver<Leadership> {
    let mut metrics = raft.metrics();
    let (sender, receiver) = watch::channel(Leadership::of(&metrics.borrow_and_update()));
    tokio::spawn(async move {
        while metrics.changed().await.is_ok() {
            let now = Leadership::of(&metrics.borrow_and_update());
            sender.send_if_modified(|before| std::mem::replace(before, now) != now);
            if sender.is_closed() {
                return;
            }
        }
        // The core is gone: nobody leads here any more.
        sender.send_modify(|leadership| leadership.is_me = false);
    });
    receiver
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

/// What came of one attempt at the leader.
enum Attempt {
    Done(Answer),
    /// Nothing was done; try again when the leader is known.
    Again(String),
    /// It may have been done.
    Unsure(String),
}

impl Inner {
    fn leader(&self) -> Leadership {
        *self.leadership.borrow()
    }

    fn peer(&self, member: MemberId) -> Option<Peer> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_node(&member).cloned()
    }

    /// The database that the membership knows of a member.
    pub(super) fn known_database(&self, member: MemberId) -> Option<DatabaseId> {
        self.peer(member).map(|peer| peer.database)
    }

    /// Has the leader do something, wherever it is, until it is done or the time is up.
    async fn at_leader(&self, wish: Wish, timeout: Duration) -> Result<Answer, StoreError> {
        // The state machine carries a named request out once; the others change nothing when repeated.
        let repeatable = !matches!(&wish, Wish::Propose(proposal) if proposal.request.is_none());
        let started = Instant::now();
        let mut why = "no leader is known".to_owned();
        // Why an earlier attempt may have been carried out: a later refusal does not take that back.
        let mut doubt: Option<String> = None;
        let mut leadership = self.leadership.clone();
        loop {
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
                    // A read changes nothing, whatever became of it.
                    doubt = (!matches!(wish, Wish::ReadIndex)).then(|| why.clone());
                    why
                }
                Ok(Attempt::Unsure(why)) => return Err(StoreError::Unknown { why }),
                Err(error) => return Err(in_doubt(doubt, error)),
            };
            // Whichever comes first: a change of leadership, or a pause.
            let changed = tokio::time::timeout(LEADER_PAUSE.min(left), leadership.changed()).await;
            if matches!(changed, Ok(Err(_))) {
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
        match self.network.ask(leader, &peer, Lane::Control, ask, timeout).await {
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
                Wish::TransferTo(to) => self.transfer_here(to).await,
            }
        };
        let timed_out = |_| Ok(Attempt::Unsure("no quorum confirmed it in time".to_owned()));
        tokio::time::timeout(timeout, work).await.unwrap_or_else(timed_out)
    }

    async fn propose_here(&self, proposal: Arc<Proposal>) -> Result<Attempt, StoreError> {
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

    async fn transfer_here(&self, to: MemberId) -> Result<Attempt, StoreError> {
        if !self.leader().is_me {
            return Ok(Attempt::Again("this member does not lead".to_owned()));
        }
        if !self.raft.voter_ids().any(|voter| voter == to) {
            return Err(StoreError::Membership { why: format!("member {to} is no voter") });
        }
        let asked = self.raft.trigger().transfer_leader(to).await;
        asked.map(|()| Attempt::Done(Answer::Done)).map_err(|e| StoreError::Stopped { why: e.to_string() })
    }
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

fn odd() -> StoreError {
    StoreError::Malformed { why: "the leader answered another question".to_owned() }
}

impl Store for RaftStore {
    fn bootstrap(&self, address: &str) -> BoxFuture<'_, Result<(), StoreError>> {
        let me = self.peer(address);
        Box::pin(async move {
            let members: BTreeMap<MemberId, Peer> = [(self.inner.network.me.0, me)].into();
            let initialized = self.inner.raft.initialize(members).await;
            initialized.map_err(|e| StoreError::Membership { why: e.to_string() })
        })
    }

    fn propose(&self, proposal: Proposal, timeout: Duration) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            proposal.check()?;
            match self.inner.at_leader(Wish::Propose(Arc::new(proposal)), timeout).await? {
                Answer::Committed(committed) => Ok(committed),
                _ => Err(odd()),
            }
        })
    }

    fn read_index(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.inner.reads.read())
    }

    fn wait_applied(&self, index: u64) -> BoxFuture<'_, ()> {
        Box::pin(self.inner.shared.wait_applied(index))
    }

    fn read<T>(&self, work: impl FnOnce(&State) -> T) -> T {
        self.inner.shared.read(work)
    }

    fn watch(&self, request: WatchRequest) -> Result<WatchCursor, WatchError> {
        self.inner.shared.watch(request)
    }

    fn change_membership(
        &self,
        change: MembershipChange,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.inner.at_leader(Wish::Change(change), timeout).await.map(|_| ()) })
    }

    fn transfer_leader(&self, to: MemberId, timeout: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.inner.at_leader(Wish::TransferTo(to), timeout).await.map(|_| ()) })
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    fn status(&self) -> Status {
        Status::of(&self.inner.raft.metrics().borrow_watched())
    }

    fn take_snapshot(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let stopped = |e: openraft::errors::Fatal<TypeConfig>| StoreError::Stopped { why: e.to_string() };
        Box::pin(async move { self.inner.raft.trigger().snapshot().await.map_err(stopped) })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.inner.raft.shutdown().await {
                tracing::error!(%error, "the raft core ended badly");
            }
        })
    }
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
