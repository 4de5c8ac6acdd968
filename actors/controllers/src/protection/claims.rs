//! [`ClaimProtectionController`].

use serde_json::Value;
use trireme_schema::view::View;

use super::protect;
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::plan::Plan;
use crate::pods::is_finished;
use crate::world::World;

const FINALIZER: &str = "kubernetes.io/pvc-protection";

static WATCHED: [Resource; 2] = [resources::VOLUME_CLAIMS, resources::PODS];

/// Keeps PersistentVolumeClaims while a pod uses them.
#[derive(Debug, Default)]
pub struct ClaimProtectionController {}

/// The claims that a pod uses, those made for its ephemeral volumes included.
fn claims_of(pod: &Value) -> impl Iterator<Item = String> + '_ {
    pod.at("spec").list("volumes").iter().filter_map(|volume| {
        if volume.has("ephemeral") {
            return Some(format!("{}-{}", pod.at("metadata").text("name"), volume.text("name")));
        }
        let claim = volume.at("persistentVolumeClaim").text("claimName");
        (!claim.is_empty()).then(|| claim.to_owned())
    })
}

/// It is on a node and has not ended.
fn holds(pod: &Value) -> bool {
    !is_finished(pod) && !pod.at("spec").text("nodeName").is_empty()
}

impl Controller for ClaimProtectionController {
    fn name(&self) -> &'static str {
        "pvc-protection-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        if change.resource == resources::VOLUME_CLAIMS {
            let claim = new.map(|claim| claim.at("metadata"));
            return claim
                .map(|claim| Key::new(claim.text("namespace"), claim.text("name")))
                .into_iter()
                .collect();
        }
        // Only a pod that lets go of its claims matters.
        let lets_go = old.is_some_and(holds) && !new.is_some_and(holds);
        let Some(pod) = old.filter(|_| lets_go) else { return Vec::new() };
        let namespace = pod.at("metadata").text("namespace");
        claims_of(pod).map(|claim| Key::new(namespace, &claim)).collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let (namespace, name) = (&look.key.namespace, &look.key.name);
        let Some(claim) = resources::VOLUME_CLAIMS.get(look.world, namespace, name) else {
            return Plan::settled();
        };
        protect(&resources::VOLUME_CLAIMS, &claim, FINALIZER, || {
            let pods = resources::PODS.list(look.world, Some(namespace));
            pods.iter().any(|pod| holds(pod) && claims_of(pod).any(|claim| claim == *name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Write;
    use crate::testing::TestWorld;
    use serde_json::json;
    use trireme_schema::time::Moment;

    #[test]
    fn a_claim_stays_while_a_pod_holds_it() {
        let plan = |deleting: bool, finalizers: Value, phase: &str| {
            let mut world = TestWorld::default();
            let deleted = deleting.then_some("2026-01-01T00:00:00Z");
            world.put(
                &resources::VOLUME_CLAIMS,
                json!({"metadata": {"name": "c", "namespace": "d", "deletionTimestamp": deleted, "finalizers": finalizers}}),
            );
            world.put(
                &resources::PODS,
                json!({
                    "metadata": {"name": "p", "namespace": "d"},
                    "spec": {"nodeName": "n", "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
                    "status": {"phase": phase},
                }),
            );
            let (key, now) = (Key::new("d", "c"), Moment::from_unix(0, 0));
            let look = Look { now, key: &key, world: &world, refused: None };
            let plan = ClaimProtectionController::default().reconcile(&look);
            plan.writes.first().map(|write| match write {
                Write::Update { object, .. } => object["metadata"]["finalizers"].clone(),
                other => panic!("{other:?}"),
            })
        };
        let (held, none) = (json!([FINALIZER]), json!([]));
        assert_eq!(plan(false, none.clone(), "Running"), Some(held.clone()));
        assert_eq!(plan(false, held.clone(), "Running"), None);
        assert_eq!(plan(true, held.clone(), "Running"), None);
        assert_eq!(plan(true, held.clone(), "Succeeded"), Some(Value::Null));
        assert_eq!(plan(true, json!(["x", FINALIZER]), "Succeeded"), Some(json!(["x"])));
        assert_eq!(plan(true, none, "Running"), None);
    }
}
