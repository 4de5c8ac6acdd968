use std::time::Duration;

use serde_json::json;
use trireme_scheduler::{BindFailure, SchedulerConfig, Verdict, Watched};

use super::kit::{Kit, node, pod};

#[test]
fn gated_pods_cost_no_attempt_until_their_gates_open() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({})));
    kit.put(Watched::Pods, pod("p", json!({"schedulingGates": [{"name": "x/y"}, {"name": "x/z"}]})));
    kit.pass(Duration::from_secs(1_000));
    assert_eq!((kit.at("p"), kit.scheduler.depths().gated, kit.events.len()), (None, 1, 0));
    let why = kit.scheduler.explain("d", "p").unwrap();
    assert_eq!(why.verdict, Verdict::Gated { gates: vec!["x/y".into(), "x/z".into()] });
    kit.put(Watched::Pods, pod("p", json!({"schedulingGates": [{"name": "x/z"}]})));
    kit.run();
    assert_eq!(kit.at("p"), None);
    kit.put(Watched::Pods, pod("p", json!({})));
    kit.run();
    assert_eq!(kit.at("p"), Some("a"));
}

#[test]
fn a_failed_binding_is_told_and_made_again_after_a_pause() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({})));
    kit.fail_binds = Some(BindFailure::Failed("no luck".into()));
    kit.put(Watched::Pods, pod("p", json!({})));
    kit.run();
    assert_eq!(kit.conditions["d/p"], ("SchedulerError".to_owned(), "no luck".to_owned()));
    assert_eq!(kit.events[0].0, "FailedScheduling");
    kit.fail_binds = None;
    kit.pass(Duration::from_millis(900));
    assert_eq!(kit.at("p"), None);
    kit.pass(Duration::from_millis(200));
    assert_eq!(kit.at("p"), Some("a"));
}

#[test]
fn the_same_refusal_is_written_once() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({"spec": {"unschedulable": true}})));
    kit.put(Watched::Pods, pod("p", json!({})));
    kit.run();
    kit.conditions.clear();
    kit.pass(Duration::from_secs(301));
    assert!(kit.events.len() > 1 && kit.conditions.is_empty(), "told again, not written again");
}

#[test]
fn only_what_may_help_wakes() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({"status": {"allocatable": {"cpu": "500m"}}})));
    kit.put(Watched::Pods, pod("p", json!({})));
    kit.run();
    let attempts = kit.events.len();
    kit.put(Watched::Nodes, node("b", json!({"status": {"allocatable": {"cpu": "600m"}}})));
    kit.put(
        Watched::Nodes,
        node("a", json!({"metadata": {"labels": {"x": "y"}}, "status": {"allocatable": {"cpu": "500m"}}})),
    );
    kit.pass(Duration::from_secs(60));
    assert_eq!(kit.events.len(), attempts, "a node that is too small is not worth an attempt");
    kit.put(Watched::Nodes, node("b", json!({})));
    kit.pass(Duration::from_secs(2));
    assert_eq!(kit.at("p"), Some("b"));
}

#[test]
fn explanations_name_reasons_nodes_and_remedies() {
    let mut kit = Kit::new();
    kit.put(Watched::Nodes, node("a", json!({"status": {"allocatable": {"cpu": "500m"}}})));
    kit.put(Watched::Pods, pod("p", json!({})));
    kit.run();
    let why = kit.scheduler.explain("d", "p").unwrap();
    assert_eq!((why.nodes, why.examined, why.feasible, why.attempt), (1, 1, 0, 1));
    let refusal = &why.refusals[0];
    assert_eq!(
        (refusal.plugin.as_str(), refusal.reason.as_str(), refusal.nodes),
        ("NodeResourcesFit", "Insufficient cpu", 1)
    );
    assert_eq!(refusal.examples, ["a"]);
    assert!(refusal.remedy.contains("cpu") && why.to_string().contains("Insufficient cpu"));
    kit.put(Watched::Nodes, node("b", json!({})));
    kit.put(Watched::Nodes, node("c", json!({})));
    kit.pass(Duration::from_secs(2));
    let why = kit.scheduler.explain("d", "p").unwrap();
    assert_eq!(why.verdict, Verdict::Placed { node: kit.at("p").unwrap().to_owned() });
    assert_eq!(why.scores.len(), 2);
    assert!(why.scores[0].parts.iter().any(|(plugin, _)| *plugin == "NodeResourcesFit"));
    assert_eq!(kit.scheduler.explain("d", "unknown"), None);
}

#[test]
fn profiles_serve_their_own_pods() {
    let config = SchedulerConfig::read(json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "profiles": [{"schedulerName": "default-scheduler"}, {"schedulerName": "packs", "pluginConfig": [
            {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}],
            "plugins": {"score": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}]}}}],
    }));
    let mut kit = Kit::configured(&config.unwrap());
    for name in ["a", "b", "c"] {
        kit.put(Watched::Nodes, node(name, json!({})));
    }
    let packs = |at: usize| pod(&format!("p{at}"), json!({"schedulerName": "packs"}));
    (0..4).for_each(|at| assert_eq!(kit.try_pod(packs(at)), ""));
    let packed: std::collections::BTreeSet<_> = (0..4).map(|at| kit.at(&format!("p{at}")).unwrap()).collect();
    assert_eq!(packed.len(), 1);
    let mut kit = Kit::new();
    for name in ["a", "b", "c", "d"] {
        kit.put(Watched::Nodes, node(name, json!({})));
    }
    (0..4).for_each(|at| assert_eq!(kit.try_pod(pod(&format!("p{at}"), json!({}))), ""));
    let spread: std::collections::BTreeSet<_> = (0..4).map(|at| kit.at(&format!("p{at}")).unwrap()).collect();
    assert_eq!(spread.len(), 4);
}
