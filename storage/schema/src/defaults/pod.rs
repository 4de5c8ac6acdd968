//! Defaults of pods and pod templates.

use serde_json::{Value, json};

use crate::Quantity;
use crate::view::{Edit, View};

/// Permission bits of files that volumes write when nothing else is said (0644).
const DEFAULT_MODE: i64 = 0o644;

pub(super) fn default_pod(pod: &mut Value) {
    let Some(spec) = pod.object("spec") else { return };
    if spec.is_true("hostNetwork") {
        for list in ["containers", "initContainers"] {
            for container in spec.items(list) {
                for port in container.items("ports") {
                    if port.int("hostPort").unwrap_or(0) == 0 {
                        let number = port.at("containerPort").clone();
                        port.put("hostPort", number);
                    }
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for container in spec.items(list) {
            requests_from_limits(container);
        }
    }
    spec.default("enableServiceLinks", true);
    default_pod_spec(spec);
}

/// Requests that are not given equal the limits.
fn requests_from_limits(container: &mut Value) {
    let Some(resources) = container.get_some("resources") else { return };
    let Some(limits) = resources.map("limits").cloned() else { return };
    if let Some(requests) = resources.object("requests") {
        for (name, value) in limits {
            requests.default(&name, value);
        }
    }
}

/// Defaults of the pod template in field `field`.
pub(super) fn default_template_field(owner: &mut Value, field: &str) {
    if let Some(template) = owner.get_some(field) {
        default_pod_template(template);
    }
}

/// Defaults of a pod template.
pub fn default_pod_template(template: &mut Value) {
    if let Some(spec) = template.object("spec") {
        default_pod_spec(spec);
    }
}

fn default_pod_spec(spec: &mut Value) {
    spec.default_text("dnsPolicy", "ClusterFirst");
    spec.default_text("restartPolicy", "Always");
    spec.default("securityContext", json!({}));
    spec.default("terminationGracePeriodSeconds", 30);
    spec.default_text("schedulerName", "default-scheduler");
    // The deprecated name mirrors the current one.
    match (spec.text("serviceAccountName").to_owned(), spec.text("serviceAccount").to_owned()) {
        (name, _) if !name.is_empty() => spec.put("serviceAccount", name),
        (_, old) if !old.is_empty() => spec.put("serviceAccountName", old),
        _ => {}
    }
    for volume in spec.items("volumes") {
        default_volume(volume);
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec.items(list) {
            default_container(container);
        }
    }
    round_resources(spec.get_some("overhead"));
    if let Some(resources) = spec.get_some("resources") {
        round_resources(resources.get_some("limits"));
        round_resources(resources.get_some("requests"));
    }
}

/// Resource amounts keep three decimals.
pub(super) fn round_resources(list: Option<&mut Value>) {
    for value in list.and_then(Value::as_object_mut).into_iter().flat_map(|m| m.values_mut()) {
        if let Some(quantity) = value.as_str().and_then(|t| t.parse::<Quantity>().ok())
            && !quantity.is_exact_at(-3)
        {
            *value = quantity.round_up(-3).canonical().into();
        }
    }
}

fn default_container(container: &mut Value) {
    if container.text("imagePullPolicy").is_empty() {
        let policy = if uses_latest(container.text("image")) { "Always" } else { "IfNotPresent" };
        container.put("imagePullPolicy", policy);
    }
    container.default_text("terminationMessagePath", "/dev/termination-log");
    container.default_text("terminationMessagePolicy", "File");
    for port in container.items("ports") {
        port.default_text("protocol", "TCP");
    }
    for variable in container.items("env") {
        if let Some(from) = variable.get_some("valueFrom") {
            default_field_ref(from);
        }
    }
    if let Some(resources) = container.get_some("resources") {
        round_resources(resources.get_some("limits"));
        round_resources(resources.get_some("requests"));
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_some(name) {
            default_probe(probe);
        }
    }
    if let Some(lifecycle) = container.get_some("lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(get) = lifecycle.get_some(hook).and_then(|h| h.get_some("httpGet")) {
                default_http_get(get);
            }
        }
    }
}

/// Whether an image is named without a tag and digest, or with the tag `latest`.
fn uses_latest(image: &str) -> bool {
    if image.is_empty() || image.contains('@') {
        return false;
    }
    let valid = image.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-/:".contains(&c));
    let name = image.rsplit('/').next().unwrap_or("");
    valid
        && !image.bytes().take_while(|c| *c != b':').any(|c| c.is_ascii_uppercase())
        && match name.split_once(':') {
            None => !name.is_empty(),
            Some((_, tag)) => tag == "latest",
        }
}

fn default_probe(probe: &mut Value) {
    for (name, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe.int(name).unwrap_or(0) == 0 {
            probe.put(name, value);
        }
    }
    if let Some(get) = probe.get_some("httpGet") {
        default_http_get(get);
    }
    if let Some(grpc) = probe.get_some("grpc") {
        grpc.default("service", "");
    }
}

fn default_http_get(get: &mut Value) {
    get.default_text("path", "/");
    get.default_text("scheme", "HTTP");
}

fn default_field_ref(holder: &mut Value) {
    if let Some(reference) = holder.get_some("fieldRef") {
        reference.default_text("apiVersion", "v1");
    }
    if let Some(reference) = holder.get_some("resourceFieldRef") {
        reference.default_text("divisor", "0");
    }
}

fn default_volume(volume: &mut Value) {
    if volume.as_object().is_some_and(|m| m.keys().all(|k| k == "name")) {
        volume.put("emptyDir", json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_some(source) {
            source.default("defaultMode", DEFAULT_MODE);
            for item in source.items("items") {
                default_field_ref(item);
            }
            for part in source.items("sources") {
                if let Some(token) = part.get_some("serviceAccountToken") {
                    token.default("expirationSeconds", 3600);
                }
                if let Some(downward) = part.get_some("downwardAPI") {
                    downward.items("items").for_each(default_field_ref);
                }
            }
        }
    }
    let template = volume.get_some("ephemeral").and_then(|e| e.get_some("volumeClaimTemplate"));
    if let Some(spec) = template.and_then(|t| t.object("spec")) {
        super::core::claim_spec(spec);
    }
    default_volume_source(volume);
}

/// Defaults of the sources that pods and persistent volumes share.
pub(super) fn default_volume_source(holder: &mut Value) {
    if let Some(path) = holder.get_some("hostPath") {
        path.default("type", "");
    }
    if let Some(iscsi) = holder.get_some("iscsi") {
        iscsi.default_text("iscsiInterface", "default");
    }
    if let Some(rbd) = holder.get_some("rbd") {
        rbd.default_text("pool", "rbd");
        rbd.default_text("user", "admin");
        rbd.default_text("keyring", "/etc/ceph/keyring");
    }
    if let Some(disk) = holder.get_some("azureDisk") {
        disk.default("cachingMode", "ReadWrite");
        disk.default("kind", "Shared");
        disk.default("fsType", "ext4");
        disk.default("readOnly", false);
    }
    if let Some(scale) = holder.get_some("scaleIO") {
        scale.default_text("storageMode", "ThinProvisioned");
        scale.default_text("fsType", "xfs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policy_follows_the_tag() {
        for (image, latest) in [
            ("i", true),
            ("i:1", false),
            ("i:latest", true),
            ("r.io:5000/a/i", true),
            ("r.io:5000/a/i:1", false),
            ("i@sha256:0123", false),
            ("", false),
            ("UPPER", false),
        ] {
            assert_eq!(uses_latest(image), latest, "{image}");
        }
    }
}
