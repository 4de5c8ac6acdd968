use serde_json::{Value, json};
use trireme_schema::kinds;
use trireme_schema::time::Moment;

use super::*;

fn cells(group: &str, kind: &str, object: &Value) -> Vec<Value> {
    let options = TableOptions {
        include: IncludeObject::None,
        version: "v1",
        now: Moment::parse_time("2024-01-01T01:00:00Z").unwrap(),
        header: Header::Full,
    };
    let format = TableFormat::built_in(group, "v1", kind, Release::V1_35);
    format.row(object, &options)["cells"].as_array().unwrap().clone()
}

/// Every printer gives one cell a column, also for an object without any field (a bookmark).
#[test]
fn every_printer_fills_its_columns() {
    for kind in kinds::all() {
        for release in [Release::V1_28, Release::V1_35] {
            let format = TableFormat::built_in(&kind.group, &kind.version, &kind.kind, release);
            let object =
                json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": "x"}});
            let options = TableOptions {
                include: IncludeObject::Metadata,
                version: "v1",
                now: Moment::from_unix(0, 0),
                header: Header::Full,
            };
            for object in [object, json!({})] {
                let row = format.row(&object, &options);
                assert_eq!(row["cells"].as_array().unwrap().len(), format.columns().len(), "{}", kind.kind);
            }
        }
    }
}

#[test]
fn sidecars_count_as_containers() {
    let pod = json!({
        "kind": "Pod",
        "metadata": {"name": "p", "creationTimestamp": "2024-01-01T00:00:00Z"},
        "spec": {
            "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}],
            "containers": [{"name": "c"}],
        },
        "status": {
            "phase": "Running",
            "initContainerStatuses": [
                {"name": "s", "ready": true, "started": true, "restartCount": 2, "state": {"running": {}},
                 "lastState": {"terminated": {"finishedAt": "2024-01-01T00:55:00Z"}}},
                {"name": "i", "restartCount": 7, "state": {"terminated": {"exitCode": 0}}},
            ],
            "containerStatuses": [{"name": "c", "ready": true, "restartCount": 1, "state": {"running": {}}}],
        },
    });
    let cells = cells("", "Pod", &pod);
    assert_eq!(cells[..5], [json!("p"), json!("2/2"), json!("Running"), json!("3 (5m ago)"), json!("60m")]);
}

#[test]
fn a_failed_init_container_is_the_pods_status() {
    let status = |state: Value| {
        let pod = json!({
            "kind": "Pod",
            "spec": {"initContainers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "c"}]},
            "status": {"phase": "Pending", "initContainerStatuses": [
                {"name": "a", "state": {"terminated": {"exitCode": 0}}}, {"name": "b", "state": state}]},
        });
        cells("", "Pod", &pod)[2].clone()
    };
    assert_eq!(status(json!({"terminated": {"exitCode": 1, "signal": 9}})), "Init:Signal:9");
    assert_eq!(status(json!({"terminated": {"exitCode": 3}})), "Init:ExitCode:3");
    assert_eq!(status(json!({"terminated": {"exitCode": 3, "reason": "Error"}})), "Init:Error");
    assert_eq!(status(json!({"waiting": {"reason": "ImagePullBackOff"}})), "Init:ImagePullBackOff");
    assert_eq!(status(json!({"waiting": {"reason": "PodInitializing"}})), "Init:1/2");
}

#[test]
fn services_show_where_they_are_reached() {
    let service = |spec: Value, status: Value| {
        let cells = cells("", "Service", &json!({"kind": "Service", "spec": spec, "status": status}));
        (cells[3].clone(), cells[4].clone())
    };
    let ports = json!([{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]);
    let none = json!({});
    assert_eq!(
        service(json!({"type": "NodePort", "ports": ports}), none.clone()),
        (json!("<none>"), json!("80:30080/TCP,53/UDP"))
    );
    assert_eq!(service(json!({"type": "LoadBalancer"}), none.clone()).0, "<pending>");
    let balancer = json!({"loadBalancer": {"ingress": [{"hostname": "h"}, {"ip": "1.2.3.4"}]}});
    assert_eq!(
        service(json!({"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]}), balancer).0,
        "1.2.3.4,h,9.9.9.9"
    );
    assert_eq!(service(json!({"type": "ExternalName", "externalName": "e.x"}), none).0, "e.x");
}

#[test]
fn autoscalers_name_their_metrics() {
    let spec = json!({
        "scaleTargetRef": {"kind": "Deployment", "name": "d"},
        "maxReplicas": 5,
        "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}},
            {"type": "Pods", "pods": {"target": {"averageValue": "1000m"}}},
            {"type": "External", "external": {"target": {"value": "2"}}},
        ],
    });
    let status =
        json!({"currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 7}}}]});
    let object = json!({"apiVersion": "autoscaling/v2", "spec": spec, "status": status});
    let format = TableFormat::built_in("autoscaling", "v2", "HorizontalPodAutoscaler", Release::V1_35);
    let options = TableOptions {
        include: IncludeObject::None,
        version: "v1",
        now: Moment::from_unix(0, 0),
        header: Header::Full,
    };
    let cells = &format.row(&object, &options)["cells"];
    assert_eq!(cells[1], "Deployment/d");
    assert_eq!(cells[2], "cpu: 7%/50%, <unknown>/1 + 1 more...");
    assert_eq!(cells[3], "<unset>");
}
