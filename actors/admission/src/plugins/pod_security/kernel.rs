//! Baseline checks of what a pod asks of the kernel: mandatory access control, /proc, sysctls.

use std::collections::BTreeSet;

use serde_json::Value;
use trireme_schema::view::View;

use super::finding::{Finding, Subject, containers_named, plural, setters};
use crate::refuse::quoted;

const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn app_armor(subject: Subject<'_>) -> Option<Finding> {
    let bad = |context: &Value| {
        let profile = context.at("appArmorProfile");
        !profile.is_null() && !["RuntimeDefault", "Localhost"].contains(&profile.text("type"))
    };
    let kind = |context: &Value| context.at("appArmorProfile").text("type").to_owned();
    let mut who = Vec::new();
    let mut values = BTreeSet::new();
    if bad(subject.security()) {
        who.push("pod".to_owned());
        values.insert(kind(subject.security()));
    }
    let names = subject.names(|container| bad(container.at("securityContext")));
    if !names.is_empty() {
        who.push(containers_named(&names));
        let contexts = subject.containers().map(|container| container.at("securityContext"));
        values.extend(contexts.filter(|context| bad(context)).map(kind));
    }
    let allowed = |text: &str| matches!(text, "" | "runtime/default") || text.starts_with("localhost/");
    let annotations = subject.metadata.map("annotations").into_iter().flatten();
    let forbidden: Vec<String> = annotations
        .map(|(key, value)| (key, value.as_str().unwrap_or("")))
        .filter(|(key, value)| key.starts_with(APP_ARMOR_ANNOTATION) && !allowed(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    if !forbidden.is_empty() {
        who.push(plural("annotation", forbidden.len()));
        values.extend(forbidden);
    }
    if who.is_empty() {
        return None;
    }
    let reason = plural("forbidden AppArmor profile", values.len());
    let detail = format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(values));
    Finding::new(reason, detail)
}

pub(super) fn proc_mount(subject: Subject<'_>) -> Option<Finding> {
    let kind = |container: &Value| container.at("securityContext").text("procMount").to_owned();
    let bad = |container: &Value| !["", "Default"].contains(&kind(container).as_str());
    let names = subject.names(bad);
    if names.is_empty() {
        return None;
    }
    let kinds: BTreeSet<String> = subject.containers().filter(|container| bad(container)).map(kind).collect();
    let detail =
        format!("{} must not set securityContext.procMount to {}", containers_named(&names), quoted(kinds));
    Finding::new("procMount", detail)
}

pub(super) fn proc_mount_of_host_users(subject: Subject<'_>) -> Option<Finding> {
    if subject.is_user_namespaced() { None } else { proc_mount(subject) }
}

const SELINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

pub(super) fn selinux(subject: Subject<'_>) -> Option<Finding> {
    selinux_besides(subject, &SELINUX_TYPES[..4])
}

pub(super) fn selinux_with_engine(subject: Subject<'_>) -> Option<Finding> {
    selinux_besides(subject, &SELINUX_TYPES)
}

fn selinux_besides(subject: Subject<'_>, allowed: &[&str]) -> Option<Finding> {
    let options = |context: &'_ Value| context.at("seLinuxOptions").clone();
    let bad = |context: &Value| {
        let options = options(context);
        let named = !options.text("user").is_empty() || !options.text("role").is_empty();
        named || !allowed.contains(&options.text("type"))
    };
    let pod = bad(subject.security());
    let names = subject.names(|container| bad(container.at("securityContext")));
    if !pod && names.is_empty() {
        return None;
    }
    let contexts = subject.containers().map(|container| container.at("securityContext"));
    let all: Vec<Value> = contexts.chain([subject.security()]).map(options).collect();
    let kinds: BTreeSet<&str> =
        all.iter().map(|o| o.text("type")).filter(|kind| !allowed.contains(kind)).collect();
    let mut data = Vec::new();
    if !kinds.is_empty() {
        data.push(format!("{} {}", plural("type", kinds.len()), quoted(kinds)));
    }
    for field in ["user", "role"] {
        if all.iter().any(|options| !options.text(field).is_empty()) {
            data.push(format!("{field} may not be set"));
        }
    }
    let detail =
        format!("{} set forbidden securityContext.seLinuxOptions: {}", setters(pod, &names), data.join("; "));
    Finding::new("seLinuxOptions", detail)
}

/// Sysctls that count for the pod alone: five at first, then one, four and two more.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

pub(super) fn sysctls_first(subject: Subject<'_>) -> Option<Finding> {
    sysctls_besides(subject, &SYSCTLS[..5])
}

pub(super) fn sysctls_27(subject: Subject<'_>) -> Option<Finding> {
    sysctls_besides(subject, &SYSCTLS[..6])
}

pub(super) fn sysctls_29(subject: Subject<'_>) -> Option<Finding> {
    sysctls_besides(subject, &SYSCTLS[..10])
}

pub(super) fn sysctls_32(subject: Subject<'_>) -> Option<Finding> {
    sysctls_besides(subject, &SYSCTLS)
}

fn sysctls_besides(subject: Subject<'_>, allowed: &[&str]) -> Option<Finding> {
    let names = subject.security().list("sysctls").iter().map(|sysctl| sysctl.text("name"));
    let bad: Vec<&str> = names.filter(|name| !allowed.contains(name)).collect();
    if bad.is_empty() { None } else { Finding::new("forbidden sysctls", bad.join(", ")) }
}
