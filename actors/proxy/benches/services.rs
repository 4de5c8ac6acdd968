//! How fast Services are programmed and how fast they forward, in namespaces of its own: `cargo bench -p trireme-proxy`.
//!
//! Ratios taken in one run count: absolute times drift with the machine.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, unused_crate_dependencies)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Node, Pod, node_port, service, slice, take};
use trireme_proxy_core::Rules;

const SERVICES: usize = 1_000;
const ENDPOINTS: usize = 10;

fn main() {
    if !support::spaces::is_root() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut node = Node::new();
    programming(&mut node);
    let (server, client) = runtime.block_on(async { (node.pod("server").await, node.pod("client").await) });
    forwarding(&mut node, &server, &client);
}

fn endpoints(service: usize, count: usize) -> Vec<(String, &'static str)> {
    (0..count)
        .map(|n| {
            (
                format!(
                    "10.244.{}.{}",
                    2 + (service * ENDPOINTS + n) / 250,
                    1 + (service * ENDPOINTS + n) % 250
                ),
                "n2",
            )
        })
        .collect()
}

fn slice_of(n: usize, count: usize) -> serde_json::Value {
    let all = endpoints(n, count);
    let all: Vec<(&str, &str)> = all.iter().map(|(address, node)| (address.as_str(), *node)).collect();
    slice(&format!("s{n}"), "IPv4", &all)
}

fn programming(node: &mut Node) {
    let objects: Vec<_> = (0..SERVICES)
        .flat_map(|n| {
            let address = format!("10.96.{}.{}", 10 + n / 250, 1 + n % 250);
            let spec = json!({"type": "NodePort", "ports": [node_port(u16::try_from(30_000 + n).unwrap())]});
            [service(&format!("s{n}"), &[&address], spec), slice_of(n, ENDPOINTS)]
        })
        .collect();
    let began = Instant::now();
    objects.iter().for_each(|object| take(&mut node.compiler, object));
    let delta = node.compiler.compile();
    let compiled = began.elapsed();
    node.kernel.apply(&delta).unwrap();
    let all = began.elapsed();
    println!(
        "{SERVICES} Services x {ENDPOINTS} endpoints: compiled in {compiled:?}, programmed in {all:?} (goal: below 1 s)"
    );
    let held = node.kernel.backends(trireme_dataplane::nft::Family::V4).unwrap().len();
    assert_eq!(held, SERVICES * ENDPOINTS, "the kernel holds all of them");
    let began = Instant::now();
    node.kernel.rebuild(node.compiler.rules()).unwrap();
    println!("everything anew, in one atomic step: {:?}", began.elapsed());
    let mut planning = Duration::ZERO;
    let mut times: Vec<Duration> = (0..200)
        .map(|n| {
            let change = slice_of(n * 5, if n % 2 == 0 { ENDPOINTS - 1 } else { ENDPOINTS + 1 });
            let began = Instant::now();
            take(&mut node.compiler, &change);
            let delta = node.compiler.compile();
            planning += began.elapsed();
            node.kernel.apply(&delta).unwrap();
            began.elapsed()
        })
        .collect();
    times.sort();
    println!("planning one change: {:?} on average", planning / 200);
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(
        "one endpoint change: p50 {p50:?}, p99 {p99:?} (goal: below 10 ms); {:.0} times faster than everything",
        all.as_secs_f64() / p50.as_secs_f64()
    );
    assert!(node.compiler.rules() != &Rules::default());
}

fn forwarding(node: &mut Node, server: &Pod, client: &Pod) {
    let at = format!("{}:8080", server.addresses[0]);
    node.put(&[
        service("fast", &["10.96.9.9"], json!({})),
        slice("fast", "IPv4", &[(&server.addresses[0], "n1")]),
    ]);
    let listener = server.space.run(|| std::net::TcpListener::bind(&at)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut bytes = vec![0; 256 * 1024];
                while let Ok(length) = stream.read(&mut bytes) {
                    // Short messages are echoed, long ones are only counted.
                    if length == 0 || (length <= 64 && stream.write_all(&bytes[..length]).is_err()) {
                        return;
                    }
                }
            });
        }
    });
    let mut rates = Vec::new();
    for to in [at.as_str(), "10.96.9.9:80"] {
        let (connects, trips, bytes) = measure(client, to);
        println!(
            "{to}: {connects:.0} connections/s, {trips:.0} round trips/s, {:.0} MiB/s",
            bytes / 1_048_576.0
        );
        rates.push((connects, trips, bytes));
    }
    let ratio = |of: fn(&(f64, f64, f64)) -> f64| of(&rates[1]) / of(&rates[0]);
    println!(
        "through the Service against directly: connections {:.2}, round trips {:.2}, throughput {:.2}",
        ratio(|r| r.0),
        ratio(|r| r.1),
        ratio(|r| r.2)
    );
}

fn measure(client: &Pod, to: &str) -> (f64, f64, f64) {
    let connect = || client.space.run(|| std::net::TcpStream::connect(to)).unwrap();
    let began = Instant::now();
    let mut connected = 0;
    while began.elapsed() < Duration::from_secs(1) {
        drop(connect());
        connected += 1;
    }
    let connects = f64::from(connected) / began.elapsed().as_secs_f64();
    let mut stream = connect();
    stream.set_nodelay(true).unwrap();
    let (began, mut trips) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(1) {
        stream.write_all(b"ping").unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).unwrap();
        trips += 1;
    }
    let trips = f64::from(trips) / began.elapsed().as_secs_f64();
    let (began, mut sent) = (Instant::now(), 0_u64);
    let block = vec![0; 128 * 1024];
    while began.elapsed() < Duration::from_secs(1) {
        stream.write_all(&block).unwrap();
        sent += block.len() as u64;
    }
    (connects, trips, sent as f64 / began.elapsed().as_secs_f64())
}
