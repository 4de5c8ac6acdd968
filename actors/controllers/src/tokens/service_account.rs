//! [`ServiceAccountTokenCleaner`].

use serde_json::Value;
use trireme_schema::view::View;

use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Propagation};
use crate::world::World;
use crate::writes::delete;

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

static WATCHED: [Resource; 2] = [resources::SECRETS, resources::SERVICE_ACCOUNTS];

/// Deletes token secrets of service accounts that are gone.
#[derive(Debug, Default)]
pub struct ServiceAccountTokenCleaner {}

fn is_token_of(secret: &Value, account: &str) -> bool {
    secret.text("type") == TYPE && secret.at("metadata").at("annotations").text(ACCOUNT) == account
}

fn key(secret: &Value) -> Key {
    Key::new(secret.at("metadata").text("namespace"), secret.at("metadata").text("name"))
}

impl Controller for ServiceAccountTokenCleaner {
    fn name(&self) -> &'static str {
        "serviceaccount-token-controller"
    }

    fn identity(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        if change.resource == resources::SECRETS {
            let token = change.new.as_deref().filter(|secret| secret.text("type") == TYPE);
            return token.map(key).into_iter().collect();
        }
        let Some(account) = change.old.as_deref().filter(|_| change.new.is_none()) else { return Vec::new() };
        let metadata = account.at("metadata");
        let secrets = resources::SECRETS.list(world, Some(metadata.text("namespace")));
        let tokens = secrets.iter().filter(|secret| is_token_of(secret, metadata.text("name")));
        tokens.map(|secret| key(secret)).collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let namespace = &look.key.namespace;
        let Some(secret) = resources::SECRETS.get(look.world, namespace, &look.key.name) else {
            return Plan::settled();
        };
        let annotations = secret.at("metadata").at("annotations");
        let (name, uid) = (annotations.text(ACCOUNT), annotations.text(ACCOUNT_UID));
        if secret.text("type") != TYPE || name.is_empty() || is_deleting(&secret) {
            return Plan::settled();
        }
        let account = resources::SERVICE_ACCOUNTS.get(look.world, namespace, name);
        let lives =
            account.is_some_and(|account| uid.is_empty() || account.at("metadata").text("uid") == uid);
        if lives {
            return Plan::settled();
        }
        Plan::one(delete(&resources::SECRETS, &secret, Propagation::Background))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestWorld;
    use serde_json::json;
    use trireme_schema::time::Moment;

    #[test]
    fn tokens_go_with_their_account() {
        let deletes = |account: Option<&str>, kind: &str| {
            let mut world = TestWorld::default();
            world.put(
                &resources::SECRETS,
                json!({
                    "metadata": {"name": "t", "namespace": "d", "annotations": {ACCOUNT: "a", ACCOUNT_UID: "1"}},
                    "type": kind,
                }),
            );
            if let Some(uid) = account {
                world.put(
                    &resources::SERVICE_ACCOUNTS,
                    json!({"metadata": {"name": "a", "namespace": "d", "uid": uid}}),
                );
            }
            let (key, now) = (Key::new("d", "t"), Moment::from_unix(0, 0));
            let look = Look { now, key: &key, world: &world, refused: None };
            !ServiceAccountTokenCleaner::default().reconcile(&look).writes.is_empty()
        };
        assert!(!deletes(Some("1"), TYPE));
        assert!(deletes(Some("2"), TYPE), "another account of the same name");
        assert!(deletes(None, TYPE));
        assert!(!deletes(None, "Opaque"));
    }
}
