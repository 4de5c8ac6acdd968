//! The front without business behind it, over TLS on loopback, client and server in one process on the same cores.
//!
//! `cargo bench -p trireme-http` prints rows of requests and frames per second; the client's work is part of them.
//! `-- --memory=h1`, `=h2` or `=watch` measures idle connections instead, one kind in a process: freed pages are reused.
//! `-- --cost` prints the CPU time of a request.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "a measurement prints its rows")]

#[path = "../tests/kit/mod.rs"]
mod kit;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kit::{Pki, get};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use trireme_http::spdy::{SpdyRole, spdy_session};
use trireme_http::{
    FrameSender, Front, Handler, Limits, Refusal, Reply, ReplyBody, Request, frame_channel, negotiate,
};

/// Size of a small object, as in the API server's rows.
const OBJECT_BYTES: usize = 1024;
/// Size of a watch event.
const EVENT_BYTES: usize = 300;
/// Frames that wait for a watcher.
const WATCH_CAPACITY: usize = 1024;

#[derive(Default)]
struct Bare {
    watchers: Mutex<Vec<FrameSender>>,
}

impl Handler for Bare {
    async fn handle(self: Arc<Self>, request: Request) -> Reply {
        if request.head.uri.path() == "/watch" {
            let (sender, receiver) = frame_channel(WATCH_CAPACITY);
            self.watchers.lock().push(sender);
            return Reply::Answer(Response::new(ReplyBody::frames(receiver)));
        }
        Reply::full(StatusCode::OK, "application/json", Bytes::from_static(&[b'x'; OBJECT_BYTES]))
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        Response::builder().status(refusal.status()).body(Bytes::new()).expect("a status is a response")
    }
}

struct Stand {
    pki: Pki,
    front: Front,
    handler: Arc<Bare>,
}

impl Stand {
    async fn new() -> Self {
        let (pki, handler) = (Pki::new(), Arc::new(Bare::default()));
        let config = pki.front_config(Limits::default());
        let runtime = Handle::current();
        let front = Front::start(([127, 0, 0, 1], 0).into(), config, handler.clone(), &runtime).await;
        Self { front: front.expect("loopback listens"), pki, handler }
    }

    async fn tls(&self, alpn: &[u8]) -> tokio_rustls::client::TlsStream<TcpStream> {
        let socket = TcpStream::connect(self.front.address()).await.expect("it listens");
        socket.set_nodelay(true).expect("a socket has the option");
        let connector = TlsConnector::from(self.pki.client_config(None, alpn));
        connector
            .connect("localhost".try_into().expect("a name"), socket)
            .await
            .expect("it trusts the authority")
    }

    async fn h2(&self) -> http2::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.tls(b"h2").await);
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), io).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        sender
    }

    async fn h1(&self) -> http1::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.tls(b"http/1.1").await);
        let (sender, connection) = http1::handshake(io).await.expect("it speaks HTTP/1.1");
        tokio::spawn(connection);
        sender
    }
}

async fn one_get(sender: &mut http2::SendRequest<Full<Bytes>>) {
    let response = sender.send_request(get("https://localhost/object")).await.expect("an answer");
    black_box(response.into_body().collect().await.expect("a body"));
}

/// `clients` loops that share `total` requests on `connections` connections.
async fn gets(senders: &[http2::SendRequest<Full<Bytes>>], clients: usize, total: u64) -> Duration {
    let left = Arc::new(AtomicU64::new(total));
    let start = Instant::now();
    let mut loops = JoinSet::new();
    for client in 0..clients {
        let mut sender = senders[client % senders.len()].clone();
        let left = left.clone();
        loops.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                one_get(&mut sender).await;
            }
        });
    }
    loops.join_all().await;
    start.elapsed()
}

fn small_gets(criterion: &mut Criterion, runtime: &Runtime) {
    let stand = runtime.block_on(Stand::new());
    let mut group = criterion.benchmark_group("get_1KiB_h2_tls");
    group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(4));
    for (name, clients, connections) in
        [("1_client", 1, 1), ("64_clients_1_conn", 64, 1), ("64_clients_64_conns", 64, 64)]
    {
        let senders = runtime.block_on(async {
            let mut senders = Vec::new();
            for _ in 0..connections {
                senders.push(stand.h2().await);
            }
            senders
        });
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|total| runtime.block_on(gets(&senders, clients, total)));
        });
    }
    let mut sender = runtime.block_on(stand.h1());
    group.bench_function("1_client_h1", |bencher| {
        bencher.iter_custom(|total| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..total {
                    sender.ready().await.expect("the connection stays");
                    let response = sender.send_request(get("/object")).await.expect("an answer");
                    black_box(response.into_body().collect().await.expect("a body"));
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

/// `count` watchers over `connections` connections; one producer hands every event to all of them.
fn fan_out(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("watch_frames_tls");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(5));
    for (name, http2, count, connections) in [
        ("h2_200_watchers_4_conns", true, 200, 4),
        ("h1_200_watchers", false, 200, 200),
        ("h2_2000_watchers_20_conns", true, 2000, 20),
    ] {
        let stand = runtime.block_on(Stand::new());
        let received = Arc::new(AtomicU64::new(0));
        runtime.block_on(watchers(&stand, http2, count, connections, &received));
        let senders = std::mem::take(&mut *stand.handler.watchers.lock());
        assert_eq!(senders.len(), count);
        let event = Bytes::from(vec![b'e'; EVENT_BYTES]);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|total| {
                let rounds = total.div_ceil(u64::try_from(count).expect("small"));
                let frames = rounds * u64::try_from(count).expect("small");
                let goal =
                    received.load(Ordering::Relaxed) + frames * u64::try_from(EVENT_BYTES).expect("small");
                let took = runtime.block_on(async {
                    let start = Instant::now();
                    for _ in 0..rounds {
                        for sender in &senders {
                            sender.send(event.clone()).await.expect("the watcher is there");
                        }
                    }
                    while received.load(Ordering::Relaxed) < goal {
                        tokio::time::sleep(Duration::from_micros(200)).await;
                    }
                    start.elapsed()
                });
                // For exactly `total` frames.
                took.mul_f64(total as f64 / frames as f64)
            });
        });
    }
    group.finish();
}

async fn watchers(stand: &Stand, http2: bool, count: usize, connections: usize, received: &Arc<AtomicU64>) {
    for _ in 0..connections {
        let mut sender = match http2 {
            true => Ok(stand.h2().await),
            false => Err(stand.h1().await),
        };
        for _ in 0..count / connections {
            let response = match &mut sender {
                Ok(h2) => h2.send_request(get("https://localhost/watch")).await,
                Err(h1) => h1.send_request(get("/watch")).await,
            };
            let mut body = response.expect("an answer").into_body();
            let received = received.clone();
            tokio::spawn(async move {
                while let Some(Ok(frame)) = body.frame().await {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    received.fetch_add(u64::try_from(bytes).expect("small"), Ordering::Relaxed);
                }
            });
        }
    }
}

fn parts(criterion: &mut Criterion, runtime: &Runtime) {
    const KUBECTL: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;\
                           g=meta.k8s.io,application/json";
    criterion.bench_function("negotiate_kubectl_accept", |bencher| {
        let offered = [negotiate::Format::Json, negotiate::Format::Yaml];
        bencher.iter(|| negotiate::negotiate_accept(Some(black_box(KUBECTL)), &offered, |_, _| true));
    });
    let object = Bytes::from(r#"{"metadata":{"name":"pod-1","labels":{"a":"b"}},"spec":{"nodeName":"n7"}},"#);
    let list = vec![object; 1024 * 1024 / 76];
    let mut group = criterion.benchmark_group("bytes");
    group.throughput(Throughput::Bytes(1024 * 1024)).sample_size(20);
    group.bench_function("gzip_1MiB_json", |bencher| bencher.iter(|| negotiate::gzip(&list)));
    group.bench_function("spdy_stream_1MiB", |bencher| {
        bencher.iter_custom(|rounds| runtime.block_on(spdy_transfer(rounds)));
    });
    group.finish();
}

async fn spdy_transfer(rounds: u64) -> Duration {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let (client, client_task) = spdy_session(near, SpdyRole::Client);
    let (mut server, server_task) = spdy_session(far, SpdyRole::Server);
    tokio::spawn(client_task);
    tokio::spawn(server_task);
    let mut stream = client.open(vec![("streamtype".to_owned(), "data".to_owned())]).await.expect("open");
    let mut incoming = server.accept().await.expect("it comes");
    let start = Instant::now();
    let sender = tokio::spawn(async move {
        for _ in 0..rounds {
            stream.writer.send(Bytes::from_static(&[7; 1024 * 1024])).await.expect("sent");
        }
        stream.writer.finish().await.expect("finished");
    });
    let mut got = 0;
    while let Ok(Some(piece)) = incoming.reader.recv().await {
        got += u64::try_from(piece.len()).expect("small");
    }
    assert_eq!(got, rounds * 1024 * 1024);
    sender.await.expect("the sender ends");
    start.elapsed()
}

/// Resident bytes of this process.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

/// Idle connections. Both ends are here, so the client's half is measured as well: an upper bound.
fn memory(runtime: &Runtime, kind: &str) {
    const CONNECTIONS: u64 = 2000;
    let (http2, watches) = (kind != "h1", kind == "watch");
    runtime.block_on(async {
        let stand = Stand::new().await;
        let mut kept_h2 = Vec::new();
        let mut kept_h1 = Vec::new();
        let mut bodies = Vec::new();
        let before = resident_bytes();
        for _ in 0..CONNECTIONS {
            if http2 {
                let mut sender = stand.h2().await;
                match watches {
                    true => {
                        bodies.push(sender.send_request(get("https://localhost/watch")).await.expect("yes"))
                    }
                    false => one_get(&mut sender).await,
                }
                kept_h2.push(sender);
            } else {
                let mut sender = stand.h1().await;
                let response = sender.send_request(get("/object")).await.expect("an answer");
                black_box(response.into_body().collect().await.expect("a body"));
                kept_h1.push(sender);
            }
        }
        let each = (resident_bytes() - before) / CONNECTIONS;
        println!("{kind}: {each} bytes for both ends of a connection");
    });
}

/// CPU time of this process so far, in microseconds.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).expect("a number");
    (ticks(11) + ticks(12)) * 10_000
}

/// CPU time of a request, both ends together: holds on a machine that is busy with other things.
fn cost(runtime: &Runtime) {
    const REQUESTS: u64 = 60_000;
    for (clients, connections) in [(1, 1), (64, 1), (64, 64)] {
        runtime.block_on(async {
            let stand = Stand::new().await;
            let mut senders = Vec::new();
            for _ in 0..connections {
                senders.push(stand.h2().await);
            }
            let before = cpu_us();
            let took = gets(&senders, clients, REQUESTS).await;
            let each = (cpu_us() - before) as f64 / REQUESTS as f64;
            let rate = REQUESTS as f64 / took.as_secs_f64();
            println!(
                "{clients} clients, {connections} connections: {each:.1} us of CPU each, {rate:.0}/s now"
            );
        });
    }
}

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    if let Some(kind) =
        std::env::args().find_map(|argument| Some(argument.strip_prefix("--memory=")?.to_owned()))
    {
        return memory(&runtime, &kind);
    }
    if std::env::args().any(|argument| argument == "--cost") {
        return cost(&runtime);
    }
    let mut criterion = Criterion::default().configure_from_args();
    small_gets(&mut criterion, &runtime);
    fan_out(&mut criterion, &runtime);
    parts(&mut criterion, &runtime);
    criterion.final_summary();
}
