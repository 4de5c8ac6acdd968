//! Namespaces that are deleted.

use serde_json::json;
use trireme_controllers::{Controller, NamespaceController, ReplicaSetController, Resource, resources};

use crate::kit::{Runner, seeds};

const THINGS: Resource = Resource::new("", "configmaps");

fn runner(seed: u64) -> Runner {
    let controllers: Vec<Box<dyn Controller>> =
        vec![Box::new(NamespaceController::default()), Box::new(ReplicaSetController::replica_sets())];
    let mut runner = Runner::new(seed, controllers);
    let namespace = json!({"metadata": {"name": "d"}, "spec": {"finalizers": ["kubernetes"]}});
    let moment = runner.moment();
    runner.cluster.create(&resources::NAMESPACES, namespace, moment).expect("it is new");
    for name in ["a", "b"] {
        let thing = json!({"metadata": {"name": name, "namespace": "d"}});
        runner.cluster.create(&THINGS, thing, moment).expect("it is new");
    }
    let set = json!({
        "metadata": {"name": "set", "namespace": "d"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}}},
    });
    runner.cluster.create(&resources::REPLICA_SETS, set, moment).expect("it is new");
    let elsewhere = json!({"metadata": {"name": "x", "namespace": "other"}});
    runner.cluster.create(&THINGS, elsewhere, moment).expect("it is new");
    runner
}

#[test]
fn content_goes_then_the_namespace_and_nothing_else() {
    seeds(2_000, |seed| {
        let mut runner = runner(seed);
        for _ in 0..runner.rng.below(200) {
            runner.step(true);
        }
        let (namespace, moment) =
            (runner.cluster.find(&resources::NAMESPACES, "", "d").expect("it is there"), runner.moment());
        runner.cluster.delete(&resources::NAMESPACES, &namespace, moment);
        runner.laws.push(Box::new(|cluster| {
            if cluster.find(&resources::NAMESPACES, "", "d").is_none() {
                let left = cluster.state.everything();
                assert!(left.iter().all(|(_, object)| object["metadata"]["namespace"] != "d"), "{left:?}");
            }
        }));
        for _ in 0..300 {
            runner.step(true);
        }
        runner.rest();
        let left = runner.cluster.state.everything();
        let names: Vec<_> = left.iter().map(|(_, object)| object["metadata"]["name"].clone()).collect();
        assert_eq!(names, [json!("x")]);
    });
}

#[test]
fn what_holds_a_namespace_is_said() {
    let mut runner = runner(3);
    let moment = runner.moment();
    let held = json!({"metadata": {"name": "held", "namespace": "d", "finalizers": ["example.com/hold"]}});
    runner.cluster.create(&THINGS, held, moment).unwrap();
    let namespace = runner.cluster.find(&resources::NAMESPACES, "", "d").unwrap();
    runner.cluster.delete(&resources::NAMESPACES, &namespace, moment);
    for _ in 0..3_000 {
        runner.step(false);
    }
    let namespace = runner.cluster.find(&resources::NAMESPACES, "", "d").expect("it is held");
    let said = |kind: &str| {
        let conditions = namespace["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == kind).unwrap()["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        said("NamespaceContentRemaining"),
        "Some resources are remaining: configmaps. has 1 resource instances"
    );
    assert_eq!(
        said("NamespaceFinalizersRemaining"),
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
    );
}
