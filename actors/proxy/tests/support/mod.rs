//! A node with pods, and objects to put before the compiler.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[path = "../../../../net/dataplane/tests/support/mod.rs"]
pub mod spaces;

use std::sync::Arc;

use serde_json::{Value, json};
use spaces::{Space, cable, route};
use trireme_dataplane::{BridgeConfig, BridgeNetwork};
use trireme_node::{NetworkRequest, PodNetwork};
use trireme_proxy::{Kernel, ServicesConfig};
use trireme_proxy_core::{Compiler, NodeView, Service, ServiceKey, Slice};

/// A node at 192.0.2.1 with its pod network and Services; a machine outside at 192.0.2.9 that sends all to the node.
pub struct Node {
    pub space: Space,
    pub outside: Space,
    pub network: Arc<BridgeNetwork>,
    pub compiler: Compiler,
    pub kernel: Kernel,
    folder: tempfile::TempDir,
}

pub struct Pod {
    pub space: Space,
    pub addresses: Vec<String>,
}

impl Node {
    pub fn new() -> Self {
        let (space, outside) = (Space::new(), Space::new());
        let (left, right) = (["192.0.2.1/24", "2001:db8::1/64"], ["192.0.2.9/24", "2001:db8::9/64"]);
        cable(("uplink", "uplink"), (&space, &left), (&outside, &right));
        route(&space, "uplink", "0.0.0.0/0", "192.0.2.9");
        route(&outside, "uplink", "198.51.100.0/24", "192.0.2.1");
        let folder = tempfile::tempdir().unwrap();
        let ranges = vec!["10.244.1.0/24".parse().unwrap(), "fd00:1::/64".parse().unwrap()];
        let mut config = BridgeConfig::new(folder.path().join("addresses.json"), ranges);
        config.netns = space.netns.clone();
        config.cluster_cidrs = vec!["10.244.0.0/16".parse().unwrap(), "fd00::/16".parse().unwrap()];
        config.service_cidrs = vec!["10.96.0.0/16".parse().unwrap(), "fd96::/112".parse().unwrap()];
        let cluster_cidrs = config.cluster_cidrs.clone();
        let network = BridgeNetwork::open(config).unwrap();
        let config = ServicesConfig { netns: space.netns.clone(), cluster_cidrs };
        let mut kernel = Kernel::open(config).unwrap();
        let compiler = Compiler::new(NodeView { name: "n1".to_owned(), ..NodeView::default() });
        kernel.rebuild(compiler.rules()).unwrap();
        Self { space, outside, network, compiler, kernel, folder }
    }

    pub async fn pod(&self, name: &str) -> Pod {
        let space = Space::new();
        let request = NetworkRequest {
            sandbox: name.to_owned(),
            pod: ("default".to_owned(), name.to_owned()),
            netns: space.path(),
            host_ports: Vec::new(),
            ingress_bandwidth: None,
            egress_bandwidth: None,
        };
        let given = self.network.attach(request).await.unwrap();
        Pod { space, addresses: given.addresses.iter().map(ToString::to_string).collect() }
    }

    /// Takes objects in and programs what follows.
    pub fn put(&mut self, objects: &[Value]) {
        for object in objects {
            take(&mut self.compiler, object);
        }
        let delta = self.compiler.compile();
        self.kernel.apply(&delta).unwrap();
    }
}

pub fn take(compiler: &mut Compiler, object: &Value) {
    match object["kind"].as_str().unwrap() {
        "Service" => compiler.set_service(&ServiceKey::of(object), Service::read(object)),
        _ => compiler.set_slice("default", object["metadata"]["name"].as_str().unwrap(), Slice::read(object)),
    }
}

/// A Service with port 80 (node port 30080) at these addresses; `spec` adds to it.
pub fn service(name: &str, addresses: &[&str], spec: Value) -> Value {
    let mut whole = json!({
        "clusterIP": addresses[0], "clusterIPs": addresses,
        "ports": [{"name": "p", "port": 80, "protocol": "TCP"}],
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": whole})
}

pub fn node_port(port: u16) -> Value {
    json!({"name": "p", "port": 80, "protocol": "TCP", "nodePort": port})
}

/// A slice of ready endpoints as (address, node), port 8080.
pub fn slice(service: &str, family: &str, endpoints: &[(&str, &str)]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(address, node)| json!({"addresses": [address], "nodeName": node, "conditions": {"ready": true}}))
        .collect();
    json!({
        "kind": "EndpointSlice", "addressType": family, "endpoints": endpoints,
        "metadata": {"name": format!("{service}-{family}"), "namespace": "default",
            "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "p", "port": 8080, "protocol": "TCP"}],
    })
}
