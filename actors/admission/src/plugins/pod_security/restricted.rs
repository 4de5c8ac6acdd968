//! The restricted standard: what hardened pods do without.

use std::collections::BTreeSet;

use serde_json::Value;
use trireme_schema::view::View;

use super::baseline::{added_besides, seccomp_set_to_other};
use super::finding::{Finding, Subject, containers_named, plural, setters};
use crate::refuse::quoted;

pub(super) fn escalation(subject: Subject<'_>) -> Option<Finding> {
    let names = subject.names(|container| {
        container.at("securityContext").at("allowPrivilegeEscalation") != &Value::Bool(false)
    });
    if names.is_empty() {
        return None;
    }
    let detail =
        format!("{} must set securityContext.allowPrivilegeEscalation=false", containers_named(&names));
    Finding::new("allowPrivilegeEscalation != false", detail)
}

pub(super) fn escalation_not_windows(subject: Subject<'_>) -> Option<Finding> {
    if subject.is_windows() { None } else { escalation(subject) }
}

pub(super) fn capabilities(subject: Subject<'_>) -> Option<Finding> {
    let added = |container: &Value| added_besides(container, &["NET_BIND_SERVICE"]);
    let keeps = |container: &Value| {
        let dropped = container.below(&["securityContext", "capabilities"]).list("drop");
        !dropped.iter().any(|name| name == "ALL")
    };
    let keeping = subject.names(keeps);
    let adding = subject.names(|container| !added(container).is_empty());
    let mut details = Vec::new();
    if !keeping.is_empty() {
        let who = containers_named(&keeping);
        details.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    if !adding.is_empty() {
        let all: BTreeSet<String> = subject.containers().flat_map(added).collect();
        let who = containers_named(&adding);
        details.push(format!("{who} must not include {} in securityContext.capabilities.add", quoted(all)));
    }
    if details.is_empty() { None } else { Finding::new("unrestricted capabilities", details.join("; ")) }
}

pub(super) fn capabilities_not_windows(subject: Subject<'_>) -> Option<Finding> {
    if subject.is_windows() { None } else { capabilities(subject) }
}

pub(super) fn volumes(subject: Subject<'_>) -> Option<Finding> {
    const ALLOWED: [&str; 9] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let source = |volume: &'_ Value| -> String {
        let fields = volume.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let source = fields.map(|(name, _)| name.as_str()).find(|&name| name != "name");
        source.unwrap_or("unknown").to_owned()
    };
    let bad = |volume: &&Value| !ALLOWED.iter().any(|allowed| volume.has(allowed));
    let found: Vec<&Value> = subject.spec.list("volumes").iter().filter(bad).collect();
    if found.is_empty() {
        return None;
    }
    let kinds: BTreeSet<String> = found.iter().map(|volume| source(volume)).collect();
    let detail = format!(
        "{} {} {} {} {}",
        plural("volume", found.len()),
        quoted(found.iter().map(|volume| volume.text("name"))),
        if found.len() == 1 { "uses" } else { "use" },
        plural("restricted volume type", kinds.len()),
        quoted(&kinds)
    );
    Finding::new("restricted volume types", detail)
}

pub(super) fn non_root(subject: Subject<'_>) -> Option<Finding> {
    const REASON: &str = "runAsNonRoot != true";
    let asked = |context: &Value| context.at("runAsNonRoot").as_bool();
    let pod = asked(subject.security());
    let of = |container: &Value| asked(container.at("securityContext"));
    let bad = subject.names(|container| of(container) == Some(false));
    let silent = subject.names(|container| of(container).is_none());
    let pod_bad = pod == Some(false);
    if pod_bad || !bad.is_empty() {
        let who = setters(pod_bad, &bad);
        return Finding::new(REASON, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    if pod == Some(true) || silent.is_empty() {
        return None;
    }
    let who = containers_named(&silent);
    Finding::new(REASON, format!("pod or {who} must set securityContext.runAsNonRoot=true"))
}

pub(super) fn non_root_of_host_users(subject: Subject<'_>) -> Option<Finding> {
    if subject.is_user_namespaced() { None } else { non_root(subject) }
}

pub(super) fn user(subject: Subject<'_>) -> Option<Finding> {
    let root = |context: &Value| context.int("runAsUser") == Some(0);
    let pod = root(subject.security());
    let names = subject.names(|container| root(container.at("securityContext")));
    if !pod && names.is_empty() {
        return None;
    }
    Finding::new("runAsUser=0", format!("{} must not set runAsUser=0", setters(pod, &names)))
}

pub(super) fn user_of_host_users(subject: Subject<'_>) -> Option<Finding> {
    if subject.is_user_namespaced() { None } else { user(subject) }
}

pub(super) fn seccomp(subject: Subject<'_>) -> Option<Finding> {
    let allowed = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    if let Some(finding) = seccomp_set_to_other(subject, |kind| !allowed(kind)) {
        return Some(finding);
    }
    let silent = subject.names(|container| !container.at("securityContext").has("seccompProfile"));
    if subject.security().has("seccompProfile") || silent.is_empty() {
        return None;
    }
    let who = containers_named(&silent);
    let wanted = "\"RuntimeDefault\" or \"Localhost\"";
    let detail = format!("pod or {who} must set securityContext.seccompProfile.type to {wanted}");
    Finding::new("seccompProfile", detail)
}

pub(super) fn seccomp_not_windows(subject: Subject<'_>) -> Option<Finding> {
    if subject.is_windows() { None } else { seccomp(subject) }
}
