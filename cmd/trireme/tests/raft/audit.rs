//! Members whose state departs from the log are found out and stop serving.

use std::time::Instant;

use trireme_store::calls::{Consistency, Get, GetStatus, PlantDivergence, Standing};

use crate::kit::{Cluster, LIMIT};
use crate::writer::{Writer, all, check, put};

/// Plants a divergence at this server and waits until it has stopped serving.
async fn found_out(cluster: &Cluster, name: &str) {
    let client = cluster.client(name).await;
    assert!(client.call(PlantDivergence {}).await.unwrap());
    let started = Instant::now();
    while !cluster.said(name).contains("differs from that of the majority") {
        assert!(started.elapsed() < LIMIT, "{name} goes on:\n{}", cluster.said(name));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // Whoever asks it gets no answer from its state.
    let get = Get { key: "/a".into(), consistency: Consistency::Local };
    let read = client.call(get).await;
    assert!(!matches!(read, Ok(Ok(_))), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_differs_stops_serving_and_comes_back_as_a_new_one() {
    let mut cluster = Cluster::start(3).await;
    put(&cluster.client("s1").await, "/a", "b").await;
    let leader = cluster.leader().await;
    let follower = cluster.names().into_iter().find(|name| *name != leader).unwrap();
    let other = cluster.names().into_iter().find(|name| *name != leader && *name != follower).unwrap();

    // An idle cluster: all members stand at the same index.
    found_out(&cluster, &follower).await;
    // Nor does it serve after a restart.
    cluster.stop(&follower).await;
    cluster.spawn(&follower, None);
    assert!(!cluster.until_ended(&follower).await);
    let said = cluster.said(&follower);
    assert!(said.contains(&format!("trireme raft remove {follower}")), "{said}");
    cluster.must(&leader, &["raft", "remove", &follower]);
    std::fs::remove_dir_all(cluster.data(&follower).join("store")).unwrap();
    cluster.restart(&follower).await;
    cluster.until_voters(3).await;
    cluster.until_equal().await;

    // A busy cluster, and the leader itself: the others go on without it.
    let writer = Writer::start(&cluster, "/busy/");
    let leader = cluster.leader().await;
    found_out(&cluster, &leader).await;
    cluster.kill(&leader);
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    let client = cluster.client(&next).await;
    put(&client, "/after", "x").await;
    let written = writer.stop().await;
    check(&written, &all(&client, "/busy/").await);
    // Nobody else was blamed.
    for name in cluster.names() {
        assert_eq!(cluster.status(&name).await.standing, Standing::Voter, "{name}");
        assert!(cluster.client(&name).await.call(GetStatus {}).await.is_ok());
    }
    println!("{other} was never blamed");
}
