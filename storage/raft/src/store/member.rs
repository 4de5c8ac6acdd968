//! [`RaftStore`]: one member of the replicated store.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
use openraft::metrics::{RaftMetrics, RaftServerMetrics};
use tokio::sync::{Notify, watch};
use trireme_mvcc::{Proposal, State, WatchError, WatchRequest};

use super::at_leader::odd;
use super::error::StoreError;
use super::gate::Gate;
use super::log_store::LogStore;
use super::machine::Machine;
use super::network::Network;
use super::pulse;
use super::read_index::{self, ReadQueue};
use super::service::Incoming;
use super::shared::{Shared, WatchCursor};
use super::slow_disk;
use super::snapshot_file::SnapshotDir;
use super::snapshot_rhythm;
use super::status::{Leadership, Status};
use super::sync_watch::SyncWatch;
use super::transport::{RaftService, RaftTransport};
use super::types::{Peer, TypeConfig};
use super::wire::{Answer, Committed, MembershipChange, Wish};
use super::{Store, StoreConfig};
use crate::database::Database;
use crate::disk::Reserve;
use crate::identity::{DatabaseId, MemberId};
use crate::rt;

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
    pub(super) leadership: watch::Receiver<Leadership>,
    /// Wakes who waits for a change of `leadership` in here, in the order of their coming.
    pub(super) leader_changed: Arc<Notify>,
    reads: ReadQueue,
    pub(super) reserve: Arc<Reserve>,
    pub(super) lease_reads: bool,
    pub(super) sync_watch: Arc<SyncWatch>,
    pub(super) gate: Gate,
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
        let (mut machine, due) = Machine::open(
            state,
            snapshots.clone(),
            Some(reserve.clone()),
            Some(lock),
            config.snapshot_entries,
        )
        .map_err(|e| stopped(&e))?;
        machine.cover_hole(log.last()).await.map_err(|e| stopped(&e))?;
        let shared = machine.shared();
        let me = (identity.member, identity.database);
        let network = Network {
            transport,
            cluster: identity.cluster,
            me,
            pre_votes: Arc::default(),
            sync_watch: sync_watch.clone(),
        };
        let raft_config = Arc::new(config.for_raft(identity.cluster)?);
        let raft = Raft::new(identity.member, raft_config, network.clone(), log, machine)
            .await
            .map_err(|e| stopped(&e))?;
        // The core has published its numbers once it answers: nobody sees a log that seems empty.
        raft.is_initialized().await.map_err(|e| stopped(&e))?;
        // The only voter waits for nobody's silence: it serves half a second sooner after a restart.
        if raft.voter_ids().eq([identity.member]) {
            raft.trigger().elect(false).await.map_err(|e| stopped(&e))?;
        }
        let (reads, queue) = ReadQueue::new();
        let leader_changed = Arc::new(Notify::new());
        let inner = Arc::new_cyclic(|me| Inner {
            me: me.clone(),
            leadership: watch_leadership(&raft, leader_changed.clone()),
            leader_changed,
            raft,
            shared,
            network,
            incoming: Incoming::new(snapshots),
            reads,
            reserve,
            lease_reads: config.lease_reads,
            sync_watch,
            gate: Gate::default(),
        });
        rt::spawn(pulse::run(Arc::downgrade(&inner), config));
        rt::spawn(read_index::run(Arc::downgrade(&inner), queue));
        rt::spawn(slow_disk::run(Arc::downgrade(&inner)));
        rt::spawn(snapshot_rhythm::run(Arc::downgrade(&inner), due));
        Ok(Self { inner })
    }

    /// The receiving side for a transport.
    pub fn service(&self) -> Arc<dyn RaftService> {
        self.inner.clone()
    }

    /// Fault point: this member's state departs from what the log says. False when it holds no object.
    pub fn plant_divergence(&self) -> bool {
        self.inner.shared.change(State::plant_divergence)
    }

    /// How this member's own entry in the membership reads.
    pub fn peer(&self, address: &str) -> Peer {
        Peer { address: address.to_owned(), database: self.inner.network.me.1 }
    }
}

/// Follows openraft's numbers for who leads. Those of the server change with a vote, a role or the membership; all
/// numbers together with every entry, which would wake this several times for each write. The former are sent first:
/// so the latter are looked at until they agree.
fn watch_leadership(raft: &RaftHandle, changed: Arc<Notify>) -> watch::Receiver<Leadership> {
    let (mut server, mut metrics) = (raft.server_metrics(), raft.metrics());
    let (sender, receiver) = watch::channel(Leadership::of(&metrics.borrow_and_update()));
    rt::spawn(async move {
        while server.changed().await.is_ok() {
            let mut wanted = server.borrow_and_update().clone();
            while !agrees(&metrics.borrow_and_update(), &wanted) {
                if metrics.changed().await.is_err() {
                    break;
                }
                wanted = server.borrow_and_update().clone();
            }
            let now = Leadership::of(&metrics.borrow_watched());
            if sender.send_if_modified(|before| std::mem::replace(before, now) != now) {
                changed.notify_waiters();
            }
            if sender.is_closed() {
                return;
            }
        }
        // The core is gone: nobody leads here any more.
        sender.send_modify(|leadership| leadership.is_me = false);
        drop(sender);
        changed.notify_waiters();
    });
    receiver
}

fn agrees(all: &RaftMetrics<TypeConfig>, server: &RaftServerMetrics<TypeConfig>) -> bool {
    let role = (all.vote, all.state, all.current_leader);
    all.running_state.is_err() || role == (server.vote, server.state, server.current_leader)
}

impl Inner {
    pub(super) fn leader(&self) -> Leadership {
        *self.leadership.borrow()
    }

    /// Whether there is no other member.
    pub(super) fn is_alone(&self) -> bool {
        let metrics = self.raft.metrics();
        metrics.borrow_watched().membership_config.membership().nodes().count() == 1
    }

    /// Waits until leadership is as `wanted`.
    pub(super) async fn until_leadership(&self, wanted: impl Fn(Leadership) -> bool) -> Leadership {
        loop {
            // Asked for before the look, so that no change in between is missed.
            let changed = self.leader_changed.notified();
            let now = self.leader();
            if wanted(now) {
                return now;
            }
            changed.await;
        }
    }

    pub(super) fn peer(&self, member: MemberId) -> Option<Peer> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_node(&member).cloned()
    }

    /// The database that the membership knows of a member.
    pub(super) fn known_database(&self, member: MemberId) -> Option<DatabaseId> {
        self.peer(member).map(|peer| peer.database)
    }
}

impl Store for RaftStore {
    fn bootstrap(&self, address: &str) -> BoxFuture<'_, Result<(), StoreError>> {
        let me = self.peer(address);
        Box::pin(async move {
            let stopped = |e: &dyn std::fmt::Display| StoreError::Stopped { why: e.to_string() };
            if self.inner.raft.is_initialized().await.map_err(|e| stopped(&e))? {
                // Founded before, perhaps by an attempt whose answer got lost.
                return Ok(());
            }
            let members: BTreeMap<MemberId, Peer> = [(self.inner.network.me.0, me)].into();
            let initialized = self.inner.raft.initialize(members).await;
            initialized.map_err(|e| StoreError::Membership { why: e.to_string() })?;
            self.inner.raft.trigger().elect(false).await.map_err(|e| stopped(&e))
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
