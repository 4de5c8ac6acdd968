//! A writer that survives everything: it repeats each write under its request id, at whichever server answers, until
//! it knows the outcome.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use trireme_mvcc::{ClientId, Guard, Key, KeyRange, Operation, Proposal, RequestId, Revision};
use trireme_process::{Admin, random_u64};
use trireme_store::StoreClient;
use trireme_store::calls::{Consistency, GetStatus, Item, List, PAGE_BYTES_MAX, PAGE_OBJECTS_MAX, Propose};

use crate::kit::{CALL_LIMIT, Cluster, LIMIT};

/// What a writer did.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Acknowledged keys with their revisions.
    pub(crate) acknowledged: Vec<(Key, Revision)>,
    /// The longest time between two acknowledgements.
    pub(crate) longest_gap: Duration,
}

pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<(Key, Revision)>>>,
    /// Gives the longest gap.
    task: tokio::task::JoinHandle<Duration>,
}

impl Writer {
    /// Creates `<prefix>000001` and so on, one after the other, until stopped.
    pub(crate) fn start(cluster: &Cluster, prefix: &str) -> Self {
        let names = cluster.names().into_iter();
        let clients = names.map(|name| Reach::new(cluster.data(&name).join("admin"), cluster.address(&name)));
        let clients = clients.collect();
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::default();
        let task =
            tokio::spawn(write(clients, prefix.to_owned(), Arc::clone(&stop), Arc::clone(&acknowledged)));
        Self { stop, acknowledged, task }
    }

    pub(crate) async fn stop(self) -> Written {
        self.stop.store(true, Ordering::Release);
        let longest_gap = self.task.await.expect("the writer ends well");
        Written { acknowledged: std::mem::take(&mut *self.acknowledged.lock()), longest_gap }
    }
}

/// The way to one server, made anew when it broke.
struct Reach {
    admin: PathBuf,
    address: SocketAddr,
    client: Option<StoreClient>,
}

impl Reach {
    fn new(admin: PathBuf, address: SocketAddr) -> Self {
        Self { admin, address, client: None }
    }

    async fn client(&mut self, limit: Duration) -> Option<&StoreClient> {
        if self.client.is_none() {
            let admin = Admin::load(&self.admin).ok()?;
            self.client = StoreClient::connect_to(&admin, &[self.address], limit).await.ok();
        }
        self.client.as_ref()
    }
}

async fn write(
    mut clients: Vec<Reach>,
    prefix: String,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<(Key, Revision)>>>,
) -> Duration {
    let first = clients[0].client(CALL_LIMIT).await.expect("a server answers");
    let born = first.call(GetStatus {}).await.expect("a status").raft.applied;
    let client = ClientId(u128::from(random_u64()));
    let (mut longest_gap, mut at, mut last) = (Duration::ZERO, 0, Instant::now());
    for sequence in 1.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let key = Key::from(format!("{prefix}{sequence:06}").as_str());
        let put = Operation::Put { key: key.clone(), value: Bytes::from(sequence.to_string()), lease: None };
        let request = RequestId { client, born, sequence, acknowledged: sequence - 1 };
        // Carried out twice, the guard would refuse the second one.
        let proposal =
            Proposal::transaction(vec![Guard::Absent(key.clone())], vec![put]).with_request(request);
        let started = Instant::now();
        let mut failures = 0;
        let revision = loop {
            // A server that is dead is not waited for long; a machine that is slow is, in the end.
            let patience = 1 + failures / u32::try_from(clients.len()).expect("a handful of servers");
            failures += 1;
            let call = Propose { proposal: proposal.clone(), timeout_ms: 400 * u64::from(patience) };
            let within = Duration::from_millis(600) * patience;
            let answer = match clients[at].client(Duration::from_millis(300) * patience).await {
                Some(client) => client.call_within(call, within, trireme_kernel::Class::Control).await.ok(),
                None => None,
            };
            match answer {
                Some(Ok(committed)) => match committed.outcome.expect("a fresh key under one request id") {
                    trireme_mvcc::Answer::Committed { revision, .. } => break revision,
                    other => panic!("{other:?}"),
                },
                // Whatever it was: the same request elsewhere.
                Some(Err(_)) | None => {
                    assert!(started.elapsed() < LIMIT, "no write for {LIMIT:?}");
                    clients[at].client = None;
                    at = (at + 1) % clients.len();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        longest_gap = longest_gap.max(last.elapsed());
        last = Instant::now();
        acknowledged.lock().push((key, revision));
    }
    longest_gap
}

/// One put that must succeed, at this server.
pub(crate) async fn put(client: &StoreClient, key: &str, value: &str) -> Revision {
    let put = Operation::Put { key: key.into(), value: Bytes::from(value.to_owned()), lease: None };
    let proposal = Proposal::transaction(Vec::new(), vec![put]);
    let committed =
        client.call(Propose { proposal, timeout_ms: 4_500 }).await.expect("an answer").expect("committed");
    match committed.outcome.expect("carried out") {
        trireme_mvcc::Answer::Committed { revision, .. } => revision,
        other => panic!("{other:?}"),
    }
}

/// Everything below a prefix, linearizable.
pub(crate) async fn all(client: &StoreClient, prefix: &str) -> Vec<Item> {
    let mut list = List {
        range: KeyRange::prefix(prefix),
        consistency: Consistency::Linearizable,
        after: None,
        limit_objects: PAGE_OBJECTS_MAX,
        limit_bytes: PAGE_BYTES_MAX,
    };
    let mut items = Vec::new();
    loop {
        let page = client.call(list.clone()).await.expect("an answer").expect("a page");
        list.consistency = Consistency::AtRevision(page.revision);
        list.after = page.items.last().map(|item| item.key.clone());
        items.extend(page.items);
        if page.remaining == 0 {
            return items;
        }
    }
}

/// Every acknowledged write is there, once, at the revision that was acknowledged.
pub(crate) fn check(written: &Written, items: &[Item]) {
    for (key, revision) in &written.acknowledged {
        let item = items.iter().find(|item| item.key == *key).unwrap_or_else(|| panic!("{key} is lost"));
        assert_eq!((item.version, item.mod_revision), (1, *revision), "{key}");
    }
}
