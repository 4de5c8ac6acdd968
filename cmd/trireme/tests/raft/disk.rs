//! Disks that fail under a running member.

use trireme_store::calls::SetDiskFaults;

use crate::kit::Cluster;
use crate::writer::{Writer, all, check};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_disk_fails_is_opened_anew_and_catches_up() {
    let cluster = Cluster::start(3).await;
    let writer = Writer::start(&cluster, "/d/");
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let leader = cluster.leader().await;
    let client = cluster.client(&leader).await;
    let broken = SetDiskFaults { fail_syncs: true, dead_man_ms: 1_000, ..SetDiskFaults::default() };
    assert!(client.call(broken).await.unwrap() > 0);
    let started = std::time::Instant::now();
    while !cluster.said(&leader).contains("opened anew") {
        assert!(started.elapsed() < crate::kit::LIMIT, "the member goes on with a broken disk");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let written = writer.stop().await;
    cluster.until_voters(3).await;
    cluster.until_equal().await;
    check(&written, &all(&cluster.client(&leader).await, "/d/").await);
    println!("a failing disk under the leader: longest gap {:?}", written.longest_gap);
}
