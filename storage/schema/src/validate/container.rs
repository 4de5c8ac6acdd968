//! Validation of containers: ports, environment, mounts, probes, resources, security.

use serde_json::Value;

use super::container_resources::resources;
use super::environment::environment;
use super::pod::{seccomp, user_id};
use super::probe::{lifecycle, probes};
use super::util::{complain, no_backsteps};
use super::volume::Volumes;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

/// Which list a container stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Main,
    Init,
    Ephemeral,
}

pub(super) fn containers(spec: &Value, volumes: &Volumes<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    let mut names = Vec::new();
    let mut host_ports = Vec::new();
    let lists = [
        ("containers", Role::Main),
        ("initContainers", Role::Init),
        ("ephemeralContainers", Role::Ephemeral),
    ];
    if spec.list("containers").is_empty() {
        errors.required(&path.child("containers"), "");
    }
    for (name, role) in lists {
        let list = path.child(name);
        for (i, container) in spec.list(name).iter().enumerate() {
            let at = list.index(i);
            one(container, role, spec, volumes, &at, errors);
            let title = container.text("name");
            if !title.is_empty() && names.contains(&title) {
                errors.duplicate(&at.child("name"), container.at("name"));
            }
            names.push(title);
            if role == Role::Main {
                ports_of_host(container, &mut host_ports, &at, errors);
            }
        }
    }
}

fn ports_of_host(container: &Value, seen: &mut Vec<String>, path: &Path<'_>, errors: &mut ErrorList) {
    let list = path.child("ports");
    for (i, port) in container.list("ports").iter().enumerate() {
        let host = port.int("hostPort").unwrap_or(0);
        if host == 0 {
            continue;
        }
        let key = format!("{}/{}/{host}", port.text("protocol"), port.text("hostIP"));
        if seen.contains(&key) {
            errors.duplicate(&list.index(i).child("hostPort"), &Value::from(key.clone()));
        }
        seen.push(key);
    }
}

fn one(
    container: &Value,
    role: Role,
    spec: &Value,
    volumes: &Volumes<'_>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let name = container.text("name");
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        complain(&path.child("name"), name, names::check_dns1123_label(name), errors);
    }
    let image = container.text("image");
    if image.is_empty() {
        errors.required(&path.child("image"), "");
    } else if image.trim() != image {
        errors.invalid_str(&path.child("image"), image, "must not have leading or trailing whitespace");
    }
    match container.text("terminationMessagePolicy") {
        "File" | "FallbackToLogsOnError" => {}
        "" => errors.required(&path.child("terminationMessagePolicy"), ""),
        other => {
            let choices = ["FallbackToLogsOnError", "File"];
            errors.not_supported(&path.child("terminationMessagePolicy"), other, &choices);
        }
    }
    ports(container, spec, path, errors);
    environment(container, path, errors);
    mounts(container, volumes, path, errors);
    match container.text("imagePullPolicy") {
        "Always" | "IfNotPresent" | "Never" => {}
        "" => errors.required(&path.child("imagePullPolicy"), ""),
        other => {
            errors.not_supported(&path.child("imagePullPolicy"), other, &["Always", "IfNotPresent", "Never"]);
        }
    }
    resources(container.at("resources"), &path.child("resources"), errors);
    device_claims(container, spec, &path.child("resources").child("claims"), errors);
    security(container.at("securityContext"), &path.child("securityContext"), errors);
    if role == Role::Main || container.text("restartPolicy") == "Always" {
        lifecycle(container.at("lifecycle"), &path.child("lifecycle"), errors);
        probes(container, path, errors);
    } else {
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.has(field) {
                let text = if role == Role::Init {
                    "may not be set for init containers without restartPolicy=Always"
                } else {
                    "cannot be set for an Ephemeral Container"
                };
                errors.forbidden(&path.child(field), text);
            }
        }
    }
    if role == Role::Ephemeral {
        ephemeral(container, spec, path, errors);
    }
}

/// Device claims that a container uses are the pod's, each once.
fn device_claims(container: &Value, spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let mut names: Vec<&str> = spec.list("resourceClaims").iter().map(|claim| claim.text("name")).collect();
    names.sort_unstable();
    let mut seen = Vec::new();
    for (i, claim) in container.at("resources").list("claims").iter().enumerate() {
        let (at, name) = (path.index(i), claim.text("name"));
        let whole = (name, claim.text("request"));
        if name.is_empty() {
            errors.required(&at, "");
        } else if seen.contains(&whole) {
            errors.duplicate(&at, claim.at("name"));
        } else if !names.contains(&name) {
            let what = if names.is_empty() {
                " which is empty".to_owned()
            } else {
                format!(": {}", names.join(", "))
            };
            let why = format!("must be one of the names in pod.spec.resourceClaims{what}");
            errors.not_found_why(&at, claim.at("name"), &why);
        }
        seen.push(whole);
    }
}

/// What only ephemeral containers must keep to.
fn ephemeral(container: &Value, spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let text = "cannot be set for an Ephemeral Container";
    if !container.list("ports").is_empty() {
        errors.forbidden(&path.child("ports"), text);
    }
    let mounts = path.child("volumeMounts");
    for (i, mount) in container.list("volumeMounts").iter().enumerate() {
        for field in ["subPath", "subPathExpr"] {
            if !mount.text(field).is_empty() {
                errors.forbidden(&mounts.index(i).child(field), text);
            }
        }
    }
    let target = container.text("targetContainerName");
    let mut others = spec.list("containers").iter().chain(spec.list("initContainers"));
    if !target.is_empty() && !others.any(|other| other.text("name") == target) {
        errors.not_found(&path.child("targetContainerName"), container.at("targetContainerName"));
    }
}

fn ports(container: &Value, spec: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let list = path.child("ports");
    let mut seen = Vec::new();
    for (i, port) in container.list("ports").iter().enumerate() {
        let at = list.index(i);
        let name = port.text("name");
        if !name.is_empty() {
            let complaints = names::check_port_name(name);
            if complaints.is_empty() && seen.contains(&name) {
                errors.duplicate(&at.child("name"), port.at("name"));
            }
            if complaints.is_empty() {
                seen.push(name);
            }
            complain(&at.child("name"), name, complaints, errors);
        }
        let number = port.int("containerPort").unwrap_or(0);
        if number == 0 {
            errors.required(&at.child("containerPort"), "");
        } else if let Some(text) = names::check_port_number(number) {
            errors.invalid(&at.child("containerPort"), port.at("containerPort"), text);
        }
        let host = port.int("hostPort").unwrap_or(0);
        if host != 0
            && let Some(text) = names::check_port_number(host)
        {
            errors.invalid(&at.child("hostPort"), port.at("hostPort"), text);
        }
        if spec.is_true("hostNetwork") && host != 0 && host != number {
            let text = "must match `containerPort` when `hostNetwork` is true";
            errors.invalid(&at.child("hostPort"), port.at("hostPort"), text);
        }
        let ip = port.text("hostIP");
        if !ip.is_empty() && super::util::parse_ip(ip).is_none() {
            errors.invalid_str(
                &at.child("hostIP"),
                ip,
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            );
        }
        match port.text("protocol") {
            "TCP" | "UDP" | "SCTP" => {}
            "" => errors.required(&at.child("protocol"), ""),
            other => errors.not_supported(&at.child("protocol"), other, &["SCTP", "TCP", "UDP"]),
        }
    }
}

fn mounts(container: &Value, volumes: &Volumes<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    let list = path.child("volumeMounts");
    let mut places = Vec::new();
    for (i, mount) in container.list("volumeMounts").iter().enumerate() {
        let at = list.index(i);
        let name = mount.text("name");
        if name.is_empty() {
            errors.required(&at.child("name"), "");
        }
        if !volumes.has(name) {
            errors.not_found(&at.child("name"), &Value::from(name));
        }
        let place = mount.text("mountPath");
        if place.is_empty() {
            errors.required(&at.child("mountPath"), "");
        }
        if places.contains(&place) {
            errors.invalid_str(&at.child("mountPath"), place, "must be unique");
        }
        places.push(place);
        // Upstream names these fields without the item's index.
        let sub = mount.text("subPath");
        if !sub.is_empty() {
            super::util::local_descending(sub, &list.child("subPath"), errors);
        }
        let expression = mount.text("subPathExpr");
        if !expression.is_empty() {
            if !sub.is_empty() {
                let text = "subPathExpr and subPath are mutually exclusive";
                errors.invalid_str(&at.child("subPathExpr"), expression, text);
            }
            super::util::local_descending(expression, &list.child("subPathExpr"), errors);
        }
        if mount.has("mountPropagation") {
            let propagation = mount.text("mountPropagation");
            let privileged = container.at("securityContext").is_true("privileged");
            if !matches!(propagation, "Bidirectional" | "HostToContainer" | "None") {
                let choices = ["Bidirectional", "HostToContainer", "None"];
                errors.not_supported(&list.child("mountPropagation"), propagation, &choices);
            } else if propagation == "Bidirectional" && !privileged {
                let text = "Bidirectional mount propagation is available only to privileged containers";
                errors.forbidden(&list.child("mountPropagation"), text);
            }
        }
    }
    let list = path.child("volumeDevices");
    for (i, device) in container.list("volumeDevices").iter().enumerate() {
        let at = list.index(i);
        if device.text("name").is_empty() {
            errors.required(&at.child("name"), "");
        }
        match volumes.is_claim(device.text("name")) {
            None => errors.not_found(&at.child("name"), device.at("name")),
            Some(false) => {
                let text =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&at.child("name"), device.at("name"), text);
            }
            Some(true) => {}
        }
        let place = device.text("devicePath");
        if place.is_empty() {
            errors.required(&at.child("devicePath"), "");
        } else {
            no_backsteps(place, &at.child("devicePath"), errors);
        }
    }
}

fn security(context: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    for name in ["runAsUser", "runAsGroup"] {
        user_id(context, name, path, errors);
    }
    if context.has("procMount") && !matches!(context.text("procMount"), "Default" | "Unmasked") {
        errors.not_supported(&path.child("procMount"), context.text("procMount"), &["Default", "Unmasked"]);
    }
    seccomp(context.at("seccompProfile"), &path.child("seccompProfile"), errors);
    if context.at("allowPrivilegeEscalation") == &Value::Bool(false) {
        if context.is_true("privileged") {
            let text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(path, context, text);
        }
        for capability in context.at("capabilities").list("add") {
            if capability.as_str() == Some("CAP_SYS_ADMIN") {
                let text =
                    "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
                errors.invalid(path, context, text);
            }
        }
    }
}
