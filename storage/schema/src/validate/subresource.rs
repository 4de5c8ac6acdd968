//! Validation of updates through subresources besides `status`, and of objects that only subresources take.

use serde_json::Value;

use super::{pod, pod_resize, signing};
use crate::field::{ErrorList, ErrorType, FieldError, Path};
use crate::names;
use crate::view::{View, same};

const SPEC: Path<'static> = Path::new("spec");

/// Findings about an update through the subresource of that name.
pub(super) fn update(group: &str, kind: &str, name: &str, old: &Value, new: &Value, errors: &mut ErrorList) {
    match (group, kind, name) {
        ("", "Pod", "ephemeralcontainers") => ephemeral_containers(old, new, errors),
        ("", "Pod", "resize") => {
            pod_resize::resize(old, new, errors);
            whole_pod(new, ".resources", errors);
        }
        ("", "Namespace", "finalize") => finalizers(new, errors),
        ("certificates.k8s.io", "CertificateSigningRequest", "approval") => {
            signing::approval(old, new, errors);
        }
        _ => {}
    }
}

/// What the rules of whole pods say about the fields with `part` in their name.
fn whole_pod(new: &Value, part: &str, errors: &mut ErrorList) {
    let mut found = ErrorList::new();
    pod::pod(new, &mut found);
    found.retain(|error| error.field.contains(part));
    errors.extend(found);
}

/// Containers may be added; those that are there stay.
fn ephemeral_containers(old: &Value, new: &Value, errors: &mut ErrorList) {
    whole_pod(new, "spec.ephemeralContainers", errors);
    let path = SPEC.child("ephemeralContainers");
    let after = new.at("spec").list("ephemeralContainers");
    for was in old.at("spec").list("ephemeralContainers") {
        let name = was.text("name");
        match after.iter().find(|c| c.text("name") == name) {
            None => {
                let why = format!("existing ephemeral containers \"{name}\" may not be removed\n");
                errors.forbidden(&path, why);
            }
            Some(is) if !same(was, is) => {
                let why = format!("existing ephemeral containers \"{name}\" may not be changed");
                errors.forbidden(&path, super::util::with_changes(&why, was, is));
            }
            Some(_) => {}
        }
    }
}

fn finalizers(new: &Value, errors: &mut ErrorList) {
    let list = SPEC.child("finalizers");
    for (i, name) in new.at("spec").list("finalizers").iter().filter_map(Value::as_str).enumerate() {
        let at = list.index(i);
        for why in names::check_qualified_name(name) {
            errors.invalid_str(&at, name, why);
        }
        if !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid_str(&at, name, why);
        }
    }
}

/// A Binding of a pod to a node.
pub(super) fn binding(object: &Value, errors: &mut ErrorList) {
    let target = object.at("target");
    let path = Path::new("target");
    let kind = target.text("kind");
    if !matches!(kind, "" | "Node") {
        errors.not_supported(&path.child("kind"), kind, &["Node", "<empty>"]);
    }
    if target.text("name").is_empty() {
        errors.required(&path.child("name"), "");
    }
}

/// The parameters of `pods/log`.
pub(super) fn log_options(options: &Value, errors: &mut ErrorList) {
    super::util::not_negative_at(options, "tailLines", errors);
    for name in ["limitBytes", "sinceSeconds"] {
        if options.int(name).is_some_and(|n| n < 1) {
            errors.invalid(&Path::new(name), options.at(name), "must be greater than 0");
        }
    }
    if options.has("sinceSeconds") && options.has("sinceTime") {
        errors.push(FieldError {
            kind: ErrorType::Forbidden,
            // Upstream names an empty path here.
            field: "[]".to_owned(),
            value: String::new(),
            detail: "at most one of `sinceTime` or `sinceSeconds` may be specified".to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ephemeral_containers_only_grow() {
        let pod = |list: Value| {
            json!({"metadata":{"name":"x","namespace":"n"},"spec":{"containers":[{"name":"c","image":"i",
                "terminationMessagePolicy":"File","imagePullPolicy":"Always"}],"dnsPolicy":"Default",
                "restartPolicy":"Always","ephemeralContainers":list}})
        };
        let one =
            json!({"name":"e","image":"i","terminationMessagePolicy":"File","imagePullPolicy":"Always"});
        let found = |old: &Value, new: &Value| {
            let mut errors = ErrorList::new();
            update("", "Pod", "ephemeralcontainers", old, new, &mut errors);
            errors.iter().map(FieldError::message).collect::<Vec<_>>()
        };
        assert_eq!(found(&pod(json!([])), &pod(json!([one]))), [""; 0]);
        assert!(found(&pod(json!([one])), &pod(json!([])))[0].contains("may not be removed"));
        let mut other = one.clone();
        other["image"] = json!("j");
        assert!(found(&pod(json!([one])), &pod(json!([other])))[0].contains("may not be changed"));
    }

    #[test]
    fn logs() {
        let mut errors = ErrorList::new();
        log_options(&json!({"tailLines":-1,"limitBytes":0,"sinceSeconds":1,"sinceTime":"x"}), &mut errors);
        let fields: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["tailLines", "limitBytes", "[]"]);
    }
}
