use serde_json::{Value, json};
use trireme_scheduler::Watched;

use super::kit::{Kit, merge, node, pod};

/// Where a pod goes that prefers something.
fn preferred(nodes: Vec<Value>, before: Vec<Value>, pod: Value) -> String {
    let mut kit = Kit::new();
    nodes.into_iter().for_each(|node| kit.put(Watched::Nodes, node));
    before.into_iter().for_each(|object| {
        let resource = if object["kind"] == "Service" { Watched::Services } else { Watched::Pods };
        kit.put(resource, object);
    });
    assert_eq!(kit.try_pod(pod), "");
    kit.at("p").unwrap().to_owned()
}

fn at(name: &str, on: &str) -> Value {
    pod(name, json!({"nodeName": on, "containers": [{"name": "c", "image": "i"}]}))
}

#[test]
fn the_emptier_node_is_better() {
    let nodes = || vec![node("a", json!({})), node("b", json!({}))];
    let full = pod("x", json!({"nodeName": "a"}));
    assert_eq!(preferred(nodes(), vec![full], pod("p", json!({}))), "b");
}

#[test]
fn soft_taints_and_liked_nodes() {
    let soft = json!({"spec": {"taints": [{"key": "k", "value": "", "effect": "PreferNoSchedule"}]}});
    assert_eq!(preferred(vec![node("a", soft), node("b", json!({}))], vec![], pod("p", json!({}))), "b");
    let likes = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1,
        "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}]}}});
    let ssd = json!({"metadata": {"labels": {"disk": "ssd"}}});
    assert_eq!(preferred(vec![node("a", json!({})), node("b", ssd)], vec![], pod("p", likes)), "b");
}

#[test]
fn preferred_pods_and_those_to_keep_away_from() {
    let nodes = || vec![node("a", json!({})), node("b", json!({}))];
    let term =
        json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}});
    let with = |kind: &str| {
        json!({"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution":
            [{"weight": 100, "podAffinityTerm": term}]}}})
    };
    assert_eq!(preferred(nodes(), vec![at("x", "a")], pod("p", with("podAffinity"))), "a");
    assert_eq!(preferred(nodes(), vec![at("x", "a")], pod("p", with("podAntiAffinity"))), "b");
    // What others prefer counts as well.
    let mut other = at("x", "b");
    merge(&mut other, json!({"spec": with("podAffinity")}));
    assert_eq!(preferred(nodes(), vec![other], pod("p", json!({}))), "b");
}

#[test]
fn replicas_of_a_service_are_spread_by_default() {
    let nodes = vec![node("a", json!({})), node("b", json!({}))];
    let service = json!({"kind": "Service", "metadata": {"namespace": "d", "name": "s"}, "spec": {"selector": {"app": "a"}}});
    let mut big = at("y", "b");
    big["metadata"]["labels"] = json!({});
    big["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m", "memory": "100Mi"}});
    assert_eq!(preferred(nodes, vec![service, at("x", "a"), big], pod("p", json!({}))), "b");
}

#[test]
fn large_images_that_are_there_count() {
    let image = json!({"status": {"images": [{"names": ["i:latest"], "sizeBytes": 2_000_000_000_i64}]}});
    let nodes = vec![node("a", json!({})), node("b", image)];
    assert_eq!(preferred(nodes, vec![], pod("p", json!({}))), "b");
}

#[test]
fn softly_spread_pods_go_where_fewer_are() {
    let zone = |name: &str, zone: &str| node(name, json!({"metadata": {"labels": {"zone": zone}}}));
    let spread = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "a"}}}]});
    let before = vec![at("x", "a"), at("y", "a2")];
    let nodes = vec![zone("a", "1"), zone("a2", "1"), zone("b", "2")];
    assert_eq!(preferred(nodes, before, pod("p", spread)), "b");
}
