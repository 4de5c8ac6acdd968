use std::time::Duration;

use serde_json::json;
use trireme_scheduler::Watched;

use super::kit::{Kit, merge, node, pod};

fn sized(name: &str, cpu: &str, priority: i64) -> serde_json::Value {
    pod(
        name,
        json!({"priority": priority, "containers":
        [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}),
    )
}

fn running(name: &str, cpu: &str, priority: i64, at: &str) -> serde_json::Value {
    let mut pod = sized(name, cpu, priority);
    merge(
        &mut pod,
        json!({"spec": {"nodeName": at}, "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}}),
    );
    pod
}

#[test]
fn the_least_important_go_and_it_is_told() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({})));
    kit.put(Watched::Pods, running("low", "2", 1, "a"));
    kit.put(Watched::Pods, running("mid", "2", 5, "a"));
    let message = {
        kit.put(Watched::Pods, sized("high", "2", 10));
        kit.run();
        kit.message("high").to_owned()
    };
    assert_eq!(message, "0/1 nodes are available: 1 Insufficient cpu.");
    assert_eq!((kit.evicted.as_slice(), kit.nominated["d/high"].as_str()), (&["d/low".to_owned()][..], "a"));
    let preempted = kit.events.iter().find(|(reason, ..)| reason == "Preempted").unwrap();
    assert_eq!(preempted.1, "Preempted by pod uid-high on node a");
    kit.pass(Duration::from_secs(2));
    assert_eq!(kit.at("high"), Some("a"));
    assert_eq!(kit.evicted.len(), 1);
}

#[test]
fn equals_and_those_who_never_preempt_evict_nobody() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({})));
    kit.put(Watched::Pods, running("low", "4", 1, "a"));
    let message = kit.try_pod(sized("equal", "1", 1));
    assert!(
        message.ends_with(
            "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
        )
    );
    let mut never = sized("never", "1", 9);
    never["spec"]["preemptionPolicy"] = json!("Never");
    let message = kit.try_pod(never);
    assert!(
        message.ends_with("1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."),
        "{message}"
    );
    assert!(kit.evicted.is_empty());
}

#[test]
fn nodes_without_broken_budgets_come_first_then_lower_priorities_then_fewer() {
    let mut kit = Kit::new();
    for name in ["a", "b", "c"] {
        kit.put(Watched::Nodes, node(name, json!({})));
    }
    let mut guarded = running("guarded", "4", 1, "a");
    guarded["metadata"]["labels"] = json!({"guard": "y"});
    kit.put(Watched::Pods, guarded);
    kit.put(Watched::Pods, running("b1", "2", 3, "b"));
    kit.put(Watched::Pods, running("b2", "2", 3, "b"));
    kit.put(Watched::Pods, running("c1", "4", 3, "c"));
    kit.put(
        Watched::PodDisruptionBudgets,
        json!({"metadata": {"namespace": "d", "name": "x"},
        "spec": {"selector": {"matchLabels": {"guard": "y"}}}, "status": {"disruptionsAllowed": 0}}),
    );
    kit.put(Watched::Pods, sized("high", "4", 10));
    kit.run();
    assert_eq!(kit.evicted, ["d/c1"]);
}

#[test]
fn a_budget_is_broken_only_when_nothing_else_helps() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({})));
    let mut guarded = running("guarded", "2", 1, "a");
    guarded["metadata"]["labels"] = json!({"guard": "y"});
    kit.put(Watched::Pods, guarded);
    kit.put(Watched::Pods, running("plain", "2", 5, "a"));
    kit.put(
        Watched::PodDisruptionBudgets,
        json!({"metadata": {"namespace": "d", "name": "x"},
        "spec": {"selector": {"matchLabels": {"guard": "y"}}}, "status": {"disruptionsAllowed": 0}}),
    );
    kit.put(Watched::Pods, sized("high", "2", 10));
    kit.run();
    assert_eq!(kit.evicted, ["d/plain"], "the guarded one stays although it is less important");
    kit.pass(Duration::from_secs(2));
    kit.put(Watched::Pods, sized("higher", "4", 20));
    kit.run();
    assert_eq!(kit.evicted, ["d/plain", "d/high", "d/guarded"]);
}

#[test]
fn what_is_promised_is_not_given_to_lower_pods() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({})));
    let mut high = sized("high", "4", 10);
    high["status"]["nominatedNodeName"] = json!("a");
    // Its victim is still there, going.
    let mut victim = running("victim", "3", 1, "a");
    victim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    kit.put(Watched::Pods, victim);
    kit.put(Watched::Pods, high);
    kit.run();
    assert!(
        kit.message("high")
            .ends_with("preemption: not eligible due to a terminating pod on the nominated node.")
    );
    let message = kit.try_pod(sized("low", "1", 0));
    assert!(message.contains("Insufficient cpu"), "{message}");
    kit.gone(Watched::Pods, "d", "victim");
    kit.pass(Duration::from_secs(5));
    assert_eq!((kit.at("high"), kit.at("low")), (Some("a"), None));
}

#[test]
fn evicting_what_repels_helps() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({})));
    let far = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}]}}});
    let mut low = running("low", "1", 0, "a");
    merge(&mut low, json!({"spec": far}));
    kit.put(Watched::Pods, low);
    kit.put(Watched::Pods, running("by", "1", 0, "a"));
    let mut high = sized("high", "1", 10);
    merge(&mut high, json!({"spec": far}));
    kit.put(Watched::Pods, high);
    kit.run();
    assert_eq!(kit.evicted.len(), 2, "both match the anti-affinity: {:?}", kit.evicted);
    kit.pass(Duration::from_secs(2));
    assert_eq!(kit.at("high"), Some("a"));
}
