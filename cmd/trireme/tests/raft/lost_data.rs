//! Servers that lost their database.

use crate::kit::Cluster;
use crate::writer::{all, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_server_is_refused_until_its_old_member_is_removed() {
    let mut cluster = Cluster::start(3).await;
    put(&cluster.client("s1").await, "/a", "b").await;
    cluster.kill("s2");
    std::fs::remove_dir_all(cluster.data("s2").join("store")).unwrap();
    cluster.spawn("s2", None);
    assert!(!cluster.until_ended("s2").await);
    let said = cluster.said("s2");
    assert!(said.contains("trireme raft remove s2"), "{said}");
    // Nothing was taken in under the old name.
    cluster.until_voters(3).await;
    cluster.must("s1", &["raft", "remove", "s2"]);
    cluster.restart("s2").await;
    cluster.until_voters(3).await;
    assert_eq!(all(&cluster.client("s2").await, "/a").await.len(), 1);
    cluster.until_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_founder_does_not_found_again() {
    let mut cluster = Cluster::start(1).await;
    put(&cluster.client("s1").await, "/a", "b").await;
    cluster.stop("s1").await;
    std::fs::remove_dir_all(cluster.data("s1").join("store")).unwrap();
    cluster.spawn("s1", None);
    assert!(!cluster.until_ended("s1").await);
    let said = cluster.said("s1");
    assert!(said.contains("its data is lost") && said.contains("snapshot restore"), "{said}");
}
