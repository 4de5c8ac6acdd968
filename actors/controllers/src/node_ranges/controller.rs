//! [`NodeRangeController`].

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use super::range::ClusterRange;
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::Plan;
use crate::world::World;
use crate::writes::{event, update};

static WATCHED: [Resource; 1] = [resources::NODES];

/// Most nodes that one plan gives ranges to.
const BURST: usize = 100;
/// When ranges have run out: how long until the next attempt.
const RETRY: Duration = Duration::from_secs(30);

/// Gives nodes their ranges of pod addresses.
#[derive(Debug)]
pub struct NodeRangeController {
    /// One for each family of addresses.
    ranges: Vec<ClusterRange>,
}

impl NodeRangeController {
    /// Cuts nodes' ranges out of these, one of each.
    pub fn new(ranges: Vec<ClusterRange>) -> Self {
        Self { ranges }
    }

    /// The places that nodes have, for each of the cluster's ranges.
    fn taken(&self, nodes: &[std::sync::Arc<Value>]) -> Vec<BTreeSet<u32>> {
        let of = |range: &ClusterRange| {
            let had = nodes.iter().flat_map(|node| node.at("spec").list("podCIDRs"));
            had.filter_map(Value::as_str).filter_map(|had| range.places(had)).flatten().collect()
        };
        self.ranges.iter().map(of).collect()
    }
}

fn needs_ranges(node: &Value) -> bool {
    node.at("spec").list("podCIDRs").is_empty() && !is_deleting(node)
}

impl Controller for NodeRangeController {
    fn name(&self) -> &'static str {
        "node-ipam-controller"
    }

    fn identity(&self) -> &'static str {
        "node-controller"
    }

    fn event_source(&self) -> &'static str {
        "cidrAllocator"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let new = change.new.as_deref();
        let matters = new.is_none_or(needs_ranges);
        if matters { vec![Key::new("", "nodes")] } else { Vec::new() }
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let nodes = resources::NODES.list(look.world, None);
        let mut taken = self.taken(&nodes);
        let mut plan = Plan::settled();
        for node in nodes.iter().filter(|node| needs_ranges(node)).take(BURST) {
            let mut given = Vec::new();
            for (range, taken) in self.ranges.iter().zip(&mut taken) {
                let Some((text, place)) = range.free(taken) else { break };
                taken.insert(place);
                given.push(text);
            }
            if given.is_empty() || given.len() < self.ranges.len() {
                let name = node.at("metadata").text("name");
                let message = format!("Node {name} status is now: CIDRNotAvailable");
                plan.writes.push(event(node, "Normal", "CIDRNotAvailable", message));
                plan.look_again(RETRY);
                return plan;
            }
            let mut node = (**node).clone();
            if let Some(spec) = node.object("spec") {
                spec.put("podCIDR", given[0].as_str());
                spec.put("podCIDRs", json!(given));
            }
            plan.writes.push(update(&resources::NODES, node));
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Write;
    use crate::testing::TestWorld;
    use trireme_schema::time::Moment;

    fn given(world: &TestWorld, node_prefix: u8) -> Vec<String> {
        let ranges = vec![
            ClusterRange::new("10.0.0.0/22", node_prefix).unwrap(),
            ClusterRange::new("fd00::/60", 64).unwrap(),
        ];
        let (key, now) = (Key::new("", "nodes"), Moment::from_unix(0, 0));
        let look = Look { now, key: &key, world, refused: None };
        let writes = NodeRangeController::new(ranges).reconcile(&look).writes;
        let told = writes.iter().map(|write| match write {
            Write::Update { object, .. } => object["spec"]["podCIDRs"].to_string(),
            Write::Event { reason, .. } => (*reason).to_owned(),
            other => panic!("{other:?}"),
        });
        told.collect()
    }

    #[test]
    fn every_node_gets_a_range_of_its_own_until_there_are_none() {
        let mut world = TestWorld::default();
        world.put(
            &resources::NODES,
            json!({"metadata": {"name": "old"}, "spec": {"podCIDRs": ["10.0.0.0/24"]}}),
        );
        for name in ["a", "b"] {
            world.put(&resources::NODES, json!({"metadata": {"name": name}, "spec": {}}));
        }
        assert_eq!(
            given(&world, 24),
            [r#"["10.0.1.0/24","fd00::/64"]"#, r#"["10.0.2.0/24","fd00:0:0:1::/64"]"#]
        );
        // Two halves of the cluster's range, one of which is taken.
        assert_eq!(given(&world, 23), [r#"["10.0.2.0/23","fd00::/64"]"#, "CIDRNotAvailable"]);
    }
}
