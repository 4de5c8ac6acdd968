//! Saving and restoring the content.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use trireme_mvcc::{Entry, KeyRange, Limits, Proposal, Refusal, Revision};
use trireme_raft::store::StoreError;
use trireme_store::calls::{Consistency, List, PAGE_BYTES_MAX, PAGE_OBJECTS_MAX, Propose, ReadRefused};
use trireme_store::{WatchEnd, WatchFilter, WatchMessage, WatchTopic};

use crate::kit::{Cluster, LIMIT};
use crate::writer::{all, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_snapshot_comes_back_under_new_revisions_and_no_watcher_is_fooled() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client("s1").await;
    for index in 0..300 {
        put(&client, &format!("/kept/{index:03}"), &"x".repeat(5_000)).await;
    }
    let file = cluster.folder().join("saved");
    let file = file.to_str().unwrap();
    let said = cluster.must("s2", &["raft", "snapshot", "save", file]);
    assert!(said.starts_with("saved 300 objects"), "{said}");
    let before = all(&client, "/").await;
    // Another timeline: changed, deleted and added.
    put(&client, "/kept/000", "changed").await;
    put(&client, "/new", "added").await;
    cluster.must("s3", &["kv", "delete", "/kept/001"]);
    let seen = all(&client, "/").await.iter().map(|item| item.mod_revision).max().unwrap();
    let follower = cluster.client("s3").await;
    let topic = |after| WatchTopic {
        filter: WatchFilter::Prefix("/".into()),
        after,
        previous: false,
        bookmark_ms: 0,
    };
    let mut watcher = follower.watch(&topic(seen)).unwrap();

    let said = cluster.must("s3", &["raft", "snapshot", "restore", file]);
    assert!(said.starts_with("restored 300 objects, deleted 1 others"), "{said}");
    let after = all(&follower, "/").await;
    let content = |items: &[trireme_store::calls::Item]| -> Vec<_> {
        items.iter().map(|item| (item.key.clone(), item.value.clone())).collect()
    };
    assert_eq!(content(&after), content(&before));
    assert!(after.iter().all(|item| item.mod_revision > Revision::new(seen.get() + 500_000_000)));
    // The watcher was there before: it must list again.
    let end = loop {
        match tokio::time::timeout(LIMIT, watcher.next()).await.unwrap().unwrap() {
            WatchMessage::End(end) => break end,
            WatchMessage::Events { .. } | WatchMessage::Previous(_) | WatchMessage::Bookmark(_) => {}
        }
    };
    assert!(matches!(end, WatchEnd::Compacted { .. }), "{end}");
    // As must one that comes back from before.
    let mut late = follower.watch(&topic(seen)).unwrap();
    let message = tokio::time::timeout(LIMIT, late.next()).await.unwrap().unwrap();
    assert!(matches!(message, WatchMessage::End(WatchEnd::Compacted { .. })), "{message:?}");
    cluster.until_equal().await;

    // A damaged file is refused and changes nothing.
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = cluster.folder().join("damaged");
    std::fs::write(&damaged, bytes).unwrap();
    let out = cluster.run("s1", &["raft", "snapshot", "restore", damaged.to_str().unwrap()]);
    assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains("damaged"), "{out:?}");
    assert_eq!(content(&all(&client, "/").await), content(&before));
}

/// Two batches and more, so that there is a half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_what_was_before_a_restore_or_all_of_it() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client("s1").await;
    for index in 0..300 {
        put(&client, &format!("/kept/{index:03}"), &"x".repeat(5_000)).await;
    }
    let file = cluster.folder().join("saved");
    let file = file.to_str().unwrap();
    cluster.must("s1", &["raft", "snapshot", "save", file]);
    for index in 0..300 {
        put(&client, &format!("/kept/{index:03}"), "now").await;
    }
    let over = Arc::new(AtomicBool::new(false));
    let readers = ["s1", "s2", "s3"].map(|name| {
        let (over, client) = (Arc::clone(&over), cluster.client(name));
        async move { (over, client.await) }
    });
    let mut tasks = Vec::new();
    for reader in readers {
        let (over, client) = reader.await;
        tasks.push(tokio::spawn(async move {
            let list = List {
                range: KeyRange::prefix("/kept/"),
                consistency: Consistency::Local,
                after: None,
                limit_objects: PAGE_OBJECTS_MAX,
                limit_bytes: PAGE_BYTES_MAX,
            };
            let (mut refused, mut seen) = (0, 0);
            while !over.load(Ordering::Acquire) {
                match client.call(list.clone()).await.unwrap() {
                    Ok(page) => {
                        let old = page.items.iter().filter(|item| item.value == "now").count();
                        assert!(
                            page.items.len() == 300 && (old == 0 || old == 300),
                            "{old} old of {}",
                            page.items.len()
                        );
                        seen += 1;
                    }
                    Err(ReadRefused::Store(StoreError::Unavailable { why, .. })) => {
                        assert!(why.contains("being restored"), "{why}");
                        refused += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            (seen, refused)
        }));
    }
    cluster.must("s2", &["raft", "snapshot", "restore", file]);
    assert_eq!(all(&client, "/kept/").await.iter().filter(|item| item.value == "now").count(), 0);
    over.store(true, Ordering::Release);
    for task in tasks {
        let (seen, refused) = task.await.unwrap();
        assert!(seen > 0 && refused > 0, "{seen} lists, {refused} refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_under_which_nothing_works_are_refused() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client("s1").await;
    let silly = [
        ("history_changes", Limits { history_changes: 0, ..Limits::default() }),
        ("history_bytes", Limits { history_bytes: 1, ..Limits::default() }),
        ("space_bytes", Limits { space_bytes: 0, ..Limits::default() }),
        ("reserve_bytes", Limits { reserve_bytes: 0, ..Limits::default() }),
    ];
    for (name, limits) in silly {
        let call = Propose { proposal: Proposal::new(Entry::Configure(limits)), timeout_ms: 4_000 };
        let refused = client.call(call).await.unwrap().unwrap_err();
        let StoreError::Invalid(Refusal::LimitTooSmall { limit, .. }) = refused else { panic!("{refused}") };
        assert_eq!(limit, name);
    }
    let call = Propose { proposal: Proposal::new(Entry::Configure(Limits::default())), timeout_ms: 4_000 };
    client.call(call).await.unwrap().unwrap().outcome.unwrap();
}
