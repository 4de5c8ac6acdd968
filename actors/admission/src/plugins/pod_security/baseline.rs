//! The baseline standard: nothing that is known to lead out of the container.

use std::collections::BTreeSet;

use serde_json::Value;
use trireme_schema::view::View;

use super::finding::{Finding, Subject, containers_named, plural, setters};
use crate::refuse::quoted;

/// Seccomp profile of a pod, before there was a field for it.
pub(super) const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// The same for a container, whose name follows.
pub(super) const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// What containers have without asking.
const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub(super) fn capabilities(subject: Subject<'_>) -> Option<Finding> {
    let added = |container: &Value| added_besides(container, &DEFAULT_CAPABILITIES);
    let names = subject.names(|container| !added(container).is_empty());
    let all: BTreeSet<String> = subject.containers().flat_map(added).collect();
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} must not include {} in securityContext.capabilities.add",
        containers_named(&names),
        quoted(all)
    );
    Finding::new("non-default capabilities", detail)
}

/// The capabilities that a container adds besides the allowed ones.
pub(super) fn added_besides(container: &Value, allowed: &[&str]) -> Vec<String> {
    let added = container.below(&["securityContext", "capabilities"]).list("add").iter();
    added.filter_map(Value::as_str).filter(|name| !allowed.contains(name)).map(str::to_owned).collect()
}

pub(super) fn host_namespaces(subject: Subject<'_>) -> Option<Finding> {
    let fields = ["hostNetwork", "hostPID", "hostIPC"];
    let set: Vec<String> = fields
        .iter()
        .filter(|field| subject.spec.is_true(field))
        .map(|field| format!("{field}=true"))
        .collect();
    if set.is_empty() { None } else { Finding::new("host namespaces", set.join(", ")) }
}

pub(super) fn host_path(subject: Subject<'_>) -> Option<Finding> {
    let volumes = subject.spec.list("volumes").iter().filter(|volume| volume.has("hostPath"));
    let names: Vec<&str> = volumes.map(|volume| volume.text("name")).collect();
    if names.is_empty() {
        return None;
    }
    Finding::new("hostPath volumes", format!("{} {}", plural("volume", names.len()), quoted(&names)))
}

pub(super) fn host_ports(subject: Subject<'_>) -> Option<Finding> {
    let ports = |container: &Value| -> Vec<String> {
        let ports = container.list("ports").iter().filter_map(|port| port.int("hostPort"));
        ports.filter(|&port| port != 0).map(|port| port.to_string()).collect()
    };
    let names = subject.names(|container| !ports(container).is_empty());
    let all: BTreeSet<String> = subject.containers().flat_map(ports).collect();
    if names.is_empty() {
        return None;
    }
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let what = plural("hostPort", all.len());
    let listed = all.into_iter().collect::<Vec<_>>().join(", ");
    let detail = format!("{} {verb} {what} {listed}", containers_named(&names));
    Finding::new(what, detail)
}

/// Probes and hooks that call another host than the pod.
pub(super) fn host_probes(subject: Subject<'_>) -> Option<Finding> {
    let hosts = |container: &Value| -> Vec<String> {
        let lifecycle = container.at("lifecycle");
        let handlers = [
            container.at("livenessProbe"),
            container.at("readinessProbe"),
            container.at("startupProbe"),
            lifecycle.at("postStart"),
            lifecycle.at("preStop"),
        ];
        let hosts = handlers
            .into_iter()
            .flat_map(|handler| [handler.at("httpGet").text("host"), handler.at("tcpSocket").text("host")]);
        hosts.filter(|host| !host.is_empty()).map(str::to_owned).collect()
    };
    let names: BTreeSet<&str> = subject.names(|container| !hosts(container).is_empty()).into_iter().collect();
    if names.is_empty() {
        return None;
    }
    let names: Vec<&str> = names.into_iter().collect();
    let all: BTreeSet<String> = subject.containers().flat_map(hosts).collect();
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let what = plural("probe or lifecycle host", all.len());
    let detail = format!("{} {verb} {what} {}", containers_named(&names), quoted(&all));
    Finding::new("probe or lifecycle host", detail)
}

pub(super) fn privileged(subject: Subject<'_>) -> Option<Finding> {
    let names = subject.names(|container| container.at("securityContext").is_true("privileged"));
    if names.is_empty() {
        return None;
    }
    let detail = format!("{} must not set securityContext.privileged=true", containers_named(&names));
    Finding::new("privileged", detail)
}

pub(super) fn seccomp_annotations(subject: Subject<'_>) -> Option<Finding> {
    let annotations = subject.metadata.at("annotations");
    let allowed =
        |text: &str| matches!(text, "runtime/default" | "docker/default") || text.starts_with("localhost/");
    let keys = subject.containers().map(|container| format!("{SECCOMP_CONTAINER}{}", container.text("name")));
    let bad: BTreeSet<String> = std::iter::once(SECCOMP_POD.to_owned())
        .chain(keys)
        .filter(|key| annotations.has(key) && !allowed(annotations.text(key)))
        .map(|key| format!("{key}={:?}", annotations.text(&key)))
        .collect();
    if bad.is_empty() {
        return None;
    }
    let what = plural("annotation", bad.len());
    let listed = bad.into_iter().collect::<Vec<_>>().join(", ");
    Finding::new("seccompProfile", format!("forbidden {what} {listed}"))
}

pub(super) fn seccomp(subject: Subject<'_>) -> Option<Finding> {
    seccomp_set_to_other(subject, |kind| kind == "Unconfined")
}

/// Profiles that are set to a type that `bad` picks.
pub(super) fn seccomp_set_to_other(subject: Subject<'_>, bad: impl Fn(&str) -> bool) -> Option<Finding> {
    let kind = |context: &Value| context.at("seccompProfile").text("type").to_owned();
    let is_bad = |context: &Value| context.has("seccompProfile") && bad(&kind(context));
    let pod = is_bad(subject.security());
    let names = subject.names(|container| is_bad(container.at("securityContext")));
    if !pod && names.is_empty() {
        return None;
    }
    let contexts = subject.containers().map(|container| container.at("securityContext"));
    let kinds: BTreeSet<String> =
        contexts.chain([subject.security()]).filter(|context| is_bad(context)).map(kind).collect();
    let detail = format!(
        "{} must not set securityContext.seccompProfile.type to {}",
        setters(pod, &names),
        quoted(kinds)
    );
    Finding::new("seccompProfile", detail)
}

pub(super) fn host_process(subject: Subject<'_>) -> Option<Finding> {
    let set = |context: &Value| context.at("windowsOptions").is_true("hostProcess");
    let pod = set(subject.security());
    let names = subject.names(|container| set(container.at("securityContext")));
    if !pod && names.is_empty() {
        return None;
    }
    let detail =
        format!("{} must not set securityContext.windowsOptions.hostProcess=true", setters(pod, &names));
    Finding::new("hostProcess", detail)
}
