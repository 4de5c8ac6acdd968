//! Leaders that die or freeze in the middle of rollouts.
//!
//! `TRIREME_LEADER_KILLS` says how often; every fifth leader is frozen instead, and wakes when another one has done its
//! work.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::ground::{Ground, apps, image, name, template, uid};
use crate::kit::until;
use crate::run;
use crate::support::Cluster;

/// Rounds where nobody says how many.
const ROUNDS: usize = 2;
const REPLICAS: usize = 12;
/// With a surge of a quarter.
const MOST: usize = 15;

/// Name and process of the leader, unless it is the first server, in which the hollow nodes live.
pub(crate) fn leader_but_s1(cluster: &Cluster) -> Option<(String, Pid)> {
    let status = cluster.run(&["raft", "status", "-o", "json"]);
    let status: Value = serde_json::from_slice(&status.stdout).ok()?;
    let text = status.to_string();
    let leads = |name: &str| {
        text.contains(&format!("\"leader\":\"{name}\""))
            || text.contains(&format!("\"leader\":\"server/{name}\""))
    };
    let (name, pid) = cluster.machines().into_iter().find(|(name, _)| name != "s1" && leads(name))?;
    Some((name, Pid::from_raw(i32::try_from(pid).ok()?)?))
}

async fn until_another_leads(ground: &Ground) -> (String, Pid) {
    until("a server leads that may die", || async {
        let complete = ground.cluster.machines().len() == 3;
        let found = leader_but_s1(&ground.cluster).filter(|_| complete);
        if found.is_none() && complete {
            let _moves = ground.cluster.run(&["raft", "transfer", "s2"]);
        }
        found
    })
    .await
}

async fn of_image(ground: &Ground, wanted: &str) -> BTreeSet<String> {
    let pods =
        ground.try_list(&format!("{}?labelSelector=app=web", crate::ground::PODS)).await.unwrap_or_default();
    pods.iter().filter(|pod| image(pod) == wanted).map(|pod| uid(pod).to_owned()).collect()
}

async fn until_rolled_out(ground: &Ground, wanted: &str) {
    let web = format!("{}/web", apps("deployments"));
    let all = json!(REPLICAS);
    until(&format!("all pods are of {wanted}"), || async {
        let pods = ground.try_list(&format!("{}?labelSelector=app=web", crate::ground::PODS)).await?;
        let object = ground.get(&web).await?;
        let status = &object["status"];
        let counted = [&status["replicas"], &status["updatedReplicas"], &status["availableReplicas"]];
        let done = counted.iter().all(|count| **count == all)
            && status["observedGeneration"] == object["metadata"]["generation"];
        let right = pods.len() == REPLICAS && pods.iter().all(|pod| image(pod) == wanted);
        (done && right).then_some(())
    })
    .await;
}

fn rounds() -> usize {
    std::env::var("TRIREME_LEADER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

#[test]
fn leaders_that_die_in_rollouts_are_replaced_and_nothing_is_doubled() {
    run(async || {
        let ground = Ground::start_servers(3, 4).await;
        let set = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {
                "replicas": REPLICAS, "selector": {"matchLabels": {"app": "web"}},
                "template": template("web", "i:0", json!({"ready-after": "150ms"})),
            },
        });
        ground.post(&apps("deployments"), set).await;
        until_rolled_out(&ground, "i:0").await;
        let law = ground.watch_law("app=web", |pods| {
            let here = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).count();
            if here > MOST { Err(format!("{here} pods, {MOST} are allowed")) } else { Ok(()) }
        });
        let mut resumed = Vec::new();
        for round in 1..=rounds() {
            let wanted = format!("i:{round}");
            let (leader, pid) = until_another_leads(&ground).await;
            let change =
                json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": wanted}]}}}});
            ground.merge(&format!("{}/web", apps("deployments")), change).await;
            until("the rollout has begun", || async {
                (!of_image(&ground, &wanted).await.is_empty()).then_some(())
            })
            .await;
            let frozen = round % 5 == 0;
            kill_process(pid, if frozen { Signal::STOP } else { Signal::KILL })
                .expect("a process of our cluster");
            let (since, before) = (Instant::now(), of_image(&ground, &wanted).await);
            until("the next leader goes on", || async {
                let now = of_image(&ground, &wanted).await;
                (now.len() == REPLICAS || now.difference(&before).next().is_some()).then_some(())
            })
            .await;
            resumed.push(since.elapsed());
            until_rolled_out(&ground, &wanted).await;
            if frozen {
                kill_process(pid, Signal::CONT).expect("it still stands");
            }
            println!(
                "round {round}: {leader} {}, resumed after {:?}",
                if frozen { "frozen" } else { "killed" },
                resumed[round - 1]
            );
        }
        law.held().await;
        let sets = ground.list(&apps("replicasets")).await;
        let of: BTreeSet<String> = sets
            .iter()
            .map(|set| set["spec"]["template"]["spec"]["containers"][0]["image"].to_string())
            .collect();
        assert_eq!(
            of.len(),
            sets.len(),
            "one set for each image: {:?}",
            sets.iter().map(name).collect::<Vec<_>>()
        );
        report(resumed);
    });
}

fn report(mut resumed: Vec<Duration>) {
    resumed.sort();
    let at = |percent: usize| resumed[(resumed.len() * percent / 100).min(resumed.len() - 1)];
    println!(
        "{} rounds: work resumed after p50 {:?}, p99 {:?}, most {:?}",
        resumed.len(),
        at(50),
        at(99),
        at(100)
    );
}
