//! [`DeploymentController`].

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::{Edit, View, same};

use super::numbers::Numbers;
use super::set::{REVISION, Set, annotate, note_numbers, take_over_annotations};
use super::status::{NewSet, Report};
use super::{rolling, scaling, template};
use crate::claim::Claim;
use crate::controller::{Change, Controller, Look, Refusable, Resource, resources};
use crate::key::Key;
use crate::owner::{controller_of, controller_reference, is_deleting};
use crate::plan::{Plan, Propagation, Write};
use crate::pods::is_finished;
use crate::world::World;

static WATCHED: [Resource; 3] = [resources::DEPLOYMENTS, resources::REPLICA_SETS, resources::PODS];

/// Rolls Deployments out.
#[derive(Debug, Default)]
pub struct DeploymentController {}

/// The sets of a Deployment, and what is written down about them so far.
struct Rollout<'a> {
    deployment: &'a Value,
    numbers: Numbers,
    new: Option<Set>,
    old: Vec<Set>,
    look: &'a Look<'a>,
    plan: Plan,
}

impl DeploymentController {
    fn begin<'a>(deployment: &'a Value, selector: &LabelSelector, look: &'a Look<'a>) -> Rollout<'a> {
        let reference = controller_reference("apps/v1", "Deployment", deployment);
        let claim = Claim { resource: resources::REPLICA_SETS, owner: deployment, reference, selector };
        let claimed = claim.settle(look.world, |_| true);
        let mut sets: Vec<Set> = claimed.owned.into_iter().map(|set| Set::new(set, look)).collect();
        sets.sort_by_key(Set::age_key);
        let wanted = deployment.at("spec").at("template");
        let place = sets.iter().position(|set| template::equal(set.object.at("spec").at("template"), wanted));
        let new = place.map(|place| sets.remove(place));
        let plan = Plan { writes: claimed.writes, again_after: None };
        Rollout { deployment, numbers: Numbers::of(deployment), new, old: sets, look, plan }
    }
}

impl Rollout<'_> {
    fn run(mut self) -> Plan {
        let spec = self.deployment.at("spec");
        let sets: Vec<&Set> = self.old.iter().chain(&self.new).collect();
        let resized = scaling::size_changed(&sets, self.numbers);
        if is_deleting(self.deployment) {
            let outcome = self.found();
            return self.finish(&outcome, 0);
        }
        if spec.is_true("paused") || resized {
            let before = self.deployment.at("status").int("replicas").unwrap_or(0);
            scaling::scale(self.new.as_mut(), &mut self.old, self.numbers, before);
            self.write_scales();
            let outcome = self.found();
            return self.finish(&outcome, 0);
        }
        if self.new.is_some() {
            self.refresh_new();
        } else {
            if !self.numbers.recreate || self.recreation_may_begin() {
                return self.create_new();
            }
            return self.finish(&Outcome::None, 0);
        }
        self.move_replicas();
        self.forget_old();
        let outcome = self.found();
        self.finish(&outcome, 0)
    }

    fn found(&self) -> Outcome {
        self.new.as_ref().map_or(Outcome::None, |set| Outcome::Found(set.name().to_owned()))
    }

    /// The highest revision of the old sets, and one more.
    fn next_revision(&self) -> i64 {
        self.old.iter().map(Set::revision).max().unwrap_or(0) + 1
    }

    /// Gives the new set the Deployment's annotations and the latest revision.
    fn refresh_new(&mut self) {
        let revision = self.next_revision();
        let Some(set) = &mut self.new else { return };
        let mut object = (*set.object).clone();
        take_over_annotations(&mut object, self.deployment, revision);
        let seconds = self.deployment.at("spec").int("minReadySeconds").unwrap_or(0);
        if object.at("spec").int("minReadySeconds").unwrap_or(0) != seconds {
            object["spec"].put("minReadySeconds", seconds);
        }
        if object != *set.object {
            self.plan.writes.push(update(resources::REPLICA_SETS, "", object));
            // Its resourceVersion is spent: what is to be scaled is scaled at the next look.
            set.replicas = set.spec_replicas();
        }
        let revision = set.revision().max(revision).to_string();
        if self.deployment.at("metadata").at("annotations").text(REVISION) != revision {
            let mut deployment = self.deployment.clone();
            annotate(&mut deployment, REVISION, &revision);
            self.plan.writes.push(update(resources::DEPLOYMENTS, "", deployment));
        }
    }

    /// Under `Recreate`, the new set comes when no pod of the old ones is left.
    fn recreation_may_begin(&mut self) -> bool {
        for set in &mut self.old {
            set.replicas = 0;
        }
        let moved = self.write_scales();
        !moved && !self.old_pods_remain()
    }

    fn old_pods_remain(&self) -> bool {
        let namespace = self.deployment.at("metadata").text("namespace");
        let uids = self.old.iter().map(|set| set.object.at("metadata").text("uid"));
        let mut pods = uids.flat_map(|uid| self.look.world.controlled_by(&resources::PODS, namespace, uid));
        pods.any(|pod| !is_finished(&pod))
    }

    fn create_new(mut self) -> Plan {
        let collisions = self.deployment.at("status").int("collisionCount").unwrap_or(0);
        let hash = template::hash(self.deployment.at("spec").at("template"), collisions);
        let mut object = template::new_set(self.deployment, &hash);
        let name = object.at("metadata").text("name").to_owned();
        if resources::REPLICA_SETS.get(self.look.world, &self.look.key.namespace, &name).is_some() {
            // Something else has this name: another hash next time.
            return self.finish(&Outcome::None, collisions + 1);
        }
        let total: i64 = self.old.iter().map(|set| set.occupied(self.numbers)).sum();
        let replicas = rolling::new_replicas(0, total, self.numbers);
        object["spec"].put("replicas", replicas);
        note_numbers(&mut object, self.numbers);
        take_over_annotations(&mut object, self.deployment, self.next_revision());
        let outcome = Outcome::Created(name.clone());
        // A refusal is said before the next attempt, which may be refused as well.
        let refused = self.refused_create().is_some();
        let create = Write::Create { resource: resources::REPLICA_SETS, object };
        if !refused {
            self.plan.writes.push(create);
            if replicas > 0 {
                let message = format!("Scaled up replica set {name} from 0 to {replicas}");
                self.event("ScalingReplicaSet", message);
            }
            return self.finish(&outcome, 0);
        }
        let mut plan = self.finish(&outcome, 0);
        plan.writes.push(create);
        plan
    }

    fn refused_create(&self) -> Option<&str> {
        let refused = self.look.refused.filter(|refused| refused.write == Refusable::Create);
        refused.map(|refused| refused.message.as_str())
    }

    fn move_replicas(&mut self) {
        let old_pods = self.numbers.recreate && self.old_pods_remain();
        let Some(new) = &mut self.new else { return };
        if self.numbers.recreate {
            rolling::recreate(new, &mut self.old, self.numbers, old_pods);
        } else {
            rolling::roll(new, &mut self.old, self.numbers);
        }
        self.write_scales();
    }

    /// True when a set changes its size.
    fn write_scales(&mut self) -> bool {
        let mut events = Vec::new();
        let mut moved = false;
        for set in self.old.iter().chain(&self.new) {
            let Some(object) = set.scaled(self.numbers) else { continue };
            moved = true;
            if self.written(set) {
                continue;
            }
            let (name, from, to) = (set.name(), set.spec_replicas(), set.replicas);
            if from != to {
                let direction = if to > from { "up" } else { "down" };
                events.push(format!("Scaled {direction} replica set {name} from {from} to {to}"));
            }
            self.plan.writes.push(update(resources::REPLICA_SETS, "", object));
        }
        for message in events {
            self.event("ScalingReplicaSet", message);
        }
        moved
    }

    /// Whether this plan writes the set already.
    fn written(&self, set: &Set) -> bool {
        self.plan.writes.iter().any(|write| match write {
            Write::Update { resource, object, .. } => {
                *resource == resources::REPLICA_SETS && object.at("metadata").text("name") == set.name()
            }
            Write::Patch { resource, name, .. } => *resource == resources::REPLICA_SETS && name == set.name(),
            _ => false,
        })
    }

    fn event(&mut self, reason: &'static str, message: String) {
        let about = self.deployment.clone();
        self.plan.writes.push(Write::Event { about, kind: "Normal", reason, message });
    }

    /// Deletes the oldest empty sets beyond what is to be remembered, once the roll-out is complete.
    fn forget_old(&mut self) {
        let Some(limit) = self.deployment.at("spec").int("revisionHistoryLimit") else { return };
        let status = self.deployment.at("status");
        let count = |name: &str| status.int(name).unwrap_or(0);
        let complete = ["updatedReplicas", "replicas", "availableReplicas"]
            .iter()
            .all(|name| count(name) == self.numbers.replicas)
            && status.at("observedGeneration") == self.deployment.at("metadata").at("generation");
        let kept = usize::try_from(limit).unwrap_or(usize::MAX);
        if !complete || self.old.len() <= kept {
            return;
        }
        let mut old: Vec<&Set> = self.old.iter().collect();
        old.sort_by_key(|set| set.revision());
        let surplus = old.len() - kept;
        let empty = |set: &&&Set| {
            set.replicas == 0
                && set.spec_replicas() == 0
                && set.count("replicas") == 0
                && set.object.at("status").at("observedGeneration")
                    == set.object.at("metadata").at("generation")
                && !is_deleting(&set.object)
        };
        let deletes = old.iter().take(surplus).filter(empty).map(|set| {
            let metadata = set.object.at("metadata");
            Write::Delete {
                resource: resources::REPLICA_SETS,
                namespace: metadata.text("namespace").to_owned(),
                name: metadata.text("name").to_owned(),
                uid: metadata.text("uid").to_owned(),
                resource_version: Some(metadata.text("resourceVersion").to_owned()),
                propagation: Propagation::Background,
            }
        });
        self.plan.writes.extend(deletes);
    }

    /// Adds the status. A plan that changes the Deployment itself leaves it for the next look.
    fn finish(mut self, outcome: &Outcome, collisions: i64) -> Plan {
        let before = self.deployment.at("status").int("collisionCount").unwrap_or(0);
        let report = Report {
            deployment: self.deployment,
            numbers: self.numbers,
            new: self.new.as_ref(),
            old: &self.old,
            outcome: outcome.as_new_set(),
            refused: self.refused_create(),
            collisions: before.max(collisions),
            now: self.look.now,
        };
        let (status, again) = report.status();
        if let Some(again) = again {
            self.plan.look_again(again);
        }
        let touched = self.plan.writes.iter().any(
            |write| matches!(write, Write::Update { resource, .. } if *resource == resources::DEPLOYMENTS),
        );
        if !touched && !same(self.deployment.at("status"), &status) {
            let mut object = self.deployment.clone();
            object.put("status", status);
            self.plan.writes.push(update(resources::DEPLOYMENTS, "status", object));
        }
        self.plan
    }
}

/// [`NewSet`] with a name of its own.
enum Outcome {
    None,
    Found(String),
    Created(String),
}

impl Outcome {
    fn as_new_set(&self) -> NewSet<'_> {
        match self {
            Self::None => NewSet::None,
            Self::Found(name) => NewSet::Found(name),
            Self::Created(name) => NewSet::Created(name),
        }
    }
}

fn update(resource: Resource, subresource: &'static str, object: Value) -> Write {
    Write::Update { resource, subresource, object }
}

impl Controller for DeploymentController {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let versions = [change.old.as_deref(), change.new.as_deref()];
        let versions = versions.into_iter().flatten();
        let mut keys: Vec<Key> = if change.resource == resources::DEPLOYMENTS {
            versions.map(key_of).collect()
        } else if change.resource == resources::REPLICA_SETS {
            versions.flat_map(|set| keys_of_set(set, world)).collect()
        } else {
            versions.filter_map(|pod| key_of_pod(pod, world)).collect()
        };
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let found = resources::DEPLOYMENTS.get(look.world, &look.key.namespace, &look.key.name);
        let Some(deployment) = found else { return Plan::settled() };
        let selector = LabelSelector::from_object(deployment.at("spec").at("selector"));
        let Ok(selector) = selector else { return Plan::settled() };
        if selector.is_everything() {
            let message =
                "This deployment is selecting all pods. A non-empty selector is required.".to_owned();
            let about = (*deployment).clone();
            let event = Write::Event { about, kind: "Warning", reason: "SelectingAll", message };
            return Plan { writes: vec![event], again_after: None };
        }
        Self::begin(&deployment, &selector, look).run()
    }
}

fn key_of(object: &Value) -> Key {
    let metadata = object.at("metadata");
    Key::new(metadata.text("namespace"), metadata.text("name"))
}

fn keys_of_set(set: &Value, world: &dyn World) -> Vec<Key> {
    let namespace = set.at("metadata").text("namespace");
    if let Some(owner) = controller_of(set) {
        let mine = owner.text("kind") == "Deployment";
        return mine.then(|| Key::new(namespace, owner.text("name"))).into_iter().collect();
    }
    let labels = set.at("metadata").map("labels");
    let deployments: Vec<Arc<Value>> = resources::DEPLOYMENTS.list(world, Some(namespace));
    let matching = deployments.iter().filter(|deployment| {
        LabelSelector::from_object(deployment.at("spec").at("selector")).is_ok_and(|s| s.matches(labels))
    });
    matching.map(|deployment| key_of(deployment)).collect()
}

fn key_of_pod(pod: &Value, world: &dyn World) -> Option<Key> {
    let owner = controller_of(pod).filter(|owner| owner.text("kind") == "ReplicaSet")?;
    let namespace = pod.at("metadata").text("namespace");
    let set = resources::REPLICA_SETS.get(world, namespace, owner.text("name"))?;
    let owner = controller_of(&set).filter(|owner| owner.text("kind") == "Deployment")?;
    Some(Key::new(namespace, owner.text("name")))
}
