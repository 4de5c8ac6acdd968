use super::*;

fn cluster() -> ClusterId {
    ClusterId::new("c1").unwrap()
}

fn parts(identity: &Identity) -> (String, String, Vec<&str>) {
    (identity.uri(), identity.user_name(), identity.groups().iter().map(String::as_str).collect())
}

#[test]
fn every_kind_has_its_uri_and_subject_and_reads_back() {
    let expected = [
        (
            Identity::server(&cluster(), "s1"),
            "spiffe://c1.trireme/server/s1",
            "system:trireme:server:s1",
            vec![GROUP_SERVERS],
        ),
        (
            Identity::node(&cluster(), "n1.lan"),
            "spiffe://c1.trireme/node/n1.lan",
            "system:node:n1.lan",
            vec![GROUP_NODES],
        ),
        (
            Identity::user(&cluster(), "Ann Á/%", &["system:masters", "dev", "dev"]),
            "spiffe://c1.trireme/user/Ann%20%C3%81%2F%25",
            "Ann Á/%",
            vec!["dev", "system:masters"],
        ),
        (
            Identity::component(&cluster(), "kube-scheduler"),
            "spiffe://c1.trireme/component/kube-scheduler",
            "system:kube-scheduler",
            vec![],
        ),
    ];
    for (identity, uri, user, groups) in expected {
        let identity = identity.unwrap();
        let found = parts(&identity);
        assert_eq!((found.0.as_str(), found.1.as_str(), found.2.clone()), (uri, user, groups));
        let again = Identity::from_certificate_parts(&found.0, &found.1, &found.2).unwrap();
        assert_eq!(again, identity);
        let json = serde_json::to_string(&identity).unwrap();
        assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), identity);
    }
}

#[test]
fn uri_and_subject_must_agree() {
    let read = Identity::from_certificate_parts;
    let node = "spiffe://c1.trireme/node/n1";
    assert!(read(node, "system:node:n1", &[GROUP_NODES]).is_ok());
    for (cn, o) in [
        ("system:node:n2", vec![GROUP_NODES]),
        ("system:node:n1", vec![]),
        ("system:node:n1", vec![GROUP_NODES, GROUP_MASTERS]),
        ("system:trireme:server:n1", vec![GROUP_SERVERS]),
    ] {
        assert!(matches!(read(node, cn, &o), Err(IdentityError::Mismatch { .. })), "{cn} {o:?}");
    }
    assert!(matches!(
        read("spiffe://c1.trireme/user/eve", "system:node:n1", &[]),
        Err(IdentityError::Mismatch { .. })
    ));
}

#[test]
fn names_that_would_read_as_somebody_else_are_refused() {
    let c = cluster();
    for user in ["system:node:n1", "system:anonymous", "", "a\nb", &"x".repeat(254)] {
        assert!(matches!(Identity::user(&c, user, &[]), Err(IdentityError::BadName { .. })), "{user:?}");
    }
    for group in [GROUP_NODES, GROUP_SERVERS, "system:serviceaccounts:kube-system", "", "a\0"] {
        assert!(
            matches!(Identity::user(&c, "eve", &[group]), Err(IdentityError::BadGroup { .. })),
            "{group:?}"
        );
    }
    for component in ["node:n1", "anonymous", "Kube", "-a", "a-", ".", "a/b"] {
        assert!(Identity::component(&c, component).is_err(), "{component:?}");
    }
    for node in ["", "N1", "n1/../s1", "n 1", "n1-", &"n".repeat(254)] {
        assert!(Identity::node(&c, node).is_err(), "{node:?}");
    }
    let many: Vec<String> = (0..=GROUPS_LIMIT).map(|n| format!("g{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(Identity::user(&c, "ann", &many).is_err());
}

#[test]
fn uris_have_one_spelling() {
    let read = |uri: &str| Identity::from_certificate_parts(uri, "ann", &[]);
    assert!(read("spiffe://c1.trireme/user/ann").is_ok());
    for uri in [
        "http://c1.trireme/user/ann",
        "spiffe://c1.trireme",
        "spiffe://c1.trireme/user",
        "spiffe://c1.trireme/user/",
        "spiffe://c1.trireme/user/%61nn",
        "spiffe://c1.trireme/user/ann%2",
        "spiffe://c1.trireme/user/ann%zz",
        "spiffe://c1.trireme/user/%ff",
        "spiffe://c1.trireme/user/ann/x",
        "spiffe://c1.trireme/admin/ann",
        "spiffe://c1/user/ann",
        "spiffe://C1.trireme/user/ann",
        "spiffe://.trireme/user/ann",
    ] {
        assert!(read(uri).is_err(), "{uri}");
    }
}

#[test]
fn serde_checks_what_it_reads() {
    let bad = r#"{"cluster":"c1","name":"node/n1","groups":["system:masters"]}"#;
    assert!(serde_json::from_str::<Identity>(bad).is_err());
    assert!(serde_json::from_str::<IdentityName>("\"node/N1\"").is_err());
    assert!(serde_json::from_str::<ClusterId>("\"-\"").is_err());
    assert_eq!("node/n1".parse::<IdentityName>().unwrap().to_string(), "node/n1");
}
