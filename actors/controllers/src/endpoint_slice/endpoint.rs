//! From pods to endpoints.

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::{Edit, View};

use crate::condition::condition;
use crate::controller::{Change, Resource};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::pods::{is_finished, is_ready};
use crate::world::World;

pub(super) const SERVICES: Resource = Resource::new("", "services");

/// The Service gets its endpoints from pods.
pub(crate) fn is_selected(service: &Value) -> bool {
    service.at("spec").text("type") != "ExternalName" && has_selector(service)
}

/// The Service names pods.
pub(crate) fn has_selector(service: &Value) -> bool {
    service.at("spec").map("selector").is_some_and(|selector| !selector.is_empty())
}

/// The Service has no address of its own.
pub(crate) fn is_headless(service: &Value) -> bool {
    matches!(service.at("spec").text("clusterIP"), "" | "None")
}

/// Whether a pod can be an endpoint at all. Those on their way out are only where they are asked for.
pub(crate) fn may_belong(pod: &Value, with_leaving: bool) -> bool {
    let has_address =
        !pod.at("status").text("podIP").is_empty() || !pod.at("status").list("podIPs").is_empty();
    !is_finished(pod) && has_address && (with_leaving || !is_deleting(pod))
}

/// Pods that the Service's selector names.
pub(super) fn pods_of(service: &Value, world: &dyn World) -> Vec<Arc<Value>> {
    let Ok(selector) = LabelSelector::from_map(service.at("spec").map("selector")) else { return Vec::new() };
    let namespace = service.at("metadata").text("namespace");
    let mut pods = crate::controller::resources::PODS.list(world, Some(namespace));
    pods.retain(|pod| selector.matches(pod.at("metadata").map("labels")));
    pods
}

/// Whether a change of a pod can matter to endpoints.
fn pod_matters(change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    let facts = |pod: &Value| {
        let (metadata, spec, status) = (pod.at("metadata"), pod.at("spec"), pod.at("status"));
        (
            [metadata.at("labels").clone(), status.at("podIPs").clone(), status.at("podIP").clone()],
            ["nodeName", "hostname", "subdomain"].map(|name| spec.text(name).to_owned()),
            (is_deleting(pod), is_finished(pod), is_ready(pod)),
        )
    };
    facts(old) != facts(new)
}

/// The Services that name a pod, as it was or as it is.
pub(crate) fn services_of_pod(change: &Change, world: &dyn World) -> Vec<Key> {
    if !pod_matters(change) {
        return Vec::new();
    }
    let versions: Vec<&Value> = change.old.iter().chain(&change.new).map(|pod| &**pod).collect();
    let Some(namespace) = versions.first().map(|pod| pod.at("metadata").text("namespace")) else {
        return Vec::new();
    };
    let services = SERVICES.list(world, Some(namespace));
    let concerned = services.iter().filter(|service| {
        is_selected(service)
            && LabelSelector::from_map(service.at("spec").map("selector")).is_ok_and(|selector| {
                versions.iter().any(|pod| selector.matches(pod.at("metadata").map("labels")))
            })
    });
    concerned.map(|service| Key::new(namespace, service.at("metadata").text("name"))).collect()
}

/// The number of the port that a Service's port leads to in a pod; `None` when the pod has no such port.
pub(crate) fn find_port(pod: &Value, port: &Value) -> Option<i64> {
    let target = port.at("targetPort");
    let Some(name) = target.as_str() else {
        return target.as_i64().filter(|number| *number != 0).or(port.int("port"));
    };
    let sidecars =
        pod.at("spec").list("initContainers").iter().filter(|c| c.text("restartPolicy") == "Always");
    let containers = pod.at("spec").list("containers").iter().chain(sidecars);
    let mut ports = containers.flat_map(|container| container.list("ports"));
    let protocol = |port: &Value| match port.text("protocol") {
        "" => "TCP".to_owned(),
        protocol => protocol.to_owned(),
    };
    let found = ports.find(|own| own.text("name") == name && protocol(own) == protocol(port));
    found.and_then(|own| own.int("containerPort"))
}

/// The ports of a Service as they are in a pod. A headless Service may have none.
pub(super) fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let ports = service.at("spec").list("ports").iter().filter_map(|port| {
        let number = find_port(pod, port)?;
        let protocol = if port.has("protocol") { port.text("protocol") } else { "TCP" };
        let mut out = json!({"name": port.text("name"), "port": number, "protocol": protocol});
        if port.has("appProtocol") {
            out.put("appProtocol", port.at("appProtocol").clone());
        }
        Some(out)
    });
    ports.collect()
}

/// The name under which DNS knows the pod within the Service's domain.
pub(crate) fn hostname<'a>(service: &Value, pod: &'a Value) -> Option<&'a str> {
    let spec = pod.at("spec");
    let here = spec.text("subdomain") == service.at("metadata").text("name");
    Some(spec.text("hostname")).filter(|name| here && !name.is_empty())
}

/// The addresses of a pod in a family (`IPv4` or `IPv6`).
pub(super) fn addresses<'a>(pod: &'a Value, family: &str) -> Vec<&'a str> {
    let all = pod.at("status").list("podIPs").iter().map(|address| address.text("ip"));
    let fits = |address: &&str| address.contains(':') == (family == "IPv6") && !address.is_empty();
    all.filter(fits).collect()
}

/// A pod as an endpoint; `None` when it has no address in the family.
pub(super) fn endpoint(service: &Value, pod: &Value, node: Option<&Value>, family: &str) -> Option<Value> {
    let addresses = addresses(pod, family);
    if addresses.is_empty() {
        return None;
    }
    let (serving, terminating) = (is_ready(pod), is_deleting(pod));
    // Nothing that is on its way out is ready, unless it is to be published whatever its state.
    let ready = service.at("spec").is_true("publishNotReadyAddresses") || (serving && !terminating);
    let metadata = pod.at("metadata");
    let mut endpoint = json!({
        "addresses": addresses,
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {
            "kind": "Pod", "namespace": metadata.text("namespace"), "name": metadata.text("name"),
            "uid": metadata.text("uid"),
        },
    });
    let node_name = pod.at("spec").text("nodeName");
    if !node_name.is_empty() {
        endpoint.put("nodeName", node_name);
    }
    if let Some(zone) = node.map(zone_of).filter(|zone| !zone.is_empty()) {
        endpoint.put("zone", zone);
    }
    if let Some(name) = hostname(service, pod) {
        endpoint.put("hostname", name);
    }
    Some(endpoint)
}

/// The zone that a node says it is in.
pub(super) fn zone_of(node: &Value) -> &str {
    node.at("metadata").at("labels").text("topology.kubernetes.io/zone")
}

/// The latest moment at which the Service or the readiness of one of its pods changed, as text that sorts by time.
pub(crate) fn changed_at(service: &Value, pods: &[Arc<Value>]) -> String {
    let readiness = pods.iter().map(|pod| condition(pod, "Ready").text("lastTransitionTime"));
    let created = std::iter::once(service.at("metadata").text("creationTimestamp"));
    readiness.chain(created).max().unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "d", "uid": "u"},
            "spec": {
                "nodeName": "n", "hostname": "h", "subdomain": "s",
                "containers": [{"ports": [{"name": "web", "containerPort": 8080}]}],
                "initContainers": [{"restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 9, "protocol": "UDP"}]}],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd::1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        })
    }

    #[test]
    fn ports_by_number_and_by_name_and_those_of_sidecars() {
        let found = |port: Value| find_port(&pod(), &port);
        assert_eq!(found(json!({"port": 80, "targetPort": 8081})), Some(8081));
        assert_eq!(found(json!({"port": 80})), Some(80));
        assert_eq!(found(json!({"port": 80, "targetPort": "web", "protocol": "TCP"})), Some(8080));
        assert_eq!(found(json!({"port": 80, "targetPort": "web", "protocol": "UDP"})), None);
        assert_eq!(found(json!({"port": 80, "targetPort": "side", "protocol": "UDP"})), Some(9));
    }

    #[test]
    fn a_leaving_pod_serves_but_is_not_ready() {
        let service = json!({"metadata": {"name": "s"}, "spec": {}});
        let node = json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "z"}}});
        let mut pod = pod();
        let staying = endpoint(&service, &pod, Some(&node), "IPv4").unwrap();
        assert_eq!(staying["addresses"], json!(["10.0.0.1"]));
        assert_eq!((staying["zone"].as_str(), staying["hostname"].as_str()), (Some("z"), Some("h")));
        assert_eq!(endpoint(&service, &pod, None, "IPv6").unwrap()["addresses"], json!(["fd::1"]));
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let leaving = endpoint(&service, &pod, None, "IPv4").unwrap();
        assert_eq!(leaving["conditions"], json!({"ready": false, "serving": true, "terminating": true}));
        let published = json!({"metadata": {"name": "s"}, "spec": {"publishNotReadyAddresses": true}});
        assert_eq!(endpoint(&published, &pod, None, "IPv4").unwrap()["conditions"]["ready"], true);
        assert!(may_belong(&pod, true) && !may_belong(&pod, false));
    }
}
