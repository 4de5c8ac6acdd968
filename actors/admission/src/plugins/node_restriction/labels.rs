//! Which labels a node may put on itself: its own facts, and what is nobody's.

use std::collections::BTreeSet;

use serde_json::Value;
use trireme_schema::view::View;

/// Labels that a kubelet sets.
const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
/// Domains whose labels a kubelet may set.
const KUBELET_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Labels that only administrators set, to keep pods on trusted nodes.
const RESTRICTED_DOMAIN: &str = "node-restriction.kubernetes.io";

/// The labels that differ and are not the node's to change, sorted.
pub(super) fn forbidden(old: &Value, new: &Value) -> Vec<String> {
    let labels = |object: &Value| object.at("metadata").map("labels").cloned().unwrap_or_default();
    let (old, new) = (labels(old), labels(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    changed.filter(|name| !may_set(name)).cloned().collect()
}

fn may_set(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    if within(domain, RESTRICTED_DOMAIN) {
        return false;
    }
    let clusters_own = within(domain, "kubernetes.io") || within(domain, "k8s.io");
    !clusters_own
        || KUBELET_LABELS.contains(&label)
        || KUBELET_DOMAINS.iter().any(|kubelet| within(domain, kubelet))
}

fn within(domain: &str, parent: &str) -> bool {
    domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}
