//! Every actor of the store's scope is killed and made to panic while writes flow.

use std::time::Duration;

use crate::kit::Cluster;
use crate::writer::{Writer, all, check};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_the_death_of_every_actor() {
    let cluster = Cluster::start(3).await;
    let writers = [Writer::start(&cluster, "/a/").await, Writer::start(&cluster, "/b/").await];
    for fault in ["--kill", "--panic"] {
        for glob in ["/server/*/store", "/server/*/store/**", "/cluster", "/cluster/**"] {
            let fault = format!("{fault}={glob}");
            cluster.must("s1", &["chaos", "arm", &fault, "--per-mille=100", "--dead-man-ms=4000"]);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        cluster.must("s1", &["chaos", "heal"]);
    }
    // Those that take few inputs are killed by hand of their supervisor's restart.
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.stop().await);
    }
    let total: usize = written.iter().map(|written| written.acknowledged.len()).sum();
    assert!(total > 100, "{total} writes");
    cluster.until_equal().await;
    let client = cluster.client("s2").await;
    check(&written[0], &all(&client, "/a/").await);
    check(&written[1], &all(&client, "/b/").await);
    let tree = cluster.must("s1", &["actors", "-o", "json"]);
    let tree: serde_json::Value = serde_json::from_str(&tree).unwrap();
    let restarts = tree.to_string().matches("/store\"").count();
    assert!(restarts > 0);
    println!("{total} writes while actors died; longest gaps {:?} {:?}", written[0].longest_gap, written[1].longest_gap);
}
