//! What a Service has of addresses and ports, and the object that holds an address.

use serde_json::{Value, json};
use trireme_schema::view::View;

use crate::verbs::Writing;

/// The cluster addresses that a Service has.
pub(crate) fn own_addresses(service: &Value) -> Vec<String> {
    let spec = service.at("spec");
    if spec.text("type") == "ExternalName" {
        return Vec::new();
    }
    let listed: Vec<String> =
        spec.list("clusterIPs").iter().filter_map(|v| v.as_str()).map(str::to_owned).collect();
    listed.into_iter().filter(|text| !text.is_empty() && text != "None").collect()
}

/// The node ports that a Service has, each once.
pub(crate) fn own_ports(service: &Value) -> Vec<i64> {
    let spec = service.at("spec");
    let mut ports: Vec<i64> = spec.list("ports").iter().filter_map(|port| port.int("nodePort")).collect();
    ports.extend(spec.int("healthCheckNodePort"));
    ports.retain(|port| *port != 0);
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Whether a Service of this type has node ports by itself.
pub(crate) fn wants_ports(spec: &Value) -> bool {
    match spec.text("type") {
        "NodePort" => true,
        "LoadBalancer" => spec.at("allocateLoadBalancerNodePorts") != &Value::Bool(false),
        _ => false,
    }
}

/// The object that holds a cluster address.
pub(crate) fn ip_address(address: &str, namespace: &str, name: &str, writing: &Writing<'_>) -> Value {
    json!({
        "kind": "IPAddress",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": address,
            "uid": writing.server.new_uid(),
            "creationTimestamp": writing.scope.now,
            "labels": {
                "ipaddress.kubernetes.io/ip-family": if address.contains(':') { "IPv6" } else { "IPv4" },
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
    })
}
