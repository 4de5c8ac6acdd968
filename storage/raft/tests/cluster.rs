//! Three members in one process: elect, write anywhere, lose the leader, come back, catch up by snapshot, change the
//! membership, read linearizably.

#![allow(clippy::unwrap_used)] // A test.

#[path = "support/cluster.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::{Cluster, LONG, delete, ok, put};
use trireme_mvcc::{Batch, ClientId, Filter, Key, ReadLimits, RequestId, Revision, WatchRequest};
use trireme_raft::LogKind;
use trireme_raft::store::{MembershipChange, Role, Store, StoreConfig, StoreError};

fn config() -> StoreConfig {
    // Slow enough for a loaded machine.
    StoreConfig { heartbeat_ms: 100, election_ms: (500, 1000), ..StoreConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_through_any_member_reach_all() {
    for kind in [LogKind::Segmented, LogKind::Sled] {
        let cluster = Cluster::start(3, kind, config()).await;
        cluster.leader().await;
        for id in 1..=3 {
            let index = cluster.put_ok(id, &format!("key{id}"), &format!("by {id}")).await;
            cluster.store(id).wait_applied(index).await;
            assert_eq!(cluster.get(id, &format!("key{id}")).as_deref(), Some(format!("by {id}").as_str()));
        }
        cluster.converge().await;
        for id in 1..=3 {
            assert_eq!(cluster.get(id, "key2").as_deref(), Some("by 2"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_leader_is_replaced_and_comes_back() {
    let mut cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    let old = cluster.leader().await;
    for n in 0..20 {
        cluster.put_ok(1, &format!("before{n}"), "x").await;
    }
    cluster.stop(old).await;
    let new = cluster.leader().await;
    assert_ne!(old, new);
    let other = *cluster.stores.keys().find(|id| **id != new).unwrap();
    for n in 0..20 {
        cluster.put_ok(other, &format!("between{n}"), "y").await;
    }
    cluster.restart(old).await;
    cluster.leader().await;
    cluster.put_ok(old, "after", "z").await;
    cluster.converge().await;
    for id in 1..=3 {
        assert_eq!(cluster.get(id, "before19").as_deref(), Some("x"));
        assert_eq!(cluster.get(id, "between19").as_deref(), Some("y"));
        assert_eq!(cluster.get(id, "after").as_deref(), Some("z"));
    }
}

/// Members that are heard but do not hear, or the other way round: whatever is acknowledged meanwhile, by whichever
/// member believes to lead, is in the one log under the index that was told, and no index was told twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_way_cuts_never_make_two_leaders_that_acknowledge() {
    const ROUND: Duration = Duration::from_millis(900);
    let quick = StoreConfig { heartbeat_ms: 50, election_ms: (150, 300), ..StoreConfig::default() };
    let cluster = Cluster::start(3, LogKind::Segmented, quick).await;
    cluster.leader().await;
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    for round in 0..6_u64 {
        let leader = cluster.leader().await;
        let other = 1 + leader % 3;
        let third = 6 - leader - other;
        match round % 3 {
            // The leader is heard by all and hears nobody.
            0 => [other, third].into_iter().for_each(|from| cluster.net.cut(from, leader)),
            // The leader hears all and is heard by nobody.
            1 => [other, third].into_iter().for_each(|to| cluster.net.cut(leader, to)),
            // Each hears one of the others only.
            _ => {
                for (from, to) in [(leader, other), (other, third), (third, leader)] {
                    cluster.net.cut(from, to);
                }
            }
        }
        let started = std::time::Instant::now();
        let writers = (1..=3).map(|id| {
            let cluster = &cluster;
            async move {
                let mut told = Vec::new();
                for n in 0.. {
                    if started.elapsed() > ROUND {
                        break;
                    }
                    let key = format!("{round}-{id}-{n}");
                    let limit = Duration::from_millis(200);
                    if let Ok(committed) = cluster.store(id).propose(put(&key, "v"), limit).await {
                        committed.outcome.unwrap();
                        told.push((committed.index, key));
                    }
                }
                told
            }
        });
        for told in futures_util::future::join_all(writers).await {
            acknowledged.extend(told);
        }
        cluster.net.heal();
    }
    cluster.leader().await;
    cluster.put_ok(1, "last", "v").await;
    cluster.converge().await;
    assert!(!acknowledged.is_empty(), "no write came through");
    let indexes: BTreeSet<u64> = acknowledged.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes.len(), acknowledged.len(), "one index was told for two writes");
    for (index, key) in &acknowledged {
        for id in 1..=3 {
            assert_eq!(cluster.get(id, key).as_deref(), Some("v"), "{key}, told at {index}, is lost at {id}");
        }
    }
    // Later in the log means later in revisions: the order that was told is the order of the log.
    let mut by_index = acknowledged.clone();
    by_index.sort();
    let revisions: Vec<u64> = by_index
        .iter()
        .map(|(_, key)| {
            cluster.store(1).read(|state| state.get(key.as_bytes()).unwrap().mod_revision().get())
        })
        .collect();
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]), "the log has another order than was told");
}

/// A member that is away is asked now and then, not as fast as the processor can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_away_costs_its_leader_nothing() {
    const AWAY: Duration = Duration::from_secs(2);
    let mut cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    let leader = cluster.leader().await;
    let away = *cluster.stores.keys().find(|id| **id != leader).unwrap();
    cluster.stop(away).await;
    let (started, before) = (std::time::Instant::now(), cluster.net.streams_asked());
    while started.elapsed() < AWAY {
        cluster.put_ok(leader, "k", "v").await;
    }
    let asked = cluster.net.streams_asked() - before;
    let most = u64::try_from(started.elapsed().as_millis()).unwrap() / 10;
    assert!(asked > 0 && asked < most, "{asked} attempts in {:?}", started.elapsed());
    cluster.restart(away).await;
    cluster.put_ok(away, "after", "z").await;
    cluster.converge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_members_restart_with_everything() {
    for kind in [LogKind::Segmented, LogKind::Sled] {
        let mut cluster = Cluster::start(3, kind, config()).await;
        for n in 0..50 {
            cluster.put_ok(1, &format!("k{n}"), &format!("v{n}")).await;
        }
        for id in 1..=3 {
            cluster.stop(id).await;
        }
        for id in 1..=3 {
            cluster.restart(id).await;
        }
        cluster.leader().await;
        cluster.store(2).read_index().await.unwrap();
        for n in 0..50 {
            assert_eq!(cluster.get(2, &format!("k{n}")), Some(format!("v{n}")));
        }
        cluster.put_ok(3, "more", "m").await;
        cluster.converge().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_far_behind_catches_up_by_snapshot() {
    let config = StoreConfig { snapshot_entries: 200, kept_entries: 10, ..config() };
    let mut cluster = Cluster::start(3, LogKind::Segmented, config).await;
    let leader = cluster.leader().await;
    let late = *cluster.stores.keys().find(|id| **id != leader).unwrap();
    cluster.stop(late).await;
    for n in 0..600 {
        cluster.put_ok(leader, &format!("k{}", n % 50), &"v".repeat(n)).await;
    }
    cluster.store(leader).take_snapshot().await.unwrap();
    cluster
        .until("the leader purged what the late member lacks", |c| c.store(leader).status().purged > 500)
        .await;
    cluster.restart(late).await;
    cluster.put_ok(late, "after", "z").await;
    cluster.converge().await;
    assert!(cluster.store(late).status().snapshot > 500, "it did not come by snapshot");
    assert_eq!(cluster.get(late, "k49"), Some("v".repeat(599)));

    // What was installed survives a restart as well.
    cluster.stop(late).await;
    cluster.restart(late).await;
    cluster.store(late).read_index().await.unwrap();
    assert_eq!(cluster.get(late, "k49"), Some("v".repeat(599)));
    cluster.converge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_membership_grows_and_shrinks_live() {
    let mut cluster = Cluster::start(1, LogKind::Segmented, config()).await;
    cluster.put_ok(1, "a", "1").await;
    for id in 2..=5 {
        cluster.join(id).await;
        cluster.put_ok(id, &format!("joined{id}"), "x").await;
    }
    let voters = |c: &Cluster, at| {
        let members = c.store(at).status().members;
        members.into_iter().filter(|(_, m)| m.role == Role::Voter).map(|(id, _)| id).collect::<BTreeSet<_>>()
    };
    assert_eq!(voters(&cluster, cluster.leader().await), (1..=5).collect());
    let leader = cluster.leader().await;
    let to = if leader == 2 { 3 } else { 2 };
    cluster.store(5).transfer_leader(to, LONG).await.unwrap();
    cluster.until("leadership was handed over", |c| c.store(to).leadership().borrow().is_me).await;

    // The dead, the living, and the leader itself can be removed.
    cluster.stop(5).await;
    cluster.store(1).change_membership(MembershipChange::Remove(5), LONG).await.unwrap();
    cluster.store(1).change_membership(MembershipChange::Remove(4), LONG).await.unwrap();
    cluster.stop(4).await;
    let leader = cluster.leader().await;
    let stays = (1..=3).find(|id| *id != leader).unwrap();
    cluster.store(stays).change_membership(MembershipChange::Remove(leader), LONG).await.unwrap();
    cluster.stop(leader).await;
    let left: BTreeSet<_> = (1..=3).filter(|id| *id != leader).collect();
    assert_eq!(voters(&cluster, cluster.leader().await), left);
    cluster.put_ok(stays, "last", "l").await;
    cluster.converge().await;
    assert_eq!(cluster.get(stays, "joined5").as_deref(), Some("x"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_after_a_read_index_see_every_answered_write() {
    let cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    cluster.leader().await;
    for n in 0..60 {
        let value = n.to_string();
        cluster.put_ok(1 + n % 3, "register", &value).await;
        let reader = 1 + (n + 1) % 3;
        let store = cluster.store(reader);
        let (a, b) = tokio::join!(store.read_index(), store.read_index());
        assert!(a.is_ok() && b.is_ok());
        assert_eq!(cluster.get(reader, "register"), Some(value), "a stale read at member {reader}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_neither_commits_nor_serves_reads() {
    let cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    let old = cluster.leader().await;
    cluster.put_ok(old, "k", "before").await;
    cluster.net.isolate(old);
    let stuck = cluster.store(old).propose(put("k", "lost"), Duration::from_secs(2)).await;
    assert!(
        matches!(stuck, Err(StoreError::Unknown { .. } | StoreError::Unavailable { .. })),
        "a minority acknowledged: {stuck:?}"
    );
    let others: Vec<_> = (1..=3).filter(|id| *id != old).collect();
    cluster.put_ok(others[0], "k", "after").await;
    let stale = tokio::time::timeout(Duration::from_secs(2), cluster.store(old).read_index()).await;
    assert!(!matches!(stale, Ok(Ok(_))), "a linearizable read was served by a deposed leader");
    cluster.net.heal();
    cluster.leader().await;
    cluster.converge().await;
    for id in 1..=3 {
        assert_eq!(cluster.get(id, "k").as_deref(), Some("after"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_proposal_is_carried_out_once_across_failovers() {
    let mut cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    cluster.leader().await;
    let name = |sequence| RequestId { client: ClientId(9), born: 1, sequence, acknowledged: 0 };
    let first = cluster.store(1).propose(put("once", "1").with_request(name(1)), LONG).await.unwrap();
    ok(&first.outcome);
    let old = cluster.leader().await;
    cluster.stop(old).await;
    let at = *cluster.stores.keys().next().unwrap();
    let again = cluster.store(at).propose(put("once", "1").with_request(name(1)), LONG).await.unwrap();
    assert_eq!(again.outcome, first.outcome, "the repetition got another outcome");
    cluster.restart(old).await;
    cluster.converge().await;
    assert_eq!(cluster.store(at).read(|state| state.revision()), Revision::new(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_wake_on_every_member_and_end_when_history_is_gone() {
    let cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    cluster.leader().await;
    let request = |after| WatchRequest {
        filter: Filter::Prefix(Key::new("pods/")),
        after,
        previous: false,
        bookmarks: false,
    };
    let mut cursors: Vec<_> =
        (1..=3).map(|id| cluster.store(id).watch(request(Revision::ZERO)).unwrap()).collect();
    let writes = async {
        for n in 0..30 {
            cluster.put_ok(1 + n % 3, &format!("pods/{n}"), "x").await;
            cluster.put_ok(1 + n % 3, &format!("other/{n}"), "x").await;
        }
        ok(&cluster.store(1).propose(delete("pods/0"), LONG).await.unwrap().outcome);
    };
    let reads = async {
        for cursor in &mut cursors {
            let (mut batch, mut seen) = (Batch::default(), Vec::new());
            while seen.len() < 31 {
                cursor.next(ReadLimits::default(), &mut batch).await.unwrap();
                seen.extend(batch.events.iter().map(|change| change.revision()));
            }
            assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
        }
    };
    tokio::time::timeout(LONG, async { tokio::join!(writes, reads) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_data_is_refused_under_its_old_id() {
    let mut cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    let leader = cluster.leader().await;
    let lost = *cluster.stores.keys().find(|id| **id != leader).unwrap();
    cluster.put_ok(leader, "k", "v").await;
    cluster.stop(lost).await;
    let dir = cluster.dir(lost);
    cluster.until("the directory is free", |_| std::fs::remove_dir_all(&dir).is_ok()).await;
    cluster.create(lost).await;
    cluster.put_ok(leader, "k2", "v").await;
    assert_eq!(cluster.store(lost).status().last_index, 0, "the emptied member was fed under its old id");
    let peer = cluster.store(lost).peer("m");
    let refused = cluster
        .store(leader)
        .change_membership(MembershipChange::AddLearner(lost, peer), LONG)
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::OtherDatabase { .. }), "{refused}");
    assert!(refused.to_string().contains("add it again under a new id"), "{refused}");

    // The way out that the message names.
    cluster.store(leader).change_membership(MembershipChange::Remove(lost), LONG).await.unwrap();
    cluster.stop(lost).await;
    cluster.join(9).await;
    cluster.put_ok(9, "k3", "v").await;
    cluster.converge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_member_cannot_vote_an_acknowledged_write_away() {
    let mut cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    let leader = cluster.leader().await;
    let others: Vec<_> = (1..=3).filter(|id| *id != leader).collect();
    let (behind, emptied) = (others[0], others[1]);
    // Acknowledged by the leader and by the member that then loses everything.
    cluster.net.isolate(behind);
    let index = cluster.put_ok(leader, "k", "v").await;
    let term = (index, cluster.store(leader).status().term, leader, behind, emptied);
    cluster.stop(leader).await;
    cluster.stop(emptied).await;
    let dir = cluster.dir(emptied);
    cluster.until("the directory is free", |_| std::fs::remove_dir_all(&dir).is_ok()).await;
    cluster.create(emptied).await;
    cluster.net.heal();
    // Several election timeouts: with a vote of the emptied member the one behind would lead.
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let seen = cluster.store(behind).status();
        assert!(
            !cluster.store(behind).leadership().borrow().is_me,
            "an emptied member voted: {seen:#?} {term:?}"
        );
    }
    cluster.restart(leader).await;
    cluster.until("the member with the write leads", |c| c.store(leader).leadership().borrow().is_me).await;
    cluster.store(behind).read_index().await.unwrap();
    assert_eq!(cluster.get(behind, "k").as_deref(), Some("v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_puts_and_lets_deletes_pass() {
    let cluster = Cluster::start(1, LogKind::Segmented, config()).await;
    cluster.put_ok(1, "k", "v").await;
    // Less than the low-water mark is left, and nothing can be allocated.
    cluster.faults[&1].limit_room(Some(1000));
    let refused = cluster.put(1, "k2", "v").await.unwrap_err();
    assert!(matches!(refused, StoreError::NoSpace { .. }), "{refused}");
    assert!(refused.to_string().contains("delete"), "{refused}");
    // More deletes than fit into the active segment: the reserve pays for the next one.
    for _ in 0..20 {
        let keys = (0..1000).map(|n| trireme_mvcc::Operation::Delete { key: Key::new(format!("{n:0>900}")) });
        let proposal = trireme_mvcc::Proposal::transaction(vec![], keys.collect());
        ok(&cluster.store(1).propose(proposal, LONG).await.unwrap().outcome);
    }
    ok(&cluster.store(1).propose(delete("k"), LONG).await.unwrap().outcome);
    assert!(!cluster.dir(1).join("reserve").exists(), "the reserve was not needed: the test is too small");
    cluster.faults[&1].limit_room(None);
    cluster.put_ok(1, "k2", "v").await;
    assert!(cluster.dir(1).join("reserve").exists(), "the reserve stands again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_with_a_stalling_disk_does_not_hold_up_writes() {
    let cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    let leader = cluster.leader().await;
    let slow = *cluster.stores.keys().find(|id| **id != leader).unwrap();
    cluster.faults[&slow].slow_sync(Duration::from_secs(2));
    let started = std::time::Instant::now();
    for n in 0..30 {
        cluster.put_ok(leader, &format!("k{n}"), "v").await;
    }
    // Thirty writes that each waited for the slow one would take a minute.
    assert!(started.elapsed() < Duration::from_secs(50), "{:?}", started.elapsed());
    cluster.faults[&slow].slow_sync(Duration::ZERO);
    cluster.converge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_a_stalling_disk_hands_over() {
    let cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    let leader = cluster.leader().await;
    cluster.put_ok(leader, "k", "v").await;
    cluster.faults[&leader].slow_sync(Duration::from_secs(2));
    let other = *cluster.stores.keys().find(|id| **id != leader).unwrap();
    // The first write finds the slow leader; whatever becomes of it, the disk starts to stall.
    let first = cluster.store(other).propose(put("k", "w"), LONG).await;
    assert!(matches!(first, Ok(_) | Err(StoreError::Unknown { .. })), "{first:?}");
    cluster
        .until("another member leads", |c| {
            c.stores.iter().any(|(id, store)| *id != leader && store.leadership().borrow().is_me)
        })
        .await;
    cluster.put_ok(other, "k", "x").await;
    cluster.faults[&leader].slow_sync(Duration::ZERO);
    cluster.converge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_sync_fails_stops_and_recovers_by_restart() {
    let mut cluster = Cluster::start(3, LogKind::Segmented, config()).await;
    let leader = cluster.leader().await;
    cluster.put_ok(leader, "k", "1").await;
    cluster.faults[&leader].fail_sync(true);
    let at = *cluster.stores.keys().find(|id| **id != leader).unwrap();
    let unsure = cluster.store(leader).propose(put("k", "2"), Duration::from_secs(5)).await;
    assert!(!matches!(unsure, Ok(ref c) if c.outcome.is_err()), "{unsure:?}");
    cluster.until("it stopped", |c| c.store(leader).status().stopped.is_some()).await;
    cluster.stop(leader).await;
    cluster.put_ok(at, "k", "3").await;
    cluster.restart(leader).await;
    cluster.store(leader).read_index().await.unwrap();
    assert_eq!(cluster.get(leader, "k").as_deref(), Some("3"));
    cluster.converge().await;
}
