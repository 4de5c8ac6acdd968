//! Deployments with their ReplicaSets.

use serde_json::{Value, json};
use trireme_controllers::{Controller, DeploymentController, ReplicaSetController, Resource, resources};

use crate::kit::{Cluster, Runner, seeds};

const DEPLOYMENTS: Resource = resources::DEPLOYMENTS;
const SETS: Resource = resources::REPLICA_SETS;
const PODS: Resource = resources::PODS;

fn controllers() -> Vec<Box<dyn Controller>> {
    vec![Box::new(DeploymentController::default()), Box::new(ReplicaSetController::replica_sets())]
}

fn deployment(replicas: u64, strategy: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "d"},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 600,
            "strategy": strategy,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v0"}]}},
        },
    })
}

fn rolling(surge: u64, unavailable: u64) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

fn change(runner: &mut Runner, edit: impl FnOnce(&mut Value)) {
    let mut object = (*runner.cluster.find(&DEPLOYMENTS, "d", "web").expect("it stays")).clone();
    edit(&mut object);
    runner.cluster.update(&DEPLOYMENTS, "", &object).expect("the story sees the latest");
}

fn is_active(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] != "Failed"
}

fn is_available(pod: &Value) -> bool {
    is_active(pod) && pod["status"]["conditions"][0]["status"] == "True"
}

fn count(cluster: &Cluster, what: fn(&Value) -> bool) -> u64 {
    cluster.state.all(&PODS).iter().filter(|pod| what(pod)).count() as u64
}

fn assert_rolled_out(runner: &Runner, image: &str) {
    let object = runner.cluster.find(&DEPLOYMENTS, "d", "web").expect("it stays");
    let (asked, status) = (&object["spec"]["replicas"], &object["status"]);
    for name in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
        assert_eq!(status[name].as_u64().unwrap_or(0), asked.as_u64().expect("set"), "{name}: {status}");
    }
    assert_eq!(status["observedGeneration"], object["metadata"]["generation"]);
    assert_eq!(status["unavailableReplicas"], Value::Null);
    let reasons: Vec<_> = status["conditions"]
        .as_array()
        .expect("there are some")
        .iter()
        .map(|c| c["reason"].as_str())
        .collect();
    assert!(reasons.contains(&Some("NewReplicaSetAvailable")), "{status}");
    assert!(reasons.contains(&Some("MinimumReplicasAvailable")), "{status}");
    let pods = runner.cluster.state.all(&PODS);
    let active: Vec<_> = pods.iter().filter(|pod| is_active(pod)).collect();
    assert_eq!(active.len() as u64, asked.as_u64().expect("set"));
    assert!(active.iter().all(|pod| pod["spec"]["containers"][0]["image"] == image));
    let old = runner.cluster.state.all(&SETS).len() - 1;
    assert!(old <= 3, "{old} old sets are remembered");
}

#[test]
fn any_story_of_edits_ends_in_what_was_asked_last() {
    seeds(1_000, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let strategy = match runner.rng.below(4) {
            0 => json!({"type": "Recreate"}),
            _ => rolling(runner.rng.below(4), runner.rng.below(4)),
        };
        runner.cluster.create(&DEPLOYMENTS, deployment(4, strategy), moment).expect("it is new");
        let mut image = "v0".to_owned();
        for _ in 0..1_000 {
            if runner.rng.chance(1, 80) {
                match runner.rng.below(6) {
                    0..=2 => {
                        image = format!("v{}", runner.rng.below(5));
                        change(&mut runner, |d| {
                            d["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
                        });
                    }
                    3 | 4 => {
                        let replicas = runner.rng.below(9);
                        change(&mut runner, |d| d["spec"]["replicas"] = json!(replicas));
                    }
                    _ => change(&mut runner, |d| {
                        let paused = d["spec"]["paused"] == true;
                        d["spec"]["paused"] = json!(!paused);
                    }),
                }
            }
            runner.step(true);
        }
        change(&mut runner, |d| d["spec"]["paused"] = json!(false));
        runner.rest();
        assert_rolled_out(&runner, &image);
    });
}

#[test]
fn a_rolling_update_stays_within_surge_and_unavailability() {
    seeds(700, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let (surge, unavailable) = (runner.rng.below(3), runner.rng.below(3));
        let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
        runner
            .cluster
            .create(&DEPLOYMENTS, deployment(5, rolling(surge, unavailable)), moment)
            .expect("it is new");
        runner.rest();
        runner.laws.push(Box::new(move |cluster| {
            let (active, available) = (count(cluster, is_active), count(cluster, is_available));
            assert!(active <= 5 + surge, "{active} pods with a surge of {surge}");
            assert!(available >= 5 - unavailable, "{available} are available, {unavailable} may be missing");
        }));
        for version in 1..4 {
            let image = format!("v{version}");
            change(&mut runner, |d| d["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image));
            for _ in 0..runner.rng.below(400) {
                runner.step(false);
            }
        }
        runner.rest();
        assert_rolled_out(&runner, "v3");
    });
}

#[test]
fn a_recreation_never_mixes_versions() {
    seeds(300, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        runner
            .cluster
            .create(&DEPLOYMENTS, deployment(3, json!({"type": "Recreate"})), moment)
            .expect("it is new");
        runner.rest();
        runner.laws.push(Box::new(|cluster| {
            let pods = cluster.state.all(&PODS);
            let mut images: Vec<_> =
                pods.iter().map(|pod| pod["spec"]["containers"][0]["image"].to_string()).collect();
            images.dedup();
            assert!(images.len() <= 1, "{images:?}");
        }));
        change(&mut runner, |d| d["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v1"));
        for _ in 0..300 {
            runner.step(false);
        }
        runner.rest();
        assert_rolled_out(&runner, "v1");
    });
}

#[test]
fn going_back_takes_up_the_old_set_and_a_name_that_is_taken_is_avoided() {
    let mut runner = Runner::new(7, controllers());
    let moment = runner.moment();
    runner.cluster.create(&DEPLOYMENTS, deployment(2, rolling(1, 1)), moment).expect("it is new");
    runner.rest();
    let first = runner.cluster.state.all(&SETS)[0]["metadata"]["name"].clone();
    for image in ["v1", "v0"] {
        change(&mut runner, |d| d["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image));
        runner.rest();
    }
    let sets = runner.cluster.state.all(&SETS);
    assert_eq!(sets.len(), 2);
    let again = sets.iter().find(|set| set["metadata"]["name"] == first).expect("it is used again");
    assert_eq!(again["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    assert_eq!(again["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"], "1");

    // The same name held by a stranger.
    let mut other = Runner::new(8, controllers());
    let mut stranger = (**again).clone();
    stranger["metadata"] = json!({"name": first, "namespace": "d"});
    stranger["spec"] = json!({"replicas": 0, "selector": {"matchLabels": {"x": "y"}}, "template": {}});
    other.cluster.create(&SETS, stranger, moment).expect("it is new");
    other.cluster.create(&DEPLOYMENTS, deployment(2, rolling(1, 1)), moment).expect("it is new");
    other.rest();
    assert_eq!(other.cluster.find(&DEPLOYMENTS, "d", "web").unwrap()["status"]["collisionCount"], 1);
    assert_rolled_out(&other, "v0");
}
