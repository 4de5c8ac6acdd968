use super::super::token_file::TokenFile;
use super::*;
use trireme_pki::WallTime;

fn authentication(anonymous: bool) -> Authentication {
    let audiences = vec!["api".to_owned()];
    let file = TokenFile::parse("good,alice,u,\"devs\"\n", audiences.clone()).unwrap();
    Authentication::new(audiences, anonymous).with_tokens(Arc::new(file))
}

fn header(text: &str) -> Credentials<'_> {
    Credentials { authorization: Some(text), ..Credentials::default() }
}

#[test]
fn tokens_and_nobody() {
    let authentication = authentication(true);
    let alice = authentication.authenticate(&header("Bearer good"), 0).unwrap();
    assert_eq!(alice.user.groups, ["devs", AUTHENTICATED]);
    for nobody in ["", "Bearer ", "Basic YTpi"] {
        let user = authentication.authenticate(&header(nobody), 0).unwrap().user;
        assert_eq!((user.name.as_str(), &user.groups[..]), (ANONYMOUS, &[UNAUTHENTICATED.to_owned()][..]));
    }
    let error = authentication.authenticate(&header("Bearer bad"), 0).unwrap_err();
    assert_eq!(error.to_string(), "invalid bearer token");
    assert_eq!(error.failure().to_value()["code"], 401);
}

#[test]
fn anonymous_can_be_off() {
    assert!(authentication(false).authenticate(&Credentials::default(), 0).is_err());
}

#[test]
fn certificates_come_first() {
    let certificate = ClientCertificate {
        common_name: "carol".to_owned(),
        organizations: vec!["ops".to_owned()],
        uris: Vec::new(),
        not_before: WallTime::from_unix_seconds(0),
        not_after: WallTime::from_unix_seconds(1),
        sha256: [0xab; 32],
        member: None,
    };
    let shown = Credentials { certificate: Some(&certificate), ..header("Bearer bad") };
    let user = authentication(true).authenticate(&shown, 0).unwrap().user;
    assert_eq!((user.name.as_str(), user.groups.len()), ("carol", 2));
    assert_eq!(user.extra[CREDENTIAL_ID], [format!("X509SHA256={}", "ab".repeat(32))]);
    let nameless = ClientCertificate { common_name: String::new(), ..certificate };
    let shown = Credentials { certificate: Some(&nameless), ..Credentials::default() };
    assert_eq!(authentication(true).authenticate(&shown, 0).unwrap().user.name, ANONYMOUS);
}

#[test]
fn a_refused_certificate_is_no_identity() {
    let shown = Credentials { certificate_refused: Some("unknown authority"), ..Credentials::default() };
    assert!(authentication(true).authenticate(&shown, 0).is_err());
    let shown = Credentials { authorization: Some("Bearer good"), ..shown };
    assert_eq!(authentication(true).authenticate(&shown, 0).unwrap().user.name, "alice");
}
