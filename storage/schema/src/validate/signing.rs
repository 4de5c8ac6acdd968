//! Validation of certificate signing requests: the request, its approval, its status.

use serde_json::{Value, json};

use super::util::{complain, strings};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

const SPEC: Path<'static> = Path::new("spec");

pub(super) fn signing_request(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let body = super::config::decode_base64(spec.text("request"));
    let text = String::from_utf8_lossy(&body);
    if !text.contains("-----BEGIN CERTIFICATE REQUEST-----") {
        let shown: Vec<String> = body.iter().map(|b| format!("0x{b:x}")).collect();
        let shown = format!("[]byte{{{}}}", shown.join(", "));
        errors.invalid_text(&SPEC.child("request"), shown, "PEM block type must be CERTIFICATE REQUEST");
    }
    let usages = SPEC.child("usages");
    let list = strings(spec.list("usages"));
    if list.is_empty() {
        errors.required(&usages, "usages must contain at least one value");
    }
    for (i, usage) in list.iter().enumerate() {
        if list[..i].contains(usage) {
            errors.duplicate(&usages.index(i), &json!(usage));
        }
    }
    signer_name(spec.text("signerName"), errors);
    if spec.int("expirationSeconds").is_some_and(|s| s < 600) {
        let text = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.invalid(&SPEC.child("expirationSeconds"), spec.at("expirationSeconds"), text);
    }
}

fn signer_name(name: &str, errors: &mut ErrorList) {
    let path = SPEC.child("signerName");
    if name.is_empty() {
        errors.required(&path, "");
        return;
    }
    let form = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        errors.invalid_str(&path, name, form);
        return;
    };
    if domain.is_empty() || rest.is_empty() {
        errors.invalid_str(&path, name, form);
    } else {
        complain(&path, domain, names::check_dns1123_subdomain(domain), errors);
        complain(&path, rest, names::check_dns1123_subdomain(rest), errors);
        if !domain.contains('.') {
            errors.invalid_str(
                &path,
                name,
                "should be a domain with at least two segments separated by dots",
            );
        }
    }
    if name == "kubernetes.io/legacy-unknown" {
        errors.invalid_str(&path, name, "the legacy signerName is not allowed via this API version");
    }
}

const STATUS: Path<'static> = Path::new("status");

/// Findings about the approval of a request.
pub(super) fn approval(old: &Value, new: &Value, errors: &mut ErrorList) {
    conditions(new, errors);
    for kind in ["Approved", "Denied", "Failed"] {
        let has =
            |object: &Value| object.at("status").list("conditions").iter().any(|c| c.text("type") == kind);
        if has(old) && !has(new) {
            let why = format!("updates may not remove a condition of type \"{kind}\"");
            errors.forbidden(&STATUS.child("conditions"), why);
        }
    }
}

/// Findings about what a signer writes.
pub(super) fn signed(old: &Value, new: &Value, errors: &mut ErrorList) {
    let list = STATUS.child("conditions");
    for kind in ["Approved", "Denied"] {
        let count = |object: &Value| {
            object.at("status").list("conditions").iter().filter(|c| c.text("type") == kind).count()
        };
        let (was, is) = (count(old), count(new));
        if is != was {
            let verb = if is > was { "add" } else { "remove" };
            errors.forbidden(&list, format!("updates may not {verb} a condition of type \"{kind}\""));
        }
    }
    conditions(new, errors);
    let (before, after) = (old.at("status").text("certificate"), new.at("status").text("certificate"));
    if !before.is_empty() && before != after {
        let why = "updates may not modify existing certificate content";
        errors.forbidden(&STATUS.child("certificate"), why);
    }
}

fn conditions(new: &Value, errors: &mut ErrorList) {
    let list = STATUS.child("conditions");
    let all = new.at("status").list("conditions");
    let has = |kind: &str| all.iter().any(|c| c.text("type") == kind);
    for (i, condition) in all.iter().enumerate() {
        let at = list.index(i);
        let (kind, status) = (condition.text("type"), condition.text("status"));
        if kind.is_empty() {
            errors.required(&at.child("type"), "");
        } else if all[..i].iter().any(|other| other.text("type") == kind) {
            errors.duplicate(&at.child("type"), &kind.into());
        }
        let allowed: &[&str] = match kind {
            "Approved" | "Denied" | "Failed" => &["True"],
            _ => &["True", "False", "Unknown"],
        };
        if status.is_empty() {
            errors.required(&at.child("status"), "");
        } else if !allowed.contains(&status) {
            errors.not_supported(&at.child("status"), status, allowed);
        }
        let rival = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => continue,
        };
        if has(rival) {
            let why = "Approved and Denied conditions are mutually exclusive";
            errors.invalid_str(&at.child("type"), kind, why);
        }
    }
}

/// A ClusterTrustBundle: certificates that a signer (or nobody in particular) vouches for.
pub(super) fn trust_bundle(object: &Value, errors: &mut ErrorList) {
    let (spec, name) = (object.at("spec"), object.at("metadata").text("name"));
    let signer = spec.text("signerName");
    let at = Path::new("metadata");
    if signer.is_empty() {
        if name.contains(':') {
            let why = "ClusterTrustBundle without signer name must not have \":\" in its name";
            errors.invalid_str(&at.child("name"), name, why);
        }
    } else {
        signer_name(signer, errors);
        let prefix = format!("{}:", signer.replace('/', ":"));
        if !name.starts_with(&prefix) {
            let why =
                format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}");
            errors.invalid_str(&at.child("name"), name, why);
        }
    }
    if !spec.text("trustBundle").contains("-----BEGIN CERTIFICATE-----") {
        let why = "at least one trust anchor must be provided";
        errors.invalid_text(&SPEC.child("trustBundle"), "<value omitted>", why);
    }
}

pub(super) fn trust_bundle_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if old.at("spec").text("signerName") != new.at("spec").text("signerName") {
        errors.invalid(&SPEC.child("signerName"), new.at("spec").at("signerName"), super::util::IMMUTABLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&Value, &Value, &mut ErrorList), old: Value, new: Value) -> Vec<String> {
        let mut errors = ErrorList::new();
        check(&json!({"status": old}), &json!({"status": new}), &mut errors);
        errors.iter().map(crate::field::FieldError::message).collect()
    }

    #[test]
    fn approvals() {
        let approved = json!({"conditions":[{"type":"Approved","status":"True"}]});
        assert_eq!(found(approval, json!({}), approved.clone()), [""; 0]);
        assert!(found(signed, json!({}), approved.clone())[0].contains("may not add a condition"));
        assert!(found(approval, approved, json!({}))[0].contains("may not remove a condition"));
        assert_eq!(
            found(
                approval,
                json!({}),
                json!({"conditions":[{"type":"Approved","status":"False"},{"type":"Denied","status":"True"}]})
            ),
            [
                "status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\"",
                "status.conditions[0].type: Invalid value: \"Approved\": Approved and Denied conditions are mutually exclusive",
                "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"
            ]
        );
        assert_eq!(
            found(signed, json!({"certificate":"YQ=="}), json!({"certificate":""})),
            ["status.certificate: Forbidden: updates may not modify existing certificate content"]
        );
    }
}
