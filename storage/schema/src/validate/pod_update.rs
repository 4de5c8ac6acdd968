//! What an update may change in a pod.

use serde_json::Value;

use crate::field::{ErrorList, Path};
use crate::view::{Edit, View, same};

const SPEC: Path<'static> = Path::new("spec");
const ONLY: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec"), new.at("spec"));
    for (list, text) in [
        ("containers", "pod updates may not add or remove containers"),
        ("initContainers", "pod updates may not add or remove containers"),
    ] {
        if before.list(list).len() != after.list(list).len() {
            errors.forbidden(&SPEC.child(list), text);
            return;
        }
    }
    for list in ["containers", "initContainers"] {
        let path = SPEC.child(list);
        for (i, container) in after.list(list).iter().enumerate() {
            if container.text("image").trim().is_empty() {
                errors.required(&path.index(i).child("image"), "");
            }
        }
    }
    deadline(before, after, errors);
    let gated = !before.list("schedulingGates").is_empty();
    gates(before, after, errors);
    tolerations(before, after, errors);
    let (was, is) = (frozen(before, before, gated), frozen(after, before, gated));
    if !same(&was, &is) {
        errors.forbidden(&SPEC, super::util::with_changes(ONLY, &was, &is));
    }
}

fn deadline(before: &Value, after: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("activeDeadlineSeconds");
    let (old, new) = (before.int("activeDeadlineSeconds"), after.int("activeDeadlineSeconds"));
    match (old, new) {
        (_, Some(new)) if new < 0 || new > i64::from(i32::MAX) => {
            let text = format!("must be between 0 and {}, inclusive", i32::MAX);
            errors.invalid(&path, after.at("activeDeadlineSeconds"), text);
        }
        (Some(old), Some(new)) if new > old => {
            errors.invalid(
                &path,
                after.at("activeDeadlineSeconds"),
                "must be less than or equal to previous value",
            );
        }
        (Some(_), None) => {
            errors.invalid_text(&path, "null", "must not update from a positive integer to nil value");
        }
        _ => {}
    }
}

fn gates(before: &Value, after: &Value, errors: &mut ErrorList) {
    let list = SPEC.child("schedulingGates");
    let known = before.list("schedulingGates");
    for (i, gate) in after.list("schedulingGates").iter().enumerate() {
        let name = gate.text("name");
        if !known.iter().any(|g| g.text("name") == name) {
            let text = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.forbidden(&list.index(i).child("name"), text);
        }
    }
}

fn tolerations(before: &Value, after: &Value, errors: &mut ErrorList) {
    let without_seconds = |t: &Value| {
        let mut t = t.clone();
        t.remove("tolerationSeconds");
        t
    };
    for old in before.list("tolerations") {
        let kept = after.list("tolerations").iter().any(|t| same(&without_seconds(t), &without_seconds(old)));
        if !kept {
            let text = "existing toleration can not be modified except its tolerationSeconds";
            errors.forbidden(&SPEC.child("tolerations"), text);
            return;
        }
    }
}

/// The spec without what may change.
fn frozen(spec: &Value, old: &Value, gated: bool) -> Value {
    let mut out = spec.clone();
    for list in ["containers", "initContainers"] {
        for container in out.items(list) {
            container.remove("image");
        }
    }
    for name in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        out.remove(name);
    }
    let negative = old.int("terminationGracePeriodSeconds").is_some_and(|g| g < 0);
    if negative && spec.int("terminationGracePeriodSeconds").is_some_and(|g| g == 1 || g < 0) {
        out.remove("terminationGracePeriodSeconds");
    }
    if gated {
        out.remove("nodeSelector");
        if let Some(affinity) = out.get_some("affinity") {
            affinity.remove("nodeAffinity");
        }
    }
    out
}
