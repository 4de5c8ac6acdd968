//! Growth, removal, hand-over.

use rustix::process::Signal;
use trireme_store::calls::Standing;

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
        // Asked at a member that does not lead. A machine under load may lose an offer; that costs nothing.
        assert_eq!(cluster.until_done(&to, &["raft", "transfer", &to]).await, format!("{to} leads"));
        cluster.until_led_by(&to).await;
    }
    let written = writer.stop().await;
    println!("hand-overs: longest gap between writes {:?}", written.longest_gap);
    check(&written, &all(&cluster.client("s1").await, "/move/").await);
    cluster.until_equal().await;
}

/// It was cut off when it was removed, so it goes on believing in its last leader, who does not speak to it any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_removed_while_it_was_cut_off_stops_calling_itself_a_voter() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let other = cluster.names().into_iter().find(|name| *name != leader && name != "s1").unwrap();
    cluster.signal(&other, Signal::STOP);
    cluster.must(&leader, &["raft", "remove", &other]);
    cluster.signal(&other, Signal::CONT);
    let started = std::time::Instant::now();
    loop {
        let standing = match cluster.try_client(&other).await {
            Some(client) => {
                client.call(trireme_store::calls::GetStatus {}).await.ok().map(|now| now.standing)
            }
            None => None,
        };
        if let Some(Standing::Refused { why }) = standing {
            assert!(why.contains("was removed from the cluster"), "{why}");
            break;
        }
        assert!(started.elapsed() < crate::kit::LIMIT, "{standing:?}\n{}", cluster.said(&other));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Nobody can take it in: the cluster has no quorum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_never_taken_in_gives_up_and_says_why() {
    let mut cluster = Cluster::start(2).await;
    cluster.kill("s2");
    let token = cluster.must("s1", &["token", "create", "--role=server"]);
    cluster.spawn("s3", Some((cluster.address("s1"), token)));
    assert!(!cluster.until_ended("s3").await);
    let said = cluster.said("s3");
    assert!(said.contains("was not taken into the cluster within") && said.contains("raft status"), "{said}");
    // A known voter in the same plight is up: it has nobody to ask.
    cluster.kill("s1");
    cluster.restart("s2").await;
}

/// At its restart a founder's log is known before it looks whether it has to found a cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_does_not_try_to_found_again() {
    let mut cluster = Cluster::start(1).await;
    put(&cluster.client("s1").await, "/a", "b").await;
    for _ in 0..5 {
        cluster.kill("s1");
        cluster.restart("s1").await;
    }
    let said = cluster.said("s1");
    assert!(!said.contains("not founded yet"), "{said}");
}
