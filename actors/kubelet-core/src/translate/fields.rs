//! `fieldRef` and `resourceFieldRef`: values of the pod itself.

use serde_json::Value;
use trireme_schema::view::View;

use super::{ConfigError, NodeFacts};
use crate::pod;

/// The value of a pod's field. `pod_ips` are the addresses known so far.
pub fn field(pod: &Value, path: &str, facts: &NodeFacts, pod_ips: &[String]) -> Result<String, ConfigError> {
    let metadata = pod.at("metadata");
    for name in ["labels", "annotations"] {
        let prefix = format!("metadata.{name}");
        if path == prefix {
            return Ok(quoted_map(metadata.at(name)));
        }
        if let Some(key) = path.strip_prefix(&prefix).and_then(subscript) {
            return Ok(metadata.at(name).text(key).to_owned());
        }
    }
    let ips = match pod.at("spec").is_true("hostNetwork") {
        true => facts.host_ips.as_slice(),
        false => pod_ips,
    };
    let value = match path {
        "metadata.name" => pod::name(pod).to_owned(),
        "metadata.namespace" => pod::namespace(pod).to_owned(),
        "metadata.uid" => pod::uid(pod).to_owned(),
        "spec.nodeName" => facts.node_name.clone(),
        "spec.serviceAccountName" => pod.at("spec").text("serviceAccountName").to_owned(),
        "status.hostIP" => facts.host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => facts.host_ips.join(","),
        "status.podIP" => ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => ips.join(","),
        _ => return Err(ConfigError(format!("unsupported fieldPath: {path}"))),
    };
    Ok(value)
}

fn subscript(rest: &str) -> Option<&str> {
    rest.strip_prefix("['")?.strip_suffix("']")
}

/// A map as downward API files write it: `key="value"` lines in order.
pub fn quoted_map(map: &Value) -> String {
    let lines = map.as_object().into_iter().flatten().map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        format!("{key}={}", go_quote(value))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A text as Go's `strconv.Quote` writes it, for what labels and annotations hold.
fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                quoted.push_str(&format!("\\x{:02x}", control as u32));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// The value of a container's limit or request, divided by its divisor and rounded up.
pub fn resource_field(
    pod: &Value,
    reference: &Value,
    own: &str,
    facts: &NodeFacts,
) -> Result<String, ConfigError> {
    let path = reference.text("resource");
    let name = match reference.text("containerName") {
        "" => own,
        name => name,
    };
    let container = pod::container(pod, name)
        .ok_or_else(|| ConfigError(format!("container {name} not found in pod {}", pod::name(pod))))?;
    let (list, resource) = path
        .split_once('.')
        .filter(|(list, _)| matches!(*list, "limits" | "requests"))
        .ok_or_else(|| ConfigError(format!("unsupported container resource : {path}")))?;
    let resources = container.spec.at("resources");
    let stated = pod::read_quantity(resources.at(list).at(resource));
    let fallback = || match (list, resource) {
        ("limits", "cpu") => Some(i128::from(facts.allocatable.cpu_milli)),
        ("limits", "memory") => Some(i128::from(facts.allocatable.memory_bytes) * 1_000),
        ("limits", "ephemeral-storage") => Some(i128::from(facts.allocatable.ephemeral_bytes) * 1_000),
        _ => Some(0),
    };
    let stated = stated.map(|amount| match resource {
        "cpu" => i128::from(amount.milli_value()),
        _ => i128::from(amount.value()) * 1_000,
    });
    let milli = stated.or_else(fallback).unwrap_or(0);
    let divisor = pod::read_quantity(reference.at("divisor")).filter(|divisor| !divisor.is_zero());
    let divisor = divisor.map_or(1_000, |divisor| match resource {
        "cpu" => i128::from(divisor.milli_value()),
        _ => i128::from(divisor.value()) * 1_000,
    });
    Ok(((milli + divisor - 1) / divisor.max(1)).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_and_resources_of_a_pod() {
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "labels": {"a": "1", "b": "x\"y"}},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m"}}}]}});
        let facts = NodeFacts { host_ips: vec!["10.0.0.1".into()], ..NodeFacts::default() };
        let ips = ["10.1.0.2".to_owned()];
        assert_eq!(field(&pod, "metadata.labels['b']", &facts, &ips).unwrap(), "x\"y");
        assert_eq!(field(&pod, "metadata.labels", &facts, &ips).unwrap(), "a=\"1\"\nb=\"x\\\"y\"");
        assert_eq!(field(&pod, "status.podIPs", &facts, &ips).unwrap(), "10.1.0.2");
        assert!(field(&pod, "status.phase", &facts, &ips).is_err());
        let cpu = |divisor: &str| json!({"resource": "limits.cpu", "divisor": divisor});
        assert_eq!(resource_field(&pod, &cpu("0"), "c", &facts).unwrap(), "2");
        assert_eq!(resource_field(&pod, &cpu("1m"), "c", &facts).unwrap(), "1500");
    }
}
