//! Validation of a container's environment.

use serde_json::Value;

use super::util::complain;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

pub(super) fn environment(container: &Value, path: &Path<'_>, errors: &mut ErrorList) {
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
