//! ReplicaSets and ReplicationControllers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trireme_controllers::{Controller, ReplicaSetController, Resource, resources};

use crate::kit::{Cluster, Runner, seeds};

const SETS: Resource = resources::REPLICA_SETS;
const PODS: Resource = resources::PODS;

fn controllers() -> Vec<Box<dyn Controller>> {
    vec![Box::new(ReplicaSetController::replica_sets())]
}

fn set(name: &str, replicas: u64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "d"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    })
}

fn active_pods_of(cluster: &Cluster, uid: &Value) -> usize {
    let pods = cluster.state.all(&PODS);
    let active = pods.iter().filter(|pod| {
        pod["metadata"]["deletionTimestamp"].is_null()
            && !matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
            && pod["metadata"]["ownerReferences"][0]["uid"] == *uid
    });
    active.count()
}

/// Nobody ever has more active pods than was asked for at most.
fn never_more_than_asked(runner: &mut Runner) {
    let mut most: BTreeMap<String, u64> = BTreeMap::new();
    runner.laws.push(Box::new(move |cluster| {
        for set in cluster.state.all(&SETS) {
            let uid = &set["metadata"]["uid"];
            let asked = set["spec"]["replicas"].as_u64().expect("the story sets it");
            let most = most.entry(uid.to_string()).or_default();
            *most = asked.max(*most);
            let active = active_pods_of(cluster, uid) as u64;
            assert!(active <= *most, "{active} pods for {most} asked at most");
        }
    }));
}

fn disturb(runner: &mut Runner) {
    let moment = runner.moment();
    let sets = runner.cluster.state.all(&SETS);
    let Some(index) = runner.rng.index(sets.len()) else { return };
    let set = &sets[index];
    match runner.rng.below(10) {
        0..=5 => {
            let mut new = (**set).clone();
            new["spec"]["replicas"] = json!(runner.rng.below(8));
            runner.cluster.update(&SETS, "", &new).expect("the story sees the latest");
        }
        6 => runner.cluster.delete(&SETS, set, moment),
        _ => {
            let pods = runner.cluster.state.all(&PODS);
            if let Some(index) = runner.rng.index(pods.len()) {
                runner.cluster.delete(&PODS, &pods[index], moment);
            }
        }
    }
}

#[test]
fn every_set_gets_its_pods_and_no_more() {
    seeds(1_600, |seed| {
        let mut runner = Runner::new(seed, controllers());
        never_more_than_asked(&mut runner);
        for name in ["a", "b", "c"] {
            let moment = runner.moment();
            let replicas = runner.rng.below(6);
            runner.cluster.create(&SETS, set(name, replicas), moment).unwrap();
        }
        for _ in 0..600 {
            if runner.rng.chance(1, 40) {
                disturb(&mut runner);
            }
            runner.step(true);
        }
        runner.rest();
        let mut owned = 0;
        for set in runner.cluster.state.all(&SETS) {
            let asked = set["spec"]["replicas"].as_u64().unwrap();
            let active = active_pods_of(&runner.cluster, &set["metadata"]["uid"]);
            assert_eq!(active as u64, asked);
            assert_eq!(set["status"]["replicas"], asked);
            assert_eq!(set["status"]["availableReplicas"].as_u64().unwrap_or(0), asked);
            assert_eq!(set["status"]["observedGeneration"], set["metadata"]["generation"]);
            owned += active;
        }
        let pods = runner.cluster.state.all(&PODS);
        let active = pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count();
        assert_eq!(active, owned, "no pod without an owner is left");
    });
}

#[test]
fn orphans_are_taken_in_and_strangers_let_go() {
    seeds(400, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let orphan = json!({
            "metadata": {"name": "orphan", "namespace": "d", "labels": {"app": "a"}}, "spec": {},
        });
        runner.cluster.create(&PODS, orphan, moment).unwrap();
        runner.cluster.create(&SETS, set("a", 3), moment).unwrap();
        for _ in 0..300 {
            runner.step(true);
        }
        runner.rest();
        let uid = runner.cluster.find(&SETS, "d", "a").unwrap()["metadata"]["uid"].clone();
        assert_eq!(active_pods_of(&runner.cluster, &uid), 3);
        let pods = runner.cluster.state.all(&PODS);
        let kept = pods.iter().find(|pod| pod["status"]["phase"] == "Running").unwrap();
        let mut stranger = (**kept).clone();
        stranger["metadata"]["labels"]["app"] = json!("other");
        runner.cluster.update(&PODS, "", &stranger).unwrap();
        runner.rest();
        let name = kept["metadata"]["name"].as_str().unwrap();
        let stranger = runner.cluster.find(&PODS, "d", name).expect("let go, not deleted");
        assert!(stranger["metadata"]["ownerReferences"].is_null());
        assert_eq!(active_pods_of(&runner.cluster, &uid), 3);
    });
}

#[test]
fn a_quota_is_said_in_the_status_and_the_rest_comes_when_it_is_raised() {
    let mut runner = Runner::new(1, controllers());
    runner.cluster.pod_quota = Some(2);
    let moment = runner.moment();
    runner.cluster.create(&SETS, set("a", 4), moment).unwrap();
    for _ in 0..2_000 {
        runner.step(false);
    }
    let status = runner.cluster.find(&SETS, "d", "a").unwrap()["status"].clone();
    assert_eq!(status["replicas"], 2);
    let failure = &status["conditions"][0];
    assert_eq!(
        (failure["type"].as_str(), failure["status"].as_str()),
        (Some("ReplicaFailure"), Some("True"))
    );
    assert_eq!(
        (failure["reason"].as_str(), failure["message"].as_str()),
        (Some("FailedCreate"), Some("exceeded quota"))
    );
    let said = runner.cluster.events.iter().filter(|(reason, _)| reason == "FailedCreate").count();
    assert!(said > 0);
    runner.cluster.pod_quota = None;
    runner.rest();
    let status = runner.cluster.find(&SETS, "d", "a").unwrap()["status"].clone();
    assert_eq!(status["availableReplicas"], 4);
    assert!(status["conditions"].is_null(), "{status}");
}
