//! Peers that are wrong, slow or malicious: each is refused or bounded.

use crate::kit::*;
use crate::raw::{Raw, connect, request, wire};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use trireme_bus::frame::{Frame, Hello, PROTOCOL_VERSION, Subscribe};
use trireme_bus::{BusConfig, IdentityKind, PeerIdentity, Refusal, SessionLimits, class_code};
use trireme_kernel::{CallError, Class, codec};
use trireme_pki::{ExpectedPeer, TLS_SERVER_NAME, WallTime};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_others_and_of_the_past_are_refused() {
    let cluster = Cluster::new();
    let bus = server(&cluster, "s1", Options::default());
    let to = bus.listen_address().unwrap();

    // Another authority with the same cluster id. The client does not check the server here, so that the
    // server's own check is what refuses.
    let other = Cluster::new();
    let stranger = other.profile(&other.server("s2"));
    let refused = dial_unchecked(&stranger, to).await;
    assert!(refused.is_err(), "{refused:?}");
    until("it is counted", || (bus.refused(Refusal::HandshakeFailed) == 1).then_some(())).await;

    // Signed three days ago for one day.
    let past = WallTime::from_unix_seconds(WallTime::now().unix_seconds() - 3 * 86_400);
    let expired = cluster.profile_at(&cluster.server("s2"), past);
    let refused = dial_unchecked(&expired, to).await;
    assert!(refused.is_err(), "{refused:?}");
    until("it is counted", || (bus.refused(Refusal::HandshakeFailed) == 2).then_some(())).await;

    // No certificate at all, but the members' protocol.
    let nobody = dial_without_certificate(to).await;
    assert!(nobody.is_err(), "{nobody:?}");
    until("it is counted", || (bus.refused(Refusal::NoIdentity) == 1).then_some(())).await;

    // The same name with a good certificate is let in.
    assert!(dial_unchecked(&cluster.profile(&cluster.server("s2")), to).await.is_ok());
    assert!(bus.peers().is_empty(), "none of these greeted");
}

#[derive(Debug)]
struct TrustAnybody(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn trusting() -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAnybody(provider)))
}

async fn dial_with(mut config: rustls::ClientConfig, to: SocketAddr) -> Result<(), String> {
    config.alpn_protocols = vec![trireme_pki::ALPN_BUS.to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    let endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let client = quinn::ClientConfig::new(Arc::new(crypto));
    let connection =
        endpoint.connect_with(client, to, TLS_SERVER_NAME).unwrap().await.map_err(|e| e.to_string())?;
    // TLS 1.3 clients are done before the server has looked at their certificate: its hello tells.
    connection.accept_uni().await.map(drop).map_err(|error| error.to_string())
}

async fn dial_unchecked(profile: &trireme_pki::TlsProfile, to: SocketAddr) -> Result<(), String> {
    let config = trusting().with_client_cert_resolver(profile.credentials().clone());
    soon("an answer", dial_with(config, to)).await
}

async fn dial_without_certificate(to: SocketAddr) -> Result<(), String> {
    soon("an answer", dial_with(trusting().with_no_client_auth(), to)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_closes_sessions_at_once_and_keeps_the_party_out() {
    let pair = pair().await;
    let name = pair.cluster.server("s2").identity_name().clone();
    let work = call(&pair.peer, "hang", "");
    let revokes = async {
        until("the work runs", || (pair.service.running.load(Ordering::SeqCst) == 1).then_some(())).await;
        let now = WallTime::from_unix_seconds(WallTime::now().unix_seconds() + 1);
        pair.cluster.trust.update(|ledger| ledger.revoke_identity(&name, now)).unwrap();
        assert_eq!(pair.one.recheck_trust(), 1);
    };
    let (lost, ()) = tokio::join!(work, revokes);
    assert!(matches!(lost, Err(CallError::UnknownOutcome { .. })), "{lost:?}");
    until("the work is dropped", || (pair.service.running.load(Ordering::SeqCst) == 0).then_some(())).await;
    let profile = pair.cluster.profile(&pair.cluster.server("s2"));
    assert!(dial_unchecked(&profile, pair.one.listen_address().unwrap()).await.is_err());
    assert!(pair.one.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_peer_ends_its_sessions_at_once() {
    let pair = pair().await;
    until("the session at s1", || pair.one.peer(IdentityKind::Server, "s2")).await;
    let closed = pair.one.close_peer(&PeerIdentity::new(IdentityKind::Server, "s2"), "the test says so");
    assert_eq!(closed, 1);
    until("s2 notices", || pair.two.peers().is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cannot_reach_another_nodes_actor() {
    let cluster = Cluster::new();
    let service = Arc::new(TestService::default());
    let bus = server(&cluster, "s1", Options { service: service.clone(), ..Options::default() });
    let node = dialer(&cluster, &cluster.node("n1"), Options::default());
    let peer = node.connect(bus.listen_address().unwrap(), ExpectedPeer::AnyServer).await.unwrap();
    for (target, allowed) in [
        ("/node/n1/kubelet", true),
        ("/node/n2/kubelet", false),
        ("/node/n10/kubelet", false),
        ("/server/s1/raft", false),
    ] {
        for size in [10, 100_000] {
            let answer = peer.call(&path(target), "echo", Bytes::from(vec![1; size]), within(10_000)).await;
            assert_eq!(answer.is_ok(), allowed, "{target}: {answer:?}");
            assert!(allowed || matches!(answer, Err(CallError::Denied { .. })), "{target}: {answer:?}");
        }
    }
    let mut denied = peer.subscribe(Class::Watch, &path("/node/n2/kubelet"), Bytes::new(), 1);
    let end = soon("the refusal", denied.next()).await.unwrap_err();
    assert_eq!(end.reason, trireme_bus::frame::SubEndReason::Denied);
    assert_eq!(bus.refused(Refusal::Denied), 7);
    assert_eq!(service.executed.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_keeps_deadlines_by_itself() {
    let cluster = Cluster::new();
    let service = Arc::new(TestService::default());
    let bus = server(&cluster, "s1", Options { service: service.clone(), ..Options::default() });
    // A client that neither cancels nor has a deadline of its own.
    let mut raw = Raw::greet(&cluster, &cluster.server("s2"), bus.listen_address().unwrap()).await;
    raw.send(&request(1, 150, "/server/s1/test", "hang", b"")).await;
    until("the work runs", || (service.running.load(Ordering::SeqCst) == 1).then_some(())).await;
    let answer = soon("the server's own deadline", raw.next()).await;
    let Some(Frame::Response { id: 1, outcome: Err(error) }) = answer else { panic!("{answer:?}") };
    assert!(matches!(codec::decode(&error), Ok(CallError::DeadlineExceeded { .. })));
    assert_eq!(service.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_frame_repeated_on_the_wire_is_executed_once() {
    let cluster = Cluster::new();
    let service = Arc::new(TestService::default());
    let bus = server(&cluster, "s1", Options { service: service.clone(), ..Options::default() });
    let mut raw = Raw::greet(&cluster, &cluster.server("s2"), bus.listen_address().unwrap()).await;
    for id in [5, 5, 6] {
        raw.send(&request(id, 10_000, "/server/s1/test", "echo", b"x")).await;
    }
    for expected in [5, 6] {
        let answer = soon("an answer", raw.next()).await;
        assert!(matches!(answer, Some(Frame::Response { id, .. }) if id == expected), "{answer:?}");
    }
    assert_eq!(service.executed.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_framing_closes_the_session_and_nothing_else() {
    let cluster = Cluster::new();
    let bus = server(&cluster, "s1", Options::default());
    let to = bus.listen_address().unwrap();
    let good = dialer(&cluster, &cluster.server("s9"), Options::default());
    let peer = good.connect(to, ExpectedPeer::AnyServer).await.unwrap();
    let hello =
        wire(&Frame::Hello(Hello { version: PROTOCOL_VERSION, class: class_code(Class::Bulk), instance: 1 }));
    let mut unknown_class = hello.to_vec();
    unknown_class[7] = 200;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a frame above the limit", vec![0x7f, 0xff, 0xff, 0xff, 2]),
        ("an unknown kind", vec![0, 0, 0, 1, 250]),
        ("a second hello", hello.to_vec()),
        ("a header that ends early", vec![0, 0, 0, 3, 2, 0, 0]),
    ];
    let mut broken = 0;
    for (what, bytes) in cases {
        let mut raw = Raw::greet(&cluster, &cluster.server("s2"), to).await;
        raw.control.write_all(&bytes).await.unwrap();
        soon(what, raw.connection.closed()).await;
        broken += 1;
        assert_eq!(bus.refused(Refusal::BadFrame), broken, "{what}");
    }
    // A truncated frame: the stream ends inside of one.
    let mut raw = Raw::greet(&cluster, &cluster.server("s2"), to).await;
    let whole = wire(&request(1, 1000, "/server/s1/test", "echo", b"hello"));
    raw.control.write_all(&whole[..whole.len() - 2]).await.unwrap();
    raw.control.finish().unwrap();
    soon("a truncated frame", raw.connection.closed()).await;
    // A stream of an unknown class, and one that says nothing sensible first.
    for bytes in [unknown_class, wire(&Frame::Drain).to_vec()] {
        let raw = Raw::greet(&cluster, &cluster.server("s2"), to).await;
        let mut stream = raw.connection.open_uni().await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        soon("a bad stream", raw.connection.closed()).await;
    }
    assert_eq!(bus.refused(Refusal::BadFrame), broken + 3);
    assert_eq!(call(&peer, "echo", "still here").await.unwrap(), "still here");
    until("the broken sessions are gone", || (bus.peers().len() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_of_another_version_or_none_is_refused() {
    let cluster = Cluster::new();
    let config = BusConfig { handshake_timeout: Duration::from_millis(300), ..quick() };
    let bus = server(&cluster, "s1", Options { config, ..Options::default() });
    let profile = cluster.profile(&cluster.server("s2"));
    let (_one, mute) = connect(&profile, bus.listen_address().unwrap()).await.unwrap();
    soon("silence ends", mute.closed()).await;
    let (_two, newer) = connect(&profile, bus.listen_address().unwrap()).await.unwrap();
    let hello = Hello { version: PROTOCOL_VERSION + 1, class: class_code(Class::Control), instance: 1 };
    newer.open_uni().await.unwrap().write_chunk(wire(&Frame::Hello(hello))).await.unwrap();
    soon("another version ends", newer.closed()).await;
    assert_eq!(bus.refused(Refusal::BadHello), 2);
    assert!(bus.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_bounded() {
    let cluster = Cluster::new();
    let service = Arc::new(TestService::default());
    let limits =
        SessionLimits { queue_bytes: 256 * 1024, queue_hard_bytes: 1024 * 1024, ..SessionLimits::default() };
    let config = BusConfig { session: limits, ..quick() };
    let bus = server(&cluster, "s1", Options { config, service: service.clone(), ..Options::default() });
    let mut raw = Raw::greet(&cluster, &cluster.server("s2"), bus.listen_address().unwrap()).await;
    // Asks for 60 KB a thousand times and never reads: 60 MB, of which flow control lets out little.
    for id in 1..=1_000 {
        if raw
            .control
            .write_chunk(wire(&request(id, 60_000, "/server/s1/test", "make", b"60000")))
            .await
            .is_err()
        {
            break;
        }
    }
    until("answers are refused before they are made", || {
        (bus.refused(Refusal::RequestsFull) > 0).then_some(())
    })
    .await;
    let queued = bus.peers().iter().map(|peer| peer.queued_bytes).max().unwrap_or(0);
    assert!(queued <= 1024 * 1024 + 60_000, "{queued} bytes queued for a reader that does not read");
    assert!(service.executed.load(Ordering::SeqCst) < 1_000, "the refused ones were not executed");
    // Asked on and on, even the refusals pile up: then the session is closed.
    let floods = async {
        for id in 1_001..200_000 {
            if raw
                .control
                .write_chunk(wire(&request(id, 60_000, "/server/s1/test", "make", b"60000")))
                .await
                .is_err()
            {
                return;
            }
        }
        panic!("200,000 requests without reading an answer were taken");
    };
    soon("the session is closed", floods).await;
    let end = raw.connection.close_reason().unwrap().to_string();
    assert!(end.contains("slow reader"), "{end}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_and_streams_of_a_peer_are_bounded() {
    let cluster = Cluster::new();
    let limits = SessionLimits { subscriptions: 10, ..SessionLimits::default() };
    let publishers = Arc::new(crate::board::Board::default());
    let config = BusConfig { session: limits, ..quick() };
    let bus = server(&cluster, "s1", Options { config, publishers, ..Options::default() });
    let mut raw = Raw::greet(&cluster, &cluster.server("s2"), bus.listen_address().unwrap()).await;
    for id in 1..=11 {
        let subscribe = Subscribe { id, path: "/server/s1/test".into(), credit: 1, topic: Bytes::new() };
        raw.send(&Frame::Subscribe(subscribe)).await;
    }
    let end = soon("a refusal", raw.next()).await;
    assert!(matches!(end, Some(Frame::SubEnd { id: 11, .. })), "{end:?}");
    // Class streams: control is open, three more are allowed by the transport.
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(soon("a stream", raw.connection.open_uni()).await.unwrap());
    }
    let fifth = tokio::time::timeout(Duration::from_millis(200), raw.connection.open_uni()).await;
    assert!(fifth.is_err(), "the transport gives out no fifth stream");
}
