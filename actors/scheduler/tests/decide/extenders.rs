use serde_json::{Value, json};
use trireme_scheduler::{Effect, SchedulerConfig, Watched};

use super::kit::{Kit, node, pod};

fn kit(extender: Value) -> Kit {
    let config = SchedulerConfig::read(json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "extenders": [extender],
    }));
    let mut kit = Kit::configured(&config.unwrap());
    for name in ["a", "b", "c"] {
        kit.put(Watched::Nodes, node(name, json!({})));
    }
    kit
}

fn asked(kit: &Kit) -> (String, Value) {
    match &kit.asked[0] {
        Effect::Extend { verb, body, .. } => (verb.clone(), body.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_filters_and_scores() {
    let mut kit = kit(
        json!({"urlPrefix": "http://x", "filterVerb": "filter", "prioritizeVerb": "prioritize", "weight": 50,
        "nodeCacheCapable": true}),
    );
    kit.put(Watched::Pods, pod("p", json!({})));
    kit.run();
    let (verb, body) = asked(&kit);
    assert_eq!((verb.as_str(), body["NodeNames"].as_array().unwrap().len()), ("filter", 3));
    assert_eq!(body["Pod"]["metadata"]["name"], "p");
    kit.answer(Ok(json!({"NodeNames": ["b", "c"], "FailedNodes": {"a": "not me"}})));
    let (verb, body) = asked(&kit);
    assert_eq!((verb.as_str(), body["NodeNames"].as_array().unwrap().len()), ("prioritize", 2));
    kit.answer(Ok(json!([{"Host": "b", "Score": 1}, {"Host": "c", "Score": 10}])));
    assert_eq!(kit.at("p"), Some("c"));
}

#[test]
fn whole_nodes_are_sent_to_one_that_does_not_know_them_and_its_words_are_told() {
    let mut kit = kit(json!({"urlPrefix": "http://x", "filterVerb": "filter"}));
    kit.put(Watched::Pods, pod("p", json!({})));
    kit.run();
    assert_eq!(asked(&kit).1["Nodes"]["items"].as_array().unwrap().len(), 3);
    kit.answer(Ok(json!({"Nodes": {"items": []}, "FailedNodes": {"a": "busy", "b": "busy", "c": "odd"}})));
    assert!(kit.message("p").starts_with("0/3 nodes are available: 1 odd, 2 busy."), "{}", kit.message("p"));
}

#[test]
fn it_binds_and_its_error_is_tried_again() {
    let mut kit = kit(json!({"urlPrefix": "http://x", "bindVerb": "bind"}));
    kit.put(Watched::Pods, pod("p", json!({})));
    kit.run();
    let (verb, body) = asked(&kit);
    assert_eq!(
        (verb.as_str(), body["PodName"].as_str(), body["PodUID"].as_str()),
        ("bind", Some("p"), Some("uid-p"))
    );
    assert!(body["Node"].is_string() && body["PodNamespace"] == "d");
    kit.answer(Ok(json!({"Error": "x"})));
    assert_eq!(kit.conditions["d/p"], ("SchedulerError".to_owned(), "x".to_owned()));
    assert_eq!(kit.events.last().unwrap().0, "FailedScheduling");
    kit.pass(std::time::Duration::from_secs(1));
    assert_eq!(asked(&kit).0, "bind");
    kit.answer(Ok(json!({})));
    assert_eq!(kit.events.last().unwrap().0, "Scheduled");
}

#[test]
fn failures_are_errors_unless_it_may_be_ignored() {
    for ignorable in [false, true] {
        let mut kit = kit(
            json!({"urlPrefix": "http://x", "filterVerb": "f", "nodeCacheCapable": true, "ignorable": ignorable}),
        );
        kit.put(Watched::Pods, pod("p", json!({})));
        kit.run();
        kit.answer(Err("down".into()));
        assert_eq!(kit.at("p").is_some(), ignorable);
    }
}

#[test]
fn it_is_asked_only_about_its_resources() {
    let mut kit = kit(
        json!({"urlPrefix": "http://x", "filterVerb": "f", "managedResources": [{"name": "example.com/x"}]}),
    );
    assert_eq!(kit.try_pod(pod("p", json!({}))), "");
    assert!(kit.asked.is_empty());
}
