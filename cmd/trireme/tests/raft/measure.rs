//! Figures, not verdicts: `cargo test --release -p trireme --test raft measure -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trireme_mvcc::{Key, Operation, Proposal};
use trireme_store::StoreClient;
use trireme_store::calls::{Consistency, Get, Propose};

use crate::kit::Cluster;

const FOR: Duration = Duration::from_secs(3);

/// Runs `work` by `clients` at a time; gives how often per second, p50 and p99.
async fn load<F: Future<Output = ()> + Send>(
    clients: usize,
    work: impl Fn(usize, u64) -> F + Send + Sync + 'static,
) -> (f64, Duration, Duration) {
    let work = Arc::new(work);
    let started = Instant::now();
    let tasks = (0..clients).map(|client| {
        let work = Arc::clone(&work);
        tokio::spawn(async move {
            let mut taken = Vec::new();
            for number in 0.. {
                let at = Instant::now();
                work(client, number).await;
                taken.push(at.elapsed());
                if started.elapsed() > FOR {
                    break;
                }
            }
            taken
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    let rate = all.len() as f64 / started.elapsed().as_secs_f64();
    all.sort();
    (rate, all[all.len() / 2], all[all.len() * 99 / 100])
}

async fn puts(name: &str, client: &Arc<StoreClient>, clients: usize) {
    let (client, value) = (Arc::clone(client), Bytes::from(vec![b'x'; 256]));
    let (rate, p50, p99) = load(clients, move |who, number| {
        let key = Key::from(format!("/m/{who}/{number}").as_str());
        let put = Operation::Put { key, value: value.clone(), lease: None };
        let call = Propose { proposal: Proposal::transaction(Vec::new(), vec![put]), timeout_ms: 4_500 };
        let client = Arc::clone(&client);
        async move {
            client.call(call).await.unwrap().unwrap().outcome.unwrap();
        }
    })
    .await;
    println!("puts of 256 B at the {name}, {clients} clients: {rate:.0}/s, p50 {p50:?}, p99 {p99:?}");
}

async fn gets(name: &str, client: &Arc<StoreClient>, clients: usize) {
    let client = Arc::clone(client);
    let (rate, p50, p99) = load(clients, move |_, _| {
        let client = Arc::clone(&client);
        let get = Get { key: "/m/0/0".into(), consistency: Consistency::Linearizable };
        async move {
            client.call(get).await.unwrap().unwrap();
        }
    })
    .await;
    println!("linearizable gets at the {name}, {clients} clients: {rate:.0}/s, p50 {p50:?}, p99 {p99:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "gives figures, no verdict"]
async fn measure() {
    for servers in [1, 3] {
        let cluster = Cluster::start(servers).await;
        let leader = cluster.leader().await;
        println!("{servers} servers");
        let client = Arc::new(cluster.client(&leader).await);
        for clients in [1, 64] {
            puts("leader", &client, clients).await;
            gets("leader", &client, clients).await;
        }
        if let Some(follower) = cluster.names().into_iter().find(|name| *name != leader) {
            let client = Arc::new(cluster.client(&follower).await);
            for clients in [1, 64] {
                puts("follower", &client, clients).await;
                gets("follower", &client, clients).await;
            }
        }
    }
}
