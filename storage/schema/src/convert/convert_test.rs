//! Round trips between versions.

use serde_json::json;

use super::*;

fn autoscaler(spec: Value) -> Value {
    json!({"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"h"},"spec":spec})
}

#[test]
fn autoscalers_go_round_through_annotations() {
    let metrics = json!([
        {"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}},
        {"type":"Resource","resource":{"name":"memory","target":{"type":"AverageValue","averageValue":"500Mi"}}},
        {"type":"Pods","pods":{"metric":{"name":"m"},"target":{"type":"AverageValue","averageValue":"1"}}},
        {"type":"Object","object":{"metric":{"name":"o","selector":{"matchLabels":{"a":"b"}}},
            "describedObject":{"kind":"Service","name":"s","apiVersion":"v1"},"target":{"type":"Value","value":"2k"}}},
        {"type":"External","external":{"metric":{"name":"e"},"target":{"type":"Value","value":"100m"}}}]);
    let v2 = autoscaler(json!({"maxReplicas":9,"metrics":metrics,
        "scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"},
        "behavior":{"scaleDown":{"selectPolicy":"Max","policies":[{"type":"Pods","value":2,"periodSeconds":9}]}}}));
    let v1 = convert(v2.clone(), "autoscaling", "v1").unwrap();
    let annotations = &v1["metadata"]["annotations"];
    assert_eq!(
        annotations["autoscaling.alpha.kubernetes.io/metrics"],
        concat!(
            r#"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"500Mi"}},"#,
            r#"{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"1"}},"#,
            r#"{"type":"Object","object":{"target":{"kind":"Service","name":"s","apiVersion":"v1"},"metricName":"o","targetValue":"2k","selector":{"matchLabels":{"a":"b"}}}},"#,
            r#"{"type":"External","external":{"metricName":"e","targetValue":"100m"}}]"#
        )
    );
    assert_eq!(v1["spec"]["targetCPUUtilizationPercentage"], 50);
    assert_eq!(v1["spec"].get("metrics"), None);
    let back = convert(v1, "autoscaling", "v2").unwrap();
    assert_eq!(back["metadata"].get("annotations"), None);
    // The field of v1 comes last on the way back.
    let mut names: Vec<&Value> = back["spec"]["metrics"].as_array().unwrap().iter().collect();
    names.rotate_right(1);
    assert_eq!(names, v2["spec"]["metrics"].as_array().unwrap().iter().collect::<Vec<_>>());
    assert_eq!(
        back["spec"]["behavior"]["scaleDown"]["policies"],
        v2["spec"]["behavior"]["scaleDown"]["policies"]
    );
}

#[test]
fn an_autoscaler_without_metrics_aims_at_80_percent() {
    let v1 = json!({"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"h",
        "annotations":{"autoscaling.alpha.kubernetes.io/metrics":"no JSON","keep":"me"}},
        "spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"d"}}});
    let v2 = convert(v1, "autoscaling", "v2").unwrap();
    assert_eq!(v2["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
    assert_eq!(v2["metadata"]["annotations"], json!({"keep":"me"}));
    assert_eq!(convert(v2, "autoscaling", "v1").unwrap()["spec"]["targetCPUUtilizationPercentage"], 80);
}

#[test]
fn events_have_two_names_for_some_fields() {
    let core = json!({"apiVersion":"v1","kind":"Event","metadata":{"name":"e"},"reason":"r","message":"hello","count":3,
        "involvedObject":{"kind":"Pod","name":"p"},"source":{"component":"kubelet"},"reportingComponent":"k",
        "firstTimestamp":"2020-01-01T00:00:00Z","lastTimestamp":null,"type":"Normal"});
    let new = convert(core.clone(), "events.k8s.io", "v1").unwrap();
    assert_eq!((&new["note"], &new["deprecatedCount"]), (&json!("hello"), &json!(3)));
    assert_eq!(new["regarding"]["name"], "p");
    assert_eq!(new["deprecatedLastTimestamp"], Value::Null);
    let back = convert(new, "", "v1").unwrap();
    for name in ["message", "count", "involvedObject", "source", "reportingComponent", "firstTimestamp"] {
        assert_eq!(back[name], core[name], "{name}");
    }
}

#[test]
fn every_kind_of_several_versions_has_one_hub() {
    let mut served: std::collections::BTreeMap<(&str, &str), Vec<&crate::kinds::Kind>> = Default::default();
    for kind in crate::kinds::all() {
        served.entry((&kind.group, &kind.kind)).or_default().push(kind);
    }
    for kinds in served.values().filter(|kinds| kinds.len() > 1) {
        let hubs: std::collections::BTreeSet<_> =
            kinds.iter().map(|k| hub(&k.group, &k.version, &k.kind)).collect();
        assert_eq!(hubs.len(), 1, "{}", kinds[0].kind);
    }
    assert_eq!(hub("events.k8s.io", "v1", "Event"), ("", "v1"));
    assert_eq!(versions("autoscaling", "v2", "HorizontalPodAutoscaler").len(), 2);
}

#[test]
fn what_is_not_served_is_refused() {
    let pod = json!({"apiVersion":"v1","kind":"Pod"});
    assert!(matches!(convert(pod, "apps", "v1"), Err(ConvertError::Unknown { .. })));
    let bad = autoscaler(json!({"maxReplicas":"x"}));
    assert!(matches!(convert(bad, "autoscaling", "v1"), Err(ConvertError::Malformed { .. })));
}
