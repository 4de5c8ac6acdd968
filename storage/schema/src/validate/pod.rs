//! Validation of pods and pod templates: the pod as a whole. Containers are in `container.rs`, scheduling in
//! `scheduling.rs`, volumes in `volume.rs`.

use serde_json::Value;

use super::container;
use super::scheduling;
use super::util::{complain, labels, parse_ip};
use super::volume;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

pub(super) use super::scheduling::{node_selector, taints, tolerations};

pub(super) fn pod(object: &Value, errors: &mut ErrorList) {
    let spec = Path::new("spec");
    pod_spec(object.at("spec"), &spec, errors);
    pod_annotations(object, errors);
}

fn pod_annotations(object: &Value, errors: &mut ErrorList) {
    const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
    const MIRROR: &str = "kubernetes.io/config.mirror";
    let meta = Path::new("metadata");
    let path = meta.child("annotations");
    let spec = object.at("spec");
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    for (key, value) in object.at("metadata").map("annotations").into_iter().flatten() {
        let value = value.as_str().unwrap_or("");
        if let Some(container) = key.strip_prefix(APPARMOR) {
            let known = lists.iter().any(|l| spec.list(l).iter().any(|c| c.text("name") == container));
            if !known {
                errors.invalid_str(&path.key(key), container, "container not found");
            }
            if !matches!(value, "" | "runtime/default" | "unconfined") && !value.starts_with("localhost/") {
                let text = format!("invalid AppArmor profile name: {}", crate::field::quote(value));
                errors.invalid_str(&path.key(key), value, text);
            }
        } else if key == MIRROR && spec.text("nodeName").is_empty() {
            let text = "must set spec.nodeName if mirror pod annotation is set";
            errors.invalid_str(&path.key(key), value, text);
        }
    }
}

pub(super) fn pod_template(object: &Value, errors: &mut ErrorList) {
    let template = Path::new("template");
    pod_template_spec(object.at("template"), &template, errors);
}

/// A pod template inside another object.
pub(super) fn pod_template_spec(template: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let meta = template.at("metadata");
    labels(meta.map("labels"), &path.child("labels"), errors);
    for key in meta.map("annotations").into_iter().flatten().map(|(k, _)| k) {
        complain(&path.child("annotations"), key, names::check_qualified_name(&key.to_lowercase()), errors);
    }
    let spec = path.child("spec");
    pod_spec(template.at("spec"), &spec, errors);
    if !template.at("spec").list("ephemeralContainers").is_empty() {
        errors.forbidden(
            &spec.child("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        );
    }
}

fn pod_spec(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let volumes = volume::volumes(spec.list("volumes"), &path.child("volumes"), errors);
    container::containers(spec, &volumes, path, errors);
    match spec.text("restartPolicy") {
        "Always" | "OnFailure" | "Never" => {}
        "" => errors.required(&path.child("restartPolicy"), ""),
        other => errors.not_supported(&path.child("restartPolicy"), other, &["Always", "OnFailure", "Never"]),
    }
    match spec.text("dnsPolicy") {
        "ClusterFirstWithHostNet" | "ClusterFirst" | "Default" | "None" => {}
        "" => errors.required(&path.child("dnsPolicy"), ""),
        other => {
            let choices = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
            errors.not_supported(&path.child("dnsPolicy"), other, &choices);
        }
    }
    labels(spec.map("nodeSelector"), &path.child("nodeSelector"), errors);
    security(spec, path, errors);
    scheduling::affinity(spec.at("affinity"), &path.child("affinity"), errors);
    dns_config(spec, path, errors);
    let gates = path.child("readinessGates");
    for (i, gate) in spec.list("readinessGates").iter().enumerate() {
        let name = gate.text("conditionType");
        complain(&gates.index(i).child("conditionType"), name, names::check_qualified_name(name), errors);
    }
    scheduling::gates(spec.list("schedulingGates"), &path.child("schedulingGates"), errors);
    scheduling::spread(
        spec.list("topologySpreadConstraints"),
        &path.child("topologySpreadConstraints"),
        errors,
    );
    host_names(spec, path, errors);
    scheduling::tolerations(spec.list("tolerations"), &path.child("tolerations"), errors);
    let aliases = path.child("hostAliases");
    for alias in spec.list("hostAliases") {
        let ip = alias.text("ip");
        if parse_ip(ip).is_none() {
            errors.invalid_str(&aliases.child("ip"), ip, "must be valid IP address");
        }
        for name in alias.list("hostnames").iter().filter_map(Value::as_str) {
            complain(&aliases.child("hostnames"), name, names::check_dns1123_subdomain(name), errors);
        }
    }
    for (field, rule) in [
        ("priorityClassName", names::check_dns1123_subdomain as fn(&str) -> Vec<String>),
        ("runtimeClassName", names::check_dns1123_subdomain),
        ("serviceAccountName", names::check_dns1123_subdomain),
        ("nodeName", names::check_dns1123_subdomain),
    ] {
        let name = spec.text(field);
        if !name.is_empty() {
            complain(&path.child(field), name, rule(name), errors);
        }
    }
    if let Some(seconds) = spec.int("activeDeadlineSeconds")
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let text = format!("must be between 1 and {}, inclusive", i32::MAX);
        errors.invalid(&path.child("activeDeadlineSeconds"), spec.at("activeDeadlineSeconds"), text);
    }
    operating_system(spec, path, errors);
}

fn host_names(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    for field in ["hostname", "subdomain"] {
        let name = spec.text(field);
        if !name.is_empty() {
            complain(&path.child(field), name, names::check_dns1123_label(name), errors);
        }
    }
}

/// An id that must fit a non-negative 32-bit number.
pub(super) fn user_id(owner: &Value, name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(id) = owner.int(name)
        && !(0..=i64::from(i32::MAX)).contains(&id)
    {
        let text = format!("must be between 0 and {}, inclusive", i32::MAX);
        errors.invalid(&path.child(name), owner.at(name), text);
    }
}

/// A seccomp profile.
pub(super) fn seccomp(profile: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if profile.is_null() {
        return;
    }
    let kind = profile.text("type");
    match kind {
        "Localhost" => match profile.text("localhostProfile") {
            "" => {
                errors.required(&path.child("localhostProfile"), "must be set when seccomp type is Localhost")
            }
            local => super::util::local_descending(local, &path.child("localhostProfile"), errors),
        },
        _ if profile.has("localhostProfile") => {
            let text = "can only be set when seccomp type is Localhost";
            errors.invalid(&path.child("localhostProfile"), profile.at("localhostProfile"), text);
        }
        _ => {}
    }
    match kind {
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        "" => errors.required(&path.child("type"), "type is required when seccompProfile is set"),
        other => {
            errors.not_supported(&path.child("type"), other, &["Localhost", "RuntimeDefault", "Unconfined"])
        }
    }
}

fn security(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let context = spec.at("securityContext");
    let at = path.child("securityContext");
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        user_id(context, name, &at, errors);
    }
    let groups = at.child("supplementalGroups");
    for (i, group) in context.list("supplementalGroups").iter().enumerate() {
        if group.as_i64().is_some_and(|g| !(0..=i64::from(i32::MAX)).contains(&g)) {
            errors.invalid(&groups.index(i), group, format!("must be between 0 and {}, inclusive", i32::MAX));
        }
    }
    if spec.is_true("shareProcessNamespace") && spec.is_true("hostPID") {
        let text = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&at.child("shareProcessNamespace"), spec.at("shareProcessNamespace"), text);
    }
    if context.has("fsGroupChangePolicy") {
        let policy = context.text("fsGroupChangePolicy");
        if !matches!(policy, "Always" | "OnRootMismatch") {
            errors.not_supported(&at.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
        }
    }
    seccomp(context.at("seccompProfile"), &at.child("seccompProfile"), errors);
    let sysctls = at.child("sysctls");
    let mut seen = Vec::new();
    for (i, sysctl) in context.list("sysctls").iter().enumerate() {
        let name = sysctl.text("name");
        let at = sysctls.index(i);
        if name.is_empty() {
            errors.required(&at.child("name"), "");
        } else if !sysctl_name(name) {
            let text = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.invalid_str(&at.child("name"), name, text);
        } else if seen.contains(&name) {
            errors.duplicate(&at.child("name"), sysctl.at("name"));
        }
        seen.push(name);
    }
}

fn sysctl_name(name: &str) -> bool {
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name.split(['.', '/']).all(|part| {
            let b = part.as_bytes();
            matches!((b.first(), b.last()), (Some(f), Some(l)) if edge(*f) && edge(*l))
                && b.iter().all(|c| edge(*c) || matches!(c, b'-' | b'_'))
        })
}

fn dns_config(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let config = spec.at("dnsConfig");
    let at = path.child("dnsConfig");
    if spec.text("dnsPolicy") == "None" {
        if config.is_null() {
            errors.required(&at, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if config.list("nameservers").is_empty() {
            errors.required(
                &at.child("nameservers"),
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            );
        }
    }
    let servers = config.list("nameservers");
    let list = at.child("nameservers");
    if servers.len() > 3 {
        errors.invalid(&list, config.at("nameservers"), "must not have more than 3 nameservers");
    }
    for (i, server) in servers.iter().filter_map(Value::as_str).enumerate() {
        if parse_ip(server).is_none() {
            errors.invalid_str(&list.index(i), server, "must be valid IP address");
        }
    }
    let list = at.child("searches");
    if config.list("searches").len() > 32 {
        errors.invalid(&list, config.at("searches"), "must not have more than 32 search paths");
    }
    for (i, search) in config.list("searches").iter().filter_map(Value::as_str).enumerate() {
        let name = search.strip_suffix('.').unwrap_or(search);
        complain(&list.index(i), name, names::check_dns1123_subdomain(name), errors);
    }
    let list = at.child("options");
    for (i, option) in config.list("options").iter().enumerate() {
        if option.text("name").is_empty() {
            errors.required(&list.index(i), "must not be empty");
        }
    }
}

fn operating_system(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let os = spec.at("os");
    if os.is_null() {
        return;
    }
    let context = spec.at("securityContext");
    let at = path.child("securityContext");
    let containers = || ["containers", "initContainers"].into_iter().map(|n| (n, spec.list(n)));
    match os.text("name") {
        "" => errors.required(&path.child("os").child("name"), "cannot be empty"),
        "linux" => {
            let text = "windows options cannot be set for a linux pod";
            if context.has("windowsOptions") {
                errors.forbidden(&at.child("windowsOptions"), text);
            }
            for (name, list) in containers() {
                let names = path.child(name);
                for (i, container) in list.iter().enumerate() {
                    if container.at("securityContext").has("windowsOptions") {
                        let item = names.index(i);
                        let context = item.child("securityContext");
                        errors.forbidden(&context.child("windowsOptions"), text);
                    }
                }
            }
        }
        "windows" => windows(spec, path, errors),
        other => errors.not_supported(&path.child("os"), other, &["linux", "windows"]),
    }
}

fn windows(spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let context = spec.at("securityContext");
    let at = path.child("securityContext");
    let text = "cannot be set for a windows pod";
    for name in ["hostPID", "hostIPC", "shareProcessNamespace"] {
        if spec.is_true(name) {
            errors.forbidden(&path.child(name), text);
        }
    }
    for name in [
        "seLinuxOptions",
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
    ] {
        if context.has(name) {
            errors.forbidden(&at.child(name), text);
        }
    }
    for (name, list) in ["containers", "initContainers"].map(|n| (n, spec.list(n))) {
        let names = path.child(name);
        for (i, container) in list.iter().enumerate() {
            let item = names.index(i);
            let context = item.child("securityContext");
            for field in [
                "seLinuxOptions",
                "seccompProfile",
                "capabilities",
                "readOnlyRootFilesystem",
                "privileged",
                "allowPrivilegeEscalation",
                "procMount",
                "runAsUser",
                "runAsGroup",
            ] {
                if container.at("securityContext").has(field) {
                    errors.forbidden(&context.child(field), text);
                }
            }
        }
    }
}
