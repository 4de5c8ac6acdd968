//! [`TaintEvictionController`].

use std::time::Duration;

use serde_json::Value;
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use crate::condition;
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::placement::tolerates;
use crate::plan::Plan;
use crate::pods::is_finished;
use crate::world::World;
use crate::writes::{delete_pod, event, update_status};

static WATCHED: [Resource; 2] = [resources::PODS, resources::NODES];

/// Deletes pods from nodes with `NoExecute` taints.
#[derive(Debug, Default)]
pub struct TaintEvictionController {}

/// When a pod has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    ForEver,
    Until(i64),
    NotAtAll,
}

fn no_execute(node: &Value) -> impl Iterator<Item = &Value> {
    node.at("spec").list("taints").iter().filter(|taint| taint.text("effect") == "NoExecute")
}

/// How long a pod may stay on a node.
fn stay(pod: &Value, node: &Value) -> Stay {
    let began = Moment::parse_time(pod.at("status").text("startTime"))
        .or_else(|_| Moment::parse_time(pod.at("metadata").text("creationTimestamp")));
    let began = began.map_or(i64::MIN, Moment::unix_seconds);
    let mut until = None;
    for taint in no_execute(node) {
        let matching: Vec<&Value> = pod
            .at("spec")
            .list("tolerations")
            .iter()
            .filter(|toleration| tolerates(toleration, taint))
            .collect();
        if matching.is_empty() {
            return Stay::NotAtAll;
        }
        // The shortest of the tolerations that are used.
        let Some(seconds) =
            matching.iter().filter_map(|toleration| toleration.int("tolerationSeconds")).min()
        else {
            continue;
        };
        // Until the taint says since when, nobody knows; the node's controller writes it down.
        let Ok(since) = Moment::parse_time(taint.text("timeAdded")) else { continue };
        let end = since.unix_seconds().max(began).saturating_add(seconds.max(0));
        until = Some(until.map_or(end, |before: i64| before.min(end)));
    }
    until.map_or(Stay::ForEver, Stay::Until)
}

impl Controller for TaintEvictionController {
    fn name(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn identity(&self) -> &'static str {
        "node-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let key =
            |pod: &Value| Key::new(pod.at("metadata").text("namespace"), pod.at("metadata").text("name"));
        let Some(new) = change.new.as_deref() else { return Vec::new() };
        if change.resource == resources::PODS {
            let node = new.at("spec").text("nodeName");
            let node = if node.is_empty() { None } else { resources::NODES.get(world, "", node) };
            let tainted = node.is_some_and(|node| no_execute(&node).next().is_some());
            return if tainted { vec![key(new)] } else { Vec::new() };
        }
        let before: Vec<&Value> = change.old.iter().flat_map(|node| no_execute(node)).collect();
        let after: Vec<&Value> = no_execute(new).collect();
        if after.is_empty() || before == after {
            return Vec::new();
        }
        let name = new.at("metadata").text("name");
        let pods = resources::PODS.list(world, None);
        pods.iter().filter(|pod| pod.at("spec").text("nodeName") == name).map(|pod| key(pod)).collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Some(pod) = resources::PODS.get(look.world, &look.key.namespace, &look.key.name) else {
            return Plan::settled();
        };
        let node = resources::NODES.get(look.world, "", pod.at("spec").text("nodeName"));
        let Some(node) = node.filter(|_| !is_deleting(&pod) && !is_finished(&pod)) else {
            return Plan::settled();
        };
        let left = match stay(&pod, &node) {
            Stay::ForEver => return Plan::settled(),
            Stay::Until(end) => u64::try_from(end - look.now.unix_seconds()).unwrap_or(0),
            Stay::NotAtAll => 0,
        };
        if left > 0 {
            return Plan { writes: Vec::new(), again_after: Some(Duration::from_secs(left)) };
        }
        let mut status = pod.at("status").clone();
        let says = condition::Says {
            kind: "DisruptionTarget",
            status: "True",
            reason: "DeletionByTaintManager",
            message: "Taint manager: deleting due to NoExecute taint",
        };
        if status.is_null() {
            status = Value::Object(serde_json::Map::new());
        }
        status.default("conditions", Vec::<Value>::new());
        condition::set(&mut status, says, look.now);
        let mut plan = Plan::settled();
        let (namespace, name) = (&look.key.namespace, &look.key.name);
        plan.writes.extend(update_status(&resources::PODS, &pod, status));
        let message = format!("Marking for deletion Pod {namespace}/{name}");
        plan.writes.push(event(&pod, "Normal", "TaintManagerEviction", message));
        plan.writes.push(delete_pod(&pod));
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Write;
    use crate::testing::TestWorld;
    use serde_json::json;

    fn plan(tolerations: Value, now: i64) -> Plan {
        let mut world = TestWorld::default();
        let added = Moment::from_unix(1_000, 0).to_time();
        world.put(
            &resources::NODES,
            json!({
                "metadata": {"name": "n"},
                "spec": {"taints": [{"key": "gone", "effect": "NoExecute", "timeAdded": added}]},
            }),
        );
        world.put(
            &resources::PODS,
            json!({
                "metadata": {"name": "p", "namespace": "d", "uid": "u", "creationTimestamp": Moment::from_unix(900, 0).to_time()},
                "spec": {"nodeName": "n", "tolerations": tolerations},
            }),
        );
        let (key, now) = (Key::new("d", "p"), Moment::from_unix(now, 0));
        TaintEvictionController::default().reconcile(&Look { now, key: &key, world: &world, refused: None })
    }

    fn deletes(plan: &Plan) -> bool {
        plan.writes.iter().any(|write| matches!(write, Write::Delete { .. }))
    }

    #[test]
    fn pods_stay_as_long_as_they_tolerate() {
        assert!(deletes(&plan(json!([]), 1_000)));
        assert!(!deletes(&plan(json!([{"operator": "Exists"}]), 9_000)));
        let some = json!([{"key": "gone", "operator": "Exists", "tolerationSeconds": 300}]);
        let early = plan(some.clone(), 1_100);
        assert_eq!((deletes(&early), early.again_after), (false, Some(Duration::from_secs(200))));
        let due = plan(some, 1_300);
        assert!(deletes(&due));
        let told = due
            .writes
            .iter()
            .any(|write| matches!(write, Write::Event { reason: "TaintManagerEviction", .. }));
        assert!(told);
    }
}
