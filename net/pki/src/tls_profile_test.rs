//! Whole handshakes in memory, between the configurations that production uses.

use std::time::Duration;

use rustls::{ClientConnection, Connection, HandshakeKind, ServerConnection};
use rustls_pki_types::ServerName;

use super::*;
use crate::authority::{ClusterAuthority, SigningOrder};
use crate::cluster_id::ClusterId;
use crate::identity::GROUP_MASTERS;
use crate::identity_name::IdentityName;
use crate::key_request::KeyRequest;
use crate::peer_refused::RefusalCode;
use crate::test_kit::{DAY, NOW, TestClock, authority, cluster, credentials, issue, order};
use crate::trust_ledger::TrustLedger;
use crate::wall_time::WallTime;

/// Flights before a handshake counts as stuck; a full one takes three.
const FLIGHTS_LIMIT: usize = 16;

struct Pair {
    client: Connection,
    server: Connection,
}

/// Moves bytes until neither side has any. `Err` is the first refusal and whose it was.
fn handshake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> Result<Pair, (&'static str, rustls::Error)> {
    let name = ServerName::try_from(TLS_SERVER_NAME).unwrap();
    let mut pair = Pair {
        client: ClientConnection::new(client, name).unwrap().into(),
        server: ServerConnection::new(server).unwrap().into(),
    };
    for _ in 0..FLIGHTS_LIMIT {
        let to_server = carry(&mut pair.client, &mut pair.server).map_err(|error| ("server", error))?;
        let to_client = carry(&mut pair.server, &mut pair.client).map_err(|error| ("client", error))?;
        if to_server + to_client == 0 {
            assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking(), "stuck");
            return Ok(pair);
        }
    }
    panic!("no end of the handshake");
}

fn carry(from: &mut Connection, to: &mut Connection) -> Result<usize, rustls::Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(bytes.len())
}

fn refused(result: Result<Pair, (&'static str, rustls::Error)>) -> (&'static str, PeerRefused) {
    let (side, error) = result.err().expect("the handshake must be refused");
    let reason = PeerRefused::from_tls(&error).unwrap_or_else(|| panic!("untyped: {error}"));
    // Transports keep only the text: the code must survive that, in one line.
    let text = error.to_string();
    assert_eq!(RefusalCode::in_text(&text), Some(reason.code()), "{text}");
    assert!(!text.contains('\n'));
    (side, reason)
}

fn send(from: &mut Connection, to: &mut Connection, text: &[u8]) -> Vec<u8> {
    use std::io::{Read, Write};
    from.writer().write_all(text).unwrap();
    carry(from, to).unwrap();
    let mut got = vec![0; text.len()];
    to.reader().read_exact(&mut got).unwrap();
    got
}

struct Setting {
    authority: ClusterAuthority,
    clock: Arc<TestClock>,
    trust: LiveTrust,
}

impl Setting {
    fn new() -> Self {
        Self { authority: authority(), clock: TestClock::at(NOW), trust: LiveTrust::default() }
    }

    fn profile(&self, identity: &Identity) -> TlsProfile {
        self.profile_of(credentials(&self.authority, identity, NOW))
    }

    fn profile_of(&self, credentials: Arc<Credentials>) -> TlsProfile {
        TlsProfile::with_clock(credentials, self.trust.clone(), self.clock.clone())
    }

    fn server(&self) -> TlsProfile {
        self.profile(&server_id("s1"))
    }

    fn node(&self) -> TlsProfile {
        self.profile(&node_id("n1"))
    }

    fn connect(
        &self,
        client: &TlsProfile,
        server: &TlsProfile,
    ) -> Result<Pair, (&'static str, rustls::Error)> {
        handshake(client.bus_client(ExpectedPeer::AnyServer).unwrap(), server.bus_server().unwrap())
    }
}

fn server_id(name: &str) -> Identity {
    Identity::server(&cluster(), name).unwrap()
}

fn node_id(name: &str) -> Identity {
    Identity::node(&cluster(), name).unwrap()
}

fn exactly(name: &str) -> ExpectedPeer {
    ExpectedPeer::Exactly(name.parse::<IdentityName>().unwrap())
}

fn admitted(profile: &TlsProfile, connection: &Connection) -> Result<Admission, PeerRefused> {
    profile.admit(connection.alpn_protocol(), connection.peer_certificates())
}

#[test]
fn members_know_each_other() {
    let s = Setting::new();
    let (client, server) = (s.node(), s.server());
    let pair = s.connect(&client, &server).unwrap();
    assert_eq!(pair.server.alpn_protocol(), Some(ALPN_BUS));
    assert_eq!(pair.server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let Admission::Member(facts) = admitted(&server, &pair.server).unwrap() else { panic!("a member") };
    assert_eq!(facts.identity, node_id("n1"));
    assert_eq!(peer_identity(pair.client.peer_certificates()).unwrap(), server_id("s1"));
    for user in [
        Identity::user(&cluster(), "ann", &[GROUP_MASTERS, "dev"]).unwrap(),
        Identity::component(&cluster(), "kube-scheduler").unwrap(),
    ] {
        let pair = s.connect(&s.profile(&user), &server).unwrap();
        assert_eq!(peer_identity(pair.server.peer_certificates()).unwrap(), user);
    }
}

#[test]
fn a_joiner_needs_no_certificate_and_a_member_does() {
    let s = Setting::new();
    let server = s.server();
    let config = join_client_with_clock(s.authority.pin(), s.clock.clone()).unwrap();
    let pair = handshake(config.clone(), server.bus_server().unwrap()).unwrap();
    assert_eq!(admitted(&server, &pair.server), Ok(Admission::Joiner));
    let chain = pair.client.peer_certificates().unwrap();
    let ca = crate::pinned_authority(chain, &s.authority.pin()).unwrap();
    assert_eq!((ca.pin(), ca.cluster()), (s.authority.pin(), &cluster()));

    // The same client asks for the members' protocol: TLS lets it, admission does not.
    let mut sneaky = ClientConfig::clone(&config);
    sneaky.alpn_protocols = vec![ALPN_BUS.to_vec()];
    let pair = handshake(Arc::new(sneaky.clone()), server.bus_server().unwrap()).unwrap();
    assert_eq!(admitted(&server, &pair.server), Err(PeerRefused::NoCertificate));
    assert_eq!(peer_identity(Some(&[])), Err(PeerRefused::NoCertificate));

    sneaky.alpn_protocols = vec![];
    let pair = handshake(Arc::new(sneaky), server.bus_server().unwrap()).unwrap();
    let refused = admitted(&server, &pair.server).unwrap_err();
    assert_eq!(refused.code(), RefusalCode::UnknownProtocol);
}

#[test]
fn a_joiner_trusts_the_pin_alone() {
    let s = Setting::new();
    let other = ClusterAuthority::create(&cluster(), NOW).unwrap();
    let config = || join_client_with_clock(other.pin(), s.clock.clone()).unwrap();
    let (side, reason) = refused(handshake(config(), s.server().bus_server().unwrap()));
    assert_eq!((side, reason), ("client", PeerRefused::PinMismatch { expected: other.pin() }));

    // The pinned authority's certificate is public: adding it to a foreign chain must not help.
    let (key, issued) = issue(&s.authority, &server_id("s1"), NOW);
    let forged = ForgedChain::new(&key, vec![issued.chain[0].clone(), other.certificate().der().clone()]);
    let mut server = ServerConfig::clone(&s.server().bus_server().unwrap());
    server.cert_resolver = Arc::new(forged);
    let (side, reason) = refused(handshake(config(), Arc::new(server)));
    assert_eq!((side, reason.code()), ("client", RefusalCode::WrongAuthority));

    // A node of the right cluster may not collect tokens.
    let config = join_client_with_clock(s.authority.pin(), s.clock.clone()).unwrap();
    let (_, reason) = refused(handshake(config, s.node().bus_server().unwrap()));
    assert_eq!(reason.code(), RefusalCode::WrongIdentity);
}

/// Shows whatever chain a test gives it.
#[derive(Debug)]
struct ForgedChain(Arc<rustls::sign::CertifiedKey>);

impl ForgedChain {
    fn new(key: &KeyRequest, chain: Vec<CertificateDer<'static>>) -> Self {
        let der = rustls_pki_types::PrivatePkcs8KeyDer::from(key.key_pkcs8().to_vec());
        let key = crypto_provider().key_provider.load_private_key(der.into()).unwrap();
        Self(Arc::new(rustls::sign::CertifiedKey::new(chain, key)))
    }
}

impl rustls::server::ResolvesServerCert for ForgedChain {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl rustls::client::ResolvesClientCert for ForgedChain {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn wrong_authority_is_refused_on_both_sides() {
    let (ours, theirs) = (Setting::new(), Setting::new());
    let (side, reason) = refused(ours.connect(&theirs.node(), &ours.server()));
    // The client sees the server's certificate first.
    assert_eq!((side, reason.code()), ("client", RefusalCode::WrongAuthority));
    let mut trusting = ClientConfig::clone(&ours.node().bus_client(ExpectedPeer::AnyServer).unwrap());
    trusting.client_auth_cert_resolver = credentials(&theirs.authority, &node_id("n1"), NOW);
    let (side, reason) = refused(handshake(Arc::new(trusting), ours.server().bus_server().unwrap()));
    assert_eq!((side, reason.code()), ("server", RefusalCode::WrongAuthority));
}

#[test]
fn a_node_cannot_issue() {
    let s = Setting::new();
    // n1 signs a server certificate with its own key and shows its own certificate as intermediate.
    let (node_key, node) = issue(&s.authority, &node_id("n1"), NOW);
    let signer = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
        &rustls_pki_types::PrivatePkcs8KeyDer::from(node_key.key_pkcs8().as_slice()),
        &rcgen::PKCS_ECDSA_P256_SHA256,
    )
    .unwrap();
    let evil_key = KeyRequest::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let s9 = server_id("s9");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, s9.groups()[0].clone());
    params.distinguished_name.push(rcgen::DnType::CommonName, s9.user_name());
    params.subject_alt_names = vec![rcgen::SanType::URI(s9.uri().as_str().try_into().unwrap())];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = NOW.to_calendar();
    params.not_after = NOW.plus(DAY).to_calendar();
    let issuer = rcgen::Issuer::from_ca_cert_der(&node.chain[0], &signer).unwrap();
    let evil_public = x509_parser::certification_request::X509CertificationRequest::from_der;
    use x509_parser::prelude::FromDer;
    let request = evil_public(evil_key.request_der()).unwrap().1;
    let spki =
        rcgen::SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw).unwrap();
    let evil = params.signed_by(&spki, &issuer).unwrap();
    let forged = ForgedChain::new(&evil_key, vec![evil.into(), node.chain[0].clone()]);
    let mut client = ClientConfig::clone(&s.node().bus_client(ExpectedPeer::AnyServer).unwrap());
    client.client_auth_cert_resolver = Arc::new(forged);
    let (side, reason) = refused(handshake(Arc::new(client), s.server().bus_server().unwrap()));
    assert_eq!((side, reason.code()), ("server", RefusalCode::WrongAuthority));
}

#[test]
fn time_counts_on_both_sides() {
    let s = Setting::new();
    let server = s.profile_of({
        // Lives for longer than the client.
        let key = KeyRequest::generate().unwrap();
        let s1 = server_id("s1");
        let order = SigningOrder { lifetime: DAY * 30, ..order(&key, &s1, NOW) };
        let issued = s.authority.sign_request(&order).unwrap();
        Arc::new(Credentials::new(&key, &issued.chain).unwrap())
    });
    let client = s.node();
    s.clock.set(NOW.plus(DAY));
    s.connect(&client, &server).unwrap();
    s.clock.set(NOW.plus(DAY + Duration::from_secs(1)));
    let (side, reason) = refused(s.connect(&client, &server));
    assert_eq!(side, "server");
    assert!(matches!(reason, PeerRefused::Expired { ref identity, .. } if *identity == node_id("n1")));
    s.clock.set(NOW.plus(DAY * 31));
    let (side, reason) = refused(s.connect(&client, &server));
    assert_eq!((side, reason.code()), ("client", RefusalCode::Expired));
    s.clock.set(NOW.minus(DAY));
    let (side, reason) = refused(s.connect(&client, &server));
    assert_eq!((side, reason.code()), ("client", RefusalCode::NotYetValid));
    s.clock.set(NOW.minus(Duration::from_secs(200)));
    s.connect(&client, &server).expect("a clock that is behind by less than the backdate is fine");
}

#[test]
fn a_certificate_signed_for_later_is_not_valid_now() {
    let s = Setting::new();
    let later = s.profile_of(credentials(&s.authority, &node_id("n1"), NOW.plus(DAY)));
    let (side, reason) = refused(s.connect(&later, &s.server()));
    assert_eq!(side, "server");
    assert!(matches!(reason, PeerRefused::NotYetValid { now, .. } if now == NOW));
}

#[test]
fn revoked_clients_are_refused_by_serial_and_by_identity() {
    let s = Setting::new();
    let (client, server) = (s.node(), s.server());
    let facts = client.credentials().facts();
    let pair = s.connect(&client, &server).unwrap();
    s.trust.update(|ledger| ledger.revoke_serial(&facts.serial, NOW)).unwrap();
    // The client has the same ledger here, which says nothing about the server.
    let (side, reason) = refused(s.connect(&client, &server));
    assert_eq!(side, "server");
    assert!(matches!(reason, PeerRefused::CertificateRevoked { ref serial, .. } if *serial == facts.serial));
    assert_eq!(
        admitted(&server, &pair.server).unwrap_err().code(),
        RefusalCode::Revoked,
        "a handshake that was under way is caught at admission"
    );
    assert!(s.trust.recheck(&facts).is_err(), "and a standing connection by the bus's recheck");

    s.trust.replace(TrustLedger::default());
    s.connect(&client, &server).unwrap();
    s.trust.update(|ledger| ledger.revoke_identity(facts.identity.identity_name(), NOW)).unwrap();
    let (side, reason) = refused(s.connect(&client, &server));
    assert_eq!(side, "server");
    assert!(matches!(reason, PeerRefused::IdentityRevoked { issued_before, .. } if issued_before == NOW));
    // Another node is not touched, nor is the same node with a later certificate.
    s.connect(&s.profile(&node_id("n2")), &server).unwrap();
    s.clock.set(NOW.plus(DAY));
    let again = credentials(&s.authority, &node_id("n1"), NOW.plus(DAY));
    s.connect(&s.profile_of(again), &server).unwrap_or_else(|(side, error)| panic!("{side}: {error}"));
}

#[test]
fn revoked_servers_are_refused_by_clients() {
    let s = Setting::new();
    let (client, server) = (s.node(), s.server());
    s.trust.update(|ledger| ledger.revoke_identity(server.identity().identity_name(), NOW)).unwrap();
    let (side, reason) = refused(s.connect(&client, &server));
    assert_eq!((side, reason.code()), ("client", RefusalCode::Revoked));
}

#[test]
fn the_wrong_party_with_a_good_certificate_is_refused() {
    let s = Setting::new();
    let client = s.node();
    let dial = |expected, server: &TlsProfile| {
        handshake(client.bus_client(expected).unwrap(), server.bus_server().unwrap())
    };
    dial(exactly("server/s1"), &s.server()).unwrap();
    let (side, reason) = refused(dial(exactly("server/s2"), &s.server()));
    assert_eq!(side, "client");
    let expected = PeerRefused::WrongIdentity { expected: exactly("server/s2"), found: server_id("s1") };
    assert_eq!(reason, expected);
    // A node poses as a server.
    let (_, reason) = refused(dial(ExpectedPeer::AnyServer, &s.profile(&node_id("s1"))));
    assert_eq!(reason.code(), RefusalCode::WrongIdentity);
    dial(exactly("node/s1"), &s.profile(&node_id("s1"))).unwrap();
    // A user's certificate is not for serving at all.
    let ann = s.profile(&Identity::user(&cluster(), "ann", &[]).unwrap());
    let (_, reason) = refused(dial(ExpectedPeer::AnyServer, &ann));
    assert!(matches!(reason, PeerRefused::WrongPurpose { needed: "server", .. }));
}

#[test]
fn another_cluster_under_the_same_authority_is_refused() {
    let s = Setting::new();
    let key = KeyRequest::generate().unwrap();
    let stranger = Identity::node(&ClusterId::new("c2").unwrap(), "n1").unwrap();
    let issued = s.authority.sign_unchecked(&order(&key, &stranger, NOW)).unwrap();
    assert!(Credentials::new(&key, &issued.chain).is_err(), "not even loadable");
    let mut client = ClientConfig::clone(&s.node().bus_client(ExpectedPeer::AnyServer).unwrap());
    client.client_auth_cert_resolver = Arc::new(ForgedChain::new(&key, issued.chain));
    let (side, reason) = refused(handshake(Arc::new(client), s.server().bus_server().unwrap()));
    assert_eq!(side, "server");
    assert_eq!(reason, PeerRefused::WrongCluster { identity: stranger, expected: cluster() });
}

#[test]
fn rotation_shows_in_new_handshakes_and_drops_nothing() {
    let s = Setting::new();
    let (client, server) = (s.node(), s.server());
    // Configurations are made once, before the rotation.
    let (client_config, server_config) =
        (client.bus_client(ExpectedPeer::AnyServer).unwrap(), server.bus_server().unwrap());
    let mut standing = handshake(client_config.clone(), server_config.clone()).unwrap();
    let before = peer_certificate(standing.client.peer_certificates()).unwrap();
    for profile in [&client, &server] {
        let (key, issued) = issue(&s.authority, &profile.identity(), NOW.plus(Duration::from_secs(60)));
        profile.credentials().replace(&key, &issued.chain).unwrap();
    }
    let fresh = handshake(client_config, server_config).unwrap();
    let after = peer_certificate(fresh.client.peer_certificates()).unwrap();
    assert_eq!(after.serial, server.credentials().facts().serial);
    assert_ne!(after.serial, before.serial);
    let seen = peer_certificate(fresh.server.peer_certificates()).unwrap();
    assert_eq!(seen.serial, client.credentials().facts().serial);
    assert_eq!(send(&mut standing.client, &mut standing.server, b"still here"), b"still here");
    assert_eq!(send(&mut standing.server, &mut standing.client, b"so am I"), b"so am I");
}

/// Resumption would skip the certificates, and with them revocation.
#[test]
fn every_handshake_is_full() {
    let s = Setting::new();
    let (client, server) = (s.node(), s.server());
    let server_config = server.bus_server().unwrap();
    let strict = client.bus_client(ExpectedPeer::AnyServer).unwrap();
    assert!(!strict.enable_early_data);
    assert_eq!((server_config.max_early_data_size, server_config.send_tls13_tickets), (0, 0));
    // A client that would love to resume is given nothing to resume with.
    let mut eager = ClientConfig::clone(&strict);
    eager.resumption = Resumption::in_memory_sessions(64);
    let eager = Arc::new(eager);
    for config in [strict.clone(), strict, eager.clone(), eager.clone(), eager.clone()] {
        let mut pair = handshake(config, server_config.clone()).unwrap();
        send(&mut pair.server, &mut pair.client, b"x");
        assert_eq!(pair.server.handshake_kind(), Some(HandshakeKind::Full));
    }
    let facts = client.credentials().facts();
    s.trust.update(|ledger| ledger.revoke_serial(&facts.serial, NOW)).unwrap();
    assert_eq!(refused(handshake(eager, server_config)).1.code(), RefusalCode::Revoked);
}

#[test]
fn generation_tells_of_changes() {
    let trust = LiveTrust::default();
    let start = trust.generation();
    trust.replace(TrustLedger::default());
    assert_eq!(trust.generation(), start, "nothing changed");
    let mut other = TrustLedger::default();
    other.revoke_identity(node_id("n1").identity_name(), NOW).unwrap();
    assert_eq!(trust.merge(&other), Ok(true));
    assert_eq!(trust.merge(&other), Ok(false));
    assert_eq!(trust.generation(), start + 1);
}

#[test]
fn the_authority_itself_must_be_in_time() {
    let s = Setting::new();
    let now = s.authority.certificate().not_after().plus(Duration::from_secs(1));
    let facts = s.node().credentials().chain();
    let late = crate::chain_check::check_peer(
        &facts[0],
        s.authority.certificate(),
        None,
        crate::chain_check::Purpose::Client,
        crate::verifiers::algorithms(),
        now,
    );
    assert_eq!(late.unwrap_err().code(), RefusalCode::Expired);
    assert!(WallTime::now() > WallTime::from_unix_seconds(1_600_000_000));
}

#[test]
#[ignore = "measurement: prints the cost of a full handshake of both sides on one core"]
fn handshake_cost() {
    let s = Setting::new();
    let (client, server) = (s.node(), s.server());
    let client = client.bus_client(ExpectedPeer::AnyServer).unwrap();
    let server = server.bus_server().unwrap();
    let rounds = 300_u32;
    let begin = std::time::Instant::now();
    for _ in 0..rounds {
        handshake(client.clone(), server.clone()).unwrap();
    }
    println!("{:?} for both sides of one full mutual handshake", begin.elapsed() / rounds);
}
