//! [`RoleAggregator`].

use serde_json::{Value, json};
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::{Edit, View, same};

use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::plan::Plan;
use crate::world::World;
use crate::writes::update;

static WATCHED: [Resource; 1] = [resources::CLUSTER_ROLES];

/// Fills ClusterRoles that have an `aggregationRule` with the rules of those it selects.
#[derive(Debug, Default)]
pub struct RoleAggregator {}

impl Controller for RoleAggregator {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    /// Any role may be part of any other.
    fn keys(&self, _: &Change, world: &dyn World) -> Vec<Key> {
        let roles = resources::CLUSTER_ROLES.list(world, None);
        let made = roles.iter().filter(|role| role.has("aggregationRule"));
        made.map(|role| Key::new("", role.at("metadata").text("name"))).collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Some(role) = resources::CLUSTER_ROLES.get(look.world, "", &look.key.name) else {
            return Plan::settled();
        };
        if !role.has("aggregationRule") {
            return Plan::settled();
        }
        let selectors = role.at("aggregationRule").list("clusterRoleSelectors");
        let roles = resources::CLUSTER_ROLES.list(look.world, None);
        let mut rules: Vec<Value> = Vec::new();
        for selector in selectors.iter().filter_map(|selector| LabelSelector::from_object(selector).ok()) {
            for part in &roles {
                let metadata = part.at("metadata");
                if metadata.text("name") == look.key.name || !selector.matches(metadata.map("labels")) {
                    continue;
                }
                for rule in part.list("rules") {
                    if !rules.iter().any(|other| same(other, rule)) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        let rules = json!(rules);
        if same(role.at("rules"), &rules) {
            return Plan::settled();
        }
        let mut role = (*role).clone();
        role.put("rules", rules);
        Plan::one(update(&resources::CLUSTER_ROLES, role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Write;
    use crate::testing::TestWorld;
    use trireme_schema::time::Moment;

    #[test]
    fn a_role_has_the_rules_of_those_it_selects_once() {
        let mut world = TestWorld::default();
        let rule = |verb: &str| json!({"verbs": [verb], "resources": ["pods"], "apiGroups": [""]});
        let role = |name: &str, label: &str, verbs: &[&str]| {
            let rules: Vec<Value> = verbs.iter().map(|verb| rule(verb)).collect();
            json!({"metadata": {"name": name, "labels": {"to": label}}, "rules": rules})
        };
        world.put(&resources::CLUSTER_ROLES, role("a", "admin", &["get", "list"]));
        world.put(&resources::CLUSTER_ROLES, role("b", "admin", &["list", "watch"]));
        world.put(&resources::CLUSTER_ROLES, role("c", "other", &["delete"]));
        let mut admin = role("admin", "admin", &["stale"]);
        admin["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "admin"}}]});
        world.put(&resources::CLUSTER_ROLES, admin);
        let look = |world: &TestWorld| {
            let (key, now) = (Key::new("", "admin"), Moment::from_unix(0, 0));
            RoleAggregator::default().reconcile(&Look { now, key: &key, world, refused: None })
        };
        let plan = look(&world);
        let [Write::Update { object, .. }] = &plan.writes[..] else { panic!("{plan:?}") };
        assert_eq!(object["rules"], json!([rule("get"), rule("list"), rule("watch")]));
        let object = object.clone();
        world.put(&resources::CLUSTER_ROLES, object);
        assert_eq!(look(&world), Plan::settled());
    }
}
