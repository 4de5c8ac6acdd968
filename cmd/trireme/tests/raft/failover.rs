//! Leaders die.

use std::time::{Duration, Instant};

use crate::kit::Cluster;
use crate::writer::{Writer, all, check, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_costs_no_acknowledged_write_and_catches_up() {
    let mut cluster = Cluster::start(3).await;
    let writers = [Writer::start(&cluster, "/a/"), Writer::start(&cluster, "/b/")];
    let mut gaps = Vec::new();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let leader = cluster.leader().await;
        cluster.kill(&leader);
        let killed = Instant::now();
        let next = cluster.leader().await;
        put(&cluster.client(&next).await, "/after", &leader).await;
        gaps.push(killed.elapsed());
        assert_ne!(next, leader);
        cluster.restart(&leader).await;
        cluster.until_voters(3).await;
    }
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.stop().await);
    }
    cluster.until_equal().await;
    for name in cluster.names() {
        let client = cluster.client(&name).await;
        check(&written[0], &all(&client, "/a/").await);
        check(&written[1], &all(&client, "/b/").await);
    }
    let longest = written.iter().map(|written| written.longest_gap).max();
    println!("killed leaders: next write after {gaps:?}; longest gap of a writer {longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_servers_die_at_once_and_come_back_with_everything() {
    let mut cluster = Cluster::start(3).await;
    let writer = Writer::start(&cluster, "/x/");
    tokio::time::sleep(Duration::from_millis(500)).await;
    for name in cluster.names() {
        cluster.kill(&name);
    }
    for name in ["s1", "s2", "s3"] {
        cluster.spawn(name, None);
    }
    for name in ["s1", "s2", "s3"] {
        cluster.until_up(name).await;
    }
    cluster.until_voters(3).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let written = writer.stop().await;
    cluster.until_equal().await;
    check(&written, &all(&cluster.client("s2").await, "/x/").await);
}
