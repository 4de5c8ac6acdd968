//! Defaults of the core group besides pods.

use serde_json::{Map, Value, json};

use super::pod::{default_volume_source, round_resources};
use crate::view::{Edit, View};

pub(super) fn service(service: &mut Value) {
    let Some(spec) = service.object("spec") else { return };
    spec.default_text("sessionAffinity", "None");
    spec.default_text("type", "ClusterIP");
    match spec.text("sessionAffinity") {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            if let Some(client) = spec.object("sessionAffinityConfig").and_then(|c| c.object("clientIP")) {
                client.default("timeoutSeconds", 10_800);
            }
        }
        _ => {}
    }
    for port in spec.items("ports") {
        port.default_text("protocol", "TCP");
        if port.at("targetPort") == &json!(0)
            || port.at("targetPort") == &json!("")
            || !port.has("targetPort")
        {
            let number = port.at("port").clone();
            port.put("targetPort", number);
        }
    }
    let kind = spec.text("type").to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        spec.default_text("externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        spec.default("internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        spec.default("allocateLoadBalancerNodePorts", true);
        let balancer = service.get_some("status").and_then(|s| s.get_some("loadBalancer"));
        for ingress in balancer.into_iter().flat_map(|b| b.items("ingress")) {
            if !ingress.text("ip").is_empty() {
                ingress.default("ipMode", "VIP");
            }
        }
    }
}

pub(super) fn secret(secret: &mut Value) {
    secret.default_text("type", "Opaque");
    // stringData is write-only: it overrides data and is never stored.
    if let Some(Value::Object(texts)) = secret.remove("stringData")
        && let Some(data) = secret.object("data")
    {
        for (key, value) in texts {
            data.put(&key, base64(value.as_str().unwrap_or("").as_bytes()));
        }
    }
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |w, i| (w << 8) | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(char::from(DIGITS[(word >> (18 - 6 * i) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

pub(super) fn endpoints(endpoints: &mut Value) {
    for subset in endpoints.items("subsets") {
        for port in subset.items("ports") {
            port.default_text("protocol", "TCP");
        }
    }
}

fn fill(target: &mut Value, name: &str, from: &Map<String, Value>) {
    if from.is_empty() {
        return;
    }
    if let Some(map) = target.object(name) {
        for (key, value) in from {
            map.default(key, value.clone());
        }
    }
}

pub(super) fn limit_range(range: &mut Value) {
    let Some(spec) = range.object("spec") else { return };
    for item in spec.items("limits") {
        for name in ["default", "defaultRequest", "max", "min", "maxLimitRequestRatio"] {
            round_resources(item.get_some(name));
        }
        if item.text("type") != "Container" {
            continue;
        }
        for (name, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
            let from = item.map(from).cloned().unwrap_or_default();
            fill(item, name, &from);
        }
    }
}

pub(super) fn namespace(namespace: &mut Value) {
    if let Some(status) = namespace.object("status") {
        status.default_text("phase", "Active");
    }
    let name = namespace.at("metadata").text("name").to_owned();
    if !name.is_empty()
        && let Some(labels) = namespace.object("metadata").and_then(|m| m.object("labels"))
    {
        labels.put("kubernetes.io/metadata.name", name);
    }
}

pub(super) fn node(node: &mut Value) {
    if let Some(spec) = node.get_some("spec") {
        // The single field and the first of the list are the same value; the single field wins.
        let single = spec.text("podCIDR").to_owned();
        let first = spec.list("podCIDRs").first().and_then(Value::as_str).unwrap_or("").to_owned();
        if !single.is_empty() && single != first {
            spec.put("podCIDRs", json!([single]));
        } else if single.is_empty() && !first.is_empty() {
            spec.put("podCIDR", first);
        }
    }
    let Some(status) = node.get_some("status") else { return };
    round_resources(status.get_some("capacity"));
    round_resources(status.get_some("allocatable"));
    if status.has("capacity") {
        let capacity = status.at("capacity").clone();
        status.default("allocatable", capacity);
    }
}

pub(super) fn persistent_volume(volume: &mut Value) {
    if let Some(status) = volume.object("status") {
        status.default_text("phase", "Pending");
    }
    let Some(spec) = volume.object("spec") else { return };
    spec.default_text("persistentVolumeReclaimPolicy", "Retain");
    spec.default("volumeMode", "Filesystem");
    round_resources(spec.get_some("capacity"));
    default_volume_source(spec);
}

pub(super) fn claim_spec(spec: &mut Value) {
    spec.default("volumeMode", "Filesystem");
    if let Some(resources) = spec.get_some("resources") {
        round_resources(resources.get_some("limits"));
        round_resources(resources.get_some("requests"));
    }
}

pub(super) fn persistent_volume_claim(claim: &mut Value) {
    if let Some(status) = claim.object("status") {
        status.default_text("phase", "Pending");
    }
    if let Some(spec) = claim.object("spec") {
        claim_spec(spec);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_data_is_encoded() {
        for (text, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        let mut value = json!({"data":{"a":"eA==","b":"eQ=="},"stringData":{"a":"foo"}});
        secret(&mut value);
        assert_eq!(value, json!({"type":"Opaque","data":{"a":"Zm9v","b":"eQ=="}}));
    }

    #[test]
    fn limits_fill_defaults_and_requests() {
        let mut range =
            json!({"spec":{"limits":[{"type":"Container","max":{"cpu":"2"},"min":{"memory":"1"}}]}});
        limit_range(&mut range);
        assert_eq!(
            range["spec"]["limits"][0],
            json!({"type":"Container","max":{"cpu":"2"},"min":{"memory":"1"},"default":{"cpu":"2"},
                "defaultRequest":{"cpu":"2","memory":"1"}})
        );
    }
}
