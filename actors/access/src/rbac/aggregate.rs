//! What an aggregated ClusterRole holds: the rules of all ClusterRoles its selectors find.

use serde_json::Value;
use trireme_schema::objects::Objects;
use trireme_schema::selector::{LabelSelector, SelectorError};
use trireme_schema::view::View;

use crate::known::RBAC_GROUP;

/// The rules that a ClusterRole with an `aggregationRule` should have, as wire values: those of the selected roles in
/// order of name and rule, each rule once; itself left out. `None` when it has no `aggregationRule`.
///
/// # Errors
/// A selector that cannot be read.
pub fn aggregated_rules(role: &Value, objects: &dyn Objects) -> Result<Option<Vec<Value>>, SelectorError> {
    if !role.has("aggregationRule") {
        return Ok(None);
    }
    let own_name = role.at("metadata").text("name");
    let roles = objects.list(RBAC_GROUP, "clusterroles", None);
    let mut out: Vec<Value> = Vec::new();
    for selector in role.at("aggregationRule").list("clusterRoleSelectors") {
        let selector = LabelSelector::from_object(selector)?;
        for other in &roles {
            let metadata = other.at("metadata");
            if metadata.text("name") == own_name || !selector.matches(metadata.map("labels")) {
                continue;
            }
            for rule in other.list("rules") {
                if !out.contains(rule) {
                    out.push(rule.clone());
                }
            }
        }
    }
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trireme_schema::objects::MemoryObjects;

    #[test]
    fn selected_roles_are_merged_once() {
        let mut objects = MemoryObjects::default();
        let rule = json!({"verbs":["get"],"apiGroups":[""],"resources":["pods"]});
        let other = json!({"verbs":["get"],"apiGroups":["x"],"resources":["y"]});
        for (name, label, rules) in [
            ("a", "yes", json!([rule])),
            ("b", "no", json!([other])),
            ("c", "yes", json!([rule, other])),
            ("sum", "yes", json!([{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}])),
        ] {
            let role = json!({"metadata":{"name":name,"labels":{"l":label}},"rules":rules});
            objects.put(RBAC_GROUP, "clusterroles", role);
        }
        let sum = json!({"metadata":{"name":"sum"},
            "aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"l":"yes"}}]}});
        assert_eq!(aggregated_rules(&sum, &objects), Ok(Some(vec![rule, other])));
        assert_eq!(aggregated_rules(&json!({"metadata":{"name":"x"}}), &objects), Ok(None));
    }
}
