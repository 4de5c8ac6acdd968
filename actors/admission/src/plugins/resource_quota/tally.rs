//! The usage of a quota, counted anew from the objects that are there: the same sums as charges make one by one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use trireme_access::User;
use trireme_schema::Quantity;
use trireme_schema::quantity::Format;
use trireme_schema::view::View;

use super::evaluator::{Evaluator, kind_of_name};
use super::scope;
use crate::request::{Operation, Request};
use crate::resources::{Amounts, add, amounts, only, to_json};

/// The kinds of objects (group, plural) that a quota is about.
pub fn quota_kinds(quota: &Value) -> BTreeSet<(String, String)> {
    let hard = quota.at("spec").map("hard").into_iter().flatten();
    hard.filter_map(|(name, _)| kind_of_name(name)).collect()
}

/// What the objects of a quota's namespace use of it, by the names in it. `list` gives the objects of a kind in that
/// namespace; `now` is a `metav1.Time`.
pub fn quota_usage(quota: &Value, now: &str, list: &dyn Fn(&str, &str) -> Vec<Arc<Value>>) -> Value {
    let hard = amounts(quota.at("spec").at("hard"));
    let requirements = scope::of_quota(quota);
    let user = User::default();
    let mut used = Amounts::new();
    for (group, resource) in quota_kinds(quota) {
        let request = Request {
            operation: Operation::Create,
            group: &group,
            version: "",
            kind: "",
            resource: &resource,
            subresource: "",
            namespace: quota.at("metadata").text("namespace"),
            name: "",
            namespaced: true,
            user: &user,
            object: None,
            old: None,
            options: &Value::Null,
            dry_run: false,
            now,
        };
        let evaluator = Evaluator::of(&request);
        let names = evaluator.pertinent(&request, &hard);
        for name in &names {
            used.entry(name.clone()).or_insert_with(|| Quantity::from_i64(0, Format::DecimalSi));
        }
        for object in list(&group, &resource) {
            if requirements.iter().all(|one| scope::matches(evaluator, &object, one)) {
                add(&mut used, &only(&evaluator.usage(&request, &object), &names));
            }
        }
    }
    to_json(&used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn usage_is_counted_from_what_is_there() {
        let quota = json!({
            "metadata": {"namespace": "d"},
            "spec": {"hard": {"pods": "5", "requests.cpu": "2", "count/deployments.apps": "3", "services": "1", "configmaps": "2"}},
        });
        assert_eq!(quota_kinds(&quota).len(), 4);
        let pod = |phase: &str| {
            Arc::new(json!({
                "metadata": {"name": "p"}, "status": {"phase": phase},
                "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "250m"}}}]},
            }))
        };
        let list = |_: &str, resource: &str| match resource {
            "pods" => vec![pod("Running"), pod("Pending"), pod("Succeeded")],
            "deployments" => vec![Arc::new(json!({}))],
            _ => Vec::new(),
        };
        let used = quota_usage(&quota, "2026-01-01T00:00:00Z", &list);
        let expected = json!({
            "pods": "2", "requests.cpu": "500m", "count/deployments.apps": "1", "services": "0", "configmaps": "0",
        });
        assert_eq!(used, expected);
    }

    #[test]
    fn scopes_leave_objects_out() {
        let quota = json!({"spec": {"hard": {"pods": "5"}, "scopes": ["NotBestEffort"]}});
        let best_effort = Arc::new(json!({"spec": {"containers": [{"name": "c"}]}}));
        let used = quota_usage(&quota, "2026-01-01T00:00:00Z", &|_, _| vec![best_effort.clone()]);
        assert_eq!(used, json!({"pods": "0"}));
    }
}
