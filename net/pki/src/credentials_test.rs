use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::authority::ClusterAuthority;
use crate::test_kit::{DAY, NOW, authority, cluster, issue, order};

fn node(name: &str) -> Identity {
    Identity::node(&cluster(), name).unwrap()
}

#[test]
fn saved_and_loaded() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Credentials::load(dir.path()).unwrap_err().is_absent());
    let (key, issued) = issue(&authority(), &node("n1"), NOW);
    let credentials = Credentials::new(&key, &issued.chain).unwrap();
    credentials.save(dir.path()).unwrap();
    let path = dir.path().join(CREDENTIALS_FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let loaded = Credentials::load(dir.path()).unwrap();
    assert_eq!(loaded.facts(), credentials.facts());
    assert_eq!(loaded.chain(), credentials.chain());

    let good = fs::read(&path).unwrap();
    for bad in [&b""[..], b"x", &good[..good.len() - 40]] {
        crate::private_files::write_private(&path, bad).unwrap();
        let error = Credentials::load(dir.path()).unwrap_err();
        assert!(matches!(error, CredentialsError::File(FileError::Damaged { .. })), "{error}");
        assert!(!error.is_absent());
    }
}

#[test]
fn key_requests_are_kept_for_a_retry() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pending.key");
    let key = KeyRequest::generate().unwrap();
    key.save(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(KeyRequest::load(&path).unwrap().public_key_sha256(), key.public_key_sha256());
    crate::private_files::write_private(
        &path,
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    assert!(matches!(KeyRequest::load(&path).unwrap_err(), crate::KeyError::File(FileError::Damaged { .. })));
}

#[test]
fn what_does_not_fit_is_not_taken() {
    let authority = authority();
    let (key, issued) = issue(&authority, &node("n1"), NOW);
    let (other_key, other_issued) = issue(&authority, &node("n2"), NOW);
    assert!(matches!(Credentials::new(&other_key, &issued.chain), Err(CredentialsError::Content(_))));
    assert!(Credentials::new(&key, &issued.chain[..1]).is_err());
    assert!(Credentials::new(&key, &[]).is_err());
    let foreign = ClusterAuthority::create(&cluster(), NOW).unwrap();
    let mixed = [issued.chain[0].clone(), foreign.certificate().der().clone()];
    let error = Credentials::new(&key, &mixed).unwrap_err();
    assert!(error.to_string().contains("not signed by the authority"), "{error}");

    let credentials = Credentials::new(&key, &issued.chain).unwrap();
    assert!(matches!(
        credentials.replace(&other_key, &other_issued.chain),
        Err(CredentialsError::OtherIdentity { .. })
    ));
    let (foreign_key, foreign_issued) = issue(&foreign, &node("n1"), NOW);
    assert!(matches!(
        credentials.replace(&foreign_key, &foreign_issued.chain),
        Err(CredentialsError::Content(_))
    ));
    assert_eq!(credentials.generation(), 0);
    assert_eq!(credentials.facts(), issued.facts);

    let renewed = authority.sign_request(&order(&key, &node("n1"), NOW.plus(DAY))).unwrap();
    credentials.replace(&key, &renewed.chain).unwrap();
    assert_eq!((credentials.generation(), credentials.facts()), (1, renewed.facts));
}

#[test]
fn renewal_is_due_after_two_thirds_less_some_jitter() {
    let (key, issued) = issue(&authority(), &node("n1"), NOW);
    let credentials = Credentials::new(&key, &issued.chain).unwrap();
    let life = issued.facts.not_after.since(issued.facts.not_before).as_secs();
    let latest = credentials.renew_at(0);
    assert_eq!(latest.since(issued.facts.not_before).as_secs(), life / 3 * 2);
    let mut different = std::collections::BTreeSet::new();
    for jitter in (0..10_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
        let at = credentials.renew_at(jitter);
        assert_eq!(at, credentials.renew_at(jitter));
        assert!(at <= latest && latest.since(at).as_secs() <= life / 10);
        different.insert(at);
    }
    assert!(different.len() > 1_000);
}

#[test]
fn debug_holds_no_key() {
    let (key, issued) = issue(&authority(), &node("n1"), NOW);
    let credentials = Credentials::new(&key, &issued.chain).unwrap();
    let (secret, certificate) = credentials.to_pem();
    assert!(secret.contains("PRIVATE KEY") && !certificate.contains("PRIVATE"));
    let text = format!("{credentials:?} {key:?}");
    assert!(text.contains("n1") && text.len() < 700 && !text.contains("key_pkcs8"), "{text}");
}
