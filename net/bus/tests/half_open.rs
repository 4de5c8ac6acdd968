//! Ten thousand half-open connections. A process of its own: it measures what the server's memory grows by, while
//! the flood comes from a child process.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation
)]

#[path = "bus/kit.rs"]
mod kit;
#[path = "../benches/measure/memory.rs"]
mod memory;

use kit::*;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use trireme_bus::{AdmissionLimits, BusConfig, Refusal};
use trireme_pki::{ExpectedPeer, TLS_SERVER_NAME};

/// Connections the child opens.
const FLOOD: usize = 10_000;
/// Names the address for the child.
const FLOOD_TO: &str = "TRIREME_TEST_FLOOD_TO";

/// A socket that sends the first packet of each connection and nothing else, and never receives: every handshake on
/// it stays half open.
#[derive(Debug)]
struct Deaf {
    socket: Arc<dyn quinn::AsyncUdpSocket>,
    sent: Mutex<HashSet<Vec<u8>>>,
}

impl Deaf {
    fn is_first(&self, packet: &[u8]) -> bool {
        // RFC 9000, 17.2: a long header has the length of the destination's connection id in its sixth byte.
        let Some(length) = packet.get(5) else { return false };
        packet.get(6..6 + usize::from(*length)).is_some_and(|id| self.sent.lock().insert(id.to_vec()))
    }
}

impl quinn::AsyncUdpSocket for Deaf {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn quinn::UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &quinn::udp::Transmit<'_>) -> std::io::Result<()> {
        if self.is_first(transmit.contents) { self.socket.try_send(transmit) } else { Ok(()) }
    }

    fn poll_recv(
        &self,
        _: &mut Context<'_>,
        _: &mut [IoSliceMut<'_>],
        _: &mut [quinn::udp::RecvMeta],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Pending
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// The child's part; does nothing unless told where to.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn flood() {
    use quinn::Runtime;
    let Ok(to) = std::env::var(FLOOD_TO) else { return };
    let to: SocketAddr = to.parse().unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let deaf = Arc::new(Deaf {
        socket: quinn::TokioRuntime.wrap_udp_socket(socket).unwrap(),
        sent: Mutex::default(),
    });
    let runtime = Arc::new(quinn::TokioRuntime);
    let endpoint =
        quinn::Endpoint::new_with_abstract_socket(quinn::EndpointConfig::default(), None, deaf, runtime)
            .unwrap();
    let pin = Cluster::new().authority.pin();
    let crypto =
        quinn::crypto::rustls::QuicClientConfig::try_from(trireme_pki::join_client(pin).unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    for _ in 0..FLOOD {
        // Dropped at once: its first flight is out, and nobody will ever go on with it.
        drop(endpoint.connect_with(config.clone(), to, TLS_SERVER_NAME).unwrap());
        tokio::task::yield_now().await;
    }
    println!("{FLOOD} connections opened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_connections_are_bounded() {
    let cluster = Cluster::new();
    let admission = AdmissionLimits { retry_above: 16, refuse_above: 64, ..AdmissionLimits::default() };
    let config = BusConfig { admission, handshake_timeout: Duration::from_secs(3), ..quick() };
    let bus = server(&cluster, "s1", Options { config, ..Options::default() });
    let to = bus.listen_address().unwrap();
    let good = dialer(&cluster, &cluster.server("s2"), Options::default());
    let peer = good.connect(to, ExpectedPeer::AnyServer).await.unwrap();
    let before = memory::resident_bytes();
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "flood", "--ignored", "--nocapture"])
        .env(FLOOD_TO, to.to_string())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut most, mut most_connections, mut answered, mut late) = (0, 0, 0, None);
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        assert!(tokio::time::Instant::now() < until, "the flood goes on");
        assert_eq!(call(&peer, "echo", "there?").await.unwrap(), "there?");
        answered += 1;
        most = most.max(bus.handshakes());
        most_connections = most_connections.max(bus.connections());
        if most >= 16 && late.is_none() {
            // A newcomer that proves its address gets in during the flood.
            let newcomer = dialer(&cluster, &cluster.server("s4"), Options::default());
            soon("a newcomer", newcomer.connect(to, ExpectedPeer::AnyServer)).await.unwrap();
            late = Some(newcomer);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let output = child.wait_with_output().await.unwrap();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("10000 connections opened"),
        "the flood broke off"
    );
    let grown = memory::resident_bytes().saturating_sub(before);
    println!(
        "half-open: {FLOOD} opened, most {most} handshakes and {most_connections} connections at a time, \
         {answered} calls answered meanwhile, server grew by {} KiB, {} told off",
        grown / 1024,
        bus.refused(Refusal::HandshakesFull) + bus.refused(Refusal::HandshakeTimeout),
    );
    assert!(late.is_some(), "the flood never reached the retry threshold: {most}");
    assert!(most <= 64, "{most} handshakes in progress");
    kit::until("half-open handshakes end", || (bus.handshakes() == 0).then_some(())).await;
    let ended = bus.refused(Refusal::HandshakeTimeout) + bus.refused(Refusal::HandshakeFailed);
    assert!(ended > 0, "half-open handshakes ended without a word");
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes more");
}
