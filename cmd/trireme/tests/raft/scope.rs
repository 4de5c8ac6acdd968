//! The leader scope: one per term, quick to move, and its clock ends leases.

use std::time::{Duration, Instant};

use bytes::Bytes;
use trireme_mvcc::{Answer, Entry, LeaseId, Operation, Proposal, Refusal};
use trireme_store::StoreClient;
use trireme_store::calls::{Consistency, Get, GetStatus, Propose};

use crate::kit::{Cluster, LIMIT};

async fn propose(client: &StoreClient, proposal: Proposal) -> Result<Answer, Refusal> {
    let call = Propose { proposal, timeout_ms: 4_500 };
    client.call(call).await.expect("an answer").expect("committed").outcome
}

async fn leased(client: &StoreClient, id: u64, key: &str, ttl_ms: u64) {
    let lease = LeaseId::new(id).unwrap();
    propose(client, Proposal::new(Entry::LeaseGrant { lease, ttl_ms })).await.unwrap();
    let put = Operation::Put { key: key.into(), value: Bytes::from_static(b"x"), lease: Some(lease) };
    propose(client, Proposal::transaction(Vec::new(), vec![put])).await.unwrap();
}

async fn exists(client: &StoreClient, key: &str) -> bool {
    let get = Get { key: key.into(), consistency: Consistency::Linearizable };
    client.call(get).await.expect("an answer").expect("read").item.is_some()
}

async fn until_gone(client: &StoreClient, key: &str) {
    let started = Instant::now();
    while exists(client, key).await {
        assert!(started.elapsed() < LIMIT, "{key} outlives its lease");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_end_under_every_leader_and_the_log_is_quiet_without_them() {
    let mut cluster = Cluster::start(3).await;
    let client = cluster.client(&cluster.leader().await).await;
    let begun = Instant::now();
    leased(&client, 1, "/leased/1", 3_000).await;
    assert!(exists(&client, "/leased/1").await || begun.elapsed() > Duration::from_secs(2));
    until_gone(&client, "/leased/1").await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    // No leases: nothing is written.
    let since = Instant::now();
    let last = async || client.call(GetStatus {}).await.unwrap().raft.last_index;
    loop {
        let before = last().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if last().await == before {
            break;
        }
        assert!(since.elapsed() < LIMIT, "the log goes on without leases");
    }

    leased(&client, 2, "/leased/2", 3_000).await;
    let old = cluster.leader().await;
    let term = cluster.status(&old).await.raft.term;
    cluster.kill(&old);
    let killed = Instant::now();
    let moved = loop {
        let mut scopes = Vec::new();
        for name in cluster.names() {
            let status = cluster.status(&name).await;
            scopes.extend(status.leader_scope_term.map(|term| (term, name)));
        }
        if let Some((now, _)) = scopes.iter().find(|(now, _)| *now > term) {
            let same = scopes.iter().filter(|(other, _)| other == now).count();
            assert_eq!(same, 1, "{scopes:?}");
            break killed.elapsed();
        }
        assert!(killed.elapsed() < LIMIT, "no leader scope: {scopes:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    println!("leader scope runs elsewhere {moved:?} after its leader was killed");
    let client = cluster.client(&cluster.leader().await).await;
    until_gone(&client, "/leased/2").await;

    // What the dead leader's scope may still say is not carried out.
    let put = Operation::Put { key: "/fenced".into(), value: Bytes::from_static(b"x"), lease: None };
    let late = Proposal::transaction(Vec::new(), vec![put]).with_fence(term);
    assert!(matches!(propose(&client, late).await, Err(Refusal::FencedOldTerm { .. })));
    assert!(!exists(&client, "/fenced").await);
}
