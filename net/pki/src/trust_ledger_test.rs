use super::*;
use crate::test_kit::{DAY, NOW, Seeded, cluster};

fn id(text: &str) -> TokenId {
    TokenId::new(text).unwrap()
}

fn secret(text: &str) -> TokenSecret {
    TokenSecret::new(text).unwrap()
}

const GOOD: &str = "0123456789abcdef";

fn with_token() -> TrustLedger {
    let mut ledger = TrustLedger::default();
    ledger.add_token(&id("aaaaaa"), &secret(GOOD), JoinRole::Agent, DAY, [7; 16], NOW).unwrap();
    ledger
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn token_is_checked_for_secret_time_and_withdrawal() {
    let mut ledger = with_token();
    let check = |ledger: &TrustLedger, text: &str, now| ledger.check_token(&id("aaaaaa"), &secret(text), now);
    assert_eq!(check(&ledger, GOOD, NOW), Ok(JoinRole::Agent));
    assert_eq!(check(&ledger, GOOD, NOW.plus(DAY - seconds(1))), Ok(JoinRole::Agent));
    assert!(matches!(check(&ledger, GOOD, NOW.plus(DAY)), Err(TokenRefused::Expired { .. })));
    // Each single character matters, the last as much as the first.
    for at in 0..TOKEN_LENGTH {
        let mut wrong = GOOD.as_bytes().to_vec();
        wrong[at] = b'z';
        let wrong = String::from_utf8(wrong).unwrap();
        assert!(matches!(check(&ledger, &wrong, NOW), Err(TokenRefused::WrongSecret { .. })), "{at}");
    }
    assert!(matches!(
        ledger.check_token(&id("bbbbbb"), &secret(GOOD), NOW),
        Err(TokenRefused::Unknown { .. })
    ));
    ledger.revoke_token(&id("aaaaaa"), NOW).unwrap();
    assert!(matches!(check(&ledger, GOOD, NOW), Err(TokenRefused::Revoked { .. })));
    assert_eq!(ledger.tokens().count(), 0);
    let again = ledger.add_token(&id("aaaaaa"), &secret(GOOD), JoinRole::Server, DAY, [1; 16], NOW);
    assert!(matches!(again, Err(LedgerError::TokenIdTaken { .. })));
}

const TOKEN_LENGTH: usize = crate::join_token::TOKEN_SECRET_LENGTH;

/// A timing measurement would be noise on a shared machine; what can be held to is that no comparison of secrets
/// in the source is by `==` and that an unknown id takes the same path.
#[test]
fn secrets_are_compared_by_ct_eq_only() {
    let source = include_str!("token_record.rs");
    let compare = source.split("fn secret_matches").nth(1).unwrap().split("\n    }\n").next().unwrap();
    assert!(compare.contains(".ct_eq(&expected)"));
    assert!(!compare.contains("==") && !compare.contains("&&") && !compare.contains("return"), "{compare}");
    let ledger = include_str!("trust_ledger.rs");
    let check = ledger.split("fn check_token").nth(1).unwrap().split("fn is_revoked").next().unwrap();
    assert!(check.find("secret_matches(").unwrap() < check.find("match record").unwrap());
}

#[test]
fn token_lifetime_is_bounded() {
    let mut ledger = TrustLedger::default();
    for lifetime in [Duration::ZERO, TOKEN_LIFETIME_LIMIT + seconds(1)] {
        let refused = ledger.add_token(&id("aaaaaa"), &secret(GOOD), JoinRole::Agent, lifetime, [0; 16], NOW);
        assert!(matches!(refused, Err(LedgerError::BadLifetime { .. })));
    }
}

#[test]
fn revocation_by_serial_and_by_identity() {
    let mut ledger = TrustLedger::default();
    let n1 = Identity::node(&cluster(), "n1").unwrap();
    let same_name_server = Identity::server(&cluster(), "n1").unwrap();
    let serial = Serial::from_bytes(&[0, 1, 2]).unwrap();
    let other = Serial::from_bytes(&[3]).unwrap();
    assert_eq!(ledger.is_revoked(&n1, &serial, NOW), None);
    ledger.revoke_serial(&serial, NOW).unwrap();
    assert!(matches!(ledger.is_revoked(&n1, &serial, NOW), Some(Revocation::Certificate { .. })));
    assert_eq!(ledger.is_revoked(&n1, &other, NOW), None);

    let cutoff = ledger.revoke_identity(n1.identity_name(), NOW).unwrap();
    assert_eq!(cutoff, NOW);
    assert!(ledger.is_revoked(&n1, &other, NOW.minus(seconds(1))).is_some());
    assert_eq!(ledger.is_revoked(&n1, &other, NOW), None, "a later certificate is good again");
    assert_eq!(ledger.is_revoked(&same_name_server, &other, NOW.minus(seconds(1))), None);
    assert_eq!(ledger.revoke_identity(n1.identity_name(), NOW).unwrap(), NOW.plus(seconds(1)));
    assert!(ledger.is_revoked(&n1, &other, NOW).is_some(), "twice in one second catches the one in between");
}

#[test]
fn enrolment_ends_with_the_identity() {
    let mut ledger = TrustLedger::default();
    let name: IdentityName = "node/n1".parse().unwrap();
    ledger.enrol(&name, [1; 32], NOW).unwrap();
    assert_eq!(ledger.enrolment(&name).unwrap().public_key_sha256, [1; 32]);
    ledger.revoke_identity(&name, NOW.plus(seconds(1))).unwrap();
    assert_eq!(ledger.enrolment(&name), None);
    // The revoking server's clock is behind that of the enrolling one.
    ledger.enrol(&name, [1; 32], NOW.plus(seconds(100))).unwrap();
    assert_eq!(ledger.revoke_identity(&name, NOW.plus(seconds(50))), Ok(NOW.plus(seconds(101))));
    assert_eq!(ledger.enrolment(&name), None);
    // Another server's clock is behind: the new enrolment must still survive the tombstone.
    ledger.enrol(&name, [2; 32], NOW.minus(seconds(60))).unwrap();
    assert_eq!(ledger.enrolment(&name).unwrap().public_key_sha256, [2; 32]);
}

#[test]
fn full_is_an_error_and_changes_nothing() {
    let mut ledger = TrustLedger::default();
    for n in 0..TOKENS_LIMIT {
        let id = id(&format!("{n:06}"));
        ledger.add_token(&id, &secret(GOOD), JoinRole::Agent, DAY, [0; 16], NOW).unwrap();
    }
    let before = ledger.clone();
    let refused = ledger.add_token(&id("zzzzzz"), &secret(GOOD), JoinRole::Agent, DAY, [0; 16], NOW);
    assert!(matches!(refused, Err(LedgerError::Full { limit: TOKENS_LIMIT, .. })));
    let mut other = TrustLedger::default();
    other.add_token(&id("zzzzzz"), &secret(GOOD), JoinRole::Agent, DAY, [0; 16], NOW).unwrap();
    assert!(matches!(ledger.merge(&other), Err(LedgerError::Full { .. })));
    assert_eq!(ledger, before);
    ledger.prune(NOW.plus(DAY));
    assert_eq!(ledger.tokens().count(), 0);
    assert_eq!(ledger.merge(&other), Ok(true));
}

#[test]
fn prune_keeps_what_still_matters() {
    let mut ledger = with_token();
    let n1: IdentityName = "node/n1".parse().unwrap();
    let serial = Serial::from_bytes(&[9]).unwrap();
    ledger.revoke_identity(&n1, NOW).unwrap();
    ledger.revoke_serial(&serial, NOW).unwrap();
    ledger.revoke_token(&id("bbbbbb"), NOW).unwrap();
    let before = ledger.clone();
    ledger.prune(NOW.plus(seconds(1)));
    assert_eq!(ledger, before);
    ledger.prune(NOW.plus(CERTIFICATE_LIFETIME_LIMIT + BACKDATE));
    assert!(ledger.earliest_begin(&n1).is_some(), "a certificate of that age can still be valid");
    ledger.prune(NOW.plus(CERTIFICATE_LIFETIME_LIMIT + BACKDATE + seconds(1)));
    assert_eq!(ledger, TrustLedger::default());
}

/// Draws from few names and times so that parts collide.
fn random_ledger(random: &mut Seeded) -> TrustLedger {
    let mut ledger = TrustLedger::default();
    for _ in 0..random.below(12) {
        let now = NOW.plus(seconds(random.next() % 4));
        let token = id(["aaaaaa", "bbbbbb", "cccccc"][random.below(3)]);
        let name: IdentityName = ["node/n1", "node/n2", "server/n1"][random.below(3)].parse().unwrap();
        let serial = Serial::from_bytes(&[u8::try_from(1 + random.below(3)).unwrap()]).unwrap();
        let role = [JoinRole::Server, JoinRole::Agent][random.below(2)];
        let salt = [u8::try_from(random.below(2)).unwrap(); 16];
        match random.below(6) {
            0 | 1 => drop(ledger.add_token(&token, &secret(GOOD), role, DAY, salt, now)),
            2 => ledger.revoke_token(&token, now).unwrap(),
            3 => drop(ledger.revoke_identity(&name, now).unwrap()),
            4 => ledger.revoke_serial(&serial, now).unwrap(),
            _ => ledger.enrol(&name, [salt[0]; 32], now).unwrap(),
        }
    }
    ledger
}

fn merged(a: &TrustLedger, b: &TrustLedger) -> TrustLedger {
    let mut out = a.clone();
    out.merge(b).unwrap();
    out
}

#[test]
fn merge_is_commutative_associative_idempotent_and_tombstones_win() {
    for seed in 0..20_000 {
        let random = &mut Seeded::new(seed);
        let (a, b, c) = (random_ledger(random), random_ledger(random), random_ledger(random));
        let ab = merged(&a, &b);
        assert_eq!(ab, merged(&b, &a), "commutative, seed {seed}");
        assert_eq!(merged(&ab, &c), merged(&a, &merged(&b, &c)), "associative, seed {seed}");
        assert_eq!(merged(&ab, &b), ab, "idempotent, seed {seed}");
        assert_eq!(ab.clone().merge(&a), Ok(false), "nothing new, seed {seed}");
        for revoked in a.revoked_tokens.keys() {
            assert!(!merged(&b, &a).tokens.contains_key(revoked), "tombstone wins, seed {seed}");
        }
        for (name, cutoff) in &a.revoked_identities {
            assert!(ab.earliest_begin(name) >= Some(*cutoff), "withdrawals never move back, seed {seed}");
        }
    }
}

#[test]
fn serde_round_trip_and_limits_on_reading() {
    for seed in 0..200 {
        let ledger = random_ledger(&mut Seeded::new(seed));
        let json = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<TrustLedger>(&json).unwrap(), ledger);
    }
    let mut form: LedgerForm = TrustLedger::default().into();
    for n in 0..=REVOKED_SERIALS_LIMIT {
        form.revoked_serials.insert(Serial::from_bytes(&(n + 1).to_be_bytes()).unwrap(), NOW);
    }
    let json = serde_json::to_string(&form).unwrap();
    assert!(serde_json::from_str::<TrustLedger>(&json).unwrap_err().to_string().contains("limit"));
}

#[test]
fn debug_shows_no_hash() {
    let text = format!("{:?}", with_token());
    assert!(
        text.contains("TokenRecord") && !text.contains("secret_hash") && !text.contains("salt"),
        "{text}"
    );
}
