//! Pods of several nodes: by route on one segment, through VXLAN behind a router.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use support::{SILENCE, Space, cable, is_root, route};
use trireme_dataplane::{BridgeConfig, BridgeNetwork, Peer, Tunnel};
use trireme_node::{NetworkRequest, PodNetwork};

struct Node {
    space: Space,
    network: Arc<BridgeNetwork>,
    pod: Space,
    addresses: Vec<String>,
    _folder: tempfile::TempDir,
}

async fn node(space: Space, number: u8, own: &str, tunnel: Tunnel) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let ranges = vec![
        format!("10.244.{number}.0/24").parse().unwrap(),
        format!("fd00:{number}::/64").parse().unwrap(),
    ];
    let mut config = BridgeConfig::new(folder.path().join("addresses.json"), ranges);
    config.netns = space.netns.clone();
    config.cluster_cidrs = vec!["10.244.0.0/16".parse().unwrap(), "fd00::/16".parse().unwrap()];
    config.node_addresses = vec![own.parse().unwrap()];
    config.tunnel = tunnel;
    let network = BridgeNetwork::open(config).unwrap();
    let pod = Space::new();
    let given = network
        .attach(NetworkRequest {
            sandbox: "pod".to_owned(),
            pod: ("default".to_owned(), "pod".to_owned()),
            netns: pod.path(),
            host_ports: Vec::new(),
            ingress_bandwidth: None,
            egress_bandwidth: None,
        })
        .await
        .unwrap();
    let addresses = given.addresses.iter().map(ToString::to_string).collect();
    Node { space, network, pod, addresses, _folder: folder }
}

fn peer(number: u8, address: &str) -> Peer {
    Peer {
        name: format!("n{number}"),
        pod_cidrs: vec![
            format!("10.244.{number}.0/24").parse().unwrap(),
            format!("fd00:{number}::/64").parse().unwrap(),
        ],
        addresses: vec![address.parse().unwrap()],
    }
}

fn meet(one: &Node, two: &Node, families: usize) {
    for family in 0..families {
        for (from, to) in [(one, two), (two, one)] {
            let address = &to.addresses[family];
            let at = if family == 0 { format!("{address}:80") } else { format!("[{address}]:80") };
            let _server = to.pod.serve("pod", &at);
            let answer = from
                .pod
                .ask(&at)
                .unwrap_or_else(|error| format!("{} to {at}: {error}", from.addresses[family]));
            assert_eq!(answer, format!("pod {}", from.addresses[family]));
            assert!(from.space.ask(&at).unwrap().starts_with("pod "), "a node reaches pods of the other");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_route() {
    if !is_root() {
        return;
    }
    let (left, right) = (Space::new(), Space::new());
    cable(("uplink", "uplink"), (&left, &["192.0.2.1/24"]), (&right, &["192.0.2.2/24"]));
    let one = node(left, 1, "192.0.2.1", Tunnel::Never).await;
    let two = node(right, 2, "192.0.2.2", Tunnel::Auto).await;
    let refused = one.network.set_peers(vec![peer(2, "192.0.2.2")]).unwrap_err().to_string();
    assert!(refused.contains("fd00:2"), "IPv6 ranges take an IPv6 address or a tunnel: {refused}");
    two.network.set_peers(vec![peer(1, "192.0.2.1")]).unwrap();
    assert!(one.space.routing().link("trireme-vxlan").unwrap().is_none(), "no tunnel among neighbours");
    meet(&one, &two, 1);
    one.network.set_peers(Vec::new()).unwrap();
    assert!(one.space.routing().own_routes().unwrap().is_empty(), "a node that left is forgotten");
    let at = format!("{}:80", two.addresses[0]);
    assert!(one.pod.ask_within(&at, SILENCE).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_behind_a_router_tunnel() {
    if !is_root() {
        return;
    }
    let (left, right, router) = (Space::new(), Space::new(), Space::new());
    cable(("uplink", "left"), (&left, &["192.0.2.1/24"]), (&router, &["192.0.2.254/24"]));
    cable(("uplink", "right"), (&right, &["198.51.100.1/24"]), (&router, &["198.51.100.254/24"]));
    router.netns.write_sysctl("net/ipv4/ip_forward", "1").unwrap();
    route(&left, "uplink", "0.0.0.0/0", "192.0.2.254");
    route(&right, "uplink", "0.0.0.0/0", "198.51.100.254");
    let one = node(left, 1, "192.0.2.1", Tunnel::Auto).await;
    let two = node(right, 2, "198.51.100.1", Tunnel::Auto).await;
    for _ in 0..2 {
        one.network.set_peers(vec![peer(2, "198.51.100.1")]).unwrap();
        two.network.set_peers(vec![peer(1, "192.0.2.1")]).unwrap();
    }
    meet(&one, &two, 2);
    let mut routing = one.space.routing();
    let tunnel = routing.must_link("trireme-vxlan").unwrap();
    assert_eq!(routing.forwardings(tunnel.index).unwrap().len(), 1, "one entry, no flooding");
    assert_eq!(routing.neighbours(tunnel.index).unwrap().len(), 2);
    one.network.set_peers(Vec::new()).unwrap();
    assert!(routing.forwardings(tunnel.index).unwrap().is_empty());
    assert!(routing.neighbours(tunnel.index).unwrap().is_empty());
    one.network.remove().unwrap();
    assert!(routing.link("trireme-vxlan").unwrap().is_none());

    let never = node(Space::new(), 3, "203.0.113.1", Tunnel::Never).await;
    let refused = never.network.set_peers(vec![peer(1, "192.0.2.1")]).unwrap_err();
    assert!(refused.to_string().contains("tunnels are off"), "{refused}");
}
