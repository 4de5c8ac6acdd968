use super::*;
use crate::join_token::JoinToken;
use crate::test_kit::{DAY, NOW, cluster, credentials};
use crate::{Identity, JoinRole, TokenSecret};

struct Setting {
    registrar: Registrar,
    authority: Arc<ClusterAuthority>,
    trust: LiveTrust,
    token: JoinToken,
}

fn setting(role: JoinRole) -> Setting {
    let authority = Arc::new(ClusterAuthority::create(&cluster(), NOW).unwrap());
    let token = JoinToken::generate(authority.pin()).unwrap();
    let trust = LiveTrust::default();
    trust.update(|ledger| ledger.add_token(token.id(), token.secret(), role, DAY, [9; 16], NOW)).unwrap();
    let registrar = Registrar::new(authority.clone(), Issuer::new(cluster()), trust.clone());
    Setting { registrar, authority, trust, token }
}

impl Setting {
    fn bearer(&self) -> Caller {
        Caller::Anonymous { token: Some((self.token.id().clone(), self.token.secret().clone())) }
    }
}

fn ask(role: JoinRole, name: &str, key: &KeyRequest, seal_to: Option<SealTo>) -> CertificateAsk {
    let request = IssueRequest::Join { role, name: name.to_owned(), alt_names: vec![] };
    CertificateAsk { request, request_der: key.request_der().to_vec(), seal_to }
}

#[test]
fn a_server_joins_and_can_sign() {
    let s = setting(JoinRole::Server);
    let key = KeyRequest::generate().unwrap();
    let opener = SealOpener::generate().unwrap();
    let without = ask(JoinRole::Server, "s2", &key, None);
    assert!(matches!(s.registrar.handle(&without, &s.bearer(), NOW), Err(RegistrarError::NoSealKey)));
    let ask = ask(JoinRole::Server, "s2", &key, Some(opener.seal_to()));
    let answer = s.registrar.handle(&ask, &s.bearer(), NOW).unwrap();
    let json = serde_json::to_vec(&answer).unwrap();
    assert!(!String::from_utf8_lossy(&json).contains("PRIVATE"));
    let answer: CertificateAnswer = serde_json::from_slice(&json).unwrap();
    let admitted = answer.accept(&key, &s.token.pin(), Some(&opener)).unwrap();
    assert_eq!(admitted.credentials.identity(), Identity::server(&cluster(), "s2").unwrap());
    let imported = admitted.authority.unwrap();
    assert_eq!(imported.pin(), s.authority.pin());
    assert_eq!(admitted.ledger.tokens().count(), 1, "a server must be able to admit others");
    credentials(&imported, &Identity::node(&cluster(), "n7").unwrap(), NOW);
}

#[test]
fn an_agent_joins_without_the_authority() {
    let s = setting(JoinRole::Agent);
    let key = KeyRequest::generate().unwrap();
    let opener = SealOpener::generate().unwrap();
    let ask = ask(JoinRole::Agent, "n1", &key, Some(opener.seal_to()));
    let answer = s.registrar.handle(&ask, &s.bearer(), NOW).unwrap();
    assert!(answer.sealed_authority.is_none());
    assert_eq!(answer.ledger.tokens().count(), 0, "a node learns no token hashes");
    assert!(matches!(
        answer.clone().accept(&key, &s.token.pin(), Some(&opener)),
        Err(AnswerRefused::NoAuthority)
    ));
    let admitted = answer.accept(&key, &s.token.pin(), None).unwrap();
    assert!(admitted.authority.is_none());

    let renew = CertificateAsk {
        request: IssueRequest::Renew { name: "node/n1".parse().unwrap(), alt_names: vec![] },
        ..ask
    };
    let caller = Caller::Known(Box::new(admitted.credentials.facts()));
    let later = NOW.plus(DAY);
    let renewed = s.registrar.handle(&renew, &caller, later).unwrap();
    assert!(renewed.sealed_authority.is_none());
    admitted.credentials.replace(&key, &renewed.chain()).unwrap();
    assert!(admitted.credentials.facts().not_after > later);
}

#[test]
fn the_first_key_keeps_the_name_and_its_repeat_is_answered() {
    let s = setting(JoinRole::Agent);
    let (first, second) = (KeyRequest::generate().unwrap(), KeyRequest::generate().unwrap());
    let generation = s.trust.generation();
    s.registrar.handle(&ask(JoinRole::Agent, "n1", &first, None), &s.bearer(), NOW).unwrap();
    assert!(s.trust.generation() > generation, "the owner must hear of the enrolment");
    s.registrar.handle(&ask(JoinRole::Agent, "n1", &first, None), &s.bearer(), NOW).unwrap();
    let refused = s.registrar.handle(&ask(JoinRole::Agent, "n1", &second, None), &s.bearer(), NOW);
    assert!(matches!(refused, Err(RegistrarError::Refused(Refusal::NameTaken { .. }))));
}

#[test]
fn a_new_certificate_after_revocation_is_good() {
    let s = setting(JoinRole::Agent);
    let key = KeyRequest::generate().unwrap();
    let ask = ask(JoinRole::Agent, "n1", &key, None);
    let old = s.registrar.handle(&ask, &s.bearer(), NOW).unwrap();
    let old = old.accept(&key, &s.token.pin(), None).unwrap().credentials.facts();
    let at = NOW.plus(std::time::Duration::from_secs(60));
    s.trust.update(|ledger| ledger.revoke_identity(old.identity.identity_name(), at)).unwrap();
    assert!(s.trust.recheck(&old).is_err());
    let new = s.registrar.handle(&ask, &s.bearer(), at).unwrap();
    let new = new.accept(&key, &s.token.pin(), None).unwrap().credentials.facts();
    assert_eq!(s.trust.recheck(&new), Ok(()));
}

#[test]
fn answers_of_another_cluster_or_for_another_key_are_refused() {
    let s = setting(JoinRole::Agent);
    let key = KeyRequest::generate().unwrap();
    let answer = s.registrar.handle(&ask(JoinRole::Agent, "n1", &key, None), &s.bearer(), NOW).unwrap();
    let other = setting(JoinRole::Agent);
    assert!(matches!(
        answer.clone().accept(&key, &other.token.pin(), None),
        Err(AnswerRefused::OtherAuthority { .. })
    ));
    let other_key = KeyRequest::generate().unwrap();
    assert!(matches!(answer.accept(&other_key, &s.token.pin(), None), Err(AnswerRefused::Credentials(_))));
}

#[test]
fn refusals_reach_strangers_without_detail() {
    let s = setting(JoinRole::Agent);
    let key = KeyRequest::generate().unwrap();
    let wrong = TokenSecret::new("zzzzzzzzzzzzzzzz").unwrap();
    let caller = Caller::Anonymous { token: Some((s.token.id().clone(), wrong)) };
    let error = s.registrar.handle(&ask(JoinRole::Agent, "n1", &key, None), &caller, NOW).unwrap_err();
    assert!(error.to_string().contains(s.token.id().as_str()), "our log names the token: {error}");
    assert!(!error.public_text(&caller).contains(s.token.id().as_str()));
    assert_eq!(s.trust.ledger().enrolment(&"node/n1".parse().unwrap()), None);
    let mut bad = ask(JoinRole::Agent, "n1", &key, None);
    let last = bad.request_der.len() - 1;
    bad.request_der[last] ^= 1;
    assert!(matches!(
        s.registrar.handle(&bad, &s.bearer(), NOW),
        Err(RegistrarError::Sign(SignError::BadSelfSignature))
    ));
}
