//! [`ServiceAccountTokenController`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_schema::view::{Edit, View};

use super::TokenPowers;
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Propagation, Write};
use crate::world::World;
use crate::writes::delete;

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

static WATCHED: [Resource; 2] = [resources::SECRETS, resources::SERVICE_ACCOUNTS];

/// Wait for the cluster's key.
const KEY_WAIT: Duration = Duration::from_secs(1);

/// Fills token secrets of service accounts, and deletes them when their account is gone.
pub struct ServiceAccountTokenController {
    powers: Arc<dyn TokenPowers>,
}

impl ServiceAccountTokenController {
    /// Signs with these.
    pub fn new(powers: Arc<dyn TokenPowers>) -> Self {
        Self { powers }
    }

    /// What a secret lacks.
    fn fill(&self, secret: &Value, account: &Value) -> Plan {
        let own = account.at("metadata").text("uid");
        let lacks = |name: &&str| secret.at("data").text(name).is_empty();
        let lacking: Vec<&str> = ["token", "namespace", "ca.crt"].into_iter().filter(lacks).collect();
        if lacking.is_empty() && secret.at("metadata").at("annotations").text(ACCOUNT_UID) == own {
            return Plan::settled();
        }
        let Some(made) = self.powers.account_data(account, secret) else {
            return Plan { writes: Vec::new(), again_after: Some(KEY_WAIT) };
        };
        let mut object = secret.clone();
        if let Some(metadata) = object.object("metadata")
            && let Some(annotations) = metadata.object("annotations")
        {
            annotations.put(ACCOUNT_UID, own);
        }
        if let Some(data) = object.object("data") {
            for name in lacking {
                data.put(name, made.at(name).clone());
            }
        }
        Plan::one(Write::Update { resource: resources::SECRETS, subresource: "", object })
    }
}

fn is_token_of(secret: &Value, account: &str) -> bool {
    secret.text("type") == TYPE && secret.at("metadata").at("annotations").text(ACCOUNT) == account
}

fn key(secret: &Value) -> Key {
    Key::new(secret.at("metadata").text("namespace"), secret.at("metadata").text("name"))
}

impl Controller for ServiceAccountTokenController {
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
        let own = |account: &Arc<Value>| uid.is_empty() || account.at("metadata").text("uid") == uid;
        if let Some(account) = account.filter(own) {
            return self.fill(&secret, &account);
        }
        Plan::one(delete(&resources::SECRETS, &secret, Propagation::Background))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fake;
    use super::*;
    use crate::testing::TestWorld;
    use serde_json::json;
    use trireme_schema::time::Moment;

    fn plan(account: Option<&str>, kind: &str, data: &Value) -> Plan {
        let mut world = TestWorld::default();
        let annotations = json!({ACCOUNT: "a", ACCOUNT_UID: "1"});
        world.put(
            &resources::SECRETS,
            json!({
                "metadata": {"name": "t", "namespace": "d", "annotations": annotations}, "type": kind, "data": data,
            }),
        );
        if let Some(uid) = account {
            let metadata = json!({"name": "a", "namespace": "d", "uid": uid});
            world.put(&resources::SERVICE_ACCOUNTS, json!({"metadata": metadata}));
        }
        let (key, now) = (Key::new("d", "t"), Moment::from_unix(0, 0));
        let look = Look { now, key: &key, world: &world, refused: None };
        ServiceAccountTokenController::new(Arc::new(Fake)).reconcile(&look)
    }

    #[test]
    fn tokens_go_with_their_account() {
        let full = json!({"token": "t", "namespace": "n", "ca.crt": "c"});
        let deletes =
            |account, kind| matches!(&plan(account, kind, &full).writes[..], [Write::Delete { .. }]);
        assert_eq!(plan(Some("1"), TYPE, &full), Plan::settled());
        assert!(deletes(Some("2"), TYPE), "another account of the same name");
        assert!(deletes(None, TYPE));
        assert!(!deletes(None, "Opaque"));
    }

    #[test]
    fn what_a_secret_lacks_is_filled_in_and_what_it_has_stays() {
        let filled = plan(Some("1"), TYPE, &json!({"token": "mine", "more": "x"}));
        let [Write::Update { object, .. }] = &filled.writes[..] else { panic!("{filled:?}") };
        assert_eq!(object["data"], json!({"token": "mine", "more": "x", "namespace": "ns", "ca.crt": "ca"}));
        let filled = plan(Some("1"), TYPE, &Value::Null);
        let [Write::Update { object, .. }] = &filled.writes[..] else { panic!("{filled:?}") };
        assert_eq!(object["data"]["token"], "t for a");
        assert_eq!(object["metadata"]["annotations"][ACCOUNT_UID], "1");
    }
}
