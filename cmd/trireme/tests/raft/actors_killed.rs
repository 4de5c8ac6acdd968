//! Every actor of the store's scope is killed and made to panic while writes flow.

use std::time::Duration;

use trireme_mvcc::{Entry, LeaseId, Proposal};
use trireme_store::calls::Propose;

use crate::kit::Cluster;
use crate::writer::{Writer, all, check};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_the_death_of_every_actor() {
    let cluster = Cluster::start(3).await;
    let writers = [Writer::start(&cluster, "/a/"), Writer::start(&cluster, "/b/")];
    // A lease keeps the cluster's clock busy, so that it is hit as well.
    let client = cluster.client("s3").await;
    let lease = Entry::LeaseGrant { lease: LeaseId::new(7).unwrap(), ttl_ms: 3_600_000 };
    client
        .call(Propose { proposal: Proposal::new(lease), timeout_ms: 4_000 })
        .await
        .unwrap()
        .unwrap()
        .outcome
        .unwrap();
    for fault in ["--kill", "--panic"] {
        for glob in ["/server/*/store", "/server/*/store/**", "/cluster", "/cluster/**"] {
            let fault = format!("{fault}={glob}");
            cluster.must(
                "s1",
                &["chaos", "arm", &fault, "--per-mille=50", "--max-hits=4", "--dead-man-ms=4000"],
            );
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        cluster.must("s1", &["chaos", "heal"]);
    }
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.stop().await);
    }
    let total: usize = written.iter().map(|written| written.acknowledged.len()).sum();
    assert!(total > 10, "{total} writes");
    cluster.until_equal().await;
    let client = cluster.client("s2").await;
    check(&written[0], &all(&client, "/a/").await);
    check(&written[1], &all(&client, "/b/").await);
    // The faults did hit.
    let died = |actor: &str| cluster.names().iter().filter(|name| cluster.said(name).contains(actor)).count();
    assert!(died("/store") > 0 && died("/cluster/clock") > 0);
    println!(
        "{total} writes while actors died; longest gaps {:?} {:?}",
        written[0].longest_gap, written[1].longest_gap
    );
}
