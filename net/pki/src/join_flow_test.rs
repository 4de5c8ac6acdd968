//! A machine's way into the cluster, with the steps that server and joiner take in their order.

use std::time::Duration;

use crate::test_kit::{DAY, NOW, authority, cluster};
use crate::*;

struct Office {
    authority: ClusterAuthority,
    issuer: Issuer,
    trust: LiveTrust,
    token: JoinToken,
}

fn office(role: JoinRole) -> Office {
    let authority = authority();
    let token = JoinToken::generate(authority.pin()).unwrap();
    let trust = LiveTrust::default();
    trust
        .update(|ledger| ledger.add_token(token.id(), token.secret(), role, DAY * 90, [9; SALT_BYTES], NOW))
        .unwrap();
    Office { authority, issuer: Issuer::new(cluster()), trust, token }
}

impl Office {
    fn bearer(&self) -> Caller {
        Caller::Anonymous { token: Some((self.token.id().clone(), self.token.secret().clone())) }
    }

    /// Decide, remember, sign: what a server does.
    fn answer(
        &self,
        request: &IssueRequest,
        request_der: &[u8],
        caller: &Caller,
        now: WallTime,
    ) -> Result<(IssuePlan, IssuedCertificate), Refusal> {
        let key = requested_key_sha256(request_der).unwrap();
        let plan = self.issuer.decide(request, &key, caller, &self.trust.ledger(), now)?;
        if plan.enrol {
            self.trust.update(|ledger| ledger.enrol(plan.identity.identity_name(), key, now)).unwrap();
        }
        let order = SigningOrder {
            request_der,
            identity: &plan.identity,
            alt_names: &plan.alt_names,
            lifetime: plan.lifetime,
            now,
            not_before_floor: plan.not_before_floor,
        };
        let issued = self.authority.sign_request(&order).unwrap();
        Ok((plan, issued))
    }
}

fn join(role: JoinRole, name: &str) -> IssueRequest {
    IssueRequest::Join { role, name: name.to_owned(), alt_names: vec![] }
}

#[test]
fn a_server_joins_and_can_admit_others() {
    let office = office(JoinRole::Server);
    let (key, opener) = (KeyRequest::generate().unwrap(), SealOpener::generate().unwrap());
    let (plan, issued) =
        office.answer(&join(JoinRole::Server, "s2"), key.request_der(), &office.bearer(), NOW).unwrap();
    assert!(plan.export_authority);
    let sealed = office.authority.export_sealed(&opener.seal_to()).unwrap();

    let credentials = Credentials::new(&key, &issued.chain).unwrap();
    assert!(credentials.ca().matches(&office.token.pin()));
    let imported = ClusterAuthority::import_sealed(&sealed, &opener, &office.token.pin()).unwrap();
    let second = Office { authority: imported, ..office };
    let node = KeyRequest::generate().unwrap();
    let own_node = IssueRequest::OwnNode { alt_names: vec![] };
    let caller = Caller::Known(Box::new(credentials.facts()));
    let (plan, issued) = second.answer(&own_node, node.request_der(), &caller, NOW).unwrap();
    assert!(!plan.export_authority);
    assert_eq!(issued.facts.identity, Identity::node(&cluster(), "s2").unwrap());
}

#[test]
fn an_agent_joins_renews_is_revoked_and_joins_again() {
    let office = office(JoinRole::Agent);
    let key = KeyRequest::generate().unwrap();
    let request = join(JoinRole::Agent, "n1");
    let (plan, first) = office.answer(&request, key.request_der(), &office.bearer(), NOW).unwrap();
    assert!(!plan.export_authority);
    let credentials = Credentials::new(&key, &first.chain).unwrap();

    let due = credentials.renew_at(7);
    let next_key = KeyRequest::generate().unwrap();
    let renew = IssueRequest::Renew { name: "node/n1".parse().unwrap(), alt_names: vec![] };
    let caller = Caller::Known(Box::new(credentials.facts()));
    let (_, renewed) = office.answer(&renew, next_key.request_der(), &caller, due).unwrap();
    credentials.replace(&next_key, &renewed.chain).unwrap();
    assert!(credentials.facts().not_after > first.facts.not_after);

    let at = due.plus(Duration::from_secs(60));
    office.trust.update(|ledger| ledger.revoke_identity(&"node/n1".parse().unwrap(), at)).unwrap();
    assert_eq!(office.trust.recheck(&first.facts).unwrap_err().code(), RefusalCode::Revoked);
    let (_, again) = office.answer(&request, key.request_der(), &office.bearer(), at).unwrap();
    assert_eq!(office.trust.recheck(&again.facts), Ok(()));
}

#[test]
fn the_first_key_keeps_the_name_and_may_repeat() {
    let office = office(JoinRole::Agent);
    let (first, second) = (KeyRequest::generate().unwrap(), KeyRequest::generate().unwrap());
    let request = join(JoinRole::Agent, "n1");
    let ask = |key: &KeyRequest| office.answer(&request, key.request_der(), &office.bearer(), NOW);
    let generation = office.trust.generation();
    ask(&first).unwrap();
    assert!(office.trust.generation() > generation, "others must hear of the enrolment");
    ask(&first).unwrap();
    assert!(matches!(ask(&second), Err(Refusal::NameTaken { .. })));
}

#[test]
fn a_certificate_that_is_only_claimed_is_checked_before_it_counts() {
    let office = office(JoinRole::Agent);
    let key = KeyRequest::generate().unwrap();
    let (_, good) =
        office.answer(&join(JoinRole::Agent, "n1"), key.request_der(), &office.bearer(), NOW).unwrap();
    let ca = office.authority.certificate();
    assert_eq!(ca.check_issued(&good.chain[0], &office.trust, NOW), Ok(good.facts.clone()));
    let late = ca.check_issued(&good.chain[0], &office.trust, good.facts.not_after.plus(DAY));
    assert_eq!(late.unwrap_err().code(), RefusalCode::Expired);

    // Somebody else's authority writes the same name with any date it likes.
    let forger = authority();
    let node = Identity::node(&cluster(), "n1").unwrap();
    let forged = forger.sign_request(&test_kit::order(&key, &node, NOW)).unwrap();
    PeerCertificate::parse(&forged.chain[0]).expect("it reads like a good one");
    let refused = ca.check_issued(&forged.chain[0], &office.trust, NOW).unwrap_err();
    assert_eq!(refused.code(), RefusalCode::WrongAuthority);

    office.trust.update(|ledger| ledger.revoke_serial(&good.facts.serial, NOW)).unwrap();
    let revoked = ca.check_issued(&good.chain[0], &office.trust, NOW).unwrap_err();
    assert_eq!(revoked.code(), RefusalCode::Revoked);
}
