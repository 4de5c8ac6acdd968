//! What the bus promises in numbers, measured with both ends in one process. Used by the criterion benchmark and by
//! a test that prints the same lines.

pub mod memory;

use crate::kit::*;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use trireme_bus::{Bus, BusConfig, IdentityKind, Peer};
use trireme_kernel::Class;
use trireme_pki::ExpectedPeer;

/// Requests in flight per task when pipelining, and tasks.
const IN_FLIGHT: usize = 512;
const TASKS: usize = 2;

/// Pipelined 256-byte requests per second over one connection.
pub async fn pipelined(peer: &Peer, total: usize) -> f64 {
    let started = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let peer = peer.clone();
            tokio::spawn(async move {
                let target = path("/server/s1/test");
                let body = Bytes::from(vec![1_u8; 256]);
                let mut flying = FuturesUnordered::new();
                for _ in 0..total / TASKS {
                    if flying.len() >= IN_FLIGHT {
                        let answer: Result<Bytes, _> = flying.next().await.unwrap();
                        assert_eq!(answer.unwrap().len(), 256);
                    }
                    flying.push(peer.call(&target, "echo", body.clone(), within(30_000)));
                }
                while let Some(answer) = flying.next().await {
                    answer.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    total as f64 / started.elapsed().as_secs_f64()
}

/// Round trips of one raft-class call after the other: median and 99th percentile.
pub async fn raft_latency(peer: &Peer, calls: usize) -> (Duration, Duration) {
    let target = path("/server/s1/test");
    let body = Bytes::from(vec![1_u8; 256]);
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let started = Instant::now();
        peer.call(&target, "echo", body.clone(), within(30_000).with_class(Class::Raft)).await.unwrap();
        times.push(started.elapsed());
        // A heartbeat-like pace: back-to-back calls would measure throughput.
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    times.sort();
    (times[calls / 2], times[calls * 99 / 100])
}

/// Keeps bulk transfers going until told to stop; bytes moved.
pub async fn saturate(peer: Peer, stop: Arc<AtomicBool>) -> u64 {
    let target = path("/server/s1/test");
    let body = Bytes::from(vec![2_u8; 1024 * 1024]);
    let mut flying = FuturesUnordered::new();
    let mut moved = 0;
    loop {
        while flying.len() < 4 && !stop.load(Ordering::Relaxed) {
            flying.push(peer.call(&target, "size", body.clone(), within(60_000).with_class(Class::Bulk)));
        }
        match flying.next().await {
            Some(answer) => {
                answer.unwrap();
                moved += 1024 * 1024;
            }
            None => return moved,
        }
    }
}

/// One event to each of `count` subscriptions: time from the first publish to the last arrival.
pub async fn fan_out(peer: &Peer, board: &crate::board::Board, count: usize) -> Duration {
    let target = path("/server/s1/board");
    let before = board.len();
    let mut all: Vec<_> =
        (0..count).map(|_| peer.subscribe(Class::Watch, &target, Bytes::new(), 2)).collect();
    until("all publishers", || (board.len() == before + count).then_some(())).await;
    let started = Instant::now();
    board.publish(&Bytes::from(vec![3_u8; 256]));
    for subscription in &mut all {
        subscription.next().await.unwrap();
    }
    started.elapsed()
}

/// Resident memory per idle peer of both ends together, in bytes: `count` dialling machines against one server.
pub async fn memory_per_idle_peer(cluster: &Cluster, server: &Bus, count: usize) -> u64 {
    let to = server.listen_address().unwrap();
    // The dialling side is one bus with one session per identity it dials; here the server's peers are what is
    // many, so one dialling endpoint holds many sessions of one user identity.
    let identity = trireme_pki::Identity::user(&cluster.id, "admin", &["system:masters"]).unwrap();
    let user = dialer(cluster, &identity, Options::default());
    let warm = user.connect(to, ExpectedPeer::AnyServer).await.unwrap();
    let before = memory::resident_bytes();
    let mut peers = Vec::with_capacity(count);
    for _ in 0..count {
        peers.push(user.connect(to, ExpectedPeer::AnyServer).await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = memory::resident_bytes().saturating_sub(before);
    assert!(user.peers().len() > count, "all sessions live");
    assert_eq!(warm.identity().kind, IdentityKind::Server);
    user.shutdown(Duration::from_secs(1)).await;
    grown / count as u64
}

/// Every promise measured once, as lines with their targets.
pub async fn promises(requests: usize, round_trips: usize, idle_peers: usize) -> Vec<String> {
    let board = Arc::new(crate::board::Board::default());
    let config = BusConfig { guest_sessions_limit: idle_peers + 2, ..quick() };
    let one = Options { publishers: board.clone(), config, ..Options::default() };
    let pair = pair_with(one, Options::default()).await;
    let mut lines = Vec::new();
    pipelined(&pair.peer, requests / 10).await;
    let rate = pipelined(&pair.peer, requests).await;
    lines.push(format!(
        "pipelined 256-byte requests: {rate:.0}/s, {:.2} of the target 200,000/s",
        rate / 200_000.0
    ));

    raft_latency(&pair.peer, round_trips / 10).await;
    let (idle_median, idle) = raft_latency(&pair.peer, round_trips).await;
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let bulk = tokio::spawn(saturate(pair.peer.clone(), stop.clone()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (busy_median, busy) = raft_latency(&pair.peer, round_trips).await;
    stop.store(true, Ordering::Relaxed);
    let moved = bulk.await.unwrap() as f64 / started.elapsed().as_secs_f64() / 1e6;
    let ratio = busy.as_secs_f64() / idle.as_secs_f64();
    lines.push(format!(
        "raft-class round trip: idle p50 {idle_median:?} p99 {idle:?}; under bulk of {moved:.0} MB/s p50 \
         {busy_median:?} p99 {busy:?}; p99 ratio {ratio:.2}, target at most 5"
    ));

    let spread = fan_out(&pair.peer, &board, 10_000).await;
    lines.push(format!(
        "10,000 subscriptions, one event each: {spread:?}, {:.0} events/s",
        1e4 / spread.as_secs_f64()
    ));

    let bytes = memory_per_idle_peer(&pair.cluster, &pair.one, idle_peers).await;
    lines.push(format!(
        "memory per idle peer, both ends together: {} KiB, target below 200 KiB per end",
        bytes / 1024
    ));
    lines
}
