//! Watches at every member, over the death of a leader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use trireme_mvcc::limits::HISTORY_BYTES_MIN;
use trireme_mvcc::{Entry, Key, Limits, Proposal, Revision};
use trireme_store::StoreClient;
use trireme_store::calls::{GetStatus, Propose};
use trireme_store::{WatchEnd, WatchFilter, WatchMessage, WatchStream, WatchTopic};

use crate::kit::{Cluster, LIMIT};
use crate::writer::{Writer, all, put};

type Seen = Arc<Mutex<Vec<(Revision, Key)>>>;

/// Watches a prefix at one server, again from the last place whenever it is cut off.
async fn follow(address: std::net::SocketAddr, admin: std::path::PathBuf, prefix: &'static str, seen: Seen) {
    let admin = trireme_process::Admin::load(&admin).unwrap();
    let (mut after, mut pending) = (Revision::ZERO, Vec::new());
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let limit = Duration::from_secs(2);
        let Ok(client) = trireme_store::StoreClient::connect_to(&admin, &[address], limit).await else {
            continue;
        };
        let filter = WatchFilter::Prefix(Key::from(prefix));
        let topic = WatchTopic { filter, after, previous: true, bookmark_ms: 100 };
        let mut stream = client.watch(&topic).unwrap();
        pending.clear();
        while let Ok(message) = stream.next().await {
            match message {
                WatchMessage::Events { events, through } => {
                    pending.extend(events.into_iter().map(|event| (event.revision, event.item.unwrap().key)));
                    if let Some(through) = through {
                        seen.lock().append(&mut pending);
                        after = through;
                    }
                }
                WatchMessage::Bookmark(revision) => after = revision,
                WatchMessage::Previous(_) => {}
                WatchMessage::End(end) => {
                    println!("watch at {address}: {end}");
                    break;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_of_every_member_see_every_change_once_and_in_order() {
    let mut cluster = Cluster::start(3).await;
    let mut watchers = Vec::new();
    for name in cluster.names() {
        let seen = Seen::default();
        let admin = cluster.data(&name).join("admin");
        let task = tokio::spawn(follow(cluster.address(&name), admin, "/w/", Arc::clone(&seen)));
        watchers.push((name, seen, task));
    }
    let writer = Writer::start(&cluster, "/w/");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let leader = cluster.leader().await;
    cluster.kill(&leader);
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    cluster.restart(&leader).await;
    cluster.until_voters(3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let written = writer.stop().await;
    put(&cluster.client("s1").await, "/w/zzz", "last").await;
    let items = all(&cluster.client("s1").await, "/w/").await;
    let mut expected: Vec<(Revision, Key)> =
        items.into_iter().map(|item| (item.mod_revision, item.key)).collect();
    expected.sort();
    assert!(expected.len() > written.acknowledged.len());
    let started = Instant::now();
    for (name, seen, task) in watchers {
        while seen.lock().last() != expected.last() {
            let got = seen.lock().len();
            assert!(started.elapsed() < LIMIT, "the watcher at {name} saw {got} of {}", expected.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(*seen.lock(), expected, "watcher at {name}");
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_one_member_is_not_ended_by_the_death_of_its_actor() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client("s1").await;
    let after = client.call(GetStatus {}).await.unwrap().revision;
    let topic =
        WatchTopic { filter: WatchFilter::Prefix("/k/".into()), after, previous: false, bookmark_ms: 0 };
    let mut stream = client.watch(&topic).unwrap();
    cluster.must("s1", &["chaos", "arm", "--kill=/server/s1/store", "--max-hits=1"]);
    // The call that dies with the actor; its outcome is unknown to us.
    let _killed = cluster.run("s1", &["kv", "put", "/other", "x", "--timeout-ms=1000"]);
    let revision = put(&client, "/k/1", "x").await;
    let first = tokio::time::timeout(LIMIT, stream.next()).await.unwrap().unwrap();
    let WatchMessage::Events { events, .. } = first else { panic!("{first:?}") };
    assert_eq!(events[0].revision, revision);
}

/// Reads until the watch ends or has seen this revision. Every event follows the one before: none is lost or doubled.
async fn read_on(stream: &mut WatchStream, mut last: Revision, to: Revision) -> (Revision, Option<WatchEnd>) {
    while last < to {
        match tokio::time::timeout(LIMIT, stream.next()).await.unwrap().unwrap() {
            WatchMessage::Events { events, .. } => {
                for event in events {
                    assert_eq!(event.revision, last.next());
                    last = event.revision;
                }
            }
            WatchMessage::End(end) => return (last, Some(end)),
            other => panic!("{other:?}"),
        }
    }
    (last, None)
}

async fn put_large(client: &StoreClient, count: usize) -> Revision {
    let value = "x".repeat(100_000);
    let mut last = Revision::ZERO;
    for index in 0..count {
        last = put(client, &format!("/slow/{}", index % 10), &value).await;
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_watcher_is_held_back_and_not_cut_off_until_history_ends() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client("s1").await;
    let limits = Limits { history_bytes: 4 * HISTORY_BYTES_MIN, ..Limits::default() };
    let call = Propose { proposal: Proposal::new(Entry::Configure(limits)), timeout_ms: 4_000 };
    client.call(call).await.unwrap().unwrap().outcome.unwrap();
    let after = client.call(GetStatus {}).await.unwrap().revision;
    let filter = WatchFilter::Prefix("/slow/".into());
    let topic = WatchTopic { filter, after, previous: false, bookmark_ms: 0 };
    let watcher = cluster.client("s1").await;
    let mut stream = watcher.watch(&topic).unwrap();
    // More than credit and buffer hold together, less than the history.
    let last = put_large(&client, 200).await;
    assert_eq!(read_on(&mut stream, after, last).await, (last, None));
    // More than the history holds: what is left comes in order, then the end says where history begins.
    let end = put_large(&client, 800).await;
    let (reached, ended) = read_on(&mut stream, last, end).await;
    assert!(reached > last && reached < end, "{reached} of {end}");
    let Some(WatchEnd::Compacted { position, compacted }) = ended else { panic!("{ended:?}") };
    assert!(position >= reached && position < compacted && compacted < end, "{position} {compacted}");
}
