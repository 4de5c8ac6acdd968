//! History that is older than it has to be is forgotten.

use std::time::{Duration, Instant};

use trireme_mvcc::{KeyRange, Revision};
use trireme_store::calls::GetStatus;
use trireme_store::{WatchEnd, WatchFilter, WatchMessage, WatchTopic};

use crate::kit::{Cluster, LIMIT};
use crate::writer::put;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_history_goes_by_itself_and_its_watchers_are_told() {
    let cluster = Cluster::start_with(3, &["--store-history=2s"]).await;
    let client = cluster.client("s2").await;
    let first = put(&client, "/old", "1").await;
    let second = put(&client, "/old", "2").await;
    let topic = |after| WatchTopic {
        filter: WatchFilter::Range(KeyRange::all()),
        after,
        previous: false,
        bookmark_ms: 0,
    };
    // Young history is there.
    let mut watcher = client.watch(&topic(first)).unwrap();
    let message = tokio::time::timeout(LIMIT, watcher.next()).await.unwrap().unwrap();
    assert!(matches!(message, WatchMessage::Events { .. }), "{message:?}");
    let started = Instant::now();
    for name in ["s1", "s2", "s3"] {
        let client = cluster.client(name).await;
        while client.call(GetStatus {}).await.unwrap().compacted < second {
            assert!(started.elapsed() < LIMIT, "{name} keeps everything");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut late = client.watch(&topic(first)).unwrap();
    let message = tokio::time::timeout(LIMIT, late.next()).await.unwrap().unwrap();
    let WatchMessage::End(WatchEnd::Compacted { position, compacted }) = message else {
        panic!("{message:?}")
    };
    assert!(position == first && compacted == second, "{position} {compacted}");
    // The one that has seen everything goes on.
    let third = put(&client, "/old", "3").await;
    let message = tokio::time::timeout(LIMIT, watcher.next()).await.unwrap().unwrap();
    let WatchMessage::Events { events, .. } = message else { panic!("{message:?}") };
    assert_eq!(events.iter().map(|event| event.revision).collect::<Vec<_>>(), [third]);
    // With nothing to forget nothing is written.
    let started = Instant::now();
    while client.call(GetStatus {}).await.unwrap().compacted < third {
        assert!(started.elapsed() < LIMIT, "the last change is kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let since = Instant::now();
    loop {
        let before = client.call(GetStatus {}).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let still = client.call(GetStatus {}).await.unwrap();
        assert_eq!(still.compacted, third);
        if still.raft.last_index == before.raft.last_index {
            break;
        }
        assert!(since.elapsed() < LIMIT, "the log goes on though there is nothing to forget");
    }
    assert!(third > Revision::ZERO);
}
