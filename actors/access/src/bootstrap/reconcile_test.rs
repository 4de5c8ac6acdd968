use serde_json::{Value, json};
use trireme_schema::objects::MemoryObjects;
use trireme_schema::view::View;

use super::*;

const NOW: &str = "2001-01-01T00:00:00Z";

fn made() -> MemoryObjects {
    let mut objects = MemoryObjects::default();
    for step in reconcile(&objects.clone(), NOW) {
        assert!(matches!(step, Step::Create(_)));
        let initial = step.object();
        objects.put(initial.group, initial.resource, initial.object.clone());
    }
    objects
}

const RBAC: &str = "rbac.authorization.k8s.io";

fn change(
    objects: &mut MemoryObjects,
    group: &str,
    resource: &str,
    name: &str,
    edit: impl FnOnce(&mut Value),
) {
    let mut object = (*objects.get(group, resource, "", name).unwrap()).clone();
    edit(&mut object);
    objects.put(group, resource, object);
}

#[test]
fn a_healthy_cluster_needs_nothing() {
    assert_eq!(reconcile(&made(), NOW), []);
}

#[test]
fn missing_rules_and_subjects_come_back_and_additions_stay() {
    let mut objects = made();
    let extra = json!({"verbs":["get"],"apiGroups":["x"],"resources":["y"]});
    change(&mut objects, RBAC, "clusterroles", "system:basic-user", |role| role["rules"] = json!([extra]));
    change(&mut objects, RBAC, "clusterrolebindings", "system:discovery", |binding| {
        binding["subjects"] = json!([{"kind":"User","name":"bob"}]);
    });
    let steps = reconcile(&objects, NOW);
    assert_eq!(steps.len(), 2);
    for step in steps {
        let Step::Update(healed) = step else { panic!("an update") };
        if healed.resource == "clusterroles" {
            assert_eq!(healed.object["rules"][0], extra);
            assert!(healed.object.list("rules").len() > 1);
        } else {
            assert_eq!(healed.object["subjects"][0]["name"], "bob");
            assert_eq!(healed.object["subjects"][1]["name"], "system:authenticated");
        }
    }
}

#[test]
fn protected_objects_stay_and_a_changed_role_is_bound_anew() {
    let mut objects = made();
    change(&mut objects, RBAC, "clusterroles", "view", |role| {
        role["metadata"]["annotations"] = json!({"rbac.authorization.kubernetes.io/autoupdate":"false"});
        role["aggregationRule"] = Value::Null;
    });
    assert_eq!(reconcile(&objects, NOW), []);
    change(&mut objects, RBAC, "clusterrolebindings", "system:basic-user", |binding| {
        binding["roleRef"]["name"] = json!("cluster-admin");
    });
    let steps = reconcile(&objects, NOW);
    assert!(
        matches!(&steps[..], [Step::Recreate(binding)] if binding.name() == "system:basic-user"),
        "{steps:?}"
    );
}

#[test]
fn flow_control_follows_unless_taken_over() {
    let mut objects = made();
    let group = "flowcontrol.apiserver.k8s.io";
    let edit = |object: &mut Value| object["spec"]["matchingPrecedence"] = json!(7);
    change(&mut objects, group, "flowschemas", "probes", edit);
    let steps = reconcile(&objects, NOW);
    assert!(matches!(&steps[..], [Step::Update(healed)] if healed.object["spec"]["matchingPrecedence"] == 2));
    change(&mut objects, group, "flowschemas", "probes", |object| {
        object["metadata"]["annotations"]["apf.kubernetes.io/autoupdate-spec"] = json!("false");
    });
    assert_eq!(reconcile(&objects, NOW), []);
    change(&mut objects, group, "flowschemas", "catch-all", |object| {
        object["metadata"]["annotations"] = json!({"apf.kubernetes.io/autoupdate-spec": "false"});
    });
    assert_eq!(reconcile(&objects, NOW).len(), 1);
    objects.put(
        group,
        "flowschemas",
        json!({"metadata":{"name":"old","generation":1,
        "annotations":{"apf.kubernetes.io/autoupdate-spec":"true"}},"spec":{}}),
    );
    let steps = reconcile(&objects, NOW);
    assert!(steps.iter().any(|step| matches!(step, Step::Delete(old) if old.name() == "old")));
}
