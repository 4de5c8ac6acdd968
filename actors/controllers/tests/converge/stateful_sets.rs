//! StatefulSets.

use serde_json::{Value, json};
use trireme_controllers::{Controller, Resource, StatefulSetController, resources};

use crate::kit::{Cluster, Runner, seeds};

const SETS: Resource = resources::STATEFUL_SETS;
const PODS: Resource = resources::PODS;
const CLAIMS: Resource = resources::VOLUME_CLAIMS;
const REVISIONS: Resource = resources::CONTROLLER_REVISIONS;

fn controllers() -> Vec<Box<dyn Controller>> {
    vec![Box::new(StatefulSetController::default())]
}

fn set(replicas: u64, policy: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "web", "namespace": "d"},
        "spec": {
            "replicas": replicas,
            "serviceName": "web",
            "podManagementPolicy": policy,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "v0"}]},
            },
        },
    })
}

fn found(cluster: &Cluster) -> Value {
    (*cluster.find(&SETS, "d", "web").expect("it is there")).clone()
}

fn change(runner: &mut Runner, edit: impl FnOnce(&mut Value)) {
    let mut set = found(&runner.cluster);
    edit(&mut set);
    runner.cluster.update(&SETS, "", &set).expect("the story sees the latest");
}

fn image(pod: &Value) -> &Value {
    &pod["spec"]["containers"][0]["image"]
}

fn is_available(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
        && pod["status"]["phase"] == "Running"
        && pod["status"]["conditions"][0]["status"] == "True"
}

fn names(cluster: &Cluster, resource: &Resource) -> Vec<String> {
    let all = cluster.state.all(resource);
    all.iter().map(|object| object["metadata"]["name"].as_str().expect("named").to_owned()).collect()
}

fn assert_complete(runner: &Runner, wanted: &str) {
    let set = found(&runner.cluster);
    let (start, count) = (
        set["spec"]["ordinals"]["start"].as_u64().unwrap_or(0),
        set["spec"]["replicas"].as_u64().expect("the story sets it"),
    );
    let mut expected: Vec<String> = (start..start + count).map(|ordinal| format!("web-{ordinal}")).collect();
    expected.sort();
    assert_eq!(names(&runner.cluster, &PODS), expected);
    for pod in runner.cluster.state.all(&PODS) {
        assert_eq!(image(&pod), wanted);
        let name = pod["metadata"]["name"].as_str().expect("named");
        let labels = &pod["metadata"]["labels"];
        assert_eq!(labels["statefulset.kubernetes.io/pod-name"], name);
        assert_eq!(labels["apps.kubernetes.io/pod-index"], name["web-".len()..]);
        assert_eq!(labels["controller-revision-hash"], set["status"]["updateRevision"]);
        assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!(name), &json!("web")));
        assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], format!("data-{name}"));
        assert!(runner.cluster.find(&CLAIMS, "d", &format!("data-{name}")).is_some());
    }
    let status = &set["status"];
    assert_eq!(status["observedGeneration"], set["metadata"]["generation"]);
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    for name in ["replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas"] {
        assert_eq!(status[name].as_u64().unwrap_or(0), count, "{name} of {status}");
    }
    assert!(runner.cluster.state.all(&REVISIONS).len() <= 1 + 2 + 1, "history is pruned");
}

#[test]
fn every_set_gets_its_pods_and_claims() {
    seeds(1_000, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let policy = if runner.rng.chance(1, 2) { "Parallel" } else { "OrderedReady" };
        let replicas = runner.rng.below(5);
        runner.cluster.create(&SETS, set(replicas, policy), moment).expect("it is new");
        let mut version = 0;
        for _ in 0..800 {
            if runner.rng.chance(1, 60) {
                match runner.rng.below(6) {
                    0 | 1 => {
                        version = runner.rng.below(5);
                        let image = json!(format!("v{version}"));
                        change(&mut runner, |set| {
                            set["spec"]["template"]["spec"]["containers"][0]["image"] = image;
                        });
                    }
                    2 | 3 => {
                        let replicas = runner.rng.below(6);
                        change(&mut runner, |set| set["spec"]["replicas"] = json!(replicas));
                    }
                    4 => {
                        let start = runner.rng.below(3);
                        change(&mut runner, |set| set["spec"]["ordinals"] = json!({"start": start}));
                    }
                    _ => {
                        let pods = runner.cluster.state.all(&PODS);
                        if let Some(index) = runner.rng.index(pods.len()) {
                            let moment = runner.moment();
                            runner.cluster.delete(&PODS, &pods[index], moment);
                        }
                    }
                }
            }
            runner.step(true);
        }
        runner.rest();
        assert_complete(&runner, &format!("v{version}"));
    });
}

#[test]
fn an_update_walks_down_and_keeps_within_what_may_be_missing() {
    seeds(600, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let unavailable = runner.rng.between(1, 3);
        let policy = if runner.rng.chance(1, 2) { "Parallel" } else { "OrderedReady" };
        let mut object = set(5, policy);
        object["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = json!(unavailable);
        runner.cluster.create(&SETS, object, moment).expect("it is new");
        runner.rest();
        runner.laws.push(Box::new(move |cluster| {
            let pods = cluster.state.all(&PODS);
            let available = pods.iter().filter(|pod| is_available(pod)).count() as u64;
            assert!(available >= 5 - unavailable, "{available} available, {unavailable} may be missing");
            // What is new stands above what is old, but for those that are on their way.
            let kept: Vec<bool> =
                pods.iter().filter(|pod| is_available(pod)).map(|pod| image(pod) == "v1").collect();
            assert!(unavailable > 1 || kept.is_sorted(), "{kept:?}");
        }));
        change(&mut runner, |set| set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v1"));
        for _ in 0..runner.rng.below(400) {
            runner.step(false);
        }
        runner.rest();
        assert_complete(&runner, "v1");
    });
}

#[test]
fn below_the_partition_pods_stay_and_come_back_as_they_were() {
    seeds(400, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        runner.cluster.create(&SETS, set(4, "OrderedReady"), moment).expect("it is new");
        runner.rest();
        runner.laws.push(Box::new(|cluster| {
            for pod in cluster.state.all(&PODS) {
                let below = matches!(pod["metadata"]["name"].as_str(), Some("web-0" | "web-1"));
                assert!(!below || image(&pod) == "v0", "{pod}");
            }
        }));
        change(&mut runner, |set| {
            set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(2);
            set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v1");
        });
        for _ in 0..400 {
            if runner.rng.chance(1, 60) {
                let (pods, moment) = (runner.cluster.state.all(&PODS), runner.moment());
                if let Some(index) = runner.rng.index(pods.len()) {
                    runner.cluster.delete(&PODS, &pods[index], moment);
                }
            }
            runner.step(true);
        }
        runner.rest();
        let images: Vec<Value> =
            runner.cluster.state.all(&PODS).iter().map(|pod| image(pod).clone()).collect();
        assert_eq!(images, ["v0", "v0", "v1", "v1"]);
        let status = &found(&runner.cluster)["status"];
        assert_ne!(status["currentRevision"], status["updateRevision"]);
        assert_eq!((&status["currentReplicas"], &status["updatedReplicas"]), (&json!(2), &json!(2)));
        runner.laws.clear();
        change(&mut runner, |set| set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(0));
        runner.rest();
        assert_complete(&runner, "v1");
    });
}

#[test]
fn on_delete_leaves_pods_until_they_are_deleted() {
    let mut runner = Runner::new(5, controllers());
    let moment = runner.moment();
    let mut object = set(2, "OrderedReady");
    object["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    runner.cluster.create(&SETS, object, moment).unwrap();
    runner.rest();
    change(&mut runner, |set| set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v1"));
    runner.rest();
    let images = |runner: &Runner| -> Vec<Value> {
        runner.cluster.state.all(&PODS).iter().map(|pod| image(pod).clone()).collect()
    };
    assert_eq!(images(&runner), ["v0", "v0"]);
    let pod = runner.cluster.find(&PODS, "d", "web-1").unwrap();
    runner.cluster.delete(&PODS, &pod, moment);
    runner.rest();
    assert_eq!(images(&runner), ["v0", "v1"]);
}

#[test]
fn going_back_reuses_the_revision_and_a_taken_name_is_avoided() {
    let mut runner = Runner::new(6, controllers());
    let moment = runner.moment();
    runner.cluster.create(&SETS, set(1, "OrderedReady"), moment).unwrap();
    runner.rest();
    let first = found(&runner.cluster)["status"]["updateRevision"].clone();
    for image in ["v1", "v0"] {
        change(&mut runner, |set| set["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image));
        runner.rest();
    }
    let revisions = runner.cluster.state.all(&REVISIONS);
    assert_eq!(revisions.len(), 2);
    let again = revisions.iter().find(|revision| revision["metadata"]["name"] == first).unwrap();
    assert_eq!(again["revision"], 3);
    assert_eq!(found(&runner.cluster)["status"]["currentRevision"], first);

    let mut other = Runner::new(6, controllers());
    let stranger = json!({"metadata": {"name": first, "namespace": "d"}, "data": {}, "revision": 1});
    other.cluster.create(&REVISIONS, stranger, moment).unwrap();
    other.cluster.create(&SETS, set(1, "OrderedReady"), moment).unwrap();
    other.rest();
    assert_eq!(found(&other.cluster)["status"]["collisionCount"], 1);
    assert_complete(&other, "v0");
}

#[test]
fn claims_go_with_the_pod_or_the_set_only_if_that_is_asked_for() {
    for (scaled, deleted) in
        [("Retain", "Retain"), ("Delete", "Retain"), ("Retain", "Delete"), ("Delete", "Delete")]
    {
        let mut runner = Runner::new(9, controllers());
        let moment = runner.moment();
        let mut object = set(3, "OrderedReady");
        object["spec"]["persistentVolumeClaimRetentionPolicy"] =
            json!({"whenScaled": scaled, "whenDeleted": deleted});
        runner.cluster.create(&SETS, object, moment).unwrap();
        runner.rest();
        change(&mut runner, |set| set["spec"]["replicas"] = json!(1));
        runner.rest();
        let left = if scaled == "Delete" { 1 } else { 3 };
        assert_eq!(runner.cluster.state.all(&CLAIMS).len(), left, "{scaled} {deleted}");
        let set = runner.cluster.find(&SETS, "d", "web").unwrap();
        runner.cluster.delete(&SETS, &set, moment);
        runner.rest();
        let left = if deleted == "Delete" { 0 } else { left };
        assert_eq!(runner.cluster.state.all(&CLAIMS).len(), left, "{scaled} {deleted}");
    }
}

#[test]
fn parallel_sets_do_not_wait_and_ordered_ones_do() {
    for (policy, expected) in [("Parallel", 5), ("OrderedReady", 1)] {
        let mut runner = Runner::new(4, controllers());
        let moment = runner.moment();
        runner.cluster.create(&SETS, set(5, policy), moment).unwrap();
        // Nobody runs the pods.
        runner.settle();
        assert_eq!(runner.cluster.state.all(&PODS).len(), expected, "{policy}");
    }
}
