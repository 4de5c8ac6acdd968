//! Charges and refusals, kind by kind and scope by scope.

use serde_json::{Value, json};

use crate::config::{ChainConfig, LimitedResource};
use crate::testing::{Ask, Bench, pod};

fn quota(spec: Value, hard: Value, used: Value) -> Value {
    json!({"metadata": {"name": "q"}, "spec": spec, "status": {"hard": hard, "used": used}})
}

fn bench(hard: Value, used: Value) -> Bench {
    scoped(json!({}), hard, used)
}

fn scoped(spec: Value, hard: Value, used: Value) -> Bench {
    let mut bench = Bench::of("ResourceQuota");
    bench.put("", "resourcequotas", quota(spec, hard, used));
    bench
}

/// The usage after a request that fits; null when nothing is charged.
fn used(bench: &Bench, ask: &Ask<'_>) -> Value {
    let writes = bench.ask(ask).unwrap().1.writes;
    assert!(writes.len() <= 1);
    writes.first().map_or(Value::Null, |write| write.object["status"]["used"].clone())
}

fn with_resources(requests: Value, limits: Value) -> Value {
    pod(json!({"containers": [{"name": "c", "resources": {"requests": requests, "limits": limits}}]}))
}

#[test]
fn a_charge_is_a_write_at_the_version_it_was_judged_by() {
    let bench =
        bench(json!({"pods": "2", "count/pods": "5"}), json!({"pods": "1", "count/pods": "1", "cpu": "7"}));
    let ask = Ask::create("", "pods", pod(json!({})));
    let writes = bench.ask(&ask).unwrap().1.writes;
    let [write] = writes.as_slice() else { panic!("one write: {writes:?}") };
    assert_eq!(
        (write.resource.as_str(), write.name.as_str(), write.namespace.as_str()),
        ("resourcequotas", "q", "ns")
    );
    assert_eq!(write.expected_resource_version, "2");
    assert_eq!(write.object["status"]["used"], json!({"pods": "2", "count/pods": "2", "cpu": "7"}));
    assert!(bench.ask(&Ask { dry_run: true, ..ask }).unwrap().1.writes.is_empty());
}

#[test]
fn exceeding_names_only_what_is_exceeded() {
    let bench = bench(json!({"cpu": "1", "memory": "1Gi"}), json!({"cpu": "500m", "memory": "0"}));
    let ask = Ask::create("", "pods", with_resources(json!({"cpu": "600m", "memory": "1Mi"}), json!({})));
    assert_eq!(bench.refusal(&ask), "exceeded quota: q, requested: cpu=600m, used: cpu=500m, limited: cpu=1");
    let bare = Ask::create("", "pods", pod(json!({})));
    assert_eq!(bench.refusal(&bare), "failed quota: q: must specify cpu for: c; memory for: c");
}

#[test]
fn a_quota_without_status_does_not_count_and_one_without_usage_refuses() {
    let ask = Ask::create("", "pods", pod(json!({})));
    assert_eq!(used(&bench(json!({}), json!({})), &ask), Value::Null);
    assert_eq!(
        bench(json!({"pods": "1"}), json!({})).refusal(&ask),
        "status unknown for quota: q, resources: pods"
    );
}

#[test]
fn pods_by_extended_resources_and_overhead() {
    let bench = bench(
        json!({"requests.example.com/gpu": "2", "requests.cpu": "2", "requests.hugepages-2Mi": "1Gi"}),
        json!({"requests.example.com/gpu": "0", "requests.cpu": "0", "requests.hugepages-2Mi": "0"}),
    );
    let mut object =
        with_resources(json!({"cpu": "1", "example.com/gpu": "1", "hugepages-2Mi": "4Mi"}), json!({}));
    object["spec"]["overhead"] = json!({"cpu": "250m"});
    let wanted =
        json!({"requests.example.com/gpu": "1", "requests.cpu": "1250m", "requests.hugepages-2Mi": "4Mi"});
    assert_eq!(used(&bench, &Ask::create("", "pods", object.clone())), wanted);
    // A pod that has ended holds nothing but its place in storage.
    object["status"]["phase"] = "Succeeded".into();
    assert_eq!(used(&bench, &Ask::create("", "pods", object)), Value::Null);
}

#[test]
fn scopes_choose_pods() {
    let cases = [
        (json!({"scopes": ["BestEffort"]}), json!({}), true),
        (json!({"scopes": ["NotBestEffort"]}), json!({}), false),
        (json!({"scopes": ["Terminating"]}), json!({"activeDeadlineSeconds": 5}), true),
        (json!({"scopes": ["NotTerminating"]}), json!({"activeDeadlineSeconds": 5}), false),
        (json!({"scopes": ["BestEffort", "Terminating"]}), json!({}), false),
        (json!({"scopes": ["PriorityClass"]}), json!({"priorityClassName": "p"}), true),
        (json!({"scopes": ["PriorityClass"]}), json!({}), false),
        (selector("PriorityClass", "In", &["p", "q"]), json!({"priorityClassName": "p"}), true),
        (selector("PriorityClass", "NotIn", &["p"]), json!({"priorityClassName": "p"}), false),
        (selector("PriorityClass", "NotIn", &["p"]), json!({}), true),
        (selector("PriorityClass", "DoesNotExist", &[]), json!({}), true),
        (selector("CrossNamespacePodAffinity", "Exists", &[]), affinity(json!({"namespaces": ["a"]})), true),
        (selector("CrossNamespacePodAffinity", "Exists", &[]), affinity(json!({})), false),
    ];
    for (scope, spec, covered) in cases {
        let bench = scoped(scope.clone(), json!({"pods": "0"}), json!({"pods": "0"}));
        let refused = !bench.refusal(&Ask::create("", "pods", pod(spec.clone()))).is_empty();
        assert_eq!(refused, covered, "{scope} {spec}");
    }
}

fn selector(scope: &str, operator: &str, values: &[&str]) -> Value {
    let expression = json!({"scopeName": scope, "operator": operator, "values": values});
    json!({"scopeSelector": {"matchExpressions": [expression]}})
}

fn affinity(term: Value) -> Value {
    json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
}

#[test]
fn services_by_kind() {
    let hard = json!({"services": "9", "services.nodeports": "9", "services.loadbalancers": "9", "count/services": "9"});
    let zero = json!({"services": "0", "services.nodeports": "0", "services.loadbalancers": "0", "count/services": "0"});
    let bench = bench(hard, zero);
    let service = |kind: &str| json!({"spec": {"type": kind, "ports": [{"port": 1}, {"port": 2}]}});
    let after = |ask: &Ask<'_>| {
        let used = used(&bench, ask);
        ["services", "services.nodeports", "services.loadbalancers"]
            .map(|name| used[name].as_str().unwrap_or("-").to_owned())
            .join(" ")
    };
    assert_eq!(after(&Ask::create("", "services", service("ClusterIP"))), "1 0 0");
    assert_eq!(after(&Ask::create("", "services", service("NodePort"))), "1 2 0");
    assert_eq!(after(&Ask::create("", "services", service("LoadBalancer"))), "1 2 1");
    let mut own_ports = service("LoadBalancer");
    own_ports["spec"]["allocateLoadBalancerNodePorts"] = false.into();
    own_ports["spec"]["ports"][0]["nodePort"] = 30_000.into();
    assert_eq!(after(&Ask::create("", "services", own_ports)), "1 1 1");
    // An update is charged with the difference, and never gives back.
    let update = |from: &str, to: &str| Ask::update("", "services", service(from), service(to));
    assert_eq!(after(&update("ClusterIP", "NodePort")), "0 2 0");
    assert_eq!(after(&update("NodePort", "ClusterIP")), "- - -");
}

#[test]
fn claims_by_class() {
    let gold = "gold.storageclass.storage.k8s.io/requests.storage";
    let bench = bench(
        json!({"requests.storage": "5Gi", "persistentvolumeclaims": "2", gold: "2Gi"}),
        json!({"requests.storage": "0", "persistentvolumeclaims": "0", gold: "0"}),
    );
    let claim = |class: &str, size: &str| json!({"spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}});
    let create = |class: &str, size: &str| Ask::create("", "persistentvolumeclaims", claim(class, size));
    assert_eq!(
        used(&bench, &create("tin", "3Gi")),
        json!({"requests.storage": "3Gi", "persistentvolumeclaims": "1", gold: "0"})
    );
    assert!(
        bench
            .refusal(&create("gold", "3Gi"))
            .starts_with(&format!("exceeded quota: q, requested: {gold}=3Gi"))
    );
    let grow = Ask::update("", "persistentvolumeclaims", claim("tin", "1Gi"), claim("tin", "3Gi"));
    assert_eq!(used(&bench, &grow)["requests.storage"], "2Gi");
}

#[test]
fn other_kinds_are_counted_on_create() {
    let hard = json!({"count/deployments.apps": "1", "configmaps": "1", "count/configmaps": "1"});
    let zero = json!({"count/deployments.apps": "0", "configmaps": "0", "count/configmaps": "0"});
    let bench = bench(hard, zero);
    let object = json!({"metadata": {"name": "x"}});
    assert_eq!(
        used(&bench, &Ask::create("apps", "deployments", object.clone()))["count/deployments.apps"],
        "1"
    );
    let configured = used(&bench, &Ask::create("", "configmaps", object.clone()));
    assert_eq!((&configured["configmaps"], &configured["count/configmaps"]), (&json!("1"), &json!("1")));
    assert_eq!(used(&bench, &Ask::update("", "configmaps", object.clone(), object.clone())), Value::Null);
    assert_eq!(used(&bench, &Ask::create("apps", "deployments", object.clone()).sub("scale")), Value::Null);
    assert_eq!(used(&bench, &Ask::create("", "events", object)), Value::Null);
}

#[test]
fn devices_by_class() {
    let gpus = "gpu.deviceclass.resource.k8s.io/devices";
    let bench = bench(json!({gpus: "40"}), json!({gpus: "0"}));
    let exactly = json!({"exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}});
    let either = json!({"firstAvailable": [{"deviceClassName": "gpu", "count": 1}, {"deviceClassName": "gpu", "count": 3}]});
    let claim = json!({"spec": {"devices": {"requests": [exactly, either]}}});
    assert_eq!(used(&bench, &Ask::create("resource.k8s.io", "resourceclaims", claim)), json!({gpus: "5"}));
}

#[test]
fn what_is_limited_needs_a_quota() {
    let rule = LimitedResource {
        resource: "pods".to_owned(),
        match_contains: vec!["requests.cpu".to_owned()],
        match_scopes: vec![json!({"scopeName": "PriorityClass", "operator": "In", "values": ["high"]})],
        ..LimitedResource::default()
    };
    let config = ChainConfig { limited_resources: vec![rule], ..ChainConfig::default() };
    let mut bench = Bench::with("ResourceQuota", &config);
    let ask = Ask::create("", "pods", with_resources(json!({"cpu": "1"}), json!({})));
    assert_eq!(bench.refusal(&ask), "insufficient quota to consume: requests.cpu");
    let high = Ask::create("", "pods", pod(json!({"priorityClassName": "high"})));
    let why = "insufficient quota to match these scopes: [{PriorityClass In [high]}]";
    assert_eq!(bench.refusal(&high), why);
    bench.put(
        "",
        "resourcequotas",
        quota(json!({}), json!({"requests.cpu": "9"}), json!({"requests.cpu": "0"})),
    );
    assert_eq!(used(&bench, &ask), json!({"requests.cpu": "1"}));
}
