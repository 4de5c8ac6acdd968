use serde_json::{Value, json};

use super::*;
use crate::names::Names;

fn read(more: Value) -> Result<Setup, String> {
    let mut document =
        json!({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"});
    for (name, value) in more.as_object().unwrap() {
        document[name] = value.clone();
    }
    let config = SchedulerConfig::read(document).map_err(|error| error.to_string())?;
    Ok(config.setup(&mut Names::default()).unwrap())
}

#[test]
fn defaults_are_upstreams() {
    let setup = read(json!({})).unwrap();
    let profile = &setup.profiles[0];
    assert_eq!((profile.name.as_str(), profile.filters.len()), ("default-scheduler", 12));
    let scores: Vec<_> = profile.scores.iter().map(|(plugin, weight)| (plugin.name(), *weight)).collect();
    assert_eq!(
        scores,
        [
            ("TaintToleration", 3),
            ("NodeAffinity", 2),
            ("NodeResourcesFit", 1),
            ("PodTopologySpread", 2),
            ("InterPodAffinity", 2),
            ("NodeResourcesBalancedAllocation", 1),
            ("ImageLocality", 1),
        ]
    );
    assert_eq!((setup.back_off_first.as_secs(), setup.back_off_most.as_secs()), (1, 10));
}

#[test]
fn plugins_are_switched_and_weighed() {
    let setup = read(json!({"profiles": [{"plugins": {
        "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "ImageLocality", "weight": 7}]},
        "multiPoint": {"disabled": [{"name": "NodePorts"}, {"name": "DefaultPreemption"}]},
    }}]}));
    let profile = &setup.unwrap().profiles[0];
    assert_eq!(profile.scores, [(Plugin::ImageLocality, 7)]);
    assert!(!profile.filters.contains(&Plugin::NodePorts) && !profile.preempts);
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        (json!({"percentageOfNodesToScore": 101}), "percentageOfNodesToScore"),
        (json!({"podMaxBackoffSeconds": 0}), "podMaxBackoffSeconds"),
        (json!({"profile": []}), "unknown field `profile`"),
        (json!({"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]}), "Duplicate value"),
        (
            json!({"profiles": [{"plugins": {"filter": {"enabled": [{"name": "Mine"}]}}}]}),
            "\"Mine\" does not exist",
        ),
        (json!({"profiles": [{"plugins": {"queueSort": {"disabled": [{"name": "*"}]}}}]}), "queueSort"),
        (
            json!({"profiles": [{"plugins": {"score": {"enabled": [{"name": "NodeName"}]}}}]}),
            "does not extend",
        ),
        (
            json!({"profiles": [{"pluginConfig": [{"name": "InterPodAffinity", "args": {"x": 1}}]}]}),
            "unknown field `x`",
        ),
        (
            json!({"profiles": [{"pluginConfig": [{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}]}]}),
            "not in valid range [0-100]",
        ),
        (
            json!({"profiles": [{"pluginConfig": [{"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 60}}]}]}),
            "volumes are not bound by this scheduler yet",
        ),
        (
            json!({"extenders": [{"urlPrefix": "a", "bindVerb": "b"}, {"urlPrefix": "c", "bindVerb": "b"}]}),
            "only one extender can implement bind",
        ),
        (json!({"extenders": [{"urlPrefix": "a", "prioritizeVerb": "p"}]}), "positive weight"),
    ];
    for (given, expected) in cases {
        let error = read(given.clone()).map(drop).unwrap_err();
        assert!(error.contains(expected), "{given}: {error}");
    }
    assert!(SchedulerConfig::read(json!({"apiVersion": "v1", "kind": "Pod"})).is_err());
}

#[test]
fn ratios_are_a_line_through_points() {
    let setup = read(
        json!({"profiles": [{"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {
            "type": "RequestedToCapacityRatio", "resources": [{"name": "cpu", "weight": 3}],
            "requestedToCapacityRatio": {"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]},
        }}}]}]}),
    );
    let fit = &setup.unwrap().profiles[0].fit;
    let line = vec![ShapePoint { utilization: 0, score: 0 }, ShapePoint { utilization: 100, score: 100 }];
    assert_eq!((&fit.strategy, fit.resources[0].1), (&FitStrategy::Ratio(line), 3));
}
