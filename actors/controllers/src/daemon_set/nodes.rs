//! Which nodes a DaemonSet is for, and the pods that it makes for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use crate::owner::controller_reference;
use crate::placement::{has_untolerated, node_is_selected};
use crate::pod_template::pod_of;

/// The label of a pod with the hash of its revision.
pub(super) const HASH_LABEL: &str = "controller-revision-hash";
const GENERATION_LABEL: &str = "pod-template-generation";
/// The annotation by which clients of the old API wrote the template's generation.
const GENERATION: &str = "deprecated.daemonset.template.generation";

/// Taints that every daemon tolerates, so that it runs where nothing else may.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";

/// What a set wants of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// A pod is to be there.
    pub(super) run: bool,
    /// A pod that is there may stay.
    pub(super) stay: bool,
}

/// What a set wants of a node.
pub(super) fn wish(template_spec: &Value, tolerations: &[Value], node: &Value) -> Wish {
    let named = template_spec.text("nodeName");
    let elsewhere = !named.is_empty() && named != node.at("metadata").text("name");
    if elsewhere || !node_is_selected(template_spec, node) {
        return Wish { run: false, stay: false };
    }
    Wish {
        run: !has_untolerated(tolerations, node, &["NoSchedule", "NoExecute"]),
        stay: !has_untolerated(tolerations, node, &["NoExecute"]),
    }
}

/// The tolerations of a set's pods: the template's and those of every daemon.
pub(super) fn tolerations(template_spec: &Value) -> Vec<Value> {
    let mut out = template_spec.list("tolerations").to_vec();
    let mut add = |key: &str, effect: &str| {
        let wanted = json!({"key": key, "operator": "Exists", "effect": effect});
        let covered = |other: &Value| {
            other.text("key") == key
                && other.text("effect") == effect
                && other.text("operator") == "Exists"
                && !other.has("tolerationSeconds")
        };
        if !out.iter().any(covered) {
            out.push(wanted);
        }
    };
    for (key, effect) in TOLERATED {
        add(key, effect);
    }
    if template_spec.is_true("hostNetwork") {
        add(NETWORK_UNAVAILABLE, "NoSchedule");
    }
    out
}

/// A pod for a node, without a name.
pub(super) fn new_pod(set: &Value, tolerations: &[Value], node: &str, hash: &str) -> Value {
    let reference = controller_reference("apps/v1", "DaemonSet", set);
    let template = set.at("spec").at("template");
    let mut pod = pod_of(template, set.at("metadata").text("namespace"), &reference);
    pod["metadata"]["labels"].put(HASH_LABEL, hash);
    let generation = set.at("metadata").at("annotations").text(GENERATION);
    if generation.parse::<i64>().is_ok() {
        pod["metadata"]["labels"].put(GENERATION_LABEL, generation);
    }
    pod["spec"].put("tolerations", tolerations.to_vec());
    let only = json!({"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
    ]});
    let affinity = pod["spec"].object("affinity").and_then(|affinity| affinity.object("nodeAffinity"));
    if let Some(affinity) = affinity {
        affinity.put("requiredDuringSchedulingIgnoredDuringExecution", only);
    }
    pod
}

/// The node that a pod is on or pinned to.
pub(super) fn node_of(pod: &Value) -> &str {
    let bound = pod.at("spec").text("nodeName");
    if !bound.is_empty() {
        return bound;
    }
    let required =
        pod.at("spec").below(&["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    let fields = required.list("nodeSelectorTerms").iter().flat_map(|term| term.list("matchFields"));
    let mut names =
        fields.filter(|field| field.text("key") == "metadata.name" && field.text("operator") == "In");
    names.next().and_then(|field| field.list("values").first()).and_then(Value::as_str).unwrap_or("")
}

/// The pods of a set by node, oldest first, those that run before those that do not.
pub(super) fn by_node(pods: &[Arc<Value>]) -> BTreeMap<String, Vec<Arc<Value>>> {
    let mut out: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !node_of(pod).is_empty()) {
        out.entry(node_of(pod).to_owned()).or_default().push(pod.clone());
    }
    for pods in out.values_mut() {
        pods.sort_by_cached_key(|pod| {
            let metadata = pod.at("metadata");
            let unassigned = pod.at("spec").text("nodeName").is_empty();
            (unassigned, metadata.text("creationTimestamp").to_owned(), metadata.text("name").to_owned())
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tainted_nodes_keep_what_they_have_but_for_no_execute() {
        let spec = json!({"nodeSelector": {"a": "b"}});
        let tolerations = tolerations(&spec);
        let node = |labels: Value, taint: Value| json!({"metadata": {"name": "n", "labels": labels}, "spec": {"taints": [taint]}});
        let matching = json!({"a": "b"});
        let of = |node: Value| {
            let wish = wish(&spec, &tolerations, &node);
            (wish.run, wish.stay)
        };
        assert_eq!(of(node(json!({}), json!({}))), (false, false));
        assert_eq!(of(node(matching.clone(), json!({}))), (true, true));
        assert_eq!(of(node(matching.clone(), json!({"key": "x", "effect": "NoSchedule"}))), (false, true));
        assert_eq!(of(node(matching.clone(), json!({"key": "x", "effect": "NoExecute"}))), (false, false));
        let unready = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"});
        assert_eq!(of(node(matching, unready)), (true, true));
    }

    #[test]
    fn a_pod_is_pinned_to_its_node_alone() {
        let set = json!({
            "metadata": {"name": "ds", "namespace": "d", "uid": "u", "annotations": {GENERATION: "3"}},
            "spec": {"template": {"spec": {"affinity": {"nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": []}]},
            }}}}},
        });
        let pod = new_pod(&set, &[], "n7", "abc");
        assert_eq!(node_of(&pod), "n7");
        assert_eq!(pod["metadata"]["labels"], json!({HASH_LABEL: "abc", GENERATION_LABEL: "3"}));
    }
}
