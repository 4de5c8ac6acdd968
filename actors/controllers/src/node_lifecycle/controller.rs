//! [`NodeLifecycleController`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use super::health::{Heart, LEASES, silenced};
use super::taints::wanted;
use crate::condition::{self, condition};
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::plan::{Plan, Write};
use crate::pods::is_ready;
use crate::world::World;
use crate::writes::{alike, event, update, update_status};

static WATCHED: [Resource; 3] = [resources::NODES, resources::LEASES, resources::PODS];

/// Longest silence of a node that beats each second before it counts as lost.
const DEFAULT_GRACE: Duration = Duration::from_millis(2_500);

/// Notices nodes that fall silent, and taints nodes by their conditions.
#[derive(Debug)]
pub struct NodeLifecycleController {
    grace: Duration,
}

impl Default for NodeLifecycleController {
    fn default() -> Self {
        Self::new(DEFAULT_GRACE)
    }
}

impl NodeLifecycleController {
    /// Nodes may be silent for `grace` (upstream's `--node-monitor-grace-period`).
    pub fn new(grace: Duration) -> Self {
        Self { grace }
    }

    /// Pods of a node that is not ready are not ready either.
    fn unready_pods(node: &str, look: &Look<'_>) -> Vec<Write> {
        let mut writes = Vec::new();
        for pod in pods_on(node, look.world).into_iter().filter(|pod| is_ready(pod)) {
            let mut new = (*pod).clone();
            for condition in new["status"].items("conditions").filter(|c| c.text("type") == "Ready") {
                condition.put("status", "False");
                condition.put("lastTransitionTime", look.now.to_time());
            }
            writes.extend(update_status(&resources::PODS, &pod, new["status"].take()));
            writes.push(event(&pod, "Warning", "NodeNotReady", "Node is not ready".to_owned()));
        }
        writes
    }
}

fn pods_on(node: &str, world: &dyn World) -> Vec<Arc<Value>> {
    let mut pods = resources::PODS.list(world, None);
    pods.retain(|pod| pod.at("spec").text("nodeName") == node);
    pods
}

fn is_node_ready(node: &Value) -> bool {
    condition::is_true(node, "Ready")
}

impl Controller for NodeLifecycleController {
    fn name(&self) -> &'static str {
        "node-lifecycle-controller"
    }

    fn identity(&self) -> &'static str {
        "node-controller"
    }

    fn event_source(&self) -> &'static str {
        "node-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        let Some(object) = new.or(old) else { return Vec::new() };
        if change.resource == resources::LEASES {
            // A beat needs no look: one is due when the next has not come. Only the first and the last are news.
            let news = old.is_none() || new.is_none();
            let ours = object.at("metadata").text("namespace") == LEASES;
            return if news && ours {
                vec![Key::new("", object.at("metadata").text("name"))]
            } else {
                Vec::new()
            };
        }
        if change.resource == resources::PODS {
            // A pod that says it is ready on a node that is not.
            let node = object.at("spec").text("nodeName");
            let lost = new.is_some_and(|pod| is_ready(pod) && !node.is_empty())
                && resources::NODES.get(world, "", node).is_some_and(|node| !is_node_ready(&node));
            return if lost { vec![Key::new("", node)] } else { Vec::new() };
        }
        let readiness = |node: Option<&Value>| node.map(is_node_ready);
        if change.resource == resources::NODES && readiness(old) != readiness(new) {
            // Whether anything may be evicted depends on all of them.
            let all = resources::NODES.list(world, None);
            let mut keys: Vec<Key> =
                all.iter().map(|node| Key::new("", node.at("metadata").text("name"))).collect();
            keys.push(Key::new("", object.at("metadata").text("name")));
            keys.sort();
            keys.dedup();
            return keys;
        }
        vec![Key::new("", object.at("metadata").text("name"))]
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let name = &look.key.name;
        let Some(node) = resources::NODES.get(look.world, "", name) else { return Plan::settled() };
        let mut plan = Plan::settled();
        match Heart::of(&node, self.grace, look) {
            Heart::Beats(left) => plan.look_again(left),
            Heart::Stopped => {
                let mut status = node.at("status").clone();
                if !status.is_object() {
                    status = json!({});
                }
                status.put("conditions", silenced(&node, look.now));
                if let Some(write) = update_status(&resources::NODES, &node, status) {
                    if condition(&node, "Ready").text("status") == "True" {
                        let message = format!("Node {name} status is now: NodeNotReady");
                        plan.writes.push(event(&node, "Normal", "NodeNotReady", message));
                    }
                    plan.writes.push(write);
                    // Taints and pods follow at the next look, when the conditions are written.
                    return plan;
                }
            }
        }
        // The others count only where this one is lost: there are many nodes and looks.
        let may_evict = is_node_ready(&node)
            || resources::NODES.list(look.world, None).iter().any(|node| is_node_ready(node));
        let taints = wanted(&node, may_evict, look.now);
        if !alike(node.at("spec").at("taints"), &json!(taints)) {
            let mut tainted = (*node).clone();
            if let Some(spec) = tainted.object("spec") {
                spec.put("taints", taints);
            }
            plan.writes.push(update(&resources::NODES, tainted));
        }
        if !condition(&node, "Ready").is_null() && !is_node_ready(&node) {
            plan.writes.extend(Self::unready_pods(name, look));
        }
        plan
    }
}

#[cfg(test)]
#[path = "controller_test.rs"]
mod tests;
