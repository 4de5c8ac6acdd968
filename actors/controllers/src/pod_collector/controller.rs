//! [`PodCollector`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use crate::condition;
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Write};
use crate::pods::{is_finished, is_ready};
use crate::world::World;
use crate::writes::patch;

static WATCHED: [Resource; 2] = [resources::PODS, resources::NODES];

/// Finished pods that are kept, as upstream's `--terminated-pod-gc-threshold`.
const KEPT: usize = 12_500;
/// How long a node must have been gone before its pods go, as upstream: it may be about to come back.
const QUARANTINE: Duration = Duration::from_secs(40);
/// The taint by which an administrator vouches that nothing runs on a node any more.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// The key that stands for all finished pods together; pods have namespaces.
const FINISHED: &str = "finished";

/// Removes pods that nobody else will.
#[derive(Debug)]
pub struct PodCollector {
    kept: usize,
}

impl Default for PodCollector {
    fn default() -> Self {
        Self { kept: KEPT }
    }
}

/// Why a pod is removed at once.
enum Verdict {
    /// Its node is gone; the words of the condition.
    Orphan,
    /// Its node will not end it.
    OutOfService,
    /// It was never placed and is on its way out.
    Unplaced,
}

impl PodCollector {
    /// Keeps so many finished pods.
    pub fn keeping(kept: usize) -> Self {
        Self { kept }
    }

    /// The oldest finished pods beyond those that are kept.
    fn surplus(&self, world: &dyn World) -> Plan {
        let mut pods = resources::PODS.list(world, None);
        pods.retain(|pod| is_finished(pod) && !is_deleting(pod));
        let surplus = pods.len().saturating_sub(self.kept);
        pods.sort_by_cached_key(|pod| {
            let metadata = pod.at("metadata");
            (metadata.text("creationTimestamp").to_owned(), metadata.text("name").to_owned())
        });
        Plan { writes: pods.iter().take(surplus).map(|pod| remove(pod)).collect(), again_after: None }
    }
}

/// What is to become of a pod, and when it is to be looked at again.
fn judge(pod: &Value, look: &Look<'_>) -> Result<Verdict, Option<Duration>> {
    let name = pod.at("spec").text("nodeName");
    if name.is_empty() {
        return if is_deleting(pod) { Ok(Verdict::Unplaced) } else { Err(None) };
    }
    let Some(node) = resources::NODES.get(look.world, "", name) else {
        if is_ready(pod) {
            return Err(Some(QUARANTINE));
        }
        // Nobody wrote down when the node went; that its pods are not ready was written when that was noticed.
        let since = ["Ready", "PodScheduled"].into_iter().filter_map(|kind| {
            Moment::parse_time(condition::condition(pod, kind).text("lastTransitionTime")).ok()
        });
        let created = Moment::parse_time(pod.at("metadata").text("creationTimestamp")).ok();
        let since = since.chain(created).max().map_or(0, Moment::unix_seconds);
        let waited = Duration::from_secs(u64::try_from(look.now.unix_seconds() - since).unwrap_or(0));
        let left = QUARANTINE.saturating_sub(waited);
        return if left.is_zero() { Ok(Verdict::Orphan) } else { Err(Some(left)) };
    };
    let fenced = node.at("spec").list("taints").iter().any(|taint| taint.text("key") == OUT_OF_SERVICE);
    let ready = condition::is_true(&node, "Ready");
    if is_deleting(pod) && fenced && !ready { Ok(Verdict::OutOfService) } else { Err(None) }
}

fn remove(pod: &Value) -> Write {
    let metadata = pod.at("metadata");
    Write::Remove {
        resource: resources::PODS,
        namespace: metadata.text("namespace").to_owned(),
        name: metadata.text("name").to_owned(),
        uid: metadata.text("uid").to_owned(),
    }
}

/// A pod that will not report its end any more is failed.
fn failed(pod: &Value, verdict: &Verdict, look: &Look<'_>) -> Option<Write> {
    if is_finished(pod) {
        return None;
    }
    let mut status = pod.at("status").clone();
    if !status.is_object() {
        status = json!({});
    }
    status.put("phase", "Failed");
    if matches!(verdict, Verdict::Orphan) {
        let says = condition::Says {
            kind: "DisruptionTarget",
            status: "True",
            reason: "DeletionByPodGC",
            message: "PodGC: node no longer exists",
        };
        condition::set(&mut status, says, look.now);
    }
    Some(patch_status(pod, status))
}

fn patch_status(pod: &Value, status: Value) -> Write {
    let mut after = pod.clone();
    after["status"] = status;
    patch(&resources::PODS, "status", pod, &after)
}

fn unready(pod: &Value, look: &Look<'_>) -> Write {
    let mut status = pod.at("status").clone();
    let says =
        condition::Says { kind: "Ready", status: "False", reason: "NodeLost", message: "its node is gone" };
    condition::set(&mut status, says, look.now);
    patch_status(pod, status)
}

fn key(pod: &Value) -> Key {
    Key::new(pod.at("metadata").text("namespace"), pod.at("metadata").text("name"))
}

impl Controller for PodCollector {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let old = change.old.as_deref();
        if change.resource == resources::PODS {
            let Some(pod) = change.new.as_deref() else { return Vec::new() };
            let mut keys = Vec::new();
            if is_finished(pod) && old.is_none_or(|old| !is_finished(old)) {
                keys.push(Key::new("", FINISHED));
            }
            let node = pod.at("spec").text("nodeName");
            let homeless = !node.is_empty() && resources::NODES.get(world, "", node).is_none();
            if homeless || is_deleting(pod) {
                keys.push(key(pod));
            }
            return keys;
        }
        let Some(node) = change.new.as_deref().or(old) else { return Vec::new() };
        let taints = |node: Option<&Value>| node.map(|node| node.at("spec").at("taints").clone());
        if change.new.is_some() && taints(old) == taints(change.new.as_deref()) {
            return Vec::new();
        }
        let name = node.at("metadata").text("name");
        let pods = resources::PODS.list(world, None);
        let on_it = |pod: &&Arc<Value>| pod.at("spec").text("nodeName") == name;
        pods.iter().filter(on_it).map(|pod| key(pod)).collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        if look.key.namespace.is_empty() {
            return self.surplus(look.world);
        }
        let Some(pod) = resources::PODS.get(look.world, &look.key.namespace, &look.key.name) else {
            return Plan::settled();
        };
        match judge(&pod, look) {
            Ok(verdict) => {
                let mut writes: Vec<Write> = failed(&pod, &verdict, look).into_iter().collect();
                writes.push(remove(&pod));
                Plan { writes, again_after: None }
            }
            Err(again_after) => {
                // That it is ready is no longer known; and the wait begins now.
                let homeless = again_after.is_some() && is_ready(&pod);
                let unready = homeless.then(|| unready(&pod, look));
                Plan { writes: unready.into_iter().collect(), again_after }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestWorld;

    const NOW: i64 = 10_000;

    fn pod(name: &str, node: &str, deleting: bool, phase: &str) -> Value {
        let at = |seconds: i64| Moment::from_unix(seconds, 0).to_time();
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "d", "uid": name, "creationTimestamp": at(NOW - 100)},
            "spec": {"nodeName": node}, "status": {"phase": phase},
        });
        if deleting {
            pod["metadata"]["deletionTimestamp"] = json!(at(NOW));
        }
        pod
    }

    fn plan(world: &TestWorld, key: &Key, now: i64) -> Plan {
        let now = Moment::from_unix(now, 0);
        PodCollector::keeping(1).reconcile(&Look { now, key, world, refused: None })
    }

    #[test]
    fn pods_without_a_node_go_after_a_while() {
        let mut world = TestWorld::default();
        world.put(&resources::PODS, pod("p", "gone", false, "Running"));
        let key = Key::new("d", "p");
        assert_eq!(plan(&world, &key, NOW - 90).again_after, Some(Duration::from_secs(30)));
        let mut ready = pod("p", "gone", false, "Running");
        ready["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
        let mut other = TestWorld::default();
        other.put(&resources::PODS, ready);
        let first = plan(&other, &key, NOW);
        assert!(matches!(&first.writes[..], [Write::Patch { patch, .. }]
            if patch["status"]["conditions"][0]["status"] == "False"));
        let due = plan(&world, &key, NOW);
        assert!(
            matches!(&due.writes[..], [Write::Patch { patch, subresource: "status", .. }, Write::Remove { .. }]
            if patch["status"]["phase"] == "Failed"
                && patch["status"]["conditions"][0]["reason"] == "DeletionByPodGC")
        );
    }

    #[test]
    fn pods_that_are_on_their_way_out_go_when_nobody_ends_them() {
        let mut world = TestWorld::default();
        let taint = json!([{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]);
        world.put(&resources::NODES, json!({"metadata": {"name": "n"}, "spec": {"taints": taint}}));
        world.put(&resources::NODES, json!({"metadata": {"name": "well"}, "spec": {}}));
        for (name, node, deleting, removed) in [
            ("a", "n", true, true),
            ("b", "n", false, false),
            ("c", "well", true, false),
            ("e", "", true, true),
            ("f", "", false, false),
        ] {
            world.put(&resources::PODS, pod(name, node, deleting, "Running"));
            let plan = plan(&world, &Key::new("d", name), NOW);
            let has = plan.writes.iter().any(|write| matches!(write, Write::Remove { .. }));
            assert_eq!(has, removed, "{name}");
        }
    }

    #[test]
    fn the_oldest_finished_pods_go() {
        let mut world = TestWorld::default();
        let mut old = pod("old", "n", false, "Succeeded");
        old["metadata"]["creationTimestamp"] = json!(Moment::from_unix(5, 0).to_time());
        world.put(&resources::PODS, old);
        world.put(&resources::PODS, pod("new", "n", false, "Failed"));
        world.put(&resources::PODS, pod("runs", "n", false, "Running"));
        let plan = plan(&world, &Key::new("", FINISHED), NOW);
        assert!(matches!(&plan.writes[..], [Write::Remove { name, .. }] if name == "old"));
    }
}
