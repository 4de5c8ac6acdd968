//! What a Service keeps and loses when it is updated: allocated addresses and ports, fields of another type.

use serde_json::Value;

use crate::view::{Edit, View};

/// Fills in allocated values that the client left out, as far as the type still has them, and drops fields of the
/// old type that the client did not touch. The allocator runs after this and before validation.
pub fn keep_allocated(old: &Value, new: &mut Value) {
    let before = old.at("spec");
    let Some(after) = new.object("spec") else { return };
    let needs_ip = |spec: &Value| spec.text("type") != "ExternalName";
    let needs_ports = |spec: &Value| matches!(spec.text("type"), "NodePort" | "LoadBalancer");
    let needs_health =
        |spec: &Value| spec.text("type") == "LoadBalancer" && spec.text("externalTrafficPolicy") == "Local";
    if needs_ip(before) && needs_ip(after) {
        keep_addresses(before, after);
    }
    if needs_ports(before) && needs_ports(after) {
        for port in after.items("ports") {
            let same =
                |p: &&Value| p.text("protocol") == port.text("protocol") && p.at("port") == port.at("port");
            if port.int("nodePort").unwrap_or(0) == 0
                && let Some(number) = before.list("ports").iter().find(same).and_then(|p| p.int("nodePort"))
            {
                port.put("nodePort", number);
            }
        }
    }
    if needs_health(before) && needs_health(after) && before.has("healthCheckNodePort") {
        after.default("healthCheckNodePort", before.at("healthCheckNodePort").clone());
    }
    drop_of_old_type(before, after);
}

fn keep_addresses(before: &Value, after: &mut Value) {
    if !after.has("clusterIP") && before.has("clusterIP") {
        after.put("clusterIP", before.at("clusterIP").clone());
    }
    if !after.has("clusterIPs") && after.at("clusterIP") == before.at("clusterIP") && before.has("clusterIPs")
    {
        after.put("clusterIPs", before.at("clusterIPs").clone());
    }
    // A changed primary address stands for itself when the list was left as it was.
    if after.at("clusterIP") != before.at("clusterIP") && after.at("clusterIPs") == before.at("clusterIPs") {
        let first = after.at("clusterIP").clone();
        if let Some(slot) = after.items("clusterIPs").next() {
            *slot = first;
        }
    }
    for name in ["ipFamilies", "ipFamilyPolicy"] {
        if before.has(name) {
            after.default(name, before.at(name).clone());
        }
    }
}

fn drop_of_old_type(before: &Value, after: &mut Value) {
    let (was, is) = (before.text("type").to_owned(), after.text("type").to_owned());
    let unchanged = |after: &Value, name: &str| before.has(name) && before.at(name) == after.at(name);
    if was != "ExternalName" && is == "ExternalName" {
        for name in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if unchanged(after, name) {
                after.remove(name);
            }
        }
        if unchanged(after, "internalTrafficPolicy") {
            after.remove("internalTrafficPolicy");
        }
    }
    let ports = |kind: &str| matches!(kind, "NodePort" | "LoadBalancer");
    if ports(&was) && !ports(&is) {
        let old: Vec<i64> = before.list("ports").iter().filter_map(|p| p.int("nodePort")).collect();
        for port in after.items("ports") {
            if port.int("nodePort").is_some_and(|n| old.contains(&n)) {
                port.remove("nodePort");
            }
        }
        if unchanged(after, "externalTrafficPolicy") && after.list("externalIPs").is_empty() {
            after.remove("externalTrafficPolicy");
        }
    }
    let health =
        |kind: &str, spec: &Value| kind == "LoadBalancer" && spec.text("externalTrafficPolicy") == "Local";
    if health(&was, before) && !health(&is, after) && unchanged(after, "healthCheckNodePort") {
        after.remove("healthCheckNodePort");
    }
    if was == "LoadBalancer" && is != "LoadBalancer" {
        for name in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if unchanged(after, name) {
                after.remove(name);
            }
        }
    }
}
