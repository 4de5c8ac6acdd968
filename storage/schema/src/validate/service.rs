//! Validation of Service.

use serde_json::{Value, json};

use super::util::{complain, labels, parse_cidr, parse_ip, strings};
use crate::field::{ErrorList, Path};
use crate::int_or_string::IntOrString;
use crate::names;
use crate::view::View;

const SPEC: Path<'static> = Path::new("spec");
const BAD_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const ONLY_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";
/// Longest time of client affinity, in seconds.
const AFFINITY_SECONDS: i64 = 86_400;

pub(super) fn service(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let kind = spec.text("type");
    let headless = spec.text("clusterIP") == "None";
    if spec.list("ports").is_empty() && !headless && kind != "ExternalName" {
        errors.required(&SPEC.child("ports"), "");
    }
    match kind {
        "LoadBalancer" if headless => {
            errors.invalid_str(
                &SPEC.child("clusterIPs").index(0),
                "None",
                "may not be set to 'None' for LoadBalancer services",
            );
        }
        "NodePort" if headless => {
            errors.invalid_str(
                &SPEC.child("clusterIPs").index(0),
                "None",
                "may not be set to 'None' for NodePort services",
            );
        }
        "ExternalName" => external_name(spec, errors),
        _ => {}
    }
    ports(spec, errors);
    labels(spec.map("selector"), &SPEC.child("selector"), errors);
    match spec.text("sessionAffinity") {
        "None" | "ClientIP" => {}
        "" => errors.required(&SPEC.child("sessionAffinity"), ""),
        other => errors.not_supported(&SPEC.child("sessionAffinity"), other, &["ClientIP", "None"]),
    }
    affinity(spec, errors);
    cluster_ips(spec, kind, errors);
    external_ips(spec, errors);
    match kind {
        "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName" => {}
        "" => errors.required(&SPEC.child("type"), ""),
        other => {
            let choices = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
            errors.not_supported(&SPEC.child("type"), other, &choices);
        }
    }
    node_ports(spec, kind, errors);
    balancer(object, spec, kind, errors);
    traffic_policies(spec, kind, errors);
}

fn external_name(spec: &Value, errors: &mut ErrorList) {
    if !spec.list("clusterIPs").is_empty() {
        errors.forbidden(&SPEC.child("clusterIPs"), "may not be set when `type` is 'ExternalName'");
    }
    let name = spec.text("externalName");
    let path = SPEC.child("externalName");
    if name.is_empty() {
        errors.required(&path, "");
    } else {
        let name = name.strip_suffix('.').unwrap_or(name);
        complain(&path, name, names::check_dns1123_subdomain(name), errors);
    }
}

fn ports(spec: &Value, errors: &mut ErrorList) {
    let list = SPEC.child("ports");
    let all = spec.list("ports");
    let mut seen = Vec::new();
    for (i, port) in all.iter().enumerate() {
        let at = list.index(i);
        let name = port.text("name");
        if name.is_empty() {
            if all.len() > 1 {
                errors.required(&at.child("name"), "");
            }
        } else {
            complain(&at.child("name"), name, names::check_dns1123_label(name), errors);
            if seen.contains(&name) {
                errors.duplicate(&at.child("name"), port.at("name"));
            }
            seen.push(name);
        }
        if let Some(text) = names::check_port_number(port.int("port").unwrap_or(0)) {
            errors.invalid(&at.child("port"), port.at("port"), text);
        }
        protocol(port, &at, errors);
        target(port, &at, errors);
        let application = port.text("appProtocol");
        if port.has("appProtocol") {
            complain(&at.child("appProtocol"), application, names::check_qualified_name(application), errors);
        }
        let key = (port.text("protocol"), port.int("port"));
        if all[..i].iter().any(|p| (p.text("protocol"), p.int("port")) == key) {
            errors.duplicate(&at, port);
        }
    }
}

/// The protocol of a port.
pub(super) fn protocol(port: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    match port.text("protocol") {
        "TCP" | "UDP" | "SCTP" => {}
        "" => errors.required(&path.child("protocol"), ""),
        other => errors.not_supported(&path.child("protocol"), other, &["SCTP", "TCP", "UDP"]),
    }
}

fn target(port: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let value = port.at("targetPort");
    let at = path.child("targetPort");
    match IntOrString::of(value) {
        Some(IntOrString::Int(number)) => {
            if let Some(text) = names::check_port_number(number) {
                errors.invalid(&at, value, text);
            }
        }
        Some(IntOrString::Text(name)) => complain(&at, name, names::check_port_name(name), errors),
        None => {}
    }
}

fn affinity(spec: &Value, errors: &mut ErrorList) {
    let config = SPEC.child("sessionAffinityConfig");
    let client = config.child("clientIP");
    match spec.text("sessionAffinity") {
        "ClientIP" => {
            let value = spec.below(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]);
            if value.as_i64().is_some_and(|s| s <= 0 || s > AFFINITY_SECONDS) {
                let text = format!("must be greater than 0 and less than {AFFINITY_SECONDS}");
                errors.invalid(&client.child("timeoutSeconds"), value, text);
            }
        }
        "None" if spec.has("sessionAffinityConfig") => {
            errors.forbidden(&config, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

fn cluster_ips(spec: &Value, kind: &str, errors: &mut ErrorList) {
    if kind == "ExternalName" {
        return;
    }
    let path = SPEC.child("clusterIPs");
    let ips = strings(spec.list("clusterIPs"));
    let primary = spec.text("clusterIP");
    if primary.is_empty() && !ips.is_empty() {
        errors.invalid(&path, spec.at("clusterIPs"), "must be empty when `clusterIP` is not specified");
    } else if !primary.is_empty() && ips.first().is_some_and(|f| *f != primary) {
        errors.invalid(&path, spec.at("clusterIPs"), "first value must match `clusterIP`");
    }
    let mut families = Vec::new();
    for (i, ip) in ips.iter().enumerate() {
        if *ip == "None" && ips.len() > 1 {
            errors.invalid_str(&path.index(i), ip, "'None' must be the first and only value");
        } else if *ip != "None" {
            match parse_ip(ip) {
                Some(ip) => families.push(ip.is_ipv4()),
                None => errors.invalid_str(&path.index(i), ip, BAD_IP),
            }
        }
    }
    if ips.len() > 2 {
        errors.invalid(&path, spec.at("clusterIPs"), "may only hold up to 2 values");
    }
    if families.len() == 2 && families[0] == families[1] {
        errors.invalid(&path, spec.at("clusterIPs"), "may specify no more than one IP for each IP family");
    }
    let list = SPEC.child("ipFamilies");
    let known = strings(spec.list("ipFamilies"));
    for (i, family) in known.iter().enumerate() {
        if !matches!(*family, "IPv4" | "IPv6") {
            errors.not_supported(&list.index(i), family, &["IPv4", "IPv6"]);
        } else if known[..i].contains(family) {
            errors.duplicate(&list.index(i), &json!(family));
        }
    }
    if spec.text("ipFamilyPolicy") == "SingleStack" && known.len() > 1 {
        let text = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
        errors.invalid(&SPEC.child("ipFamilyPolicy"), spec.at("ipFamilyPolicy"), text);
    } else if spec.text("ipFamilyPolicy") == "SingleStack" && ips.len() > 1 {
        let text = "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified";
        errors.invalid(&SPEC.child("ipFamilyPolicy"), spec.at("ipFamilyPolicy"), text);
    }
}

fn external_ips(spec: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("externalIPs");
    for (i, text) in strings(spec.list("externalIPs")).iter().enumerate() {
        let at = path.index(i);
        match parse_ip(text) {
            None => errors.invalid_str(&at, text, BAD_IP),
            Some(ip) if ip.is_unspecified() => {
                errors.invalid_str(&at, text, format!("may not be unspecified ({text})"));
            }
            Some(ip) if ip.is_loopback() => {
                errors.invalid_str(&at, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
            }
            Some(core::net::IpAddr::V4(ip)) if ip.is_link_local() => {
                errors.invalid_str(
                    &at,
                    text,
                    "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
                );
            }
            Some(_) => {}
        }
    }
}

fn node_ports(spec: &Value, kind: &str, errors: &mut ErrorList) {
    let list = SPEC.child("ports");
    let all = spec.list("ports");
    for (i, port) in all.iter().enumerate() {
        let number = port.int("nodePort").unwrap_or(0);
        if number == 0 {
            continue;
        }
        let at = list.index(i);
        if kind == "ClusterIP" {
            errors.forbidden(&at.child("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
        let same =
            |p: &Value| p.text("protocol") == port.text("protocol") && p.int("nodePort") == Some(number);
        if all[..i].iter().any(same) {
            errors.duplicate(&at.child("nodePort"), port.at("nodePort"));
        }
    }
}

fn balancer(object: &Value, spec: &Value, kind: &str, errors: &mut ErrorList) {
    let ranges = spec.list("loadBalancerSourceRanges");
    let path = SPEC.child("LoadBalancerSourceRanges");
    let annotation = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let annotated = object.at("metadata").at("annotations").has(annotation);
    if (!ranges.is_empty() || annotated) && kind != "LoadBalancer" {
        errors.forbidden(&path, ONLY_BALANCER);
    }
    if kind == "LoadBalancer" {
        for (i, range) in strings(ranges).iter().enumerate() {
            if parse_cidr(range.trim()).is_none() {
                errors.invalid_str(
                    &path.index(i),
                    range,
                    "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
                );
            }
        }
    }
    if spec.has("allocateLoadBalancerNodePorts") && kind != "LoadBalancer" {
        errors.forbidden(&SPEC.child("allocateLoadBalancerNodePorts"), ONLY_BALANCER);
    }
    if kind == "LoadBalancer" && !spec.has("allocateLoadBalancerNodePorts") {
        errors.required(&SPEC.child("allocateLoadBalancerNodePorts"), "");
    }
    if spec.has("loadBalancerClass") {
        let class = spec.text("loadBalancerClass");
        let path = SPEC.child("loadBalancerClass");
        if kind == "LoadBalancer" {
            complain(&path, class, names::check_qualified_name(class), errors);
        } else {
            errors.forbidden(&path, ONLY_BALANCER);
        }
    }
}

fn traffic_policies(spec: &Value, kind: &str, errors: &mut ErrorList) {
    let external = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && !spec.list("externalIPs").is_empty());
    let policy = spec.text("externalTrafficPolicy");
    let path = SPEC.child("externalTrafficPolicy");
    if external {
        match policy {
            "Cluster" | "Local" => {}
            "" if kind == "ClusterIP" => {}
            "" => errors.required(&path, ""),
            other => errors.not_supported(&path, other, &["Cluster", "Local"]),
        }
    } else if !policy.is_empty() {
        errors.invalid_str(&path, policy, "may only be set for externally-accessible services");
    }
    let health = spec.int("healthCheckNodePort").unwrap_or(0);
    if health != 0 && !(kind == "LoadBalancer" && policy == "Local") {
        let text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.invalid(&SPEC.child("healthCheckNodePort"), spec.at("healthCheckNodePort"), text);
    }
    let internal = spec.text("internalTrafficPolicy");
    if spec.has("internalTrafficPolicy") && !matches!(internal, "Cluster" | "Local") {
        errors.not_supported(&SPEC.child("internalTrafficPolicy"), internal, &["Cluster", "Local"]);
    }
    if spec.has("trafficDistribution")
        && !matches!(spec.text("trafficDistribution"), "PreferClose" | "PreferSameZone" | "PreferSameNode")
    {
        let choices = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        errors.not_supported(&SPEC.child("trafficDistribution"), spec.text("trafficDistribution"), &choices);
    }
}

pub(super) fn update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec"), new.at("spec"));
    let stays = before.text("type") != "ExternalName" && after.text("type") != "ExternalName";
    let (first, now) = (before.list("clusterIPs").first(), after.list("clusterIPs").first());
    if stays && first.is_some() && now.is_some() && first != now {
        errors.invalid(&SPEC.child("clusterIPs").index(0), after.at("clusterIPs"), "may not change once set");
    }
    if before.text("type") == "LoadBalancer"
        && after.text("type") == "LoadBalancer"
        && before.at("loadBalancerClass") != after.at("loadBalancerClass")
    {
        let text = "may not change once set";
        errors.invalid(&SPEC.child("loadBalancerClass"), after.at("loadBalancerClass"), text);
    }
}
