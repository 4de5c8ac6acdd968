use serde_json::json;
use trireme_scheduler::Watched;

use super::kit::{Kit, node, pod};

fn with_nodes(nodes: Vec<serde_json::Value>) -> Kit {
    let mut kit = Kit::new();
    nodes.into_iter().for_each(|node| kit.put(Watched::Nodes, node));
    kit
}

const UNHELPFUL: &str = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
const NO_VICTIMS: &str =
    "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";

#[test]
fn the_message_counts_reasons_in_order() {
    let taint = json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}});
    let small = json!({"status": {"allocatable": {"cpu": "500m"}}});
    let mut kit = with_nodes(vec![node("a", taint.clone()), node("b", taint), node("c", small)]);
    let message = kit.try_pod(pod("p", json!({})));
    assert_eq!(
        message,
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {k: v}. preemption: 0/3 nodes \
         are available: 3 Preemption is not helpful for scheduling."
    );
    let (reason, text, about) = kit.events.last().unwrap().clone();
    assert_eq!((reason.as_str(), text, about.as_str()), ("FailedScheduling", message, "p"));
    assert_eq!(kit.conditions["d/p"].0, "Unschedulable");
    let tolerant = pod("q", json!({"tolerations": [{"key": "k", "operator": "Exists"}]}));
    assert_eq!(kit.try_pod(tolerant), "");
    assert_eq!(
        kit.events.last().unwrap().1,
        format!("Successfully assigned d/q to {}", kit.at("q").unwrap())
    );
}

#[test]
fn without_nodes_it_says_so_and_the_first_node_takes_the_pod() {
    let mut kit = Kit::new();
    assert_eq!(kit.try_pod(pod("p", json!({}))), "no nodes available to schedule pods");
    kit.put(Watched::Nodes, node("a", json!({})));
    kit.pass(std::time::Duration::from_secs(2));
    assert_eq!(kit.at("p"), Some("a"));
}

#[test]
fn cordoned_nodes_take_only_those_that_tolerate_it() {
    let mut kit = with_nodes(vec![node("a", json!({"spec": {"unschedulable": true}}))]);
    let message = kit.try_pod(pod("p", json!({})));
    assert_eq!(message, format!("0/1 nodes are available: 1 node(s) were unschedulable. {UNHELPFUL}"));
    let key = "node.kubernetes.io/unschedulable";
    assert_eq!(kit.try_pod(pod("q", json!({"tolerations": [{"key": key, "operator": "Exists"}]}))), "");
}

#[test]
fn selectors_and_affinity_of_nodes() {
    let mut kit = with_nodes(vec![node("a", json!({"metadata": {"labels": {"disk": "ssd", "size": "5"}}}))]);
    let message = kit.try_pod(pod("p", json!({"nodeSelector": {"disk": "hdd"}})));
    assert_eq!(
        message,
        format!("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. {UNHELPFUL}")
    );
    let wants = |expressions: serde_json::Value| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": expressions}]}}}})
    };
    let cases = [
        (json!([{"key": "size", "operator": "Gt", "values": ["4"]}]), true),
        (json!([{"key": "size", "operator": "Lt", "values": ["4"]}]), false),
        (
            json!([{"key": "disk", "operator": "In", "values": ["ssd", "x"]}, {"key": "gpu", "operator": "DoesNotExist"}]),
            true,
        ),
        (json!([{"key": "disk", "operator": "NotIn", "values": ["ssd"]}]), false),
        (json!([{"key": "gpu", "operator": "NotIn", "values": ["x"]}]), true),
        (json!([]), false),
    ];
    for (at, (expressions, fits)) in cases.into_iter().enumerate() {
        let message = kit.try_pod(pod(&format!("q{at}"), json_with_zero(wants(expressions.clone()))));
        assert_eq!(message.is_empty(), fits, "{expressions}: {message}");
    }
    let named = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]}}}});
    assert_eq!(kit.try_pod(pod("named", json_with_zero(named))), "");
}

/// The same for a pod that asks for nothing, so that room does not matter.
fn json_with_zero(mut spec: serde_json::Value) -> serde_json::Value {
    spec["containers"] = json!([{"name": "c", "image": "i"}]);
    spec
}

#[test]
fn ports_of_the_host_are_taken_once() {
    let mut kit = with_nodes(vec![node("a", json!({}))]);
    let port = |ip: &str, protocol: &str| {
        json!({"containers": [{"name": "c", "image": "i",
            "ports": [{"containerPort": 80, "hostPort": 80, "hostIP": ip, "protocol": protocol}]}]})
    };
    assert_eq!(kit.try_pod(pod("p", port("127.0.0.1", "TCP"))), "");
    assert_eq!(kit.try_pod(pod("q", port("127.0.0.2", "TCP"))), "");
    assert_eq!(kit.try_pod(pod("r", port("0.0.0.0", "UDP"))), "");
    let message = kit.try_pod(pod("s", port("", "TCP")));
    assert_eq!(
        message,
        format!(
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. {NO_VICTIMS}"
        )
    );
    kit.gone(Watched::Pods, "d", "p");
    kit.gone(Watched::Pods, "d", "q");
    kit.pass(std::time::Duration::from_secs(20));
    assert_eq!(kit.at("s"), Some("a"), "a freed port wakes who waits for it");
}

#[test]
fn extended_resources_and_the_number_of_pods() {
    let room = json!({"status": {"allocatable": {"example.com/dongle": "3", "pods": "4"}}});
    let mut kit = with_nodes(vec![node("a", room)]);
    let dongle = json!({"containers": [{"name": "c", "image": "i",
        "resources": {"requests": {"example.com/dongle": "1"}, "limits": {"example.com/dongle": "1"}}}]});
    for at in 0..3 {
        assert_eq!(kit.try_pod(pod(&format!("p{at}"), dongle.clone())), "");
    }
    let message = kit.try_pod(pod("p3", dongle.clone()));
    assert_eq!(message, format!("0/1 nodes are available: 1 Insufficient example.com/dongle. {NO_VICTIMS}"));
    assert_eq!(kit.try_pod(pod("q", json_with_zero(json!({})))), "");
    let message = kit.try_pod(pod("r", dongle));
    assert!(message.contains("1 Insufficient example.com/dongle, 1 Too many pods."), "{message}");
}

#[test]
fn sidecars_init_containers_overhead_and_pod_level_resources() {
    let requests = |cpu: &str| json!({"requests": {"cpu": cpu}});
    let container = |cpu: &str| json!({"name": "c", "image": "i", "resources": requests(cpu)});
    let sidecar =
        |cpu: &str| json!({"name": "s", "image": "i", "restartPolicy": "Always", "resources": requests(cpu)});
    let cases = [
        // The largest step of the initialisation counts.
        (json!({"containers": [container("1")], "initContainers": [container("5")]}), "5"),
        // A sidecar counts beside the containers and beside later steps.
        (json!({"containers": [container("1")], "initContainers": [sidecar("2")]}), "3"),
        (json!({"containers": [container("1")], "initContainers": [sidecar("2"), container("3")]}), "5"),
        (json!({"containers": [container("1")], "initContainers": [container("3"), sidecar("2")]}), "3"),
        (json!({"containers": [container("1")], "overhead": {"cpu": "500m"}}), "1500m"),
        (json!({"containers": [container("1"), container("1")], "resources": requests("3")}), "3"),
    ];
    for (spec, cpu) in cases {
        let mut kit = with_nodes(vec![node("a", json!({"status": {"allocatable": {"cpu": cpu}}}))]);
        assert_eq!(kit.try_pod(pod("p", spec.clone())), "", "{spec} fits {cpu}");
        let less = format!("{}m", trireme_schema::Quantity::milli_value(&cpu.parse().unwrap()) - 1);
        let mut kit = with_nodes(vec![node("a", json!({"status": {"allocatable": {"cpu": less}}}))]);
        assert!(
            kit.try_pod(pod("p", spec.clone())).contains("Insufficient cpu"),
            "{spec} does not fit {less}"
        );
    }
}

#[test]
fn a_pod_that_is_being_resized_counts_with_the_most() {
    let mut kit = with_nodes(vec![node("a", json!({}))]);
    let mut big = pod("big", json!({"nodeName": "a"}));
    big["status"] = json!({"phase": "Running", "containerStatuses": [{"name": "c",
        "allocatedResources": {"cpu": "3"}, "resources": {"requests": {"cpu": "3500m"}}}]});
    kit.put(Watched::Pods, big.clone());
    assert!(kit.try_pod(pod("p", json!({}))).contains("Insufficient cpu"));
    big["status"]["containerStatuses"][0] = json!({"name": "c", "allocatedResources": {"cpu": "1"}});
    kit.put(Watched::Pods, big);
    kit.pass(std::time::Duration::from_secs(2));
    assert_eq!(kit.at("p"), Some("a"), "what asks for less wakes who waits");
}

fn zones() -> Vec<serde_json::Value> {
    let zone = |name: &str, zone: &str| {
        node(name, json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}}))
    };
    vec![zone("a1", "a"), zone("a2", "a"), zone("b1", "b")]
}

fn term(key: &str, app: &str) -> serde_json::Value {
    json!({"requiredDuringSchedulingIgnoredDuringExecution":
        [{"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}]})
}

#[test]
fn anti_affinity_holds_both_ways() {
    let mut kit = with_nodes(zones());
    let alone = json!({"affinity": {"podAntiAffinity": term("topology.kubernetes.io/zone", "a")}});
    assert_eq!(kit.try_pod(pod("p", alone.clone())), "");
    assert_eq!(kit.try_pod(pod("q", alone.clone())), "");
    assert_ne!(kit.at("p").unwrap()[..1], kit.at("q").unwrap()[..1]);
    let message = kit.try_pod(pod("r", alone));
    assert!(message.contains("3 node(s) didn't match pod anti-affinity rules."), "{message}");
    let message = kit.try_pod(pod("s", json!({})));
    assert!(message.contains("3 node(s) didn't satisfy existing pods anti-affinity rules."), "{message}");
    kit.gone(Watched::Pods, "d", "p");
    kit.pass(std::time::Duration::from_secs(20));
    assert!(kit.at("r").is_some() != kit.at("s").is_some());
}

#[test]
fn affinity_begins_with_the_pod_itself_and_follows_namespaces() {
    let mut kit = with_nodes(zones());
    let near = json!({"affinity": {"podAffinity": term("topology.kubernetes.io/zone", "a")}});
    assert_eq!(kit.try_pod(pod("p", near.clone())), "");
    assert_eq!(kit.try_pod(pod("q", near.clone())), "");
    assert_eq!(kit.at("p").unwrap()[..1], kit.at("q").unwrap()[..1]);
    let other = json!({"affinity": {"podAffinity": term("topology.kubernetes.io/zone", "other")}});
    let message = kit.try_pod(pod("r", other));
    assert!(message.contains("3 node(s) didn't match pod affinity rules."), "{message}");
    let elsewhere = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}},
        "namespaceSelector": {"matchLabels": {"team": "x"}}}]}}});
    let mut stranger = pod("s", elsewhere);
    stranger["metadata"]["labels"] = json!({});
    assert!(kit.try_pod(stranger).contains("didn't match pod affinity rules"));
    kit.put(Watched::Namespaces, json!({"metadata": {"name": "d", "labels": {"team": "x"}}}));
    // A namespace's labels wake nobody, as upstream; the flush does.
    kit.pass(std::time::Duration::from_secs(301));
    assert!(kit.at("s").is_some());
}

#[test]
fn spreading_keeps_the_skew_with_few_domains_and_labels_of_its_own() {
    let mut kit = with_nodes(zones());
    let spread = |more: serde_json::Value| {
        let mut one = json!({"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "a"}}});
        super::kit::merge(&mut one, more);
        json_with_zero(json!({"topologySpreadConstraints": [one]}))
    };
    let mut zones = std::collections::BTreeMap::<String, usize>::new();
    for at in 0..6 {
        let name = format!("p{at}");
        assert_eq!(kit.try_pod(pod(&name, spread(json!({})))), "");
        *zones.entry(kit.at(&name).unwrap()[..1].to_owned()).or_default() += 1;
    }
    assert_eq!(zones.into_values().collect::<Vec<_>>(), [3, 3]);
    let message = kit.try_pod(pod("q", spread(json!({"minDomains": 3}))));
    assert!(message.contains("3 node(s) didn't match pod topology spread constraints."), "{message}");
    let message = kit.try_pod(pod("r", spread(json!({"topologyKey": "rack"}))));
    assert!(
        message.contains("3 node(s) didn't match pod topology spread constraints (missing required label)."),
        "{message}"
    );
    // A revision of its own is spread by itself.
    let mut fresh = pod("s", spread(json!({"matchLabelKeys": ["rev"], "minDomains": 2})));
    fresh["metadata"]["labels"] = json!({"app": "a", "rev": "2"});
    assert_eq!(kit.try_pod(fresh), "");
}

#[test]
fn tainted_nodes_count_for_spreading_unless_their_taints_are_honoured() {
    let tainted = json!({"spec": {"taints": [{"key": "k", "value": "", "effect": "NoSchedule"}]}});
    let policy = |policy: &str| {
        json_with_zero(
            json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule", "nodeTaintsPolicy": policy,
            "labelSelector": {"matchLabels": {"app": "a"}}}]}),
        )
    };
    for (named, fits) in [("Ignore", false), ("Honor", true)] {
        let mut kit = with_nodes(vec![node("a", json!({})), node("b", tainted.clone())]);
        assert_eq!(kit.try_pod(pod("p", policy(named))), "");
        let message = kit.try_pod(pod("q", policy(named)));
        assert_eq!(message.is_empty(), fits, "{named}: {message}");
    }
}

#[test]
fn claims_that_are_not_bound_keep_a_pod_waiting() {
    let mut kit = with_nodes(zones());
    let mounts = json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]});
    let message = kit.try_pod(pod("p", mounts));
    assert_eq!(
        message,
        "0/3 nodes are available: persistentvolumeclaim \"c\" not found. preemption: 0/3 nodes are available: 3 \
         Preemption is not helpful for scheduling."
    );
    let claim = |more: serde_json::Value| {
        let mut claim =
            json!({"metadata": {"namespace": "d", "name": "c"}, "spec": {"storageClassName": "s"}});
        super::kit::merge(&mut claim, more);
        claim
    };
    kit.put(Watched::PersistentVolumeClaims, claim(json!({})));
    kit.pass(std::time::Duration::from_secs(2));
    assert!(
        kit.message("p")
            .starts_with("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
    );
    let affinity = json!({"required": {"nodeSelectorTerms": [{"matchExpressions":
        [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["b"]}]}]}});
    kit.put(
        Watched::PersistentVolumes,
        json!({"metadata": {"name": "v"}, "spec": {"nodeAffinity": affinity}}),
    );
    let bound = json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "v"}});
    kit.put(Watched::PersistentVolumeClaims, claim(bound));
    kit.pass(std::time::Duration::from_secs(4));
    assert_eq!(kit.at("p"), Some("b1"), "the claim wakes its pod, which goes where the volume is");
}

#[test]
fn another_schedulers_pods_are_left_alone() {
    let mut kit = with_nodes(zones());
    kit.put(Watched::Pods, pod("p", json!({"schedulerName": "other"})));
    kit.run();
    assert_eq!((kit.at("p"), kit.message("p")), (None, ""));
}
