//! A cluster within one process: real files, the in-memory network.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trireme_mvcc::{Key, Operation, Outcome, Proposal};
use trireme_raft::disk::{DiskFaults, FaultDisk, RealDisk};
use trireme_raft::store::transport::MemoryNet;
use trireme_raft::store::{Committed, MembershipChange, RaftStore, Role, Store, StoreConfig, StoreError};
use trireme_raft::{ClusterId, Database, LogKind, MemberId, OpenError};

/// Generous: the machine may be busy, and timing never decides a test.
pub(crate) const LONG: Duration = Duration::from_secs(60);
const CLUSTER: ClusterId = ClusterId(77);

pub(crate) struct Cluster {
    home: TempDir,
    pub(crate) net: MemoryNet,
    pub(crate) stores: BTreeMap<MemberId, RaftStore>,
    pub(crate) faults: BTreeMap<MemberId, Arc<DiskFaults>>,
    kind: LogKind,
    config: StoreConfig,
}

impl Cluster {
    /// `members` voters; the first one bootstraps and adds the others.
    pub(crate) async fn start(members: u64, kind: LogKind, config: StoreConfig) -> Self {
        let home = TempDir::new().unwrap();
        let (stores, faults) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Self { home, net: MemoryNet::new(), stores, faults, kind, config };
        cluster.create(1).await;
        cluster.store(1).bootstrap("m1").await.unwrap();
        for id in 2..=members {
            cluster.join(id).await;
        }
        cluster
    }

    pub(crate) fn store(&self, id: MemberId) -> &RaftStore {
        &self.stores[&id]
    }

    pub(crate) fn dir(&self, id: MemberId) -> PathBuf {
        self.home.path().join(format!("m{id}"))
    }

    /// A new member with an empty database, not yet part of the cluster.
    pub(crate) async fn create(&mut self, id: MemberId) {
        let disk = FaultDisk::new(RealDisk);
        let identity = Database::new_identity(CLUSTER, id, self.kind).unwrap();
        let database = Database::create(Arc::new(disk.clone()), &self.dir(id), identity).unwrap();
        self.run(id, disk, database).await;
    }

    /// A member restarts over its data.
    pub(crate) async fn restart(&mut self, id: MemberId) {
        let disk = FaultDisk::new(RealDisk);
        let started = Instant::now();
        let database = loop {
            match Database::open(Arc::new(disk.clone()), &self.dir(id), CLUSTER, id) {
                // The last tasks of the old incarnation still hold the directory.
                Err(OpenError::Locked { .. }) if started.elapsed() < LONG => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => break other.unwrap(),
            }
        };
        self.run(id, disk, database).await;
    }

    async fn run(&mut self, id: MemberId, disk: FaultDisk<RealDisk>, database: Database) {
        let store = RaftStore::start(database, self.net.transport(id), self.config.clone()).await.unwrap();
        self.net.attach(id, store.service());
        self.faults.insert(id, disk.faults());
        self.stores.insert(id, store);
    }

    /// Ends a member; its data stays.
    pub(crate) async fn stop(&mut self, id: MemberId) {
        self.net.detach(id);
        let store = self.stores.remove(&id).unwrap();
        store.shutdown().await;
    }

    /// A new member is added and becomes a voter.
    pub(crate) async fn join(&mut self, id: MemberId) {
        self.create(id).await;
        let peer = self.store(id).peer(&format!("m{id}"));
        let any = self.any();
        any.change_membership(MembershipChange::AddLearner(id, peer), LONG).await.unwrap();
        any.change_membership(MembershipChange::Promote(id), LONG).await.unwrap();
        self.until("the new member votes", |c| {
            c.store(id).status().members.get(&id).is_some_and(|m| m.role == Role::Voter)
        })
        .await;
    }

    pub(crate) fn any(&self) -> RaftStore {
        self.stores.values().next().unwrap().clone()
    }

    /// Waits until all running members agree on a leader among them.
    pub(crate) async fn leader(&self) -> MemberId {
        self.until("a leader is agreed on", |c| c.agreed().is_some()).await;
        self.agreed().unwrap()
    }

    fn agreed(&self) -> Option<MemberId> {
        let mut said = self.stores.values().map(|store| {
            let seen = *store.leadership().borrow();
            (seen.term, seen.leader)
        });
        let first = said.next()?;
        let leader = first.1.filter(|id| self.stores.contains_key(id))?;
        (said.all(|other| other == first) && self.store(leader).leadership().borrow().is_me).then_some(leader)
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            if started.elapsed() > LONG {
                let seen: Vec<_> = self.stores.values().map(|store| store.status()).collect();
                panic!("still not so after {LONG:?}: {what}; {seen:#?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn put(&self, at: MemberId, key: &str, value: &str) -> Result<Committed, StoreError> {
        self.store(at).propose(put(key, value), LONG).await
    }

    pub(crate) async fn put_ok(&self, at: MemberId, key: &str, value: &str) -> u64 {
        let committed = self.put(at, key, value).await.unwrap();
        ok(&committed.outcome);
        committed.index
    }

    pub(crate) fn get(&self, at: MemberId, key: &str) -> Option<String> {
        self.store(at).read(|state| {
            state.get(key.as_bytes()).map(|object| String::from_utf8(object.value().to_vec()).unwrap())
        })
    }

    /// All members reach the same index and then have the same state.
    pub(crate) async fn converge(&self) {
        let target = self.stores.values().map(|s| s.read(|state| state.applied_index())).max().unwrap();
        self.until("all members applied the same", |c| {
            c.stores.values().all(|s| s.read(|state| state.applied_index()) >= target)
        })
        .await;
        let mut hashes = BTreeMap::new();
        self.until("equal hashes at one index", |c| {
            hashes =
                c.stores.values().map(|s| s.read(|state| (state.applied_index(), state.hash()))).collect();
            hashes.len() == 1
        })
        .await;
    }
}

pub(crate) fn put(key: &str, value: &str) -> Proposal {
    let operation =
        Operation::Put { key: Key::new(key), value: value.as_bytes().to_vec().into(), lease: None };
    Proposal::transaction(vec![], vec![operation])
}

pub(crate) fn delete(key: &str) -> Proposal {
    Proposal::transaction(vec![], vec![Operation::Delete { key: Key::new(key) }])
}

pub(crate) fn ok(outcome: &Outcome) {
    assert!(outcome.is_ok(), "{outcome:?}");
}
