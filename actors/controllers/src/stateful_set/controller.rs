//! [`StatefulSetController`].

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::View;

use super::identity::{ordinal, revision_of};
use super::status::status;
use super::sync::Sync;
use crate::claim::Claim;
use crate::controller::{Change, Controller, Look, Refusable, Resource, resources};
use crate::history::{self, Chronicle};
use crate::key::Key;
use crate::owner::{controller_of, controller_reference, is_deleting};
use crate::plan::{Plan, Write};
use crate::world::World;
use crate::writes::{event, update_status};

/// The label of a revision with the hash in its name.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";

static WATCHED: [Resource; 4] =
    [resources::STATEFUL_SETS, resources::PODS, resources::CONTROLLER_REVISIONS, resources::VOLUME_CLAIMS];

/// Keeps the pods and claims of StatefulSets.
#[derive(Debug, Default)]
pub struct StatefulSetController {}

impl StatefulSetController {
    fn reconcile_set(set: &Value, selector: &LabelSelector, look: &Look<'_>) -> Plan {
        let reference = controller_reference("apps/v1", "StatefulSet", set);
        let chronicle =
            Chronicle { owner: set, reference: reference.clone(), selector, hash_label: HASH_LABEL };
        let history = chronicle.settle(look);
        let claim = Claim { resource: resources::PODS, owner: set, reference, selector };
        let claimed = claim.settle(look.world, |pod| ordinal(set, pod).is_some());
        let adopting = !claimed.writes.is_empty();
        let pods: Vec<Arc<Value>> =
            claimed.owned.into_iter().filter(|pod| ordinal(set, pod).is_some()).collect();

        let current = history.find(set.at("status").text("currentRevision")).unwrap_or(&history.now);
        let mut sync = Sync::new(set, &pods, current, &history.now, look);
        if !is_deleting(set) && !adopting {
            sync.run();
        }
        let mut plan = Plan { writes: Vec::new(), again_after: sync.again_after };
        let written = history.is_written();
        let collisions = history.collisions;
        let names = [history::name(current), history::name(&history.now)];
        let status = status(set, sync.counts, names[0], names[1], collisions);
        let in_use = |revision: &Value| {
            let name = history::name(revision);
            names.contains(&name) || pods.iter().any(|pod| revision_of(pod) == name)
        };
        let limit = set.at("spec").int("revisionHistoryLimit").unwrap_or(10);
        let forgotten = history.forget(limit, in_use, false);
        plan.writes.extend(history.writes);
        plan.writes.extend(claimed.writes);
        plan.writes.extend(update_status(&resources::STATEFUL_SETS, set, status));
        plan.writes.extend(said_of_refusal(set, &sync.writes, look));
        plan.writes.extend(sync.writes);
        if written {
            plan.writes.extend(forgotten);
        }
        plan
    }

    fn keys_of_pod(pod: &Value, world: &dyn World) -> Vec<Key> {
        let namespace = pod.at("metadata").text("namespace");
        if let Some(owner) = controller_of(pod) {
            let mine = owner.text("kind") == "StatefulSet";
            return mine.then(|| Key::new(namespace, owner.text("name"))).into_iter().collect();
        }
        let sets = resources::STATEFUL_SETS.list(world, Some(namespace));
        let labels = pod.at("metadata").map("labels");
        let matching = sets.iter().filter(|set| {
            ordinal(set, pod).is_some() && selector(set).is_some_and(|selector| selector.matches(labels))
        });
        matching.map(|set| key_of(set)).collect()
    }

    /// Claims are found by their names, as their owners are not always said.
    fn keys_of_claim(claim: &Value, world: &dyn World) -> Vec<Key> {
        let metadata = claim.at("metadata");
        let Some((stem, _)) = metadata.text("name").rsplit_once('-') else { return Vec::new() };
        let sets = resources::STATEFUL_SETS.list(world, Some(metadata.text("namespace")));
        let of = |set: &&Arc<Value>| {
            let name = set.at("metadata").text("name");
            set.at("spec").list("volumeClaimTemplates").iter().any(|template| {
                let rest = stem.strip_prefix(template.at("metadata").text("name"));
                rest.and_then(|rest| rest.strip_prefix('-')) == Some(name)
            })
        };
        sets.iter().filter(of).map(|set| key_of(set)).collect()
    }
}

/// What refused the first write of the look before, if that write is planned again.
fn said_of_refusal(set: &Value, writes: &[Write], look: &Look<'_>) -> Option<Write> {
    let refused = look.refused?;
    let (reason, verb) = match refused.write {
        Refusable::Create => ("FailedCreate", "create"),
        Refusable::Delete => ("FailedDelete", "delete"),
        Refusable::Update => ("FailedUpdate", "update"),
    };
    let (pod, claim) = writes.iter().find_map(|write| match (write, refused.write) {
        (Write::Create { resource, object }, Refusable::Create) => {
            let name = object.at("metadata").text("name").to_owned();
            Some((name, *resource == resources::VOLUME_CLAIMS))
        }
        (Write::Delete { name, .. }, Refusable::Delete) => Some((name.clone(), false)),
        (Write::Update { resource, object, .. }, Refusable::Update) => {
            let name = object.at("metadata").text("name").to_owned();
            Some((name, *resource == resources::VOLUME_CLAIMS))
        }
        _ => None,
    })?;
    let kind = if claim { "Claim" } else { "Pod" };
    let name = set.at("metadata").text("name");
    let message = format!("{verb} {kind} {pod} in StatefulSet {name} failed error: {}", refused.message);
    Some(event(set, "Warning", reason, message))
}

fn key_of(object: &Value) -> Key {
    let metadata = object.at("metadata");
    Key::new(metadata.text("namespace"), metadata.text("name"))
}

fn selector(set: &Value) -> Option<LabelSelector> {
    let read = LabelSelector::from_object(set.at("spec").at("selector"));
    read.ok().filter(|selector| !selector.is_everything())
}

impl Controller for StatefulSetController {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let versions = [change.old.as_deref(), change.new.as_deref()].into_iter().flatten();
        let mut keys: Vec<Key> = if change.resource == resources::STATEFUL_SETS {
            versions.map(key_of).collect()
        } else if change.resource == resources::VOLUME_CLAIMS {
            versions.flat_map(|claim| Self::keys_of_claim(claim, world)).collect()
        } else if change.resource == resources::PODS {
            versions.flat_map(|pod| Self::keys_of_pod(pod, world)).collect()
        } else {
            history::keys(versions, "StatefulSet", &resources::STATEFUL_SETS, world)
        };
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Some(set) = resources::STATEFUL_SETS.get(look.world, &look.key.namespace, &look.key.name) else {
            return Plan::settled();
        };
        selector(&set).map_or_else(Plan::settled, |selector| Self::reconcile_set(&set, &selector, look))
    }
}
