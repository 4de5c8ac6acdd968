//! `describe service`: addresses, ports and the endpoints behind them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::KubectlError;
use crate::session::Session;

/// Columns before a value, as the longest of the labels makes them.
const WIDTH: usize = 26;
/// Most endpoints shown of a port.
const ENDPOINTS_SHOWN: usize = 3;

/// A service for people.
pub(super) async fn described(session: &Session, service: &Value) -> Result<String, KubectlError> {
    let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let slices = session.catalogue().await?.find("endpointslices.discovery.k8s.io")?;
    let selector = format!("kubernetes.io/service-name={name}");
    let slices = session.list(slices, Some(namespace), &[("labelSelector", &selector)]).await?;
    Ok(text(service, &slices))
}

fn text(service: &Value, slices: &[Value]) -> String {
    let (metadata, spec) = (&service["metadata"], &service["spec"]);
    let mut out = String::new();
    line(&mut out, "Name", plain(&metadata["name"]));
    line(&mut out, "Namespace", plain(&metadata["namespace"]));
    many(&mut out, "Labels", pairs(&metadata["labels"], "="));
    many(&mut out, "Annotations", pairs(&metadata["annotations"], ": "));
    line(&mut out, "Selector", joined(pairs(&spec["selector"], "="), ","));
    line(&mut out, "Type", plain(&spec["type"]));
    if let Some(policy) = spec["ipFamilyPolicy"].as_str() {
        line(&mut out, "IP Family Policy", policy.to_owned());
    }
    line(&mut out, "IP Families", joined(texts(&spec["ipFamilies"]), ","));
    line(&mut out, "IP", plain(&spec["clusterIP"]));
    line(&mut out, "IPs", joined(texts(&spec["clusterIPs"]), ","));
    for (title, value) in [
        ("External IPs", joined_or_empty(&spec["externalIPs"])),
        ("Desired LoadBalancer IP", plain_or_empty(&spec["loadBalancerIP"])),
        ("External Name", plain_or_empty(&spec["externalName"])),
        ("LoadBalancer Ingress", ingress(service)),
    ] {
        if !value.is_empty() {
            line(&mut out, title, value);
        }
    }
    for port in spec["ports"].as_array().into_iter().flatten() {
        ports(&mut out, port, slices);
    }
    line(&mut out, "Session Affinity", plain(&spec["sessionAffinity"]));
    for (title, field) in [
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
        ("Traffic Distribution", "trafficDistribution"),
    ] {
        if let Some(value) = spec[field].as_str() {
            line(&mut out, title, value.to_owned());
        }
    }
    if let Some(port) = spec["healthCheckNodePort"].as_i64().filter(|port| *port != 0) {
        line(&mut out, "HealthCheck NodePort", port.to_string());
    }
    if spec["loadBalancerSourceRanges"].is_array() {
        line(&mut out, "LoadBalancer Source Ranges", joined(texts(&spec["loadBalancerSourceRanges"]), ","));
    }
    out
}

fn ports(out: &mut String, port: &Value, slices: &[Value]) {
    let name = port["name"].as_str().filter(|name| !name.is_empty());
    let shown = name.unwrap_or("<unset>");
    let protocol = plain(&port["protocol"]);
    line(out, "Port", format!("{shown}  {}/{protocol}", plain(&port["port"])));
    if !port["targetPort"].is_null() {
        line(out, "TargetPort", format!("{}/{protocol}", plain(&port["targetPort"])));
    }
    if let Some(node_port) = port["nodePort"].as_i64().filter(|port| *port != 0) {
        line(out, "NodePort", format!("{shown}  {node_port}/{protocol}"));
    }
    line(out, "Endpoints", endpoints(name.unwrap_or_default(), slices));
}

fn endpoints(name: &str, slices: &[Value]) -> String {
    let mut found = BTreeSet::new();
    for slice in slices {
        let of_name = |port: &&Value| port["name"].as_str().unwrap_or_default() == name;
        let Some(port) = slice["ports"].as_array().into_iter().flatten().find(of_name) else { continue };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            if endpoint["conditions"]["ready"] == false {
                continue;
            }
            for address in texts(&endpoint["addresses"]) {
                let bracketed = if address.contains(':') { format!("[{address}]") } else { address };
                found.insert(format!("{bracketed}:{}", plain(&port["port"])));
            }
        }
    }
    let shown: Vec<String> = found.iter().take(ENDPOINTS_SHOWN).cloned().collect();
    match (found.len(), shown.join(",")) {
        (0, _) => String::new(),
        (all, text) if all > ENDPOINTS_SHOWN => format!("{text} + {} more...", all - ENDPOINTS_SHOWN),
        (_, text) => text,
    }
}

fn ingress(service: &Value) -> String {
    let of = |one: &Value| {
        let text = one["ip"].as_str().or(one["hostname"].as_str()).unwrap_or_default();
        let mode = one["ipMode"].as_str().map(|mode| format!(" ({mode})")).unwrap_or_default();
        format!("{text}{mode}")
    };
    let all = service["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten();
    all.map(of).collect::<Vec<_>>().join(", ")
}

fn line(out: &mut String, title: &str, value: String) {
    let label = format!("{title}:");
    let width = WIDTH.max(label.len() + 2);
    out.push_str(&format!("{label:<width$}{value}\n"));
}

fn many(out: &mut String, title: &str, values: Vec<String>) {
    let mut values = values.into_iter();
    line(out, title, values.next().unwrap_or_else(|| "<none>".to_owned()));
    for value in values {
        out.push_str(&format!("{:WIDTH$}{value}\n", ""));
    }
}

fn pairs(map: &Value, mark: &str) -> Vec<String> {
    let all = map.as_object().into_iter().flatten();
    let all = all.filter(|(key, _)| *key != super::apply::LAST_APPLIED);
    all.map(|(key, value)| format!("{key}{mark}{}", plain_or_empty(value))).collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(plain).collect()
}

fn joined(values: Vec<String>, mark: &str) -> String {
    if values.is_empty() { "<none>".to_owned() } else { values.join(mark) }
}

fn joined_or_empty(list: &Value) -> String {
    texts(list).join(",")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn plain_or_empty(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn services_show_address_port_and_endpoints() {
        let service = json!({"metadata": {"name": "web", "namespace": "n"}, "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1",
            "selector": {"app": "web"}, "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "sessionAffinity": "None",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}]}});
        let slices = [json!({"ports": [{"name": "", "port": 8080}], "endpoints": [
            {"addresses": ["10.1.0.1"]}, {"addresses": ["10.1.0.2"]}, {"addresses": ["10.1.0.3"]}, {"addresses": ["10.1.0.4"]},
            {"addresses": ["10.1.0.5"], "conditions": {"ready": false}}]})];
        let text = text(&service, &slices);
        for expected in [
            "Name:                     web\n",
            "Labels:                   <none>\n",
            "IP:                       10.0.0.1\n",
            "Port:                     <unset>  80/TCP\n",
            "TargetPort:               8080/TCP\n",
            "Endpoints:                10.1.0.1:8080,10.1.0.2:8080,10.1.0.3:8080 + 1 more...\n",
            "Session Affinity:         None\n",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
    }
}
