//! Growth, removal, hand-over.

use crate::kit::Cluster;
use crate::writer::{Writer, all, check, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_live_from_one_to_five_and_loses_the_dead() {
    let mut cluster = Cluster::start(1).await;
    put(&cluster.client("s1").await, "/before", "alone").await;
    let writer = Writer::start(&cluster, "/grow/");
    for (name, voters) in [("s2", 2), ("s3", 3), ("s4", 4), ("s5", 5)] {
        cluster.join(name).await;
        cluster.until_voters(voters).await;
    }
    // Writes go through any member.
    for name in cluster.names() {
        put(&cluster.client(&name).await, &format!("/via/{name}"), "here").await;
    }
    cluster.kill("s5");
    cluster.must("s1", &["raft", "remove", "s5"]);
    cluster.until_voters(4).await;
    let refused = cluster.run("s1", &["raft", "remove", "s9"]);
    assert!(
        !refused.status.success()
            && String::from_utf8_lossy(&refused.stderr).contains("no member is called s9")
    );
    let written = writer.stop().await;
    assert!(!written.acknowledged.is_empty());
    let client = cluster.client("s4").await;
    check(&written, &all(&client, "/grow/").await);
    assert_eq!(all(&client, "/via/").await.len(), 5);
    cluster.until_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_server_is_told_so_and_joins_as_a_new_member() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let other = cluster.names().into_iter().find(|name| *name != leader && name != "s1").unwrap();
    cluster.stop(&other).await;
    cluster.must(&leader, &["raft", "remove", &other]);
    cluster.until_voters(2).await;
    // It does not know: its own copy still lists it.
    cluster.restart(&other).await;
    let started = std::time::Instant::now();
    while !cluster.said(&other).contains("was removed from the cluster") {
        assert!(started.elapsed() < crate::kit::LIMIT, "{}", cluster.said(&other));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    cluster.stop(&other).await;
    std::fs::remove_dir_all(cluster.data(&other).join("store")).unwrap();
    cluster.restart(&other).await;
    cluster.until_voters(3).await;
    cluster.until_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_where_it_is_asked_to() {
    let cluster = Cluster::start(3).await;
    let writer = Writer::start(&cluster, "/move/");
    for _ in 0..4 {
        let leader = cluster.leader().await;
        let to = cluster.names().into_iter().find(|name| *name != leader).unwrap();
        // Asked at a member that does not lead.
        assert_eq!(cluster.must(&to, &["raft", "transfer", &to]), format!("{to} leads"));
        assert_eq!(cluster.leader().await, to);
    }
    let written = writer.stop().await;
    println!("hand-overs: longest gap between writes {:?}", written.longest_gap);
    check(&written, &all(&cluster.client("s1").await, "/move/").await);
    cluster.until_equal().await;
}
