//! Damaged input never panics, and never reads as somebody else.

use rustls_pki_types::CertificateDer;

use crate::certificate_request::requested_key_sha256;
use crate::chain_check::{Purpose, check_peer};
use crate::private_files::KeyAndChain;
use crate::test_kit::{NOW, Seeded, authority, cluster, issue};
use crate::verifiers::algorithms;
use crate::{CaCertificate, Identity, JoinToken, KeyRequest, PeerCertificate};

#[test]
fn mutated_certificates_never_panic() {
    let authority = authority();
    let groups = ["a", "b", "c"];
    let (_, user) = issue(&authority, &Identity::user(&cluster(), "ann", &groups).unwrap(), NOW);
    let (_, node) = issue(&authority, &Identity::node(&cluster(), "n1").unwrap(), NOW);
    let originals = [&user.chain[0], &node.chain[0], authority.certificate().der()];
    let mut random = Seeded::new(1);
    let mut readable = 0_u32;
    for round in 0..200_000 {
        let bytes = random.mutate(originals[round % originals.len()]);
        let der = CertificateDer::from(bytes);
        readable += u32::from(PeerCertificate::parse(&der).is_ok());
        if round % 10 == 0 {
            drop(CaCertificate::parse(&der));
        }
    }
    assert!(readable > 0, "mutations must reach past the parser, or this test tests nothing");
}

#[test]
fn a_mutated_certificate_never_passes() {
    let authority = authority();
    let (_, node) = issue(&authority, &Identity::node(&cluster(), "n1").unwrap(), NOW);
    let check = |der: &CertificateDer<'_>| {
        check_peer(der, authority.certificate(), None, Purpose::Client, algorithms(), NOW)
    };
    check(&node.chain[0]).unwrap();
    let mut random = Seeded::new(2);
    for round in 0..5_000 {
        let bytes = random.mutate(&node.chain[0]);
        let same = bytes.as_slice() == node.chain[0].as_ref();
        assert_eq!(check(&CertificateDer::from(bytes)).is_ok(), same, "round {round}");
    }
}

#[test]
fn mutated_requests_tokens_and_files_never_panic() {
    let key = KeyRequest::generate().unwrap();
    let authority = authority();
    let original = requested_key_sha256(key.request_der()).unwrap();
    let token = JoinToken::generate(authority.pin()).unwrap();
    let (node_key, node) = issue(&authority, &Identity::node(&cluster(), "n1").unwrap(), NOW);
    let file = KeyAndChain { key_pkcs8: node_key.key_pkcs8().clone(), chain: node.chain }.to_pem();
    let mut random = Seeded::new(3);
    for round in 0..20_000 {
        let request = random.mutate(key.request_der());
        if let Ok(found) = requested_key_sha256(&request) {
            assert_eq!(found, original, "a changed key cannot keep its signature, round {round}");
        }
        let text = random.mutate(token.expose_text().as_bytes());
        drop(String::from_utf8_lossy(&text).parse::<JoinToken>());
        drop(KeyAndChain::from_pem(&random.mutate(&file)));
    }
}
