use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::certificate_request::REQUEST_LIMIT_BYTES;
use crate::identity::GROUP_MASTERS;
use crate::key_request::KeyRequest;
use crate::test_kit::{DAY, NOW, authority, cluster, issue, order};
use crate::{CaCertificate, Serial};
use x509_parser::extensions::GeneralName;

fn node() -> Identity {
    Identity::node(&cluster(), "n1").unwrap()
}

#[test]
fn signs_each_kind_with_its_subject_purposes_and_times() {
    let authority = authority();
    let client_only = [
        Identity::user(&cluster(), "ann", &[GROUP_MASTERS]).unwrap(),
        Identity::user(&cluster(), "bob", &[]).unwrap(),
        Identity::component(&cluster(), "kube-scheduler").unwrap(),
    ];
    let both = [node(), Identity::server(&cluster(), "s1").unwrap()];
    for (identity, serves) in
        client_only.iter().map(|one| (one, false)).chain(both.iter().map(|one| (one, true)))
    {
        let (key, issued) = issue(&authority, identity, NOW);
        let certificate = crate::peer_certificate::parse_x509(&issued.chain[0]).unwrap();
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth);
        assert_eq!(usage.server_auth, serves, "{identity}");
        assert!(!certificate.is_ca());
        assert_eq!(&issued.facts.identity, identity);
        assert_eq!(issued.facts.not_before, NOW.minus(BACKDATE).max(authority.certificate().not_before()));
        assert_eq!(issued.facts.not_after, NOW.plus(DAY));
        assert_eq!(issued.facts.public_key_sha256, key.public_key_sha256());
        assert_eq!(&issued.chain[1], authority.certificate().der());
    }
}

#[test]
fn users_in_many_groups_get_one_organization_each() {
    let authority = authority();
    for count in [2_usize, 3, 32] {
        let groups: Vec<String> = (0..count).map(|n| format!("team-{n}-{}", "é".repeat(n))).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let ann = Identity::user(&cluster(), "ann", &groups).unwrap();
        let (key, issued) = issue(&authority, &ann, NOW);
        assert_eq!(issued.facts.identity.groups().len(), count);
        let certificate = crate::peer_certificate::parse_x509(&issued.chain[0]).unwrap();
        let ca = crate::peer_certificate::parse_x509(&issued.chain[1]).unwrap();
        certificate.verify_signature(Some(ca.public_key())).unwrap();
        // The whole path accepts it, not only our reader.
        crate::Credentials::new(&key, &issued.chain).unwrap();
        webpki::EndEntityCert::try_from(&issued.chain[0]).unwrap();
    }
}

#[test]
fn alternative_names_come_from_the_order_and_not_from_the_request() {
    let authority = authority();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut greedy = CertificateParams::new(vec!["kubernetes.default.svc".to_owned()]).unwrap();
    greedy.distinguished_name.push(DnType::CommonName, "system:trireme:server:s1");
    greedy.distinguished_name.push(DnType::OrganizationName, GROUP_MASTERS);
    greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let request = greedy.serialize_request(&key).unwrap();
    let names = [AltName::Dns("n1".to_owned()), AltName::Ip("192.0.2.1".parse().unwrap())];
    let issued = authority
        .sign_request(&SigningOrder {
            request_der: request.der(),
            identity: &node(),
            alt_names: &names,
            lifetime: DAY,
            now: NOW,
            not_before_floor: None,
        })
        .unwrap();
    assert_eq!(issued.facts.identity, node());
    let certificate = crate::peer_certificate::parse_x509(&issued.chain[0]).unwrap();
    let sans = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(sans.len(), 3);
    assert!(sans.contains(&GeneralName::DNSName("n1")));
    assert!(sans.contains(&GeneralName::IPAddress(&[192, 0, 2, 1])));
    assert!(!certificate.extended_key_usage().unwrap().unwrap().value.code_signing);
}

#[test]
fn orders_that_must_not_be_signed() {
    let authority = authority();
    let key = KeyRequest::generate().unwrap();
    let node = node();
    let good = order(&key, &node, NOW);
    let refuse = |order: SigningOrder<'_>| authority.sign_request(&order).unwrap_err();

    let stranger = Identity::node(&ClusterId::new("c2").unwrap(), "n1").unwrap();
    assert!(matches!(
        refuse(SigningOrder { identity: &stranger, ..good.clone() }),
        SignError::OtherCluster { .. }
    ));
    for lifetime in [Duration::ZERO, CERTIFICATE_LIFETIME_LIMIT + Duration::from_secs(1)] {
        assert!(matches!(refuse(SigningOrder { lifetime, ..good.clone() }), SignError::BadLifetime { .. }));
    }
    let bad_name = [AltName::Dns("A b".to_owned())];
    assert!(matches!(
        refuse(SigningOrder { alt_names: &bad_name, ..good.clone() }),
        SignError::BadAltNames { .. }
    ));
    let after_end = authority.certificate().not_after().plus(DAY);
    assert!(matches!(
        refuse(SigningOrder { now: after_end, ..good.clone() }),
        SignError::AuthorityOutOfTime { .. }
    ));
    assert!(matches!(
        refuse(SigningOrder { request_der: b"no", ..good.clone() }),
        SignError::MalformedRequest { .. }
    ));
    let huge = vec![0_u8; REQUEST_LIMIT_BYTES + 1];
    assert!(matches!(
        refuse(SigningOrder { request_der: &huge, ..good.clone() }),
        SignError::MalformedRequest { .. }
    ));
    let mut trailing = key.request_der().to_vec();
    trailing.push(0);
    assert!(matches!(
        refuse(SigningOrder { request_der: &trailing, ..good.clone() }),
        SignError::MalformedRequest { .. }
    ));
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let p384 = CertificateParams::default().serialize_request(&p384).unwrap();
    assert!(matches!(
        refuse(SigningOrder { request_der: p384.der(), ..good }),
        SignError::UnsupportedKey { .. }
    ));
}

#[test]
fn a_request_must_be_signed_by_its_own_key() {
    let authority = authority();
    let key = KeyRequest::generate().unwrap();
    let node = node();
    let mut forged = key.request_der().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let order = SigningOrder { request_der: &forged, ..order(&key, &node, NOW) };
    assert_eq!(authority.sign_request(&order).unwrap_err(), SignError::BadSelfSignature);
}

#[test]
fn begin_is_not_backdated_below_the_floor() {
    let authority = authority();
    let key = KeyRequest::generate().unwrap();
    let node = node();
    let later = NOW.plus(DAY);
    let floor = later.minus(Duration::from_secs(7));
    let order = SigningOrder { not_before_floor: Some(floor), ..order(&key, &node, later) };
    assert_eq!(authority.sign_request(&order).unwrap().facts.not_before, floor);
}

#[test]
fn serial_numbers_differ_and_are_long() {
    let authority = authority();
    let serials: std::collections::BTreeSet<Serial> =
        (0..50).map(|_| issue(&authority, &node(), NOW).1.facts.serial).collect();
    assert_eq!(serials.len(), 50);
    assert!(serials.iter().all(|serial| serial.as_bytes().len() == 16));
}

#[test]
fn saved_and_loaded_with_private_modes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("pki");
    let authority = authority();
    authority.save(&dir).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(AUTHORITY_FILE)), 0o600);
    assert_eq!(mode(&dir.join(CA_FILE)), 0o644);
    let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no temporary file stays: {names:?}");
    let public = fs::read_to_string(dir.join(CA_FILE)).unwrap();
    assert!(!public.contains("PRIVATE"));

    let loaded = ClusterAuthority::load(&dir).unwrap();
    assert_eq!(loaded.pin(), authority.pin());
    assert_eq!(loaded.cluster(), authority.cluster());
    let (key, issued) = issue(&loaded, &node(), NOW);
    crate::Credentials::new(&key, &issued.chain).unwrap();

    authority.save(&dir).unwrap();
    let other = ClusterAuthority::create(&cluster(), NOW).unwrap();
    assert!(matches!(other.save(&dir), Err(AuthorityError::Exists(_))));
    assert_eq!(ClusterAuthority::load(&dir).unwrap().pin(), authority.pin());
}

#[test]
fn bad_files_give_typed_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(AUTHORITY_FILE);
    let load = || match ClusterAuthority::load(dir.path()).unwrap_err() {
        AuthorityError::File(error) => error,
        other => panic!("{other}"),
    };
    assert!(load().is_absent());
    let authority = authority();
    authority.save(dir.path()).unwrap();
    let good = fs::read_to_string(&path).unwrap();

    let other = ClusterAuthority::create(&cluster(), NOW).unwrap().content().to_pem();
    let other = String::from_utf8(other.to_vec()).unwrap();
    let key_of = |text: &str| text[text.find("-----BEGIN PRIVATE").unwrap()..].to_owned();
    let certificate = good[..good.find("-----BEGIN PRIVATE").unwrap()].to_owned();
    for bad in [
        String::new(),
        "garbage".to_owned(),
        good[..good.len() / 2].to_owned(),
        certificate.clone(),
        key_of(&good),
        certificate.clone() + &key_of(&other),
        format!("{good}{good}"),
        good.replace("PRIVATE KEY", "EC PARAMETERS"),
        good.replacen('M', "N", 1),
    ] {
        crate::private_files::write_private(&path, bad.as_bytes()).unwrap();
        assert!(matches!(load(), FileError::Damaged { .. }), "{bad}");
        assert!(authority.save(dir.path()).is_err(), "a damaged authority is never overwritten in silence");
    }
    crate::private_files::write_private(&path, good.as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(load(), FileError::TooOpen { mode: 0o640, .. }));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(load(), FileError::Io { .. }));
}

#[test]
fn export_opens_only_for_its_receiver_and_pin() {
    let authority = authority();
    let opener = SealOpener::generate().unwrap();
    let sealed = authority.export_sealed(&opener.seal_to()).unwrap();
    let imported = ClusterAuthority::import_sealed(&sealed, &opener, &authority.pin()).unwrap();
    assert_eq!(imported.pin(), authority.pin());
    issue(&imported, &node(), NOW);

    let other = SealOpener::generate().unwrap();
    assert!(ClusterAuthority::import_sealed(&sealed, &other, &authority.pin()).is_err());
    let pin = ClusterAuthority::create(&cluster(), NOW).unwrap().pin();
    let error = ClusterAuthority::import_sealed(&sealed, &opener, &pin).unwrap_err();
    assert!(error.to_string().contains("pinned"), "{error}");
}

#[test]
fn debug_and_errors_hold_no_key() {
    let authority = authority();
    let text = format!("{authority:?}");
    assert!(text.contains("pin") && text.len() < 200, "{text}");
}

#[test]
fn an_end_entity_certificate_is_no_authority() {
    let (_, issued) = issue(&authority(), &node(), NOW);
    assert!(CaCertificate::parse(&issued.chain[0]).is_err());
    assert!(PeerCertificate::parse(&issued.chain[1]).is_err());
}
