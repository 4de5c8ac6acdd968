//! [`ResourceQuotaController`].

use std::time::Duration;

use serde_json::{Value, json};
use trireme_admission::{quota_kinds, quota_usage};
use trireme_schema::view::View;

use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::plan::Plan;
use crate::pods::is_finished;
use crate::world::World;
use crate::writes::update_status;

static WATCHED: [Resource; 1] = [resources::RESOURCE_QUOTAS];

/// Everything is counted anew this often, as upstream: pods that overstay their time to end free what they hold without
/// a change.
const RESYNC: Duration = Duration::from_secs(5 * 60);

/// Counts what quotas' namespaces use.
#[derive(Debug, Default)]
pub struct ResourceQuotaController {}

/// Whether a change may have made something free that admission did not see.
fn frees(change: &Change) -> bool {
    match (&change.old, &change.new) {
        (Some(_), None) => true,
        (Some(old), Some(new)) => match &*change.resource.plural {
            "pods" => {
                is_finished(old) != is_finished(new)
                    || old.at("spec") != new.at("spec")
                    || old.at("metadata").at("deletionTimestamp")
                        != new.at("metadata").at("deletionTimestamp")
            }
            "services" | "persistentvolumeclaims" | "resourceclaims" => old.at("spec") != new.at("spec"),
            _ => false,
        },
        _ => false,
    }
}

fn key(quota: &Value) -> Key {
    Key::new(quota.at("metadata").text("namespace"), quota.at("metadata").text("name"))
}

impl Controller for ResourceQuotaController {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn concerns(&self, _: &Resource) -> bool {
        true
    }

    fn metadata_only(&self, resource: &Resource) -> bool {
        let whole = ["pods", "services", "persistentvolumeclaims", "resourceclaims", "resourcequotas"];
        !whole.contains(&&*resource.plural)
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let Some(object) = change.new.as_deref().or(change.old.as_deref()) else { return Vec::new() };
        let mut keys = Vec::new();
        if change.resource == resources::RESOURCE_QUOTAS {
            // Charges change the status, and need no count.
            let spec =
                |quota: &Option<std::sync::Arc<Value>>| quota.as_ref().map(|quota| quota.at("spec").clone());
            if change.new.is_some() && spec(&change.old) != spec(&change.new) {
                keys.push(key(object));
            }
        }
        if frees(change) {
            let namespace = object.at("metadata").text("namespace");
            let kind = (change.resource.group.to_string(), change.resource.plural.to_string());
            let quotas = resources::RESOURCE_QUOTAS.list(world, Some(namespace));
            keys.extend(
                quotas.iter().filter(|quota| quota_kinds(quota).contains(&kind)).map(|quota| key(quota)),
            );
        }
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let namespace = look.key.namespace.as_str();
        let Some(quota) = resources::RESOURCE_QUOTAS.get(look.world, namespace, &look.key.name) else {
            return Plan::settled();
        };
        let list = |group: &str, resource: &str| look.world.list(group, resource, Some(namespace));
        let used = quota_usage(&quota, &look.now.to_time(), &list);
        let status = json!({"hard": quota.at("spec").at("hard"), "used": used});
        let writes = update_status(&resources::RESOURCE_QUOTAS, &quota, status).into_iter().collect();
        Plan { writes, again_after: Some(RESYNC) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Write;
    use crate::testing::TestWorld;
    use std::sync::Arc;
    use trireme_schema::time::Moment;

    #[test]
    fn a_new_quota_learns_what_is_there_and_what_goes_is_given_back() {
        let mut world = TestWorld::default();
        world.put(
            &resources::RESOURCE_QUOTAS,
            json!({"metadata": {"name": "q", "namespace": "d"}, "spec": {"hard": {"pods": "3"}}, "status": {}}),
        );
        let pod = json!({"metadata": {"name": "p", "namespace": "d"}, "spec": {"containers": []}});
        world.put(&resources::PODS, pod.clone());
        world.put(&resources::PODS, json!({"metadata": {"name": "p", "namespace": "other"}}));
        let (key, now) = (Key::new("d", "q"), Moment::from_unix(0, 0));
        let plan = ResourceQuotaController::default().reconcile(&Look {
            now,
            key: &key,
            world: &world,
            refused: None,
        });
        let [Write::Update { object, subresource: "status", .. }] = &plan.writes[..] else {
            panic!("{plan:?}")
        };
        assert_eq!(object["status"], json!({"hard": {"pods": "3"}, "used": {"pods": "1"}}));

        let keys = |old: Option<&Value>, new: Option<&Value>| {
            let [old, new] = [old, new].map(|pod| pod.cloned().map(Arc::new));
            let change = Change { resource: resources::PODS, old, new };
            ResourceQuotaController::default().keys(&change, &world)
        };
        let mut done = pod.clone();
        done["status"] = json!({"phase": "Succeeded"});
        assert!(keys(None, Some(&pod)).is_empty(), "admission charged it");
        assert_eq!(keys(Some(&pod), None), std::slice::from_ref(&key));
        assert_eq!(keys(Some(&pod), Some(&done)), std::slice::from_ref(&key));
    }
}
