//! [`DisruptionController`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use trireme_schema::int_or_string::IntOrString;
use trireme_schema::selector::LabelSelector;
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use super::scale::Scale;
use crate::condition;
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Write};
use crate::pods::is_ready;
use crate::world::World;
use crate::writes::{event, update_status};

static WATCHED: [Resource; 6] = [
    resources::DISRUPTION_BUDGETS,
    resources::PODS,
    resources::REPLICA_SETS,
    resources::DEPLOYMENTS,
    resources::STATEFUL_SETS,
    resources::REPLICATION_CONTROLLERS,
];

/// How long an eviction may take to delete its pod, as upstream.
const DELETION_WAIT_SECONDS: i64 = 120;

/// Says how many disruptions budgets allow.
#[derive(Debug, Default)]
pub struct DisruptionController {}

/// What a budget needs to know of its pods.
struct Tally {
    expected: i64,
    desired: i64,
    healthy: i64,
}

/// One look at a budget.
struct Sync<'a> {
    budget: &'a Value,
    look: &'a Look<'a>,
    pods: Vec<Arc<Value>>,
    told: Vec<Write>,
    again_after: Option<Duration>,
}

impl Sync<'_> {
    fn run(mut self) -> Plan {
        if self.pods.is_empty() {
            self.tell("Normal", "NoPods", "No matching pods found".to_owned());
        }
        let disrupted = self.disrupted();
        let status = match self.tally(&disrupted) {
            Ok(tally) => self.status(&tally, disrupted),
            Err(error) => {
                let message = format!("Failed to calculate the number of expected pods: {error}");
                self.tell("Warning", "CalculateExpectedPodCountFailed", message);
                self.failed(&error)
            }
        };
        let mut plan = Plan { writes: self.told, again_after: self.again_after };
        plan.writes.extend(update_status(&resources::DISRUPTION_BUDGETS, self.budget, status));
        plan
    }

    /// Pods that evictions have chosen and that are not on their way out yet.
    fn disrupted(&mut self) -> Map<String, Value> {
        let now = self.look.now.unix_seconds();
        let mut out = Map::new();
        let budget = self.budget.at("metadata");
        for (name, since) in self.budget.at("status").map("disruptedPods").into_iter().flatten() {
            let pod = self.pods.iter().find(|pod| pod.at("metadata").text("name") == name);
            let Some(pod) = pod.filter(|pod| !is_deleting(pod)).cloned() else { continue };
            let since_seconds =
                Moment::parse_time(since.as_str().unwrap_or("")).map_or(0, Moment::unix_seconds);
            match u64::try_from(since_seconds.saturating_add(DELETION_WAIT_SECONDS) - now) {
                Ok(left @ 1..) => {
                    let left = Duration::from_secs(left);
                    self.again_after = Some(self.again_after.map_or(left, |before| before.min(left)));
                    out.insert(name.clone(), since.clone());
                }
                _ => {
                    let (namespace, name) = (budget.text("namespace"), budget.text("name"));
                    let message =
                        format!("Pod was expected by PDB {namespace}/{name} to be deleted but it wasn't");
                    self.told.push(event(&pod, "Warning", "NotDeleted", message));
                }
            }
        }
        out
    }

    fn tally(&mut self, disrupted: &Map<String, Value>) -> Result<Tally, String> {
        let spec = self.budget.at("spec");
        let healthy = self.pods.iter().filter(|pod| {
            !is_deleting(pod) && is_ready(pod) && !disrupted.contains_key(pod.at("metadata").text("name"))
        });
        let healthy = count(healthy.count());
        if let Some(at_least) = spec.at("minAvailable").as_i64() {
            return Ok(Tally { expected: count(self.pods.len()), desired: at_least, healthy });
        }
        let scale = Scale::of(&self.pods, self.look.world)?;
        if !scale.unmanaged.is_empty() {
            let names = scale.unmanaged.join(" ");
            let message = format!(
                "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the \
                 status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account \
                 for these pods please set \".spec.minAvailable\" field of the PDB to an integer value. Pods: [{names}]",
                spec.at("selector")
            );
            self.tell("Warning", "UnmanagedPods", message);
        }
        let expected = scale.expected;
        let scaled = |name: &str| {
            IntOrString::of(spec.at(name))
                .map(|value| value.scaled(expected, true).ok_or_else(|| format!("{name} is no number")))
        };
        let desired = match (scaled("maxUnavailable"), scaled("minAvailable")) {
            (Some(missing), _) => (expected - missing?).max(0),
            (None, Some(at_least)) => at_least?,
            // Neither is set: one must stay, as the defaults say.
            (None, None) => 1,
        };
        Ok(Tally { expected, desired, healthy })
    }

    fn status(&self, tally: &Tally, disrupted: Map<String, Value>) -> Value {
        let allowed = if tally.expected <= 0 { 0 } else { (tally.healthy - tally.desired).max(0) };
        let mut status = json!({
            "currentHealthy": tally.healthy,
            "desiredHealthy": tally.desired,
            "expectedPods": tally.expected,
            "disruptionsAllowed": allowed,
            "observedGeneration": self.generation(),
        });
        if !disrupted.is_empty() {
            status.put("disruptedPods", disrupted);
        }
        let (value, reason) =
            if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
        self.say(&mut status, value, reason, "");
        status
    }

    /// What cannot be computed allows nothing.
    fn failed(&self, error: &str) -> Value {
        let mut status = self.budget.at("status").clone();
        if !status.is_object() {
            status = json!({"currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0});
        }
        status.put("disruptionsAllowed", 0);
        status.put("observedGeneration", self.generation());
        self.say(&mut status, "False", "SyncFailed", error);
        status
    }

    fn generation(&self) -> Value {
        self.budget.at("metadata").at("generation").clone()
    }

    fn say(&self, status: &mut Value, value: &str, reason: &str, message: &str) {
        let before = self.budget.at("status").at("conditions");
        if !before.is_null() {
            status.put("conditions", before.clone());
        }
        let says = condition::Says { kind: "DisruptionAllowed", status: value, reason, message };
        condition::set(status, says, self.look.now);
        let generation = self.generation();
        for condition in status.items("conditions").filter(|c| c.text("type") == "DisruptionAllowed") {
            condition.put("observedGeneration", generation.clone());
        }
    }

    fn tell(&mut self, kind: &'static str, reason: &'static str, message: String) {
        self.told.push(event(self.budget, kind, reason, message));
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn key_of(object: &Value) -> Key {
    let metadata = object.at("metadata");
    Key::new(metadata.text("namespace"), metadata.text("name"))
}

fn selector(budget: &Value) -> Option<LabelSelector> {
    LabelSelector::from_object(budget.at("spec").at("selector")).ok()
}

impl Controller for DisruptionController {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn event_source(&self) -> &'static str {
        "controllermanager"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let versions = [change.old.as_deref(), change.new.as_deref()].into_iter().flatten();
        if change.resource == resources::DISRUPTION_BUDGETS {
            let mut keys: Vec<Key> = versions.map(key_of).collect();
            keys.dedup();
            return keys;
        }
        let pods = change.resource == resources::PODS;
        if !pods
            && let (Some(old), Some(new)) = (&change.old, &change.new)
            && old.at("spec").at("replicas") == new.at("spec").at("replicas")
        {
            return Vec::new();
        }
        let mut keys = Vec::new();
        for object in versions {
            for budget in
                resources::DISRUPTION_BUDGETS.list(world, Some(object.at("metadata").text("namespace")))
            {
                let labels = if pods {
                    object.at("metadata")
                } else {
                    object.at("spec").at("template").at("metadata")
                };
                if selector(&budget).is_some_and(|selector| selector.matches(labels.map("labels"))) {
                    keys.push(key_of(&budget));
                }
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let found = resources::DISRUPTION_BUDGETS.get(look.world, &look.key.namespace, &look.key.name);
        let Some(budget) = found else { return Plan::settled() };
        let Some(selector) = selector(&budget) else { return Plan::settled() };
        let mut pods = resources::PODS.list(look.world, Some(&look.key.namespace));
        pods.retain(|pod| selector.matches(pod.at("metadata").map("labels")));
        Sync { budget: &budget, look, pods, told: Vec::new(), again_after: None }.run()
    }
}

#[cfg(test)]
#[path = "controller_test.rs"]
mod tests;
