//! The actor: follows a feed, survives cuts, answers health checks, removes what is gone.

#![allow(clippy::unwrap_used)]

#[path = "support/feed.rs"]
mod feed;
mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feed::TestFeed;
use serde_json::json;
use support::spaces::{Space, is_root};
use support::{Node, node_port, service, slice};
use trireme_kernel::{Kernel, KernelConfig};
use trireme_proxy::{Proxy, ProxyConfig, ServicesConfig};

const LONG: Duration = Duration::from_secs(10);

fn eventually(mut holds: impl FnMut() -> bool, what: &str) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The status line and body of a GET, if somebody answers.
fn get(from: &Space, at: &str) -> Option<String> {
    let answer = from.run(|| {
        let mut stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(LONG))?;
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    });
    answer.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_heals_and_tells_balancers() {
    if !is_root() {
        return;
    }
    let mut node = Node::new();
    node.kernel.remove().unwrap();
    let (a, client) = (node.pod("a").await, node.pod("client").await);
    let _a = a.space.serve("a", &format!("{}:8080", a.addresses[0]));
    let feed = Arc::new(TestFeed::default());
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000,
        "ports": [node_port(30080)]});
    let web = service("web", &["10.96.0.10"], spec);
    feed.set(&web);
    let kernel = Kernel::start(KernelConfig::new("n1")).unwrap();
    let config = ProxyConfig {
        node_name: "n1".to_owned(),
        services: ServicesConfig {
            netns: node.space.netns.clone(),
            cluster_cidrs: vec!["10.244.0.0/16".parse().unwrap()],
        },
        answered_here: BTreeSet::new(),
    };
    kernel.root().add(Proxy::spec(config, Arc::clone(&feed) as _)).unwrap();
    let healthy = |status: &str, count: usize| {
        let answer = get(&node.outside, "192.0.2.1:31000").unwrap_or_default();
        answer.starts_with(&format!("HTTP/1.1 {status}"))
            && answer.contains(&format!("\"localEndpoints\":{count}"))
    };
    eventually(|| healthy("503", 0), "no endpoints on this node");
    let here = slice("web", "IPv4", &[(&a.addresses[0], "n1")]);
    feed.set(&here);
    eventually(|| healthy("200", 1), "an endpoint on this node");
    eventually(|| client.space.ask("10.96.0.10:80").is_ok(), "the Service answers");
    assert_eq!(node.outside.ask("192.0.2.1:30080").unwrap(), "a 192.0.2.9");

    // Rules keep working while the actor begins anew, and what changed meanwhile is seen.
    feed.cut();
    assert!(client.space.ask("10.96.0.10:80").is_ok());
    let other = service("other", &["10.96.0.11"], json!({}));
    let of_other = slice("other", "IPv4", &[(&a.addresses[0], "n1")]);
    feed.set(&other);
    feed.set(&of_other);
    eventually(|| client.space.ask("10.96.0.11:80").is_ok(), "what came while the feed was cut");

    // Somebody removes the table: the next change finds out and writes everything anew.
    node.kernel.remove().unwrap();
    feed.remove(&of_other);
    eventually(|| client.space.ask("10.96.0.10:80").is_ok(), "the table comes back");
    let refused = || {
        client
            .space
            .ask("10.96.0.11:80")
            .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    eventually(refused, "and is as it should be");
    feed.remove(&web);
    eventually(|| get(&node.outside, "192.0.2.1:31000").is_none(), "the health check ends with its Service");
}
