//! Disks that fail under a running member.

use trireme_mvcc::Revision;
use trireme_store::calls::SetDiskFaults;
use trireme_store::{WatchFilter, WatchTopic};

use crate::kit::Cluster;
use crate::writer::{Writer, all, check, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_disk_fails_is_opened_anew_and_catches_up() {
    let cluster = Cluster::start(3).await;
    let writer = Writer::start(&cluster, "/d/");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let leader = cluster.leader().await;
    let client = cluster.client(&leader).await;
    let filter = WatchFilter::Prefix("/d/".into());
    let topic = WatchTopic { filter, after: Revision::ZERO, previous: false, bookmark_ms: 0 };
    let mut watch = client.watch(&topic).unwrap();
    let broken = SetDiskFaults { fail_syncs: true, dead_man_ms: 1_000, ..SetDiskFaults::default() };
    assert!(client.call(broken).await.unwrap() > 0);
    let started = std::time::Instant::now();
    while !cluster.said(&leader).contains("opened anew") {
        assert!(started.elapsed() < crate::kit::LIMIT, "the member goes on with a broken disk");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // What was watched at the member before has ended, and is not left without a word.
    let ended = async { while watch.next().await.is_ok() {} };
    tokio::time::timeout(crate::kit::LIMIT, ended).await.expect("the watch of a closed member goes on");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let written = writer.stop().await;
    cluster.until_voters(3).await;
    cluster.until_equal().await;
    check(&written, &all(&cluster.client(&leader).await, "/d/").await);
    println!("a failing disk under the leader: longest gap {:?}", written.longest_gap);
}

/// A cluster of one, so that nobody else helps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_puts_lets_deletes_pass_and_heals_by_itself() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client("s1").await;
    for index in 0..20 {
        put(&client, &format!("/f/{index}"), "x").await;
    }
    let full = SetDiskFaults { room_bytes: Some(0), dead_man_ms: 60_000, ..SetDiskFaults::default() };
    client.call(full).await.unwrap();
    let started = std::time::Instant::now();
    let refused = loop {
        let out = cluster.run("s1", &["kv", "put", "/f/more", "x"]);
        if !out.status.success() {
            break String::from_utf8_lossy(&out.stderr).into_owned();
        }
        assert!(started.elapsed() < crate::kit::LIMIT, "a put passes on a full disk");
    };
    assert!(refused.contains("free") && refused.contains("delete"), "{refused}");
    for index in 0..20 {
        cluster.must("s1", &["kv", "delete", &format!("/f/{index}")]);
    }
    let left = all(&client, "/f/").await;
    assert!(left.iter().all(|item| *item.key == *b"/f/more"), "{left:?}");
    // Room again: nobody has to do anything.
    client.call(SetDiskFaults::default()).await.unwrap();
    let started = std::time::Instant::now();
    while !cluster.run("s1", &["kv", "put", "/f/again", "x"]).status.success() {
        assert!(started.elapsed() < crate::kit::LIMIT, "puts are refused though there is room");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
