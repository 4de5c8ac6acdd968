//! Packets through Services: pods, a node and a machine outside in namespaces of their own.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::ErrorKind;

use serde_json::json;
use support::spaces::{SILENCE, Space, ask_udp, is_root};
use support::{Node, Pod, node_port, service, slice};

/// Asks often; how often each name answered.
fn spread(from: &Space, to: &str, times: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        let answer = from.ask(to).unwrap();
        *counts.entry(answer.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

fn serve(pod: &Pod, name: &str) -> Vec<support::spaces::Served> {
    let v4 = pod.space.serve(name, &format!("{}:8080", pod.addresses[0]));
    let v6 = pod.space.serve(name, &format!("[{}]:8080", pod.addresses[1]));
    vec![v4, v6]
}

fn endpoints<'a>(pods: &'a [Pod], family: usize, node: &'static str) -> Vec<(&'a str, &'static str)> {
    pods.iter().map(|pod| (pod.addresses[family].as_str(), node)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_address_spreads_over_all_and_refuses_when_nobody_is_there() {
    if !is_root() {
        return;
    }
    let mut node = Node::new();
    let pods = [node.pod("a").await, node.pod("b").await, node.pod("c").await];
    let client = node.pod("client").await;
    let _servers: Vec<_> = pods.iter().zip(["a", "b", "c"]).map(|(pod, name)| serve(pod, name)).collect();
    node.put(&[
        service("web", &["10.96.0.10", "fd96::10"], json!({})),
        slice("web", "IPv4", &endpoints(&pods, 0, "n1")),
        slice("web", "IPv6", &endpoints(&pods, 1, "n1")),
        service("lonely", &["10.96.0.11", "fd96::11"], json!({})),
    ]);
    for bridge_filter in ["0", "1"] {
        node.space.netns.write_sysctl("net/bridge/bridge-nf-call-iptables", bridge_filter).unwrap();
        node.space.netns.write_sysctl("net/bridge/bridge-nf-call-ip6tables", bridge_filter).unwrap();
        for at in ["10.96.0.10:80", "[fd96::10]:80"] {
            assert_eq!(spread(&client.space, at, 60).len(), 3, "from a pod to {at}");
            assert_eq!(spread(&pods[0].space, at, 30).len(), 3, "a pod reaches itself as well");
            assert_eq!(spread(&node.space, at, 30).len(), 3, "from the node to {at}");
        }
    }
    assert_eq!(client.space.ask("10.96.0.10:80").unwrap().split(' ').nth(1).unwrap(), client.addresses[0]);
    let refused = |from: &Space, at: &str| {
        assert_eq!(from.ask(at).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{at}")
    };
    for from in [&client.space, &node.space] {
        for at in ["10.96.0.11:80", "[fd96::11]:80", "10.96.0.10:81"] {
            refused(from, at);
        }
    }
    assert!(
        node.outside.ask_within("10.96.0.10:80", SILENCE).is_err(),
        "cluster addresses are not seen from outside"
    );

    // Counted by the kernel: 60 + 60 from the client and more.
    let counters: u64 = {
        let pool = *node.compiler.rules().pools.keys().next().unwrap();
        let v4 = node.kernel.pool_counters(trireme_dataplane::nft::Family::V4, pool).unwrap();
        v4.iter().map(|counter| counter.packets).sum()
    };
    assert!(counters >= 180, "{counters}");

    // Endpoints go one by one; the last one leaves a refusal.
    node.put(&[slice("web", "IPv4", &endpoints(&pods[..1], 0, "n1"))]);
    assert_eq!(spread(&client.space, "10.96.0.10:80", 20), BTreeMap::from([("a".to_owned(), 20)]));
    node.put(&[slice("web", "IPv4", &[])]);
    refused(&client.space, "10.96.0.10:80");
    node.put(&[slice("web", "IPv4", &endpoints(&pods[1..], 0, "n1"))]);
    assert_eq!(spread(&client.space, "10.96.0.10:80", 30).len(), 2);
    let mut held = node.kernel.backends(trireme_dataplane::nft::Family::V4).unwrap();
    held.sort();
    assert_eq!(held.len(), 2);
    node.kernel.remove().unwrap();
    assert!(client.space.ask_within("10.96.0.10:80", SILENCE).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn node_ports_and_the_clients_address() {
    if !is_root() {
        return;
    }
    let mut node = Node::new();
    let pods = [node.pod("a").await];
    let _a = serve(&pods[0], "a");
    let client = node.pod("client").await;
    let ports = json!({"type": "NodePort", "ports": [node_port(30080)]});
    let local = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": [node_port(30081)]});
    let elsewhere =
        json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": [node_port(30082)]});
    let empty = json!({"type": "NodePort", "ports": [node_port(30083)]});
    node.put(&[
        service("web", &["10.96.0.10", "fd96::10"], ports),
        slice("web", "IPv4", &endpoints(&pods, 0, "n1")),
        slice("web", "IPv6", &endpoints(&pods, 1, "n1")),
        service("local", &["10.96.0.11"], local),
        slice("local", "IPv4", &endpoints(&pods, 0, "n1")),
        service("elsewhere", &["10.96.0.12"], elsewhere),
        slice("elsewhere", "IPv4", &endpoints(&pods, 0, "n2")),
        service("empty", &["10.96.0.13"], empty),
    ]);
    assert_eq!(node.outside.ask("192.0.2.1:30080").unwrap(), "a 10.244.1.1", "the node's address stands in");
    assert!(node.outside.ask("[2001:db8::1]:30080").unwrap().starts_with("a "));
    assert_eq!(
        node.outside.ask("192.0.2.1:30081").unwrap(),
        "a 192.0.2.9",
        "policy Local keeps the client's"
    );
    let silent = node.outside.ask_within("192.0.2.1:30082", SILENCE).unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::TimedOut, "nobody here, but somebody elsewhere: dropped");
    assert!(client.space.ask("192.0.2.1:30082").unwrap().starts_with("a "), "pods reach all endpoints");
    assert!(node.space.ask("192.0.2.1:30082").unwrap().starts_with("a "), "so does the node");
    assert!(node.space.ask("192.0.2.1:30080").unwrap().starts_with("a "));
    assert!(client.space.ask("192.0.2.1:30080").unwrap().starts_with("a "));
    assert!(
        pods[0].space.ask("192.0.2.1:30080").unwrap().starts_with("a "),
        "a pod reaches itself by the node"
    );
    assert_eq!(node.outside.ask("192.0.2.1:30083").unwrap_err().kind(), ErrorKind::ConnectionRefused);

    // A new process replaces everything in one step: no request in between fails.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                node.outside.ask("192.0.2.1:30080").unwrap();
                asked += 1;
            }
            asked
        });
        let config = trireme_proxy::ServicesConfig {
            netns: node.space.netns.clone(),
            cluster_cidrs: vec!["10.244.0.0/16".parse().unwrap()],
        };
        for _ in 0..20 {
            let mut restarted = trireme_proxy::Kernel::open(config.clone()).unwrap();
            restarted.rebuild(node.compiler.rules()).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(asking.join().unwrap() > 0);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn affinity_holds_a_client_until_its_backend_goes() {
    if !is_root() {
        return;
    }
    let mut node = Node::new();
    let pods = [node.pod("a").await, node.pod("b").await, node.pod("c").await];
    let client = node.pod("client").await;
    let _servers: Vec<_> = pods.iter().zip(["a", "b", "c"]).map(|(pod, name)| serve(pod, name)).collect();
    let sticky =
        json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}});
    let brief =
        json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}}});
    for (family, name, at) in [("IPv4", 0, "10.96.0.10:80"), ("IPv6", 1, "[fd96::10]:80")] {
        let mut left: Vec<&Pod> = pods.iter().collect();
        let put = |node: &mut Node, left: &[&Pod]| {
            let all: Vec<_> = left.iter().map(|pod| (pod.addresses[name].as_str(), "n1")).collect();
            node.put(&[
                service("web", &["10.96.0.10", "fd96::10"], sticky.clone()),
                slice("web", family, &all),
            ]);
        };
        put(&mut node, &left);
        while left.len() > 1 {
            let first = spread(&client.space, at, 15);
            assert_eq!(first.len(), 1, "one backend for one client: {first:?}");
            let held = first.keys().next().unwrap().clone();
            let gone = ["a", "b", "c"].iter().position(|name| *name == held).unwrap();
            left.retain(|pod| !std::ptr::eq(*pod, &raw const pods[gone]));
            put(&mut node, &left);
            let next = spread(&client.space, at, 15);
            assert_eq!(next.len(), 1, "{next:?}");
            assert!(!next.contains_key(&held), "its backend is gone");
        }
    }
    // After the time-out a client may come to another one; with 20 rounds of three backends it does.
    node.put(&[service("brief", &["10.96.0.20"], brief), slice("brief", "IPv4", &endpoints(&pods, 0, "n1"))]);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        seen.extend(spread(&client.space, "10.96.0.20:80", 2).into_keys());
        if seen.len() > 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1_300));
    }
    assert!(seen.len() > 1, "an affinity of one second never ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn balancer_addresses_with_source_ranges_and_external_addresses() {
    if !is_root() {
        return;
    }
    let mut node = Node::new();
    let pods = [node.pod("a").await];
    let _a = serve(&pods[0], "a");
    let mut open =
        service("open", &["10.96.0.10"], json!({"type": "LoadBalancer", "externalIPs": ["198.51.100.7"]}));
    open["status"] = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.8"}]}});
    let ranges = |range: &str| {
        let mut walled = service(
            "walled",
            &["10.96.0.11"],
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": [range]}),
        );
        walled["status"] = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}});
        walled
    };
    let slices = ["open", "walled"].map(|name| slice(name, "IPv4", &endpoints(&pods, 0, "n1")));
    node.put(&[open, ranges("192.0.2.0/28"), slices[0].clone(), slices[1].clone()]);
    for address in ["198.51.100.7", "198.51.100.8", "198.51.100.9"] {
        assert!(node.outside.ask(&format!("{address}:80")).unwrap().starts_with("a "), "{address}");
    }
    node.put(&[ranges("203.0.113.0/24")]);
    assert!(
        node.outside.ask_within("198.51.100.9:80", SILENCE).is_err(),
        "the source is not allowed any more"
    );
    assert!(node.outside.ask("198.51.100.8:80").is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_conversations_follow_their_service() {
    if !is_root() {
        return;
    }
    let mut node = Node::new();
    let pods = [node.pod("a").await, node.pod("b").await];
    let client = node.pod("client").await;
    let _servers: Vec<_> = pods
        .iter()
        .zip(["a", "b"])
        .map(|(pod, name)| pod.space.serve_udp(name, &format!("{}:8080", pod.addresses[0])))
        .collect();
    let udp = json!({"ports": [{"name": "p", "port": 53, "protocol": "UDP"}]});
    let slice = |pods: &[Pod]| {
        let mut slice = slice("dns", "IPv4", &endpoints(pods, 0, "n1"));
        slice["ports"][0]["protocol"] = json!("UDP");
        slice
    };
    let socket = client.space.udp("0.0.0.0:0");
    node.put(&[service("dns", &["10.96.0.53"], udp)]);
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    assert!(ask_udp(&socket, "10.96.0.53:53").is_err(), "nobody answers yet");
    socket.set_read_timeout(Some(support::spaces::PATIENCE)).unwrap();
    node.put(&[slice(&pods[..1])]);
    assert!(ask_udp(&socket, "10.96.0.53:53").unwrap().starts_with("a "));
    node.put(&[slice(&pods[1..])]);
    assert!(
        ask_udp(&socket, "10.96.0.53:53").unwrap().starts_with("b "),
        "the same socket reaches the new backend"
    );
}
