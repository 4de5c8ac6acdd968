//! [`ReplicaSetController`].

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::names::generated_name;
use trireme_schema::selector::LabelSelector;
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View, same};

use super::flavor::{Flavor, REPLICA_SET, REPLICATION_CONTROLLER};
use super::rank::by_rank;
use super::status::status;
use crate::claim::Claim;
use crate::controller::{Change, Controller, Look, Refusable, Resource, resources};
use crate::key::Key;
use crate::owner::{controller_of, controller_reference, controller_uid, is_deleting};
use crate::plan::{Plan, Propagation, Write};
use crate::pods::is_active;
use crate::suffix::Suffixes;
use crate::world::World;

/// Most pods that one plan creates or deletes, as upstream.
const BURST: usize = 500;

/// Keeps the asked number of pods for ReplicaSets or ReplicationControllers.
#[derive(Debug)]
pub struct ReplicaSetController {
    flavor: &'static Flavor,
}

impl ReplicaSetController {
    /// For ReplicaSets.
    pub fn replica_sets() -> Self {
        Self { flavor: &REPLICA_SET }
    }

    /// For ReplicationControllers.
    pub fn replication_controllers() -> Self {
        Self { flavor: &REPLICATION_CONTROLLER }
    }

    /// Keys that a pod concerns: its owner, or everyone who might take it in.
    fn keys_of_pod(&self, pod: &Value, world: &dyn World) -> Vec<Key> {
        let namespace = pod.at("metadata").text("namespace");
        if let Some(owner) = controller_of(pod) {
            let mine = owner.text("kind") == self.flavor.kind;
            return mine.then(|| Key::new(namespace, owner.text("name"))).into_iter().collect();
        }
        let labels = pod.at("metadata").map("labels");
        let sets = self.flavor.resource.list(world, Some(namespace));
        let matching = sets.iter().filter(|set| self.flavor.selector(set).is_some_and(|s| s.matches(labels)));
        matching.map(|set| Key::new(namespace, set.at("metadata").text("name"))).collect()
    }

    fn new_pods(&self, set: &Value, count: usize, now: Moment) -> Vec<Write> {
        let metadata = set.at("metadata");
        let base = format!("{}-", metadata.text("name"));
        let mut suffixes = Suffixes::new(metadata.text("uid"), now);
        let reference = controller_reference(self.flavor.api_version, self.flavor.kind, set);
        let mut writes = Vec::with_capacity(2 * count);
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            let name = generated_name(&base, &suffixes.draw());
            let mut pod = pod_of(set.at("spec").at("template"), metadata.text("namespace"));
            pod["metadata"].put("generateName", base.as_str());
            pod["metadata"].put("name", name.as_str());
            pod["metadata"].put("ownerReferences", json!([reference]));
            writes.push(Write::Create { resource: resources::PODS, object: pod });
            events.push(event(set, "Normal", "SuccessfulCreate", format!("Created pod: {name}")));
        }
        writes.extend(events);
        writes
    }

    fn deletes(&self, set: &Value, pods: &[&Value], count: usize, look: &Look<'_>) -> Vec<Write> {
        let kin = self.kin(set, look.world);
        let kin: Vec<&Value> = kin.iter().map(Arc::as_ref).collect();
        let leaving: Vec<&Value> =
            by_rank(pods, &kin, look.now).into_iter().take(count).map(|index| pods[index]).collect();
        let deletes = leaving.iter().map(|pod| {
            let metadata = pod.at("metadata");
            Write::Delete {
                resource: resources::PODS,
                namespace: metadata.text("namespace").to_owned(),
                name: metadata.text("name").to_owned(),
                uid: metadata.text("uid").to_owned(),
                resource_version: None,
                propagation: Propagation::Background,
            }
        });
        let events = leaving.iter().map(|pod| {
            let name = pod.at("metadata").text("name");
            event(set, "Normal", "SuccessfulDelete", format!("Deleted pod: {name}"))
        });
        deletes.chain(events).collect()
    }

    /// Active pods of all sets of the same owner (a Deployment), which count as doubled up on a node.
    fn kin(&self, set: &Value, world: &dyn World) -> Vec<Arc<Value>> {
        let namespace = set.at("metadata").text("namespace");
        let owner = controller_uid(set);
        let siblings = match owner {
            "" => vec![Arc::new(set.clone())],
            owner => world.controlled_by(&self.flavor.resource, namespace, owner),
        };
        let uids = siblings.iter().map(|sibling| sibling.at("metadata").text("uid"));
        let pods = uids.flat_map(|uid| world.controlled_by(&resources::PODS, namespace, uid));
        pods.filter(|pod| is_active(pod)).collect()
    }

    fn reconcile_set(&self, set: &Value, selector: &LabelSelector, look: &Look<'_>) -> Plan {
        let reference = controller_reference(self.flavor.api_version, self.flavor.kind, set);
        let claim = Claim { resource: resources::PODS, owner: set, reference, selector };
        let claimed = claim.settle(look.world, is_active);
        let active: Vec<Arc<Value>> = claimed.owned.into_iter().filter(|pod| is_active(pod)).collect();
        let mut plan = Plan { writes: claimed.writes, again_after: None };

        let (new_status, next) = status(set, &active, look.refused, look.now);
        plan.again_after = next;
        if !same(set.at("status"), &new_status) {
            let mut object = set.clone();
            object.put("status", new_status);
            plan.writes.push(Write::Update {
                resource: self.flavor.resource.clone(),
                subresource: "status",
                object,
            });
        }
        if let Some(refused) = look.refused.filter(|refused| refused.write == Refusable::Create) {
            let message = format!("Error creating: {}", refused.message);
            plan.writes.push(event(set, "Warning", "FailedCreate", message));
        }
        if is_deleting(set) {
            return plan;
        }
        let wanted = set.at("spec").int("replicas").unwrap_or(1);
        let wanted = usize::try_from(wanted).unwrap_or(0);
        if active.len() < wanted {
            plan.writes.extend(self.new_pods(set, (wanted - active.len()).min(BURST), look.now));
        } else if active.len() > wanted {
            let pods: Vec<&Value> = active.iter().map(Arc::as_ref).collect();
            plan.writes.extend(self.deletes(set, &pods, (active.len() - wanted).min(BURST), look));
        }
        plan
    }
}

impl Controller for ReplicaSetController {
    fn name(&self) -> &'static str {
        self.flavor.name
    }

    fn resources(&self) -> &'static [Resource] {
        &self.flavor.watched
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let versions = [change.old.as_deref(), change.new.as_deref()];
        let mut keys: Vec<Key> = if change.resource == resources::PODS {
            versions.into_iter().flatten().flat_map(|pod| self.keys_of_pod(pod, world)).collect()
        } else {
            let metadata = versions.into_iter().flatten().map(|set| set.at("metadata"));
            metadata.map(|m| Key::new(m.text("namespace"), m.text("name"))).collect()
        };
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let found = self.flavor.resource.get(look.world, &look.key.namespace, &look.key.name);
        let Some(set) = found else {
            return Plan::settled();
        };
        match self.flavor.selector(&set) {
            Some(selector) => self.reconcile_set(&set, &selector, look),
            None => Plan::settled(),
        }
    }
}

/// A pod from a template, in a namespace, without a name.
fn pod_of(template: &Value, namespace: &str) -> Value {
    let mut metadata = json!({"namespace": namespace});
    for name in ["labels", "annotations", "finalizers"] {
        if template.at("metadata").has(name) {
            metadata.put(name, template.at("metadata").at(name).clone());
        }
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.at("spec"),
    })
}

fn event(about: &Value, kind: &'static str, reason: &'static str, message: String) -> Write {
    Write::Event { about: about.clone(), kind, reason, message }
}
