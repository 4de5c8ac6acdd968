//! [`BootstrapSigner`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use super::TokenPowers;
use super::bootstrap::{self, base64_text};
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Write};
use crate::world::World;

/// Where the ConfigMap is that strangers read.
const NAMESPACE: &str = "kube-public";
/// Its name.
const NAME: &str = "cluster-info";
/// The entry that is signed.
const CONTENT: &str = "kubeconfig";
/// What the signatures' entries begin with; the token's id follows.
const SIGNATURE: &str = "jws-kubeconfig-";

static WATCHED: [Resource; 2] = [resources::SECRETS, resources::CONFIG_MAPS];

/// Signs `kube-public/cluster-info` with each bootstrap token that may sign, so that who holds one can trust it.
pub struct BootstrapSigner {
    powers: Arc<dyn TokenPowers>,
}

impl BootstrapSigner {
    /// Signs with these.
    pub fn new(powers: Arc<dyn TokenPowers>) -> Self {
        Self { powers }
    }
}

/// Id and secret of a token that may sign, and when it ends.
fn signing(secret: &Value, now: Moment) -> Option<(String, String, Option<u64>)> {
    let entry = |name: &str| base64_text(secret.at("data").text(name)).unwrap_or_default();
    let (id, key) = (entry("token-id"), entry("token-secret"));
    let named = secret.at("metadata").text("name").strip_prefix("bootstrap-token-") == Some(id.as_str());
    let may = named && !key.is_empty() && entry("usage-bootstrap-signing") == "true" && !is_deleting(secret);
    let left = match bootstrap::expiration(secret) {
        None => None,
        Some(end) => {
            let left = u64::try_from(end.ok()?.unix_seconds() - now.unix_seconds()).ok()?;
            Some(left).filter(|left| *left > 0).map(Some)?
        }
    };
    may.then_some((id, key, left))
}

impl Controller for BootstrapSigner {
    fn name(&self) -> &'static str {
        "bootstrap-signer-controller"
    }

    fn identity(&self) -> &'static str {
        "bootstrap-signer"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let concerns = |object: &Value| match change.resource == resources::SECRETS {
            true => bootstrap::is_token(object),
            false => {
                let metadata = object.at("metadata");
                metadata.text("namespace") == NAMESPACE && metadata.text("name") == NAME
            }
        };
        let either = [&change.new, &change.old].into_iter().flatten().any(|object| concerns(object));
        either.then(|| Key::new(NAMESPACE, NAME)).into_iter().collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let found = resources::CONFIG_MAPS.get(look.world, NAMESPACE, NAME);
        let Some(info) = found.filter(|info| !is_deleting(info)) else { return Plan::settled() };
        let content = info.at("data").text(CONTENT);
        if content.is_empty() {
            return Plan::settled();
        }
        let mut signatures = BTreeMap::new();
        let mut ends: Option<u64> = None;
        let secrets = resources::SECRETS.list(look.world, Some(bootstrap::NAMESPACE));
        for secret in secrets.iter().filter(|secret| bootstrap::is_token(secret)) {
            let Some((id, key, left)) = signing(secret, look.now) else { continue };
            ends = ends.into_iter().chain(left).min();
            signatures.insert(format!("{SIGNATURE}{id}"), self.powers.detached_signature(content, &id, &key));
        }
        let data = info.at("data").as_object().cloned().unwrap_or_default();
        let mut signed: Map<String, Value> = data
            .iter()
            .filter(|(name, _)| !name.starts_with(SIGNATURE))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        signed.extend(signatures.into_iter().map(|(name, signature)| (name, signature.into())));
        let again_after = ends.map(Duration::from_secs);
        if signed == data {
            return Plan { writes: Vec::new(), again_after };
        }
        let mut object = (*info).clone();
        object.put("data", Value::Object(signed));
        let write = Write::Update { resource: resources::CONFIG_MAPS, subresource: "", object };
        Plan { writes: vec![write], again_after }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fake;
    use super::*;
    use crate::testing::TestWorld;
    use serde_json::json;

    fn secret(id: &str, more: &Value) -> Value {
        // dG9rZW4= is "token", dHJ1ZQ== is "true".
        let mut data = json!({"token-secret": "dG9rZW4=", "usage-bootstrap-signing": "dHJ1ZQ=="});
        data["token-id"] = match id {
            "abc" => "YWJj",
            _ => "ZGVm",
        }
        .into();
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let name = format!("bootstrap-token-{id}");
        json!({
            "metadata": {"name": name, "namespace": "kube-system", "uid": id},
            "type": "bootstrap.kubernetes.io/token", "data": data,
        })
    }

    fn plan(secrets: &[Value], data: &Value, now: &str) -> Plan {
        let mut world = TestWorld::default();
        let metadata = json!({"name": NAME, "namespace": NAMESPACE, "uid": "u"});
        world.put(&resources::CONFIG_MAPS, json!({"metadata": metadata, "data": data}));
        for secret in secrets {
            world.put(&resources::SECRETS, secret.clone());
        }
        let (key, now) = (Key::new(NAMESPACE, NAME), Moment::parse_time(now).unwrap());
        let signer = BootstrapSigner::new(Arc::new(Fake));
        signer.reconcile(&Look { now, key: &key, world: &world, refused: None })
    }

    fn data(plan: &Plan) -> &Value {
        match &plan.writes[..] {
            [Write::Update { object, .. }] => &object["data"],
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_token_that_may_sign_signs_and_old_signatures_go() {
        let now = "2026-01-01T00:00:00Z";
        let info = json!({"kubeconfig": "k", "jws-kubeconfig-old": "x"});
        // 2026-01-01T00:01:00Z
        let ending = json!({"expiration": "MjAyNi0wMS0wMVQwMDowMTowMFo="});
        let both = [secret("abc", &json!({})), secret("def", &ending)];
        let signed = plan(&both, &info, now);
        let wanted = json!({"kubeconfig": "k", "jws-kubeconfig-abc": "k/abc/token", "jws-kubeconfig-def": "k/def/token"});
        assert_eq!(data(&signed), &wanted);
        assert_eq!(signed.again_after, Some(Duration::from_secs(60)));
        assert!(plan(&both, &wanted, now).writes.is_empty(), "it is signed");
        let later = plan(&both, &wanted, "2026-01-01T00:01:00Z");
        assert_eq!(data(&later), &json!({"kubeconfig": "k", "jws-kubeconfig-abc": "k/abc/token"}));
        let not_for_it = [secret("abc", &json!({"usage-bootstrap-signing": "ZmFsc2U="}))];
        assert_eq!(data(&plan(&not_for_it, &info, now)), &json!({"kubeconfig": "k"}));
        assert!(plan(&both, &json!({}), now).writes.is_empty(), "there is nothing to sign");
    }
}
