//! Nodes as the cluster has them become ranges and routes.

#![allow(clippy::unwrap_used)]

#[path = "support/feed.rs"]
mod feed;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use feed::TestFeed;
use serde_json::{Value, json};
use support::spaces::{SILENCE, Space, cable, is_root};
use trireme_dataplane::{BridgeConfig, BridgeNetwork};
use trireme_kernel::{Kernel, KernelConfig};
use trireme_node::{NetworkRequest, PodNetwork};
use trireme_proxy::PodRoutes;

const LONG: Duration = Duration::from_secs(10);

fn node(number: u8) -> Value {
    json!({
        "kind": "Node", "metadata": {"name": format!("n{number}")},
        "spec": {"podCIDR": format!("10.244.{number}.0/24"), "podCIDRs": [format!("10.244.{number}.0/24")]},
        "status": {"addresses": [{"type": "InternalIP", "address": format!("192.0.2.{number}")},
            {"type": "Hostname", "address": format!("n{number}")}]},
    })
}

async fn attach(network: &BridgeNetwork) -> (Space, String) {
    let pod = Space::new();
    let request = NetworkRequest {
        sandbox: "pod".to_owned(),
        pod: ("default".to_owned(), "pod".to_owned()),
        netns: pod.path(),
        host_ports: Vec::new(),
        ingress_bandwidth: None,
        egress_bandwidth: None,
    };
    let given = network.attach(request).await.unwrap();
    (pod, given.addresses[0].to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_its_ranges_and_its_neighbours() {
    if !is_root() {
        return;
    }
    let (left, right) = (Space::new(), Space::new());
    cable(("uplink", "uplink"), (&left, &["192.0.2.1/24"]), (&right, &["192.0.2.2/24"]));
    let (folder, feed) = (tempfile::tempdir().unwrap(), Arc::new(TestFeed::default()));
    let kernel = Kernel::start(KernelConfig::new("n1")).unwrap();
    let networks: Vec<Arc<BridgeNetwork>> =
        [(&left, "n1"), (&right, "n2")]
            .iter()
            .map(|(space, name)| {
                let mut config = BridgeConfig::new(folder.path().join(name), Vec::new());
                config.netns = space.netns.clone();
                config.cluster_cidrs = vec!["10.244.0.0/16".parse().unwrap()];
                let network = BridgeNetwork::open(config).unwrap();
                assert!(network.not_ready().is_some());
                let of_node = trireme_kernel::SupervisorSpec::new(format!("node/{name}"))
                    .child(PodRoutes::spec((*name).to_owned(), Arc::clone(&network), Arc::clone(&feed) as _));
                kernel.root().add_supervisor(of_node).unwrap();
                network
            })
            .collect();
    feed.set(&node(1));
    feed.set(&node(2));
    let end = Instant::now() + LONG;
    while networks.iter().any(|network| network.not_ready().is_some()) {
        assert!(Instant::now() < end, "the ranges were never assigned");
        std::thread::sleep(Duration::from_millis(5));
    }
    let ((one, one_has), (two, two_has)) = (attach(&networks[0]).await, attach(&networks[1]).await);
    assert_eq!((one_has.as_str(), two_has.as_str()), ("10.244.1.2", "10.244.2.2"));
    let at = format!("{two_has}:80");
    let _server = two.serve("two", &at);
    let reached = loop {
        match one.ask_within(&at, SILENCE) {
            Ok(answer) => break answer,
            Err(error) => assert!(Instant::now() < end, "the other node's pods were never reached: {error}"),
        }
    };
    assert_eq!(reached, format!("two {one_has}"));
    feed.remove(&node(2));
    while one.ask_within(&at, SILENCE).is_ok() {
        assert!(Instant::now() < end, "a node that is gone was never forgotten");
    }
}
