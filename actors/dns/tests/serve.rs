//! Questions over UDP and TCP to the actor, on loopback; and at the cluster's address on a bridge, in a namespace.

#![allow(clippy::unwrap_used)]

#[path = "../../proxy/tests/support/feed.rs"]
mod feed;
#[path = "../../../net/dataplane/tests/support/mod.rs"]
mod spaces;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use feed::TestFeed;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde_json::{Value, json};
use trireme_dns::{Dns, DnsConfig, Upstream};
use trireme_kernel::{Kernel, KernelConfig};

const LONG: Duration = Duration::from_secs(10);

struct Server {
    kernel: Kernel,
    feed: Arc<TestFeed>,
    addresses: Receiver<Vec<SocketAddr>>,
}

impl Server {
    fn start(mut config: DnsConfig) -> Self {
        config.port = 0;
        let (kernel, feed) = (Kernel::start(KernelConfig::new("n1")).unwrap(), Arc::new(TestFeed::default()));
        let (told, addresses) = sync_channel(16);
        let tell = move |addresses: Vec<SocketAddr>| drop(told.try_send(addresses));
        let server = Self { kernel, feed, addresses };
        for name in ["web", "db", "away", "deep"] {
            server.feed.set(&service(name));
        }
        server.feed.set(&slice(300));
        let spec = Dns::spec_telling(config, Arc::clone(&server.feed) as _, Some(Arc::new(tell)));
        server.kernel.root().add(spec).unwrap();
        server
    }

    fn address(&self) -> SocketAddr {
        self.addresses.recv_timeout(LONG).unwrap()[0]
    }
}

fn config(upstream: Upstream) -> DnsConfig {
    let mut config = DnsConfig::new(vec![IpAddr::from([127, 0, 0, 1])]);
    config.link = None;
    config.upstream = upstream;
    config
}

fn service(name: &str) -> Value {
    let spec = match name {
        "web" => json!({"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}]}),
        "db" => json!({"clusterIP": "None", "ports": [{"name": "pg", "port": 5432}]}),
        "away" => json!({"type": "ExternalName", "externalName": "www.example.org"}),
        _ => json!({"type": "ExternalName", "externalName": "web.default.svc.cluster.local"}),
    };
    json!({"kind": "Service", "metadata": {"namespace": "default", "name": name}, "spec": spec})
}

fn slice(endpoints: u16) -> Value {
    let endpoints: Vec<Value> = (0..endpoints)
        .map(|n| json!({"addresses": [format!("10.1.{}.{}", n / 200, n % 200)], "conditions": {"ready": true}}))
        .collect();
    json!({
        "kind": "EndpointSlice", "endpoints": endpoints, "ports": [{"name": "pg", "port": 5432}],
        "metadata": {"namespace": "default", "name": "db-1", "labels": {"kubernetes.io/service-name": "db"}},
    })
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn ask(to: SocketAddr, name: &str, kind: RecordType) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    ask_from(&socket, to, &question(name, kind))
}

fn ask_from(socket: &UdpSocket, to: SocketAddr, question: &Message) -> Message {
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.send_to(&question.to_vec().unwrap(), to).unwrap();
    let mut bytes = [0; 4096];
    let (length, _) = socket.recv_from(&mut bytes).unwrap();
    let answer = Message::from_vec(&bytes[..length]).unwrap();
    assert_eq!(answer.metadata.id, 4711);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    answer
}

fn ask_stream(stream: &mut TcpStream, name: &str, kind: RecordType) -> Message {
    let bytes = question(name, kind).to_vec().unwrap();
    stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&bytes).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).unwrap();
    Message::from_vec(&bytes).unwrap()
}

/// Asks until the answer is as expected: feeds and incarnations take their moment.
fn eventually(mut holds: impl FnMut() -> bool, what: &str) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| format!("{} {}", record.record_type(), record.data)).collect()
}

/// A resolver of the world outside: knows www.example.org, says no to the rest; counts questions.
fn world() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, count) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counting = Arc::clone(&count);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            counting.fetch_add(1, Ordering::Relaxed);
            let request = Message::from_vec(&bytes[..length]).unwrap();
            let mut answer = Message::response(request.metadata.id, OpCode::Query);
            answer.add_queries(request.queries.clone());
            let name = request.queries[0].name().clone();
            match name.to_ascii().as_str() {
                "www.example.org." => {
                    let address = RData::A(std::net::Ipv4Addr::new(203, 0, 113, 5).into());
                    answer.add_answer(Record::from_rdata(name, 300, address));
                }
                _ => answer.metadata.response_code = ResponseCode::NXDomain,
            }
            let mut forged = answer.clone();
            forged.metadata.id = forged.metadata.id.wrapping_add(1);
            let _ = socket.send_to(&forged.to_vec().unwrap(), from);
            let _ = socket.send_to(&answer.to_vec().unwrap(), from);
        }
    });
    (address, count)
}

fn ready(at: SocketAddr) {
    let listed = || {
        let answer = ask(at, "db.default.svc.cluster.local.", RecordType::A);
        answer.metadata.response_code != ResponseCode::ServFail
    };
    eventually(listed, "the index was never complete");
}

#[test]
fn names_of_the_cluster() {
    let server = Server::start(config(Upstream::None));
    let at = server.address();
    ready(at);
    let web = ask(at, "WEB.default.svc.cluster.local.", RecordType::A);
    assert_eq!(texts(&web.answers), ["A 10.96.0.1"]);
    assert!(web.metadata.authoritative && web.metadata.recursion_available);
    assert_eq!(web.answers[0].ttl, 5);
    assert_eq!(web.answers[0].name.to_ascii(), "WEB.default.svc.cluster.local.", "spelled as it was asked");
    let none = ask(at, "web.default.svc.cluster.local.", RecordType::AAAA);
    assert_eq!((none.metadata.response_code, none.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(none.authorities[0].record_type(), RecordType::SOA);
    let missing = ask(at, "google.com.default.svc.cluster.local.", RecordType::A);
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(missing.authorities[0].name.to_ascii(), "cluster.local.");
    let srv = ask(at, "_http._tcp.web.default.svc.cluster.local.", RecordType::SRV);
    assert_eq!(texts(&srv.answers), ["SRV 0 100 80 web.default.svc.cluster.local."]);
    assert_eq!(texts(&srv.additionals), ["A 10.96.0.1"]);
    let reverse = ask(at, "1.0.96.10.in-addr.arpa.", RecordType::PTR);
    assert_eq!(texts(&reverse.answers), ["PTR web.default.svc.cluster.local."]);
    assert_eq!(texts(&ask(at, "dns-version.cluster.local.", RecordType::TXT).answers), ["TXT 1.1.0"]);
    assert_eq!(texts(&ask(at, "cluster.local.", RecordType::NS).answers), ["NS ns.dns.cluster.local."]);
    let deep = ask(at, "deep.default.svc.cluster.local.", RecordType::A);
    assert_eq!(texts(&deep.answers), ["CNAME web.default.svc.cluster.local.", "A 10.96.0.1"]);
    let outside = ask(at, "example.org.", RecordType::A);
    assert_eq!(outside.metadata.response_code, ResponseCode::ServFail, "nobody to ask");
    let refused = ask(at, "cluster.local.", RecordType::AXFR);
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
}

#[test]
fn what_does_not_fit_a_datagram_comes_by_stream() {
    let server = Server::start(config(Upstream::None));
    let at = server.address();
    ready(at);
    let short = ask(at, "db.default.svc.cluster.local.", RecordType::A);
    assert!(short.metadata.truncation && short.answers.is_empty());
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let whole = ask_stream(&mut stream, "db.default.svc.cluster.local.", RecordType::A);
    assert_eq!((whole.answers.len(), whole.metadata.truncation), (300, false));
    let again = ask_stream(&mut stream, "web.default.svc.cluster.local.", RecordType::A);
    assert_eq!(again.answers.len(), 1, "several questions on one stream");
    server.feed.set(&slice(2));
    eventually(
        || ask(at, "db.default.svc.cluster.local.", RecordType::A).answers.len() == 2,
        "the change was never seen",
    );
    server.feed.remove(&service("web"));
    let gone = || {
        let answer = ask(at, "web.default.svc.cluster.local.", RecordType::A);
        answer.metadata.response_code == ResponseCode::NXDomain
    };
    eventually(gone, "the Service was never removed");
}

#[test]
fn the_world_is_asked_once() {
    let (world, count) = world();
    let server = Server::start(config(Upstream::Servers(vec![world])));
    let at = server.address();
    ready(at);
    for _ in 0..3 {
        assert_eq!(texts(&ask(at, "www.example.org.", RecordType::A).answers), ["A 203.0.113.5"]);
        let none = ask(at, "nowhere.example.org.", RecordType::A);
        assert_eq!(none.metadata.response_code, ResponseCode::NXDomain);
    }
    assert_eq!(count.load(Ordering::Relaxed), 2, "the rest came from the cache");
    let away = ask(at, "away.default.svc.cluster.local.", RecordType::A);
    assert_eq!(texts(&away.answers), ["CNAME www.example.org.", "A 203.0.113.5"]);
    assert_eq!(texts(&ask(at, "away.default.svc.cluster.local.", RecordType::CNAME).answers).len(), 1);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn nonsense_is_answered_or_ignored_and_nothing_breaks() {
    let server = Server::start(config(Upstream::None));
    let at = server.address();
    ready(at);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut seed = 1_u32;
    for length in 0..200_usize {
        let mut bytes: Vec<u8> = (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed.to_be_bytes()[0]
            })
            .collect();
        if let Some(flags) = bytes.get_mut(2) {
            *flags |= 0x80;
        }
        socket.send_to(&bytes, at).unwrap();
    }
    let mut cut = question("web.default.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    cut.truncate(20);
    socket.send_to(&cut, at).unwrap();
    let mut bytes = [0; 512];
    let (length, _) = socket.recv_from(&mut bytes).unwrap();
    let answer = Message::from_vec(&bytes[..length]).unwrap();
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (4711, ResponseCode::FormErr));
    let mut update = question("web.default.svc.cluster.local.", RecordType::A);
    update.metadata.op_code = OpCode::Status;
    assert_eq!(ask_from(&socket, at, &update).metadata.response_code, ResponseCode::NotImp);
    assert_eq!(ask(at, "web.default.svc.cluster.local.", RecordType::A).answers.len(), 1);
}

#[test]
fn a_feed_that_ends_brings_a_new_incarnation_that_lists_anew() {
    let server = Server::start(config(Upstream::None));
    ready(server.address());
    server.feed.cut();
    ready(server.address());
}

#[test]
fn it_holds_its_address_on_the_bridge() {
    if !spaces::is_root() {
        return;
    }
    let space = spaces::Space::new();
    let mut config = config(Upstream::None);
    config.netns = space.netns.clone();
    config.addresses = vec!["10.96.0.10".parse().unwrap(), "fd96::a".parse().unwrap()];
    config.link = Some("trireme0".to_owned());
    let server = Server::start(config);
    assert!(server.addresses.recv_timeout(Duration::from_millis(50)).is_err(), "there is no bridge yet");
    let mut routing = space.routing();
    let bridge = routing.ensure_bridge("trireme0", [2, 0, 0, 0, 0, 1], 1500).unwrap();
    routing.set_up(bridge.index).unwrap();
    let at = server.addresses.recv_timeout(LONG).unwrap();
    assert_eq!(at[0].ip(), IpAddr::from([10, 96, 0, 10]));
    for at in at {
        let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = space.udp(any);
        let listed = || {
            let answer = ask_from(&socket, at, &question("web.default.svc.cluster.local.", RecordType::A));
            texts(&answer.answers) == ["A 10.96.0.1"]
        };
        eventually(listed, "no answer at the cluster's address");
    }
}
