//! Endpoints, EndpointSlices and their mirrors.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use trireme_controllers::{
    Controller, EndpointSliceController, EndpointSliceMirroringController, EndpointsController,
    ReplicaSetController, Resource, resources,
};

use crate::kit::{Cluster, Runner, seeds};

const SERVICES: Resource = Resource::new("", "services");
const ENDPOINTS: Resource = Resource::new("", "endpoints");
const SLICES: Resource = Resource::new("discovery.k8s.io", "endpointslices");
const NODES: Resource = Resource::new("", "nodes");
const PODS: Resource = resources::PODS;
const SETS: Resource = resources::REPLICA_SETS;

fn controllers() -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(ReplicaSetController::replica_sets()),
        Box::new(EndpointSliceController::default()),
        Box::new(EndpointsController::default()),
        Box::new(EndpointSliceMirroringController::default()),
    ]
}

fn service(name: &str, families: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "d", "labels": {"tier": "x"}},
        "spec": {
            "selector": {"app": name}, "clusterIP": "10.96.0.9", "ipFamilies": families, "trafficDistribution": "PreferClose",
            "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    })
}

fn set(name: &str, replicas: u64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "d"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    })
}

fn prepare(seed: u64) -> Runner {
    let mut runner = Runner::new(seed, controllers());
    let moment = runner.moment();
    for number in 0..3 {
        let labels = json!({"topology.kubernetes.io/zone": format!("z{number}")});
        let node = json!({"metadata": {"name": format!("n{number}"), "labels": labels}});
        runner.cluster.create(&NODES, node, moment).expect("the story made it so");
    }
    for (name, families) in [("a", vec!["IPv4", "IPv6"]), ("b", vec!["IPv4"])] {
        runner.cluster.create(&SERVICES, service(name, &families), moment).expect("the story made it so");
        let replicas = runner.rng.below(5);
        runner.cluster.create(&SETS, set(name, replicas), moment).expect("the story made it so");
    }
    runner
}

/// What a kubelet does: running pods get addresses.
fn give_addresses(runner: &mut Runner) {
    for pod in runner.cluster.state.all(&PODS) {
        if pod["status"]["phase"] != "Running" || !pod["status"]["podIPs"].is_null() {
            continue;
        }
        let number: u64 = pod["metadata"]["uid"].as_str().expect("the story made it so")["uid-".len()..]
            .parse()
            .expect("the story made it so");
        let (v4, v6) = (format!("10.0.{}.{}", number / 250, number % 250), format!("fd::{number:x}"));
        let mut new = (*pod).clone();
        new["status"]["podIP"] = json!(v4);
        new["status"]["podIPs"] = json!([{"ip": v4}, {"ip": v6}]);
        runner.cluster.update(&PODS, "status", &new).expect("the story sees the latest");
    }
}

fn disturb(runner: &mut Runner) {
    let moment = runner.moment();
    match runner.rng.below(8) {
        0..=2 => {
            let sets = runner.cluster.state.all(&SETS);
            let mut new = (*sets[runner.rng.index(sets.len()).expect("the story made it so")]).clone();
            new["spec"]["replicas"] = json!(runner.rng.below(6));
            runner.cluster.update(&SETS, "", &new).expect("the story made it so");
        }
        3 => {
            let Some(service) = runner.cluster.find(&SERVICES, "d", "a") else { return };
            let mut new = (*service).clone();
            match runner.rng.below(4) {
                0 => new["spec"]["ipFamilies"] = json!(["IPv4"]),
                1 => new["spec"]["ports"][0]["targetPort"] = json!(8000 + runner.rng.below(3)),
                2 => new["metadata"]["labels"]["tier"] = json!(runner.rng.below(3).to_string()),
                _ => new["spec"]["publishNotReadyAddresses"] = json!(true),
            }
            runner.cluster.update(&SERVICES, "", &new).expect("the story made it so");
        }
        4 => {
            // Somebody meddles.
            for resource in [SLICES, ENDPOINTS] {
                let all = runner.cluster.state.all(&resource);
                if let Some(index) = runner.rng.index(all.len()) {
                    runner.cluster.delete(&resource, &all[index], moment);
                }
            }
        }
        5 if runner.rng.chance(1, 3) => {
            if let Some(service) = runner.cluster.find(&SERVICES, "d", "b") {
                runner.cluster.vanish(&SERVICES, &service);
            } else {
                runner
                    .cluster
                    .create(&SERVICES, service("b", &["IPv4"]), moment)
                    .expect("the story made it so");
            }
        }
        _ => {
            let pods = runner.cluster.state.all(&PODS);
            if let Some(index) = runner.rng.index(pods.len()) {
                runner.cluster.delete(&PODS, &pods[index], moment);
            }
        }
    }
}

/// Addresses of pods that run for a Service, by whether they are ready.
fn running(cluster: &Cluster, service: &Value, family: &str) -> BTreeMap<String, bool> {
    let anyhow = service["spec"]["publishNotReadyAddresses"] == true;
    let mut out = BTreeMap::new();
    for pod in cluster.state.all(&PODS) {
        let mine = pod["metadata"]["labels"]["app"] == service["spec"]["selector"]["app"];
        let finished = matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
        if !mine || finished {
            continue;
        }
        let ready = pod["status"]["conditions"][0]["status"] == "True"
            && pod["metadata"]["deletionTimestamp"].is_null();
        for ip in pod["status"]["podIPs"].as_array().into_iter().flatten() {
            let ip = ip["ip"].as_str().expect("the story made it so");
            if ip.contains(':') == (family == "IPv6") {
                out.insert(ip.to_owned(), ready || anyhow);
            }
        }
    }
    out
}

fn check(cluster: &Cluster) {
    let services = cluster.state.all(&SERVICES);
    let names: BTreeSet<&str> = services
        .iter()
        .map(|service| service["metadata"]["name"].as_str().expect("the story made it so"))
        .collect();
    for slice in cluster.state.all(&SLICES) {
        let of =
            slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().expect("the story made it so");
        assert!(names.contains(of), "a slice of a Service that is gone: {slice}");
    }
    for service in &services {
        let name = &service["metadata"]["name"];
        let slices = cluster.state.all(&SLICES);
        let mine: Vec<_> = slices
            .iter()
            .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == *name)
            .collect();
        for family in service["spec"]["ipFamilies"].as_array().expect("the story made it so") {
            let family = family.as_str().expect("the story made it so");
            let here: Vec<_> = mine.iter().filter(|slice| slice["addressType"] == family).collect();
            assert_eq!(here.len(), 1, "{name} {family}: {here:?}");
            assert_eq!(here[0]["metadata"]["labels"]["tier"], service["metadata"]["labels"]["tier"]);
            let mut told = BTreeMap::new();
            for endpoint in here[0]["endpoints"].as_array().expect("the story made it so") {
                let ip = endpoint["addresses"][0].as_str().expect("the story made it so").to_owned();
                let ready = endpoint["conditions"]["ready"].as_bool().expect("the story made it so");
                if ready {
                    assert_eq!(endpoint["hints"]["forZones"][0]["name"], endpoint["zone"]);
                }
                assert!(told.insert(ip, ready).is_none(), "an endpoint stands in a slice once");
                assert_eq!(here[0]["ports"][0]["port"], service["spec"]["ports"][0]["targetPort"]);
            }
            assert_eq!(told, running(cluster, service, family));
        }
        let families = service["spec"]["ipFamilies"].as_array().expect("the story made it so").len();
        assert_eq!(mine.len(), families, "slices of a family that is asked for no more");
        let endpoints = cluster
            .find(&ENDPOINTS, "d", name.as_str().expect("the story made it so"))
            .expect("its Endpoints");
        let ready: BTreeSet<String> = addresses(&endpoints["subsets"][0]["addresses"]);
        let wanted = running(cluster, service, "IPv4");
        let wanted: BTreeSet<String> =
            wanted.into_iter().filter(|(_, ready)| *ready).map(|(ip, _)| ip).collect();
        assert_eq!(ready, wanted);
    }
    for endpoints in cluster.state.all(&ENDPOINTS) {
        assert!(names.contains(endpoints["metadata"]["name"].as_str().expect("the story made it so")));
    }
}

fn addresses(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|address| address["ip"].as_str().expect("the story made it so").to_owned()).collect()
}

#[test]
fn every_running_pod_is_told_of_once() {
    seeds(1_300, |seed| {
        let mut runner = prepare(seed);
        for _ in 0..600 {
            if runner.rng.chance(1, 30) {
                disturb(&mut runner);
            }
            runner.step(true);
            give_addresses(&mut runner);
        }
        runner.rest();
        give_addresses(&mut runner);
        runner.rest();
        check(&runner.cluster);
        // At rest nothing is written.
        let before = runner.cluster.state.revision;
        runner.rest();
        assert_eq!(runner.cluster.state.revision, before);
    });
}

#[test]
fn endpoints_that_people_wrote_are_mirrored_and_the_mirror_goes_with_them() {
    seeds(700, |seed| {
        let mut runner = Runner::new(seed, controllers());
        let moment = runner.moment();
        let mut outside = service("db", &["IPv4"]);
        outside["spec"].as_object_mut().expect("the story made it so").remove("selector");
        runner.cluster.create(&SERVICES, outside, moment).expect("the story made it so");
        let written = |last: u64| {
            json!({
                "metadata": {"name": "db", "namespace": "d", "labels": {"x": "y"}},
                "subsets": [{"addresses": [{"ip": "10.9.0.1"}, {"ip": format!("10.9.0.{last}")}], "ports": [{"port": 5432, "protocol": "TCP"}]}],
            })
        };
        runner.cluster.create(&ENDPOINTS, written(2), moment).expect("the story made it so");
        for round in 3..9 {
            for _ in 0..40 {
                runner.step(true);
            }
            let mut new =
                (*runner.cluster.find(&ENDPOINTS, "d", "db").expect("the story made it so")).clone();
            new["subsets"] = written(round)["subsets"].clone();
            runner.cluster.update(&ENDPOINTS, "", &new).expect("the story made it so");
        }
        runner.rest();
        let slices = runner.cluster.state.all(&SLICES);
        assert_eq!(slices.len(), 1);
        let told: BTreeSet<&str> = slices[0]["endpoints"]
            .as_array()
            .expect("the story made it so")
            .iter()
            .map(|e| e["addresses"][0].as_str().expect("the story made it so"))
            .collect();
        assert_eq!(told, BTreeSet::from(["10.9.0.1", "10.9.0.8"]));
        assert_eq!(slices[0]["metadata"]["labels"]["x"], "y");
        let endpoints = runner.cluster.find(&ENDPOINTS, "d", "db").expect("the story made it so");
        runner.cluster.vanish(&ENDPOINTS, &endpoints);
        runner.rest();
        assert!(runner.cluster.state.all(&SLICES).is_empty());
    });
}
