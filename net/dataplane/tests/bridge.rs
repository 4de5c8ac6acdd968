//! The built-in pod network on one node: packets really arrive, and nothing stays behind.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::IpAddr;
use std::sync::Arc;

use support::{SILENCE, Space, cable, is_root, route};
use trireme_dataplane::{BridgeConfig, BridgeNetwork, Netns};
use trireme_node::{HostPort, NetworkRequest, PodNetwork};

struct Node {
    space: Space,
    outside: Space,
    folder: tempfile::TempDir,
}

impl Node {
    /// A node at 192.0.2.1, a machine outside at 192.0.2.9 that knows nothing of pods.
    fn new() -> Self {
        let (space, outside) = (Space::new(), Space::new());
        let (left, right) = (["192.0.2.1/24", "2001:db8::1/64"], ["192.0.2.9/24", "2001:db8::9/64"]);
        cable(("uplink", "uplink"), (&space, &left), (&outside, &right));
        route(&space, "uplink", "0.0.0.0/0", "192.0.2.9");
        Self { space, outside, folder: tempfile::tempdir().unwrap() }
    }

    fn config(&self) -> BridgeConfig {
        let ranges = vec!["10.244.1.0/24".parse().unwrap(), "fd00:1::/64".parse().unwrap()];
        let mut config = BridgeConfig::new(self.folder.path().join("addresses.json"), ranges);
        config.netns = self.space.netns.clone();
        config.cluster_cidrs = vec!["10.244.0.0/16".parse().unwrap(), "fd00::/16".parse().unwrap()];
        config.service_cidrs = vec!["10.96.0.0/16".parse().unwrap()];
        config
    }

    fn open(&self) -> Arc<BridgeNetwork> {
        BridgeNetwork::open(self.config()).unwrap()
    }
}

fn request(name: &str, pod: &Space, ports: Vec<HostPort>) -> NetworkRequest {
    NetworkRequest {
        sandbox: name.to_owned(),
        pod: ("default".to_owned(), name.to_owned()),
        netns: pod.path(),
        host_ports: ports,
        ingress_bandwidth: None,
        egress_bandwidth: None,
    }
}

fn port(protocol: &str, host_ip: Option<&str>, host_port: u16, container_port: u16) -> HostPort {
    let host_ip = host_ip.map(|text| text.parse::<IpAddr>().unwrap());
    HostPort { protocol: protocol.to_owned(), host_port, host_ip, container_port }
}

async fn attach(network: &BridgeNetwork, request: NetworkRequest) -> Vec<String> {
    let given = network.attach(request).await.unwrap();
    given.addresses.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_reach_each_other_the_node_and_the_world_and_leave_no_trace() {
    if !is_root() {
        return;
    }
    let node = Node::new();
    for bridge_filter in ["0", "1"] {
        node.space.netns.write_sysctl("net/bridge/bridge-nf-call-iptables", bridge_filter).unwrap();
        let network = node.open();
        assert_eq!(network.not_ready(), None);
        let (a, b) = (Space::new(), Space::new());
        let a_has = attach(&network, request("a", &a, Vec::new())).await;
        let b_has = attach(&network, request("b", &b, Vec::new())).await;
        assert_ne!(a_has, b_has);
        assert_eq!(attach(&network, request("a", &a, Vec::new())).await, a_has, "attaching twice");
        for family in [0, 1] {
            let (to, from) = (&b_has[family], &a_has[family]);
            let at = if family == 0 { format!("{to}:80") } else { format!("[{to}]:80") };
            let _server = b.serve("b", &at);
            assert_eq!(a.ask(&at).unwrap(), format!("b {from}"), "pods see each other's addresses");
            assert!(node.space.ask(&at).unwrap().starts_with("b "), "the node reaches pods");
            let (world, as_node) =
                [("192.0.2.9:81", "192.0.2.1"), ("[2001:db8::9]:81", "2001:db8::1")][family];
            let _world = node.outside.serve("world", world);
            let _ = a.run(|| std::fs::read("/proc/net/dev"));
            if family == 0 {
                assert_eq!(a.ask(world).unwrap(), format!("world {as_node}"), "the world sees the node");
            }
            let own = [("10.244.1.1:82", "10.244.1.1:82"), ("[fd00:1::1]:82", "[fd00:1::1]:82")][family];
            let _own = node.space.serve("node", own.0);
            assert_eq!(a.ask(own.1).unwrap(), format!("node {from}"), "pods reach the node");
        }
        let gone = request("a", &a, Vec::new());
        network.detach(gone.clone()).await.unwrap();
        network.detach(gone).await.unwrap();
        assert!(a.routing().link("eth0").unwrap().is_none(), "the cable is gone at both ends");
        network.keep_only(vec!["nobody".to_owned()]).await.unwrap();
        assert!(b.routing().link("eth0").unwrap().is_none());
        network.remove().unwrap();
        let left: Vec<String> =
            node.space.routing().links().unwrap().into_iter().map(|link| link.name).collect();
        assert_eq!(left.iter().filter(|name| name.starts_with('t')).count(), 0, "{left:?}");
        let mut nft = trireme_dataplane::nft::Nftables::open(&node.space.netns).unwrap();
        for family in trireme_dataplane::nft::Family::BOTH {
            assert!(nft.tables(family).unwrap().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn host_ports_lead_to_their_pod() {
    if !is_root() {
        return;
    }
    let node = Node::new();
    let network = node.open();
    let (a, b) = (Space::new(), Space::new());
    let ports = vec![
        port("TCP", None, 8000, 80),
        port("UDP", None, 8000, 53),
        port("TCP", Some("192.0.2.1"), 8001, 80),
        port("TCP", Some("127.0.0.1"), 8002, 80),
    ];
    let has = attach(&network, request("a", &a, ports.clone())).await;
    attach(&network, request("b", &b, Vec::new())).await;
    let _tcp = a.serve("a", &format!("{}:80", has[0]));
    let _udp = a.serve_udp("a-udp", &format!("{}:53", has[0]));
    assert_eq!(node.outside.ask("192.0.2.1:8000").unwrap(), "a 192.0.2.9", "the client's address stays");
    assert_eq!(node.outside.ask("192.0.2.1:8001").unwrap(), "a 192.0.2.9");
    let datagrams = node.outside.udp("0.0.0.0:0");
    assert_eq!(support::ask_udp(&datagrams, "192.0.2.1:8000").unwrap(), "a-udp 192.0.2.9");
    assert!(node.space.ask("127.0.0.1:8000").unwrap().starts_with("a "), "from the node by loopback");
    assert!(node.space.ask("127.0.0.1:8002").unwrap().starts_with("a "));
    assert!(node.outside.ask("192.0.2.1:8002").is_err(), "published on loopback alone");
    assert!(b.ask("192.0.2.1:8000").unwrap().starts_with("a "), "from another pod");
    assert!(a.ask("192.0.2.1:8000").unwrap().starts_with("a "), "from the pod itself");

    let c = Space::new();
    let taken = network.attach(request("c", &c, vec![port("TCP", None, 8000, 80)])).await.unwrap_err();
    assert!(taken.message.contains("host port 8000"), "{taken}");
    assert!(c.routing().link("eth0").unwrap().is_none());

    // A pod that takes over a UDP port gets the conversations of the one before, also from the same socket.
    let d = Space::new();
    network.detach(request("a", &a, Vec::new())).await.unwrap();
    let d_has = attach(&network, request("d", &d, ports.clone())).await;
    let _d = d.serve_udp("d-udp", &format!("{}:53", d_has[0]));
    assert_eq!(support::ask_udp(&datagrams, "192.0.2.1:8000").unwrap(), "d-udp 192.0.2.9");
    network.detach(request("d", &d, Vec::new())).await.unwrap();
    let has = attach(&network, request("a", &a, ports.clone())).await;
    let _tcp = a.serve("a", &format!("{}:80", has[0]));

    // A new process finds its pods again.
    drop(network);
    let network = node.open();
    assert_eq!(attach(&network, request("a", &a, ports)).await, has);
    assert_eq!(node.outside.ask("192.0.2.1:8000").unwrap(), "a 192.0.2.9");
    network.detach(request("a", &a, Vec::new())).await.unwrap();
    assert!(node.outside.ask_within("192.0.2.1:8000", SILENCE).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn bandwidth_limits_are_taken_by_the_kernel_and_change() {
    if !is_root() {
        return;
    }
    let node = Node::new();
    let network = node.open();
    let pod = Space::new();
    let mut limited = request("a", &pod, Vec::new());
    limited.ingress_bandwidth = Some(10_000_000);
    limited.egress_bandwidth = Some(20_000_000);
    let has = attach(&network, limited.clone()).await;
    let _server = pod.serve("a", &format!("{}:80", has[0]));
    assert!(node.space.ask(&format!("{}:80", has[0])).is_ok());
    limited.egress_bandwidth = None;
    attach(&network, limited).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_said() {
    if !is_root() {
        return;
    }
    let node = Node::new();
    let mut config = node.config();
    config.pod_cidrs = Vec::new();
    let waiting = BridgeNetwork::open(config.clone()).unwrap();
    assert!(waiting.not_ready().unwrap().contains("no pod CIDR"));
    let pod = Space::new();
    assert!(
        waiting.attach(request("a", &pod, Vec::new())).await.unwrap_err().message.contains("no pod CIDR")
    );
    waiting.assign(vec!["10.244.1.0/24".parse().unwrap()]).unwrap();
    assert_eq!(waiting.not_ready(), None);
    let mut gone = request("a", &pod, Vec::new());
    gone.netns = "/run/netns/never".to_owned();
    assert!(waiting.attach(gone).await.unwrap_err().message.contains("/run/netns/never"));
    config.pod_cidrs = vec!["10.0.0.0/32".parse().unwrap()];
    assert!(BridgeNetwork::open(config.clone()).err().unwrap().to_string().contains("no room"));
    config.netns = Netns::at("/run/netns/never");
    config.pod_cidrs = vec!["10.0.0.0/24".parse().unwrap()];
    assert!(BridgeNetwork::open(config).is_err());
}
