use super::*;
use crate::test_kit::{DAY, NOW, authority, cluster, issue};

const KEY: [u8; 32] = [1; 32];
const OTHER_KEY: [u8; 32] = [2; 32];

struct Setting {
    issuer: Issuer,
    ledger: TrustLedger,
}

fn secret() -> TokenSecret {
    TokenSecret::new("0123456789abcdef").unwrap()
}

fn setting() -> Setting {
    let mut ledger = TrustLedger::default();
    for (id, role) in [("server", JoinRole::Server), ("agents", JoinRole::Agent)] {
        ledger.add_token(&TokenId::new(id).unwrap(), &secret(), role, DAY, [3; 16], NOW).unwrap();
    }
    let reserved = vec![AltName::Ip("10.0.0.1".parse().unwrap())];
    Setting { issuer: Issuer::new(cluster()).with_reserved(reserved), ledger }
}

impl Setting {
    fn decide(&self, request: &IssueRequest, caller: &Caller) -> Result<IssuePlan, Refusal> {
        self.issuer.decide(request, &KEY, caller, &self.ledger, NOW)
    }
}

fn bearer(id: &str) -> Caller {
    Caller::Anonymous { token: Some((TokenId::new(id).unwrap(), secret())) }
}

fn known(identity: &Identity) -> Caller {
    Caller::Known(Box::new(issue(&authority(), identity, NOW).1.facts))
}

fn join(role: JoinRole, name: &str) -> IssueRequest {
    IssueRequest::Join { role, name: name.to_owned(), alt_names: vec![] }
}

fn renew(name: &str) -> IssueRequest {
    IssueRequest::Renew { name: name.parse().unwrap(), alt_names: vec![] }
}

#[test]
fn a_token_admits_in_its_role_only() {
    let s = setting();
    let server = s.decide(&join(JoinRole::Server, "s1"), &bearer("server")).unwrap();
    assert_eq!(server.identity, Identity::server(&cluster(), "s1").unwrap());
    assert!(server.export_authority && server.enrol);
    let agent = s.decide(&join(JoinRole::Agent, "n1"), &bearer("agents")).unwrap();
    assert_eq!(agent.identity, Identity::node(&cluster(), "n1").unwrap());
    assert!(!agent.export_authority && agent.enrol);
    assert_eq!(agent.lifetime, MACHINE_LIFETIME);
    for (role, token) in [(JoinRole::Server, "agents"), (JoinRole::Agent, "server")] {
        assert!(matches!(s.decide(&join(role, "x1"), &bearer(token)), Err(Refusal::WrongRole { .. })));
    }
}

#[test]
fn strangers_get_nothing_else() {
    let s = setting();
    let nobody = Caller::Anonymous { token: None };
    assert_eq!(s.decide(&join(JoinRole::Agent, "n1"), &nobody), Err(Refusal::NoToken));
    assert!(matches!(s.decide(&join(JoinRole::Agent, "n1"), &bearer("absent")), Err(Refusal::Token(_))));
    let ann = Identity::user(&cluster(), "ann", &[GROUP_MASTERS]).unwrap();
    for request in [
        renew("node/n1"),
        IssueRequest::OwnNode { alt_names: vec![] },
        IssueRequest::Client { identity: ann, lifetime: DAY },
    ] {
        assert_eq!(s.decide(&request, &bearer("server")), Err(Refusal::NoToken), "{request:?}");
    }
    assert!(matches!(
        s.decide(&join(JoinRole::Agent, "../s1"), &bearer("agents")),
        Err(Refusal::Identity(_))
    ));
    let late =
        s.issuer.decide(&join(JoinRole::Agent, "n1"), &KEY, &bearer("agents"), &s.ledger, NOW.plus(DAY));
    assert!(matches!(late, Err(Refusal::Token(TokenRefused::Expired { .. }))));
    let mut s = s;
    s.ledger.revoke_token(&TokenId::new("agents").unwrap(), NOW).unwrap();
    assert!(matches!(
        s.decide(&join(JoinRole::Agent, "n1"), &bearer("agents")),
        Err(Refusal::Token(TokenRefused::Revoked { .. }))
    ));
}

#[test]
fn strangers_are_told_nothing_about_tokens() {
    let s = setting();
    let wrong = Caller::Anonymous {
        token: Some((TokenId::new("agents").unwrap(), TokenSecret::new("zzzzzzzzzzzzzzzz").unwrap())),
    };
    let texts: std::collections::BTreeSet<String> = [bearer("absent"), wrong]
        .iter()
        .map(|caller| s.decide(&join(JoinRole::Agent, "n1"), caller).unwrap_err().public_text(caller))
        .collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(!texts.iter().any(|text| text.contains("agents") || text.contains("zzz")));
}

#[test]
fn machines_renew_themselves_and_nobody_else() {
    let s = setting();
    let n1 = Identity::node(&cluster(), "n1").unwrap();
    let s1 = Identity::server(&cluster(), "s1").unwrap();
    let renewal = s.decide(&renew("node/n1"), &known(&n1)).unwrap();
    assert_eq!(renewal.identity, n1);
    assert!(!renewal.export_authority);
    assert!(!s.decide(&renew("server/s1"), &known(&s1)).unwrap().export_authority);
    for (caller, asked) in [(&n1, "node/n2"), (&n1, "server/n1"), (&n1, "user/ann"), (&s1, "server/s2")] {
        let refused = s.decide(&renew(asked), &known(caller));
        assert!(matches!(refused, Err(Refusal::NotYours { .. })), "{caller} {asked}");
    }
    let ann = Identity::user(&cluster(), "ann", &[GROUP_MASTERS]).unwrap();
    assert!(matches!(s.decide(&renew("user/ann"), &known(&ann)), Err(Refusal::NotYours { .. })));
    // A member cannot join again to change its kind, whatever it knows.
    assert!(matches!(
        s.decide(&join(JoinRole::Server, "n1"), &known(&n1)),
        Err(Refusal::AlreadyMember { .. })
    ));
}

#[test]
fn withdrawn_or_expired_callers_get_nothing() {
    let mut s = setting();
    let n1 = Identity::node(&cluster(), "n1").unwrap();
    let caller = known(&n1);
    let late =
        s.issuer.decide(&renew("node/n1"), &KEY, &caller, &s.ledger, NOW.plus(DAY + Duration::from_secs(1)));
    assert!(matches!(late, Err(Refusal::CallerNotValid { .. })));
    s.ledger.revoke_identity(n1.identity_name(), NOW).unwrap();
    assert!(matches!(s.decide(&renew("node/n1"), &caller), Err(Refusal::CallerNotValid { .. })));
    // Joining anew is possible, and the new certificate is not void from the start.
    let plan = s.decide(&join(JoinRole::Agent, "n1"), &bearer("agents")).unwrap();
    assert_eq!(plan.not_before_floor, Some(NOW));
}

#[test]
fn a_name_held_under_another_key_is_not_given_away() {
    let mut s = setting();
    let name: IdentityName = "node/n1".parse().unwrap();
    s.ledger.enrol(&name, OTHER_KEY, NOW).unwrap();
    let request = join(JoinRole::Agent, "n1");
    assert_eq!(s.decide(&request, &bearer("agents")), Err(Refusal::NameTaken { name: name.clone() }));
    s.ledger.enrol(&name, KEY, NOW.plus(Duration::from_secs(1))).unwrap();
    assert!(s.decide(&request, &bearer("agents")).is_ok(), "the same machine may repeat its request");
    s.ledger.enrol(&name, OTHER_KEY, NOW.plus(Duration::from_secs(2))).unwrap();
    s.ledger.revoke_identity(&name, NOW.plus(Duration::from_secs(3))).unwrap();
    assert!(s.decide(&request, &bearer("agents")).is_ok(), "a revoked machine's name is free");
}

#[test]
fn a_server_gets_its_own_node_and_a_node_gets_none() {
    let s = setting();
    let s1 = Identity::server(&cluster(), "s1").unwrap();
    let request = IssueRequest::OwnNode { alt_names: vec![] };
    let plan = s.decide(&request, &known(&s1)).unwrap();
    assert_eq!(plan.identity, Identity::node(&cluster(), "s1").unwrap());
    for caller in
        [Identity::node(&cluster(), "n1").unwrap(), Identity::component(&cluster(), "kubelet").unwrap()]
    {
        assert!(matches!(s.decide(&request, &known(&caller)), Err(Refusal::NotYours { .. })));
    }
}

#[test]
fn clients_are_made_by_servers_and_administrators() {
    let s = setting();
    let ann = Identity::user(&cluster(), "ann", &["dev"]).unwrap();
    let request = |identity: &Identity| IssueRequest::Client { identity: identity.clone(), lifetime: DAY };
    let s1 = Identity::server(&cluster(), "s1").unwrap();
    let root = Identity::user(&cluster(), "root", &[GROUP_MASTERS]).unwrap();
    let n1 = Identity::node(&cluster(), "n1").unwrap();
    for caller in [&s1, &root] {
        assert_eq!(s.decide(&request(&ann), &known(caller)).unwrap().identity, ann);
        for machine in [&s1, &n1] {
            let refused = s.decide(&request(machine), &known(caller));
            assert!(matches!(refused, Err(Refusal::NotYours { .. })), "{caller} {machine}");
        }
        let foreign = Identity::user(&ClusterId::new("c2").unwrap(), "ann", &[]).unwrap();
        assert!(s.decide(&request(&foreign), &known(caller)).is_err());
        for lifetime in [Duration::ZERO, CERTIFICATE_LIFETIME_LIMIT + Duration::from_secs(1)] {
            let request = IssueRequest::Client { identity: ann.clone(), lifetime };
            assert!(matches!(s.decide(&request, &known(caller)), Err(Refusal::Lifetime { .. })));
        }
    }
    let component = Identity::component(&cluster(), "kube-scheduler").unwrap();
    for caller in [&n1, &ann, &component] {
        assert!(matches!(s.decide(&request(&ann), &known(caller)), Err(Refusal::NotYours { .. })));
    }
}

#[test]
fn a_node_cannot_name_the_api() {
    let s = setting();
    let ask = |role, token, name: &str, alt: AltName| {
        let request = IssueRequest::Join { role, name: name.to_owned(), alt_names: vec![alt.clone(), alt] };
        s.decide(&request, &bearer(token))
    };
    let dns = |name: &str| AltName::Dns(name.to_owned());
    let ip = |address: &str| AltName::Ip(address.parse().unwrap());
    for bad in
        [dns("kubernetes.default.svc"), dns("n2"), dns("*.n1"), ip("10.0.0.1"), ip("0.0.0.0"), ip("ff02::1")]
    {
        let refused = ask(JoinRole::Agent, "agents", "n1", bad.clone());
        assert!(matches!(refused, Err(Refusal::AltName { .. })), "{bad}");
    }
    for good in [dns("n1"), ip("192.0.2.9")] {
        let plan = ask(JoinRole::Agent, "agents", "n1", good.clone()).unwrap();
        assert_eq!(plan.alt_names, vec![good]);
    }
    assert!(ask(JoinRole::Server, "server", "s1", dns("kubernetes.default.svc")).is_ok());
    assert!(ask(JoinRole::Server, "server", "s1", dns("no good")).is_err());
}
