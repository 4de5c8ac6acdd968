//! [`BootstrapTokenCleaner`].

use std::time::Duration;

use serde_json::Value;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Propagation};
use crate::world::World;
use crate::writes::delete;

pub(super) const NAMESPACE: &str = "kube-system";
const TYPE: &str = "bootstrap.kubernetes.io/token";

static WATCHED: [Resource; 1] = [resources::SECRETS];

/// Deletes bootstrap tokens when they expire.
#[derive(Debug, Default)]
pub struct BootstrapTokenCleaner {}

/// When a token expires: the text is RFC 3339, in base64 as all of a secret's data.
pub(super) fn expiration(secret: &Value) -> Option<Result<Moment, ()>> {
    let text = secret.at("data").text("expiration");
    if text.is_empty() {
        return None;
    }
    let decoded = base64_text(text).ok_or(());
    Some(decoded.and_then(|text| Moment::parse_time(&text).map_err(|_| ())))
}

/// Standard base64 of a short text.
pub(super) fn base64_text(encoded: &str) -> Option<String> {
    let value = |byte: u8| -> Option<u32> {
        Some(u32::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    let mut out = Vec::new();
    for group in encoded.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0;
        for byte in group {
            bits = bits << 6 | value(*byte)?;
        }
        bits <<= 6 * (4 - group.len());
        let bytes = bits.to_be_bytes();
        out.extend_from_slice(bytes.get(1..group.len())?);
    }
    String::from_utf8(out).ok()
}

pub(super) fn is_token(secret: &Value) -> bool {
    secret.at("metadata").text("namespace") == NAMESPACE && secret.text("type") == TYPE
}

impl Controller for BootstrapTokenCleaner {
    fn name(&self) -> &'static str {
        "token-cleaner"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let secret = change.new.as_deref().filter(|secret| is_token(secret));
        secret.map(|secret| Key::new(NAMESPACE, secret.at("metadata").text("name"))).into_iter().collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let found = resources::SECRETS.get(look.world, &look.key.namespace, &look.key.name);
        let Some(secret) = found.filter(|secret| is_token(secret) && !is_deleting(secret)) else {
            return Plan::settled();
        };
        let left = match expiration(&secret) {
            None => return Plan::settled(),
            // One that nobody can read is as good as expired, as upstream.
            Some(Err(())) => 0,
            Some(Ok(end)) => u64::try_from(end.unix_seconds() - look.now.unix_seconds()).unwrap_or(0),
        };
        if left > 0 {
            return Plan { writes: Vec::new(), again_after: Some(Duration::from_secs(left)) };
        }
        Plan::one(delete(&resources::SECRETS, &secret, Propagation::Background))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Write;
    use crate::testing::TestWorld;
    use serde_json::json;

    #[test]
    fn tokens_go_when_they_expire() {
        let plan = |expiration: Value, now: &str| {
            let mut world = TestWorld::default();
            world.put(
                &resources::SECRETS,
                json!({
                    "metadata": {"name": "bootstrap-token-x", "namespace": NAMESPACE, "uid": "u"},
                    "type": TYPE, "data": {"expiration": expiration},
                }),
            );
            let (key, now) = (Key::new(NAMESPACE, "bootstrap-token-x"), Moment::parse_time(now).unwrap());
            BootstrapTokenCleaner::default().reconcile(&Look { now, key: &key, world: &world, refused: None })
        };
        // 2026-01-01T00:01:00Z
        let at = json!("MjAyNi0wMS0wMVQwMDowMTowMFo=");
        assert_eq!(plan(at.clone(), "2026-01-01T00:00:20Z").again_after, Some(Duration::from_secs(40)));
        let deletes = |plan: &Plan| matches!(&plan.writes[..], [Write::Delete { .. }]);
        assert!(deletes(&plan(at, "2026-01-01T00:01:00Z")));
        assert!(deletes(&plan(json!("bm9uZQ=="), "2026-01-01T00:00:00Z")));
        assert_eq!(plan(Value::Null, "2026-01-01T00:01:00Z"), Plan::settled());
    }
}
