//! Which pods go first when there are too many.
//!
//! Source: upstream's order of active pods: unassigned, pending, unready, cheaper to delete, more of its kin on its
//! node, ready for a shorter time, restarted more often, younger.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use serde_json::Value;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use crate::condition::condition;
use crate::pods::is_ready;

/// The annotation by which users say which pod they miss least.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Smaller goes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    assigned: bool,
    phase: u8,
    ready: bool,
    cost: i64,
    kin_on_node: Reverse<usize>,
    /// In powers of two of a second: how long it has been ready.
    ready_for: u32,
    restarts: Reverse<i64>,
    /// The same for its age.
    age: u32,
}

/// Indexes into `pods`, those that go first at the front. `kin` are the pods that count as doubled up on a node, such
/// as those of all ReplicaSets of a Deployment.
pub(super) fn by_rank(pods: &[&Value], kin: &[&Value], now: Moment) -> Vec<usize> {
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in kin {
        *on_node.entry(pod.at("spec").text("nodeName")).or_default() += 1;
    }
    let ranks: Vec<Rank> = pods.iter().map(|pod| rank(pod, &on_node, now)).collect();
    let name = |index: usize| pods[index].at("metadata").text("name");
    let mut order: Vec<usize> = (0..pods.len()).collect();
    order.sort_by(|&a, &b| match ranks[a].cmp(&ranks[b]) {
        Ordering::Equal => name(a).cmp(name(b)),
        unequal => unequal,
    });
    order
}

fn rank(pod: &Value, on_node: &BTreeMap<&str, usize>, now: Moment) -> Rank {
    let node = pod.at("spec").text("nodeName");
    let cost = pod.at("metadata").at("annotations").text(DELETION_COST).parse::<i32>().unwrap_or(0);
    let statuses = pod.at("status").list("containerStatuses");
    let ready = is_ready(pod);
    Rank {
        assigned: !node.is_empty(),
        phase: match pod.at("status").text("phase") {
            "Running" => 2,
            "Unknown" => 1,
            _ => 0,
        },
        ready,
        cost: i64::from(cost),
        kin_on_node: Reverse(if node.is_empty() { 0 } else { on_node.get(node).copied().unwrap_or(0) }),
        ready_for: if ready { magnitude(condition(pod, "Ready").text("lastTransitionTime"), now) } else { 0 },
        restarts: Reverse(statuses.iter().filter_map(|status| status.int("restartCount")).max().unwrap_or(0)),
        age: magnitude(pod.at("metadata").text("creationTimestamp"), now),
    }
}

/// The time since then as a power of two, so that ages that are nearly the same do not decide.
fn magnitude(since: &str, now: Moment) -> u32 {
    let since = Moment::parse_time(since).map_or(0, Moment::unix_seconds);
    let seconds = u64::try_from(now.unix_seconds() - since).unwrap_or(0);
    seconds.checked_ilog2().map_or(0, |log| log + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, node: &str, phase: &str, ready: bool) -> Value {
        let ready = if ready { "True" } else { "False" };
        json!({
            "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": node},
            "status": {"phase": phase, "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ]},
        })
    }

    fn order(pods: &[Value]) -> Vec<String> {
        let refs: Vec<&Value> = pods.iter().collect();
        let now = Moment::parse_time("2026-01-01T01:00:00Z").unwrap();
        let names = by_rank(&refs, &refs, now).into_iter();
        names.map(|index| pods[index]["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_serves_least_goes_first() {
        let mut cheap = pod("cheap", "n1", "Running", true);
        cheap["metadata"]["annotations"] = json!({DELETION_COST: "-5"});
        let mut young = pod("young", "n2", "Running", true);
        young["metadata"]["creationTimestamp"] = json!("2026-01-01T00:59:00Z");
        let pods = [
            pod("doubled", "n1", "Running", true),
            pod("alone", "n3", "Running", true),
            young,
            cheap,
            pod("unready", "n1", "Running", false),
            pod("pending", "n1", "Pending", false),
            pod("unassigned", "", "Pending", false),
        ];
        let first = ["unassigned", "pending", "unready", "cheap", "doubled", "young", "alone"];
        assert_eq!(order(&pods), first);
    }

    #[test]
    fn restarts_and_then_names_decide_between_equals() {
        let mut restarted = pod("c", "n1", "Running", true);
        restarted["status"]["containerStatuses"] = json!([{"restartCount": 3}]);
        let pods = [pod("b", "n1", "Running", true), pod("a", "n1", "Running", true), restarted];
        assert_eq!(order(&pods), ["c", "a", "b"]);
    }
}
