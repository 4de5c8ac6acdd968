//! What single kinds do besides the common path of a write.

use serde_json::Value;
use trireme_access::rbac::{Escalation, check_write};
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use crate::catalogue::ServedKind;
use crate::scope::Scope;
use crate::server::Server;
use crate::verbs::Writing;

/// Texts for Warning headers of a create.
pub(crate) fn create_warnings(kind: &ServedKind, object: &Value) -> Vec<String> {
    kind.rules.warnings(None, object)
}

/// Checks of a new object before anything else.
pub(crate) fn check_create(server: &Server, scope: &Scope, object: &Value) -> Result<(), Failure> {
    if scope.kind.group == RBAC {
        check_escalation(server, scope, None, object)?;
    }
    Ok(())
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// Nobody gives away more than they hold.
fn check_escalation(server: &Server, scope: &Scope, old: Option<&Value>, new: &Value) -> Result<(), Failure> {
    let escalation = Escalation {
        rbac: &server.rbac,
        authorizer: &*server.authorizer,
        user: &scope.user,
        resource: &scope.kind.plural,
        namespace: scope.namespace(),
        name: &scope.info.name,
    };
    check_write(&escalation, old, new)
}

/// What the server itself says of a new object, after its validation.
pub(crate) fn complete_create(scope: &Scope, object: &mut Value) {
    let local = object.at("spec").at("service").is_null();
    if (scope.kind.group.as_str(), scope.kind.kind.as_str()) == ("apiregistration.k8s.io", "APIService")
        && local
    {
        let available = serde_json::json!({"type": "Available", "status": "True", "reason": "Local",
            "message": "Local APIServices are always available", "lastTransitionTime": scope.now});
        object.put("status", serde_json::json!({"conditions": [available]}));
    }
}

/// Fills in what the request itself says, such as who asks for a certificate.
pub(crate) fn prepare_create(writing: &Writing<'_>, object: &mut Value) -> Result<(), Failure> {
    let scope = writing.scope;
    match (scope.kind.group.as_str(), scope.kind.kind.as_str()) {
        ("certificates.k8s.io", "CertificateSigningRequest") => {
            let user = &scope.user;
            if let Some(spec) = object.object("spec") {
                for name in ["username", "uid", "groups", "extra"] {
                    spec.remove(name);
                }
                if !user.name.is_empty() {
                    spec.put("username", user.name.clone());
                }
                if !user.uid.is_empty() {
                    spec.put("uid", user.uid.clone());
                }
                if !user.groups.is_empty() {
                    spec.put("groups", user.groups.clone());
                }
                if !user.extra.is_empty() {
                    spec.put("extra", serde_json::json!(user.extra));
                }
            }
        }
        ("", "Service") => service_families(object),
        _ => {}
    }
    Ok(())
}

/// Checks of an update before anything else.
pub(crate) fn check_update(server: &Server, scope: &Scope, old: &Value, new: &Value) -> Result<(), Failure> {
    if scope.kind.group == RBAC {
        check_escalation(server, scope, Some(old), new)?;
    }
    Ok(())
}

/// Fills in what the kind's allocator and storage add to an update before validation.
pub(crate) fn prepare_update(writing: &Writing<'_>, old: &Value, new: &mut Value) -> Result<(), Failure> {
    let kind = &writing.scope.kind;
    if (kind.group.as_str(), kind.kind.as_str()) == ("", "Service")
        && writing.scope.info.subresource.is_empty()
    {
        trireme_schema::request::keep_allocated(old, new);
        service_families(new);
    }
    if kind.kind == "CertificateSigningRequest" && !writing.scope.info.subresource.is_empty() {
        condition_times(old, new, &writing.scope.now);
    }
    Ok(())
}

/// Conditions without times get them: a condition that was there keeps its own.
fn condition_times(old: &Value, new: &mut Value, now: &str) {
    let before = old.at("status").list("conditions");
    let Some(status) = new.get_some("status") else { return };
    for condition in status.items("conditions") {
        condition.default_text("lastUpdateTime", now);
        let same = before.iter().find(|other| {
            other.text("type") == condition.text("type")
                && other.text("status") == condition.text("status")
                && other.has("lastTransitionTime")
        });
        let time = same.map_or(now, |other| other.text("lastTransitionTime")).to_owned();
        condition.default_text("lastTransitionTime", &time);
    }
}

/// The second form of a Service's address, from the first.
fn service_families(service: &mut Value) {
    let Some(spec) = service.get_some("spec") else { return };
    if spec.text("type") == "ExternalName" {
        return;
    }
    if spec.has("clusterIP") && !spec.has("clusterIPs") {
        let address = spec.at("clusterIP").clone();
        spec.put("clusterIPs", vec![address]);
    }
}

/// Whether an update takes away the last thing that held a deleted object.
pub(crate) fn is_gone(scope: &Scope, old: &Value, new: &Value) -> bool {
    let (before, after) = (old.at("metadata"), new.at("metadata"));
    let held = !after.list("finalizers").is_empty()
        || before.int("deletionGracePeriodSeconds").is_some_and(|seconds| seconds > 0)
        || ((scope.kind.group.as_str(), scope.kind.kind.as_str()) == ("", "Namespace")
            && !new.at("spec").list("finalizers").is_empty());
    before.has("deletionTimestamp") && !held
}
