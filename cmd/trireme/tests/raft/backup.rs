//! Saving and restoring the content.

use trireme_mvcc::Revision;
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
