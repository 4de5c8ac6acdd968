//! Healing of default roles and bindings: what is missing is added, nothing is taken away.

use serde_json::{Map, Value};
use trireme_schema::view::{Edit, View};

use super::objects::Initial;
use super::reconcile::Step;
use crate::rbac::{PolicyRule, compact, covers};

/// Annotation: `"false"` keeps a start from touching the object.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

fn protected(found: &Value) -> bool {
    found.at("metadata").at("annotations").text(AUTOUPDATE) == "false"
}

/// Adds missing labels and annotations; those that are there keep their values. Tells whether any was added.
fn merge_metadata(found: &mut Value, wanted: &Value) -> bool {
    let mut changed = false;
    for field in ["labels", "annotations"] {
        let Some(wanted) = wanted.at("metadata").map(field) else { continue };
        let own = found.at("metadata").map(field);
        let missing: Map<String, Value> = wanted
            .iter()
            .filter(|(key, _)| own.is_none_or(|own| !own.contains_key(*key)))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if missing.is_empty() {
            continue;
        }
        if let Some(Value::Object(own)) = found.object("metadata").and_then(|m| m.object(field)) {
            own.extend(missing);
            changed = true;
        }
    }
    changed
}

/// Appends to a list field.
fn append(object: &mut Value, field: &str, more: Vec<Value>) {
    let mut list = object.list(field).to_vec();
    list.extend(more);
    object.put(field, list);
}

pub(super) fn role(found: &Value, wanted: Initial) -> Option<Step> {
    if protected(found) {
        return None;
    }
    let mut object = found.clone();
    let mut changed = merge_metadata(&mut object, &wanted.object);
    let missing = covers(&PolicyRule::of_role(found), &PolicyRule::of_role(&wanted.object));
    if !missing.is_empty() {
        changed = true;
        append(&mut object, "rules", compact(&missing).iter().map(PolicyRule::to_value).collect());
    }
    let selectors = |role: &Value| role.at("aggregationRule").list("clusterRoleSelectors").to_vec();
    let own = selectors(found);
    let missing: Vec<Value> =
        selectors(&wanted.object).into_iter().filter(|selector| !own.contains(selector)).collect();
    if !missing.is_empty() {
        changed = true;
        if let Some(rule) = object.object("aggregationRule") {
            append(rule, "clusterRoleSelectors", missing);
        }
    }
    changed.then_some(Step::Update(Initial { object, ..wanted }))
}

pub(super) fn binding(found: &Value, wanted: Initial) -> Option<Step> {
    if protected(found) {
        return None;
    }
    let role = |binding: &Value| {
        let role = binding.at("roleRef");
        (role.text("kind").to_owned(), role.text("name").to_owned())
    };
    if role(found) != role(&wanted.object) {
        return Some(Step::Recreate(wanted));
    }
    let mut object = found.clone();
    let mut changed = merge_metadata(&mut object, &wanted.object);
    let whom = |subject: &Value| ["kind", "namespace", "name"].map(|field| subject.text(field).to_owned());
    let own: Vec<_> = found.list("subjects").iter().map(whom).collect();
    let missing: Vec<Value> = wanted
        .object
        .list("subjects")
        .iter()
        .filter(|subject| !own.contains(&whom(subject)))
        .cloned()
        .collect();
    if !missing.is_empty() {
        changed = true;
        append(&mut object, "subjects", missing);
    }
    changed.then_some(Step::Update(Initial { object, ..wanted }))
}
