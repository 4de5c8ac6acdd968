//! The taints that follow from a node's conditions.

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use crate::condition::condition;

/// The node says that it is not ready.
pub(super) const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Nothing is heard of the node.
pub(super) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Conditions, when they call for a taint, and which.
const OF_CONDITIONS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The taints that a node is to have; others than these controllers' stay as they are.
pub(super) fn wanted(node: &Value, may_evict: bool, now: Moment) -> Vec<Value> {
    let mut called: Vec<(&str, &str)> = Vec::new();
    for (kind, value, key) in OF_CONDITIONS {
        if condition(node, kind).text("status") == value {
            called.push((key, "NoSchedule"));
            if kind == "Ready" && may_evict {
                called.push((key, "NoExecute"));
            }
        }
    }
    if node.at("spec").is_true("unschedulable") {
        called.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let ours = |taint: &Value| {
        let (key, effect) = (taint.text("key"), taint.text("effect"));
        let known = OF_CONDITIONS.iter().any(|(.., ours)| *ours == key) || key == UNSCHEDULABLE;
        known && (effect == "NoSchedule" || (effect == "NoExecute" && matches!(key, NOT_READY | UNREACHABLE)))
    };
    let is = |taint: &Value, (key, effect): &(&str, &str)| {
        taint.text("key") == *key && taint.text("effect") == *effect
    };
    let present = node.at("spec").list("taints");
    let kept = present.iter().filter(|taint| !ours(taint) || called.iter().any(|call| is(taint, call)));
    let mut out: Vec<Value> = kept.cloned().collect();
    for call in &called {
        if !out.iter().any(|taint| is(taint, call)) {
            out.push(json!({"key": call.0, "effect": call.1, "timeAdded": now.to_time()}));
        }
    }
    // Evictions count from the moment of the taint, whoever set it.
    for taint in out.iter_mut().filter(|taint| taint.text("effect") == "NoExecute") {
        taint.default("timeAdded", now.to_time());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(node: &Value, may_evict: bool) -> Vec<String> {
        let taints = wanted(node, may_evict, Moment::from_unix(5, 0));
        taints.iter().map(|taint| format!("{}:{}", taint.text("key"), taint.text("effect"))).collect()
    }

    #[test]
    fn conditions_become_taints_and_strangers_stay() {
        let node = json!({
            "spec": {"unschedulable": true, "taints": [
                {"key": "mine", "effect": "NoExecute"},
                {"key": NOT_READY, "effect": "NoSchedule"},
            ]},
            "status": {"conditions": [
                {"type": "Ready", "status": "Unknown"}, {"type": "DiskPressure", "status": "True"},
            ]},
        });
        assert_eq!(
            keys(&node, true),
            [
                "mine:NoExecute",
                "node.kubernetes.io/unreachable:NoSchedule",
                "node.kubernetes.io/unreachable:NoExecute",
                "node.kubernetes.io/disk-pressure:NoSchedule",
                "node.kubernetes.io/unschedulable:NoSchedule",
            ]
        );
        assert!(!keys(&node, false).contains(&"node.kubernetes.io/unreachable:NoExecute".to_owned()));
        let taints = wanted(&node, true, Moment::from_unix(5, 0));
        assert!(
            taints.iter().filter(|t| t.text("effect") == "NoExecute").all(|taint| taint.has("timeAdded"))
        );
        let well = json!({"spec": {"taints": taints}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(keys(&well, true), ["mine:NoExecute"]);
    }
}
