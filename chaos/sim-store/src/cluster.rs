//! [`Cluster`]: the members, started, killed and started again; and calls to them as a client makes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use trireme_raft::store::{Peer, RaftStore, Status, Store, StoreConfig};
use trireme_raft::{ClusterId, DatabaseId, Identity, LogKind, MemberId};

use crate::links::Links;
use crate::storage::Storage;
use crate::world::World;

/// How long opening and starting a member may take.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How a member goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The process: the kernel keeps what was written.
    Killed,
    /// The machine: what was not synced is lost, in whole or in part, by this seed.
    PowerCut(u64),
}

/// All members. Clones share them.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) world: Arc<World>,
    pub(crate) links: Links,
    config: StoreConfig,
    members: Arc<Mutex<BTreeMap<MemberId, Member>>>,
}

struct Member {
    storage: Arc<Mutex<Storage>>,
    store: Option<RaftStore>,
    /// Counts deaths: whatever was begun before one is void.
    incarnation: u64,
    starting: bool,
    /// How many faults make its syncs fail.
    failing: u32,
    /// Its disk has failed since it last began to start.
    harmed: bool,
    /// How many faults keep it down.
    down: u32,
    /// It left the cluster and stays down.
    gone: bool,
}

impl Cluster {
    pub(crate) fn new(world: Arc<World>, links: Links, config: StoreConfig) -> Self {
        Self { world, links, config, members: Arc::default() }
    }

    /// Starts a member that has never been there.
    ///
    /// # Errors
    /// Says what went wrong.
    pub(crate) async fn create(&self, member: MemberId, database: u128) -> Result<(), String> {
        let (cluster, log) = (ClusterId(1), LogKind::Segmented);
        let identity = Identity { cluster, member, database: DatabaseId(database), log };
        let storage = Arc::new(Mutex::new(Storage::new(identity)));
        let entry = Member {
            storage,
            store: None,
            incarnation: 0,
            starting: false,
            failing: 0,
            harmed: false,
            down: 0,
            gone: false,
        };
        self.members.lock().insert(member, entry);
        self.start(member).await
    }

    /// How the membership names a member.
    pub(crate) fn peer(&self, member: MemberId) -> Option<Peer> {
        let members = self.members.lock();
        let database = members.get(&member)?.storage.lock().identity().database;
        Some(Peer { address: format!("m{member}"), database })
    }

    /// Starts a member on what its disk holds, if no fault keeps it down.
    ///
    /// # Errors
    /// The product refuses to start: after the faults of a simulation, which a member must bear, that is a failure.
    pub(crate) async fn start(&self, member: MemberId) -> Result<(), String> {
        let (storage, incarnation) = match self.members.lock().get_mut(&member) {
            Some(entry) if entry.store.is_none() && !entry.starting && entry.down == 0 && !entry.gone => {
                entry.starting = true;
                entry.harmed = entry.failing > 0;
                (entry.storage.clone(), entry.incarnation)
            }
            _ => return Ok(()),
        };
        self.world.boot(member);
        let (sender, started) = oneshot::channel();
        let (transport, config) = (self.links.transport(member), self.config.clone());
        self.world.spawn_on(member, async move {
            let opened = storage.lock().open();
            let started = match opened {
                Ok(database) => {
                    RaftStore::start(database, transport, config).await.map_err(|e| e.to_string())
                }
                Err(why) => Err(why),
            };
            // Whoever started it may have killed it since.
            drop(sender.send(started));
        });
        let started = self.world.limit(START_LIMIT, started).await;
        let mut members = self.members.lock();
        let entry = members.get_mut(&member).filter(|entry| entry.incarnation == incarnation);
        // Killed while it started, or just when it was done.
        let Some(entry) = entry else { return Ok(()) };
        entry.starting = false;
        match started {
            Some(Ok(Ok(store))) => {
                self.world.tell(|| format!("member {member} runs"));
                self.links.attach(member, store.service());
                entry.store = Some(store);
                Ok(())
            }
            // The fault may be over by now; the supervisor tries again.
            Some(Ok(Err(_))) if entry.harmed => Ok(()),
            Some(Ok(Err(why))) => Err(format!("member {member} does not start: {why}")),
            Some(Err(_)) => Err(format!("member {member} gave up starting")),
            None => Err(format!("member {member} has not started within {START_LIMIT:?}")),
        }
    }

    /// Ends a member where it stands.
    pub(crate) fn kill(&self, member: MemberId, death: Death) {
        let (store, storage) = match self.members.lock().get_mut(&member) {
            Some(entry) => {
                entry.incarnation += 1;
                entry.starting = false;
                (entry.store.take(), entry.storage.clone())
            }
            None => return,
        };
        if let Death::PowerCut(seed) = death {
            storage.lock().power_cut(seed);
        }
        self.links.detach(member);
        self.world.kill(member);
        drop(store);
        self.world.tell(|| format!("member {member} went down: {death:?}"));
    }

    /// Keeps a member down until [`Cluster::release`] was called as often.
    pub(crate) fn hold(&self, member: MemberId, death: Death) {
        if let Some(entry) = self.members.lock().get_mut(&member) {
            entry.down += 1;
        }
        self.kill(member, death);
    }

    /// Takes one [`Cluster::hold`] back.
    ///
    /// # Errors
    /// As for [`Cluster::start`].
    pub(crate) async fn release(&self, member: MemberId) -> Result<(), String> {
        if let Some(entry) = self.members.lock().get_mut(&member) {
            entry.down = entry.down.saturating_sub(1);
        }
        self.start(member).await
    }

    /// A member that was removed goes for good.
    pub(crate) fn retire(&self, member: MemberId) {
        if let Some(entry) = self.members.lock().get_mut(&member) {
            entry.gone = true;
        }
        self.kill(member, Death::Killed);
    }

    /// Members that have not left.
    pub(crate) fn present(&self) -> Vec<MemberId> {
        self.members.lock().iter().filter(|(_, entry)| !entry.gone).map(|(member, _)| *member).collect()
    }

    pub(crate) fn fail_syncs(&self, member: MemberId, on: bool) {
        if let Some(entry) = self.members.lock().get_mut(&member) {
            entry.failing = if on { entry.failing + 1 } else { entry.failing.saturating_sub(1) };
            entry.harmed |= on;
            entry.storage.lock().faults.fail_sync(entry.failing > 0);
        }
    }

    /// Looks at a running member from outside, which costs it nothing.
    pub(crate) fn look<T>(&self, member: MemberId, look: impl FnOnce(&RaftStore) -> T) -> Option<T> {
        let store = self.members.lock().get(&member)?.store.clone()?;
        Some(look(&store))
    }

    pub(crate) fn status(&self, member: MemberId) -> Option<Status> {
        self.look(member, Store::status)
    }

    /// Has a member do something as a client's call: none if it is down, goes down, or takes longer than `limit`.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        member: MemberId,
        limit: Duration,
        work: impl FnOnce(RaftStore) -> BoxFuture<'static, T> + Send + 'static,
    ) -> Option<T> {
        let store = self.look(member, RaftStore::clone)?;
        let (sender, answer) = oneshot::channel();
        self.world.spawn_on(member, async move {
            // The client may have given up.
            drop(sender.send(work(store).await));
        });
        self.world.limit(limit, answer).await?.ok()
    }
}
