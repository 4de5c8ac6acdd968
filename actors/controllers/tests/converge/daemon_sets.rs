//! DaemonSets.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trireme_controllers::{Controller, DaemonSetController, Resource, resources};

use crate::kit::{Cluster, Runner, seeds};

const SETS: Resource = resources::DAEMON_SETS;
const PODS: Resource = resources::PODS;
const NODES: Resource = resources::NODES;

fn controllers() -> Vec<Box<dyn Controller>> {
    vec![Box::new(DaemonSetController::default())]
}

fn set(strategy: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "revisionHistoryLimit": 2,
            "updateStrategy": strategy,
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"nodeSelector": {"role": "worker"}, "containers": [{"name": "c", "image": "v0"}]},
            },
        },
    })
}

fn rolling(surge: u64, unavailable: u64) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

fn add_node(runner: &mut Runner, name: &str) {
    let (moment, node) =
        (runner.moment(), json!({"metadata": {"name": name, "labels": {"role": "worker"}}, "spec": {}}));
    runner.cluster.create(&NODES, node, moment).expect("it is new");
}

fn change(runner: &mut Runner, resource: &Resource, name: &str, edit: impl FnOnce(&mut Value)) {
    let namespace = if *resource == NODES { "" } else { "d" };
    let mut object = (*runner.cluster.find(resource, namespace, name).expect("it is there")).clone();
    edit(&mut object);
    runner.cluster.update(resource, "", &object).expect("the story sees the latest");
}

fn set_image(runner: &mut Runner, image: &str) {
    change(runner, &SETS, "agent", |set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image)
    });
}

fn node_of(pod: &Value) -> String {
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let pinned = &required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0];
    pinned.as_str().expect("every pod is pinned").to_owned()
}

fn is_active(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
        && !matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
}

fn is_available(pod: &Value) -> bool {
    is_active(pod) && pod["status"]["conditions"][0]["status"] == "True"
}

/// Active pods by node.
fn active(cluster: &Cluster) -> BTreeMap<String, usize> {
    let mut out = BTreeMap::new();
    for pod in cluster.state.all(&PODS).iter().filter(|pod| is_active(pod)) {
        *out.entry(node_of(pod)).or_default() += 1;
    }
    out
}

fn is_wanted(node: &Value) -> bool {
    node["metadata"]["labels"]["role"] == "worker"
        && node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)
}

fn assert_everywhere(runner: &Runner, image: &str) {
    let nodes = runner.cluster.state.all(&NODES);
    let mut expected = BTreeMap::new();
    for node in nodes.iter().filter(|node| is_wanted(node)) {
        expected.insert(node["metadata"]["name"].as_str().expect("named").to_owned(), 1);
    }
    assert_eq!(active(&runner.cluster), expected);
    let set = runner.cluster.find(&SETS, "d", "agent").expect("it is there");
    let status = &set["status"];
    for name in ["desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled"]
    {
        assert_eq!(status[name].as_u64().unwrap_or(0), expected.len() as u64, "{name}: {status}");
    }
    assert_eq!(status["numberMisscheduled"], 0);
    assert!(status["numberUnavailable"].is_null(), "{status}");
    assert_eq!(status["observedGeneration"], set["metadata"]["generation"]);
    for pod in runner.cluster.state.all(&PODS) {
        assert_eq!(pod["spec"]["containers"][0]["image"], image);
    }
}

#[test]
fn every_matching_node_has_one_pod() {
    seeds(1_200, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let surge = runner.rng.below(2);
        let moment = runner.moment();
        runner.cluster.create(&SETS, set(rolling(surge, 1 - surge)), moment).expect("it is new");
        runner.laws.push(Box::new(move |cluster| {
            for (node, count) in active(cluster) {
                assert!(count <= 1 + usize::try_from(surge).unwrap(), "{count} on {node}");
            }
        }));
        let mut version = 0;
        for step in 0..700 {
            // The story may have made it already.
            if step < 3 && runner.cluster.find(&NODES, "", &format!("n{step}")).is_none() {
                add_node(&mut runner, &format!("n{step}"));
            }
            if runner.rng.chance(1, 60) {
                let node = format!("n{}", runner.rng.below(4));
                let there = runner.cluster.find(&NODES, "", &node);
                match (runner.rng.below(6), there) {
                    (0 | 1, _) => {
                        version = runner.rng.below(4);
                        set_image(&mut runner, &format!("v{version}"));
                    }
                    (_, None) => add_node(&mut runner, &node),
                    (2, Some(_)) => {
                        let role = if runner.rng.chance(1, 2) { "worker" } else { "other" };
                        change(&mut runner, &NODES, &node, |node| {
                            node["metadata"]["labels"]["role"] = json!(role);
                        });
                    }
                    (3, Some(_)) => {
                        let taints = if runner.rng.chance(1, 2) {
                            json!([])
                        } else {
                            json!([{"key": "k", "effect": "NoExecute"}])
                        };
                        change(&mut runner, &NODES, &node, |node| node["spec"]["taints"] = taints);
                    }
                    _ => {
                        let (pods, moment) = (runner.cluster.state.all(&PODS), runner.moment());
                        if let Some(index) = runner.rng.index(pods.len()) {
                            runner.cluster.delete(&PODS, &pods[index], moment);
                        }
                    }
                }
            }
            runner.step(true);
        }
        runner.rest();
        assert_everywhere(&runner, &format!("v{version}"));
        assert!(runner.cluster.state.all(&resources::CONTROLLER_REVISIONS).len() <= 3);
    });
}

#[test]
fn an_update_keeps_within_its_bounds() {
    seeds(800, |seed| {
        let mut runner = Runner::new(seed, controllers());
        for node in 0..5 {
            add_node(&mut runner, &format!("n{node}"));
        }
        let moment = runner.moment();
        let (surge, unavailable) = if runner.rng.chance(1, 2) {
            (runner.rng.between(1, 3), 0)
        } else {
            (0, runner.rng.between(1, 3))
        };
        runner.cluster.create(&SETS, set(rolling(surge, unavailable)), moment).expect("it is new");
        runner.rest();
        runner.laws.push(Box::new(move |cluster| {
            let pods = cluster.state.all(&PODS);
            let available = pods.iter().filter(|pod| is_available(pod)).count() as u64;
            assert!(available >= 5 - unavailable, "{available} are available, {unavailable} may be missing");
            let active = pods.iter().filter(|pod| is_active(pod)).count() as u64;
            assert!(active <= 5 + surge, "{active} pods with a surge of {surge}");
        }));
        set_image(&mut runner, "v1");
        for _ in 0..runner.rng.below(300) {
            runner.step(false);
        }
        runner.rest();
        assert_everywhere(&runner, "v1");
    });
}

#[test]
fn a_roll_back_leaves_pods_that_are_already_there() {
    let mut runner = Runner::new(3, controllers());
    for node in 0..3 {
        add_node(&mut runner, &format!("n{node}"));
    }
    let moment = runner.moment();
    runner.cluster.create(&SETS, set(json!({"type": "OnDelete"})), moment).unwrap();
    runner.rest();
    let before: Vec<Value> =
        runner.cluster.state.all(&PODS).iter().map(|pod| pod["metadata"]["uid"].clone()).collect();
    set_image(&mut runner, "v1");
    runner.rest();
    set_image(&mut runner, "v0");
    change(&mut runner, &SETS, "agent", |set| set["spec"]["updateStrategy"] = rolling(0, 1));
    runner.rest();
    let after: Vec<Value> =
        runner.cluster.state.all(&PODS).iter().map(|pod| pod["metadata"]["uid"].clone()).collect();
    assert_eq!(before, after);
    assert_everywhere(&runner, "v0");
    let revisions = runner.cluster.state.all(&resources::CONTROLLER_REVISIONS);
    let mut numbers: Vec<&Value> = revisions.iter().map(|revision| &revision["revision"]).collect();
    numbers.sort_by_key(|number| number.as_i64());
    assert_eq!(numbers, [2, 3]);
}

#[test]
fn failed_pods_are_replaced_ever_more_slowly() {
    let mut runner = Runner::new(3, controllers());
    add_node(&mut runner, "n0");
    let moment = runner.moment();
    runner.cluster.create(&SETS, set(rolling(0, 1)), moment).unwrap();
    runner.settle();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let pods = runner.cluster.state.all(&PODS);
        let pod = pods.iter().find(|pod| is_active(pod)).expect("one runs").clone();
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let mut new = (*pod).clone();
        let at = runner.moment().to_time();
        new["status"] = json!({"phase": "Failed", "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at}]});
        runner.cluster.update(&PODS, "status", &new).unwrap();
        let mut seconds = 0;
        loop {
            runner.settle();
            let pod = runner.cluster.find(&PODS, "d", &name).unwrap();
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                runner.cluster.vanish(&PODS, &pod);
                break;
            }
            runner.advance(std::time::Duration::from_secs(1));
            seconds += 1;
            assert!(seconds < 100);
        }
        waits.push(seconds);
    }
    assert!(waits.is_sorted() && waits[3] >= 7 && waits[0] <= 2, "{waits:?}");
    let told = runner.cluster.events.iter().filter(|(reason, _)| reason == "FailedDaemonPod").count();
    assert_eq!(told, 4);
}
