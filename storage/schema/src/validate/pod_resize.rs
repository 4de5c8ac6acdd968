//! What `pods/resize` may change (KEP-1287): requests and limits of processor and memory, and resize policies, of
//! containers and restartable init containers.

use serde_json::Value;

use crate::field::{ErrorList, Path};
use crate::view::{Edit, View, same};

const SPEC: Path<'static> = Path::new("spec");
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// Findings about a resize.
pub(super) fn resize(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec"), new.at("spec"));
    if before.at("os").text("name") == "windows" {
        errors.forbidden(&Path::new(""), "windows pods cannot be resized");
    }
    if old.below(&["metadata", "annotations"]).has("kubernetes.io/config.mirror") {
        errors.forbidden(&Path::new(""), "static pods cannot be resized");
    }
    for list in LISTS {
        if before.list(list).len() != after.list(list).len() {
            errors.forbidden(&SPEC.child(list), "containers may not be added or removed on resize");
            return;
        }
    }
    if crate::defaults::qos_class(old) != crate::defaults::qos_class(new) {
        let why = "Pod QOS Class may not change as a result of resizing";
        errors.invalid_str(&Path::new("metadata"), crate::defaults::qos_class(old), why);
    }
    for list in LISTS {
        let path = SPEC.child(list);
        for (i, (was, is)) in before.list(list).iter().zip(after.list(list)).enumerate() {
            let at = path.index(i);
            container(list, was, is, &at.child("resources"), errors);
        }
    }
    let (was, is) = (frozen(before), frozen(after));
    if !same(&was, &is) {
        let why = "only cpu and memory resources are mutable";
        errors.forbidden(&SPEC, super::util::with_changes(why, &was, &is));
    }
}

fn container(list: &str, was: &Value, is: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let (before, after) = (was.at("resources"), is.at("resources"));
    if same(before, after) {
        return;
    }
    if list == "initContainers" && was.text("restartPolicy") != "Always" {
        let why = "resources for non-sidecar init containers are immutable";
        errors.forbidden(path, why);
        return;
    }
    for side in ["requests", "limits"] {
        let at = path.child(side);
        let names = |resources: &Value| -> Vec<String> {
            resources.map(side).into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        for name in names(before) {
            if !after.at(side).has(&name) && matches!(name.as_str(), "cpu" | "memory") {
                errors.forbidden(&at, format!("resource {side} cannot be removed"));
            }
        }
        for name in names(after).into_iter().chain(names(before)) {
            let (old, new) = (before.at(side).at(&name), after.at(side).at(&name));
            if !matches!(name.as_str(), "cpu" | "memory") && old != new {
                errors.forbidden(&at, "only cpu and memory resources are mutable");
                break;
            }
        }
    }
}

/// The spec without what may change.
fn frozen(spec: &Value) -> Value {
    let mut out = spec.clone();
    for list in LISTS {
        for container in out.items(list) {
            container.remove("resources");
            container.remove("resizePolicy");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(resources: Value) -> Value {
        json!({"spec":{"containers":[{"name":"c","image":"i","resources":resources}]}})
    }

    fn found(old: &Value, new: &Value) -> Vec<String> {
        let mut errors = ErrorList::new();
        resize(old, new, &mut errors);
        errors.iter().map(crate::field::FieldError::message).collect()
    }

    #[test]
    fn only_processor_and_memory() {
        let old = pod(json!({"requests":{"cpu":"1","memory":"1Gi"}}));
        assert_eq!(found(&old, &pod(json!({"requests":{"cpu":"2","memory":"1Gi"}}))), [""; 0]);
        assert_eq!(
            found(&old, &pod(json!({"requests":{"cpu":"1"}}))),
            ["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"]
        );
        let grown = pod(json!({"requests":{"cpu":"1","memory":"1Gi","ephemeral-storage":"1Gi"}}));
        assert_eq!(
            found(&old, &grown),
            ["spec.containers[0].resources.requests: Forbidden: only cpu and memory resources are mutable"]
        );
        let mut other = old.clone();
        other["spec"]["containers"][0]["image"] = json!("j");
        assert!(found(&old, &other)[0].contains("only cpu and memory resources are mutable"));
    }

    #[test]
    fn the_class_of_service_stays() {
        let old = pod(json!({"requests":{"cpu":"1","memory":"1Gi"},"limits":{"cpu":"1","memory":"1Gi"}}));
        let new = pod(json!({"requests":{"cpu":"1","memory":"1Gi"},"limits":{"cpu":"2","memory":"1Gi"}}));
        assert!(found(&old, &new)[0].contains("Pod QOS Class may not change"));
    }
}
