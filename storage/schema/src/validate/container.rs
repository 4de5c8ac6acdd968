//! Validation of containers: ports, environment, mounts, probes, resources, security.

use serde_json::Value;

use super::pod::{seccomp, user_id};
use super::util::{complain, no_backsteps, not_negative, quantity};
use super::volume::Volumes;
use crate::Quantity;
use crate::field::{ErrorList, Path};
use crate::int_or_string::IntOrString;
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
    if role == Role::Ephemeral && !container.list("ports").is_empty() {
        errors.forbidden(&path.child("ports"), "cannot be set for an Ephemeral Container");
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

fn environment(container: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let list = path.child("env");
    for (i, variable) in container.list("env").iter().enumerate() {
        let at = list.index(i);
        let name = variable.text("name");
        if name.is_empty() {
            errors.required(&at.child("name"), "");
        } else {
            complain(&at.child("name"), name, names::check_env_var_name(name), errors);
        }
        env_source(variable, &at.child("valueFrom"), errors);
    }
    let list = path.child("envFrom");
    for (i, from) in container.list("envFrom").iter().enumerate() {
        let at = list.index(i);
        let prefix = from.text("prefix");
        if !prefix.is_empty() {
            complain(&at.child("prefix"), prefix, names::check_env_var_name(prefix), errors);
        }
        let mut sources = 0;
        for source in ["configMapRef", "secretRef"] {
            if from.has(source) {
                sources += 1;
                if from.at(source).text("name").is_empty() {
                    errors.required(&at.child(source).child("name"), "");
                }
            }
        }
        match sources {
            0 => errors.invalid_str(&list, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid_str(&list, "", "may not have more than one field specified at a time"),
        }
    }
}

fn env_source(variable: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let from = variable.at("valueFrom");
    if from.is_null() {
        return;
    }
    let mut sources = 0;
    if from.has("fieldRef") {
        sources += 1;
        let at = path.child("fieldRef");
        let field = from.at("fieldRef").text("fieldPath");
        if from.at("fieldRef").text("apiVersion").is_empty() {
            errors.required(&at.child("apiVersion"), "");
        } else if field.is_empty() {
            errors.required(&at.child("fieldPath"), "");
        } else {
            env_field_path(field, &at.child("fieldPath"), errors);
        }
    }
    if from.has("resourceFieldRef") {
        sources += 1;
        resource_ref(from.at("resourceFieldRef"), &path.child("resourceFieldRef"), false, errors);
    }
    for source in ["configMapKeyRef", "secretKeyRef", "fileKeyRef"] {
        if !from.has(source) {
            continue;
        }
        sources += 1;
        let at = path.child(source);
        let reference = from.at(source);
        if source == "fileKeyRef" {
            continue;
        }
        let name = reference.text("name");
        complain(&at.child("name"), name, names::check_dns1123_subdomain(name), errors);
        match reference.text("key") {
            "" => errors.required(&at.child("key"), ""),
            key => complain(&at.child("key"), key, names::check_config_key(key), errors),
        }
    }
    if sources == 0 {
        let text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        errors.invalid_str(path, "", text);
    } else if !variable.text("value").is_empty() {
        errors.invalid_str(path, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        errors.invalid_str(path, "", "may not have more than one field specified at a time");
    }
}

/// `metadata.annotations['k']` and its like; the base and the subscript.
pub(super) fn subscript(field: &str) -> Option<(&str, &str)> {
    let (base, rest) = field.split_once("['")?;
    Some((base, rest.strip_suffix("']")?))
}

fn env_field_path(field: &str, path: &Path<'_>, errors: &mut ErrorList) {
    const FIELDS: [&str; 9] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    if let Some((base, key)) = subscript(field) {
        match base {
            "metadata.annotations" => {
                complain(path, key, names::check_qualified_name(&key.to_lowercase()), errors);
            }
            "metadata.labels" => complain(path, key, names::check_qualified_name(key), errors),
            _ => errors.invalid_str(
                path,
                field,
                format!("error converting fieldPath: field label does not support subscript: {field}"),
            ),
        }
        return;
    }
    if !FIELDS.contains(&field) {
        let text = format!("error converting fieldPath: field label not supported: {field}");
        if matches!(
            field,
            "metadata.annotations"
                | "metadata.labels"
                | "spec.restartPolicy"
                | "spec.schedulerName"
                | "status.phase"
        ) {
            errors.not_supported(path, field, &FIELDS);
        } else {
            errors.invalid_str(path, field, text);
        }
    }
}

/// A reference to a container's resource, from the environment or from a volume.
pub(super) fn resource_ref(reference: &Value, path: &Path<'_>, volume: bool, errors: &mut ErrorList) {
    let resource = reference.text("resource");
    if volume && reference.text("containerName").is_empty() {
        errors.required(&path.child("containerName"), "");
        return;
    }
    if resource.is_empty() {
        errors.required(&path.child("resource"), "");
        return;
    }
    let kind = resource.split_once('.').map_or("", |(_, kind)| kind);
    let listed = matches!(
        resource.split_once('.'),
        Some(("limits" | "requests", "cpu" | "memory" | "ephemeral-storage"))
    ) || kind.starts_with("hugepages-");
    if !listed {
        let choices = [
            "limits.cpu",
            "limits.ephemeral-storage",
            "limits.memory",
            "requests.cpu",
            "requests.ephemeral-storage",
            "requests.memory",
        ];
        errors.not_supported(&path.child("resource"), resource, &choices);
    }
    let divisor = reference.text("divisor");
    if matches!(divisor, "" | "0") {
        return;
    }
    let (allowed, text): (&[&str], String) = match kind {
        "cpu" => {
            (&["1m", "1"], "only divisor's values 1m and 1 are supported with the cpu resource".to_owned())
        }
        _ => (
            &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"],
            format!(
                "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the {kind} resource"
            ),
        ),
    };
    if !allowed.contains(&divisor) {
        errors.invalid_str(&path.child("divisor"), resource, text);
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

fn standard(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

fn native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource name of a container and its amount.
fn resource(name: &str, value: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    complain(path, name, names::check_qualified_name(name), errors);
    if !name.contains('/') {
        let known = standard(name) || matches!(name, "storage" | "pods" | "services");
        if !known && names::check_qualified_name(name).is_empty() {
            errors.invalid_str(path, name, "must be a standard resource type or fully qualified");
        }
        if !standard(name) {
            errors.invalid_str(path, name, "must be a standard resource for containers");
        }
    }
    let Some(amount) = quantity(value) else { return };
    if amount.is_negative() {
        errors.invalid(path, value, super::util::NOT_NEGATIVE);
    }
    if name.contains('/') && !amount.is_exact_at(0) {
        errors.invalid_text(path, "resource.Quantity", "must be an integer");
    }
    if let Some(size) = name.strip_prefix("hugepages-").and_then(|s| s.parse::<Quantity>().ok()) {
        let (size, total) = (size.value(), amount.value());
        if size > 0 && total % size != 0 {
            let text = format!("{} is not positive integer multiple of {name}", amount.canonical());
            errors.invalid(path, value, text);
        }
    }
}

pub(super) fn resources(resources: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let (mut huge, mut plain) = (false, false);
    for (name, value) in resources.map("limits").into_iter().flatten() {
        resource(name, value, &limits_path.key(name), errors);
        huge |= name.starts_with("hugepages-");
        plain |= matches!(name.as_str(), "cpu" | "memory");
    }
    for (name, value) in resources.map("requests").into_iter().flatten() {
        resource(name, value, &requests_path.key(name), errors);
        huge |= name.starts_with("hugepages-");
        plain |= matches!(name.as_str(), "cpu" | "memory");
        let overcommit = native(name) && !name.starts_with("hugepages-");
        let limit = resources.at("limits").at(name);
        match (quantity(value), quantity(limit)) {
            (Some(request), Some(limit_amount)) => {
                if request > limit_amount && overcommit {
                    let text =
                        format!("must be less than or equal to {name} limit of {}", limit_amount.canonical());
                    errors.invalid(&requests_path, value, text);
                } else if request != limit_amount && !overcommit {
                    let text = format!("must be equal to {name} limit of {}", limit_amount.canonical());
                    errors.invalid(&requests_path, value, text);
                }
            }
            (Some(_), None) if !overcommit => {
                errors.required(&limits_path, "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
    }
    if huge && !plain {
        errors.forbidden(path, "HugePages require cpu or memory");
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

/// A port of a handler: a number in range or a port's name.
pub(super) fn port(value: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    match IntOrString::of(value) {
        Some(IntOrString::Text(name)) => complain(path, name, names::check_port_name(name), errors),
        Some(IntOrString::Int(number)) => {
            if let Some(text) = names::check_port_number(number) {
                errors.invalid(path, value, text);
            }
        }
        None => {}
    }
}

fn handler(owner: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let mut found = 0;
    for name in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        if !owner.has(name) {
            continue;
        }
        let at = path.child(name);
        found += 1;
        if found > 1 {
            errors.forbidden(&at, "may not specify more than 1 handler type");
            continue;
        }
        let inner = owner.at(name);
        match name {
            "exec" => {
                if inner.list("command").is_empty() {
                    errors.required(&at.child("command"), "");
                }
            }
            "httpGet" => {
                if inner.text("path").is_empty() {
                    errors.required(&at.child("path"), "");
                }
                port(inner.at("port"), &at.child("port"), errors);
                if !matches!(inner.text("scheme"), "HTTP" | "HTTPS") {
                    errors.not_supported(&at.child("scheme"), inner.text("scheme"), &["HTTP", "HTTPS"]);
                }
                for header in inner.list("httpHeaders") {
                    let name = header.text("name");
                    complain(&at.child("httpHeaders"), name, names::check_http_header_name(name), errors);
                }
            }
            "tcpSocket" | "grpc" => port(inner.at("port"), &at.child("port"), errors),
            _ => {}
        }
    }
    if found == 0 {
        errors.required(path, "must specify a handler type");
    }
}

fn lifecycle(lifecycle: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    for hook in ["postStart", "preStop"] {
        if lifecycle.has(hook) {
            handler(lifecycle.at(hook), &path.child(hook), errors);
        }
    }
}

fn probes(container: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.at(name);
        if probe.is_null() {
            continue;
        }
        let at = path.child(name);
        handler(probe, &at, errors);
        for field in
            ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            not_negative(probe, field, &at, errors);
        }
        if let Some(grace) = probe.int("terminationGracePeriodSeconds") {
            let field = at.child("terminationGracePeriodSeconds");
            let value = probe.at("terminationGracePeriodSeconds");
            if name == "readinessProbe" {
                errors.invalid(&field, value, "must not be set for readinessProbes");
            } else if grace <= 0 {
                errors.invalid(&field, value, "must be greater than 0");
            }
        }
        if name != "readinessProbe" && probe.int("successThreshold").is_some_and(|t| t != 1) {
            errors.invalid(&at.child("successThreshold"), probe.at("successThreshold"), "must be 1");
        }
    }
}
