//! How fast acknowledged writes are: `cargo bench -p trireme-raft`. Rates and ratios of one run; absolute numbers
//! belong to the disk below the temporary directory (`TMPDIR` chooses it).

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A benchmark.

#[path = "../tests/support/cluster.rs"]
#[allow(dead_code)]
mod cluster;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Cluster, LONG, put};
use trireme_raft::LogKind;
use trireme_raft::disk::{Disk, RealDisk};
use trireme_raft::log_db::{LogDb, LogEntry, SegmentedLog, SegmentedOptions, SledLog};
use trireme_raft::store::{Store, StoreConfig};

const RUN: Duration = Duration::from_secs(2);
/// How long one of two logs is measured before the other has its turn.
const TURN: Duration = Duration::from_millis(20);

fn main() {
    println!("bare fdatasync of one written 4 KiB block: {:.0}/s", bare_syncs());
    for bytes in [256, 1024] {
        for batch in [1, 64] {
            let [segmented, sled] = log_rates(batch, bytes);
            println!(
                "log, {bytes} B, batches of {batch}: segmented {segmented:.0} entries/s, sled {sled:.0}, ratio {:.2}",
                segmented / sled
            );
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (members, kind) in [(1, LogKind::Segmented), (1, LogKind::Sled), (3, LogKind::Segmented)] {
        for clients in [1, 64] {
            let (rate, p50, p99, reads) = runtime.block_on(store_rate(members, kind, clients));
            println!(
                "store, {members} members, {kind}, {clients} clients, 1 KiB: {rate:.0} puts/s, p50 {p50:?}, p99 {p99:?}; \
                 {reads:.0} linearizable gets/s"
            );
        }
    }
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn bare_syncs() -> f64 {
    let home = tempfile::tempdir().unwrap();
    let file = RealDisk.open(&home.path().join("f"), true).unwrap();
    file.write_all_at(&vec![1; 1 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < RUN {
        file.write_all_at(&[2; 4096], u64::from(count % 256) * 4096).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// Both logs in turns of a few milliseconds: a disk that others use as well is as slow for one as for the other.
fn log_rates(batch: u64, bytes: usize) -> [f64; 2] {
    let home = tempfile::tempdir().unwrap();
    let (a, b) = (home.path().join("a"), home.path().join("b"));
    let logs: [Box<dyn LogDb>; 2] = [
        Box::new(SegmentedLog::create(disk(), &a, SegmentedOptions::default()).unwrap()),
        Box::new(SledLog::create(disk(), &b).unwrap()),
    ];
    let payload = bytes::Bytes::from(vec![7; bytes]);
    let (mut next, mut spent) = ([1, 1], [Duration::ZERO; 2]);
    while spent[0] + spent[1] < 2 * RUN {
        for (log, (next, spent)) in logs.iter().zip(next.iter_mut().zip(&mut spent)) {
            let started = Instant::now();
            while started.elapsed() < TURN {
                let entries: Vec<_> = (*next..*next + batch)
                    .map(|index| LogEntry { index, payload: payload.clone() })
                    .collect();
                log.append(&entries).unwrap();
                log.sync().unwrap();
                log.tidy().unwrap();
                *next += batch;
            }
            *spent += started.elapsed();
        }
    }
    [0, 1].map(|n| f64::from(u32::try_from(next[n] - 1).unwrap()) / spent[n].as_secs_f64())
}

async fn store_rate(members: u64, kind: LogKind, clients: u32) -> (f64, Duration, Duration, f64) {
    let cluster = Cluster::start(members, kind, StoreConfig::default()).await;
    let leader = cluster.leader().await;
    let value = "v".repeat(1024);
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let (store, value) = (cluster.store(leader).clone(), value.clone());
            tokio::spawn(async move {
                let mut taken = Vec::new();
                while started.elapsed() < RUN {
                    let begun = Instant::now();
                    let key = format!("c{client}/{}", taken.len());
                    store.propose(put(&key, &value), LONG).await.unwrap().outcome.unwrap();
                    taken.push(begun.elapsed());
                }
                taken
            })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    let rate = taken.len() as f64 / started.elapsed().as_secs_f64();
    taken.sort_unstable();
    let (p50, p99) = (taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
    (rate, p50, p99, read_rate(&cluster, leader, clients).await)
}

async fn read_rate(cluster: &Cluster, leader: u64, clients: u32) -> f64 {
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let store = cluster.store(leader).clone();
            tokio::spawn(async move {
                let (key, mut count) = (format!("c{client}/0"), 0_u32);
                while started.elapsed() < RUN {
                    store.read_index().await.unwrap();
                    assert!(store.read(|state| state.get(key.as_bytes()).is_some()));
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}
