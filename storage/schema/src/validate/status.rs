//! Validation of what controllers write through the `status` subresource.

use serde_json::Value;

use super::util::{complain, not_negative, parse_ip, quantity, strings};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

const STATUS: Path<'static> = Path::new("status");
const BAD_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// Findings about a status.
pub(super) fn status(group: &str, kind: &str, old: &Value, new: &Value, errors: &mut ErrorList) {
    let status = new.at("status");
    match (group, kind) {
        ("", "Pod") => pod(status, errors),
        ("", "Namespace") => namespace(new, status, errors),
        ("", "Service") | ("networking.k8s.io", "Ingress") => balancer(status, errors),
        ("", "ReplicationController") | ("apps", "ReplicaSet") => {
            let counts = [
                "replicas",
                "fullyLabeledReplicas",
                "readyReplicas",
                "availableReplicas",
                "observedGeneration",
            ];
            replicas(status, &counts, errors);
        }
        ("apps", "Deployment") => {
            let counts =
                ["observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas"];
            replicas(status, &counts, errors);
            counters(status, &["unavailableReplicas", "collisionCount", "terminatingReplicas"], errors);
        }
        ("apps", "StatefulSet") => {
            let counts =
                ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
            replicas(status, &counts, errors);
            counters(status, &["observedGeneration", "collisionCount"], errors);
        }
        ("apps", "DaemonSet") => counters(
            status,
            &[
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
                "observedGeneration",
                "updatedNumberScheduled",
                "numberAvailable",
                "numberUnavailable",
                "collisionCount",
            ],
            errors,
        ),
        ("batch", "Job") => job(status, errors),
        ("autoscaling", "HorizontalPodAutoscaler") => {
            counters(status, &["currentReplicas", "desiredReplicas"], errors);
        }
        ("policy", "PodDisruptionBudget") => {
            let counts = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
            counters(status, &counts, errors);
        }
        ("", "PersistentVolumeClaim") => {
            let capacity = STATUS.child("capacity");
            for (name, value) in status.map("capacity").into_iter().flatten() {
                if quantity(value).is_some_and(|q| q.is_negative()) {
                    errors.invalid(&capacity.key(name), value, "must be a valid resource quantity");
                }
            }
        }
        ("", "ResourceQuota") => super::core::quota_status(new, errors),
        ("certificates.k8s.io", "CertificateSigningRequest") => {
            super::signing::signed(old, new, errors);
        }
        _ => {}
    }
}

fn counters(status: &Value, names: &[&str], errors: &mut ErrorList) {
    for name in names {
        not_negative(status, name, &STATUS, errors);
    }
}

/// Counts of replicas: none negative, and no part above the whole.
fn replicas(status: &Value, names: &[&str], errors: &mut ErrorList) {
    counters(status, names, errors);
    let total = status.int("replicas").unwrap_or(0);
    for name in names.iter().filter(|n| **n != "replicas" && **n != "observedGeneration") {
        let part = status.int(name).unwrap_or(0);
        if part > total {
            errors.invalid(&STATUS.child(name), &Value::from(part), "cannot be greater than status.replicas");
        }
    }
    let (available, ready) =
        (status.int("availableReplicas").unwrap_or(0), status.int("readyReplicas").unwrap_or(0));
    if available > ready {
        let text = "cannot be greater than readyReplicas";
        errors.invalid(&STATUS.child("availableReplicas"), &Value::from(available), text);
    }
}

fn pod(status: &Value, errors: &mut ErrorList) {
    let ips: Vec<&str> = status.list("podIPs").iter().map(|i| i.text("ip")).collect();
    let list = STATUS.child("podIPs");
    for (i, ip) in ips.iter().enumerate() {
        if parse_ip(ip).is_none() {
            errors.invalid_str(&list.index(i), ip, BAD_IP);
        }
    }
    if ips.len() > 1 {
        let families: Vec<bool> = ips.iter().filter_map(|i| parse_ip(i)).map(|i| i.is_ipv4()).collect();
        if families.len() != 2 || families[0] == families[1] {
            errors.invalid(&list, status.at("podIPs"), "may specify no more than one IP for each IP family");
        }
        for (i, ip) in ips.iter().enumerate() {
            if ips[..i].contains(ip) {
                errors.duplicate(&list.index(i), &status.list("podIPs")[i]);
            }
        }
    }
    let node = status.text("nominatedNodeName");
    if !node.is_empty() {
        complain(&STATUS.child("nominatedNodeName"), node, names::check_dns1123_subdomain(node), errors);
    }
}

fn namespace(new: &Value, status: &Value, errors: &mut ErrorList) {
    let phase = status.text("phase");
    let path = STATUS.child("Phase");
    if new.at("metadata").has("deletionTimestamp") {
        if phase != "Terminating" {
            errors.invalid_str(&path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
        }
    } else if phase != "Active" {
        errors.invalid_str(&path, phase, "may only be 'Active' if `deletionTimestamp` is empty");
    }
}

fn balancer(status: &Value, errors: &mut ErrorList) {
    let outer = STATUS.child("loadBalancer");
    let list = outer.child("ingress");
    for (i, ingress) in status.at("loadBalancer").list("ingress").iter().enumerate() {
        let at = list.index(i);
        let ip = ingress.text("ip");
        if !ip.is_empty() && parse_ip(ip).is_none() {
            errors.invalid_str(&at.child("ip"), ip, "must be a valid IP address");
        }
        let host = ingress.text("hostname");
        if !host.is_empty() {
            complain(&at.child("hostname"), host, names::check_dns1123_subdomain(host), errors);
            if parse_ip(host).is_some() {
                errors.invalid_str(&at.child("hostname"), host, "must be a DNS name, not an IP address");
            }
        }
    }
}

fn job(status: &Value, errors: &mut ErrorList) {
    counters(status, &["active", "succeeded", "failed", "ready", "terminating"], errors);
    let outer = STATUS.child("uncountedTerminatedPods");
    let pods = status.at("uncountedTerminatedPods");
    let mut seen: Vec<&str> = Vec::new();
    for name in ["succeeded", "failed"] {
        let list = outer.child(name);
        for (i, uid) in strings(pods.list(name)).iter().enumerate() {
            if uid.is_empty() {
                errors.invalid_str(&list.index(i), uid, "must not be empty");
            } else if seen.contains(uid) {
                errors.duplicate(&list.index(i), &Value::from(*uid));
            }
            seen.push(uid);
        }
    }
}
