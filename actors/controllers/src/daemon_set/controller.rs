//! [`DaemonSetController`].

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::View;

use super::nodes::HASH_LABEL;
use super::pods::Daemons;
use super::rolling::surges;
use crate::claim::Claim;
use crate::controller::{Change, Controller, Look, Refusable, Resource, resources};
use crate::history::{self, Chronicle};
use crate::key::Key;
use crate::owner::{controller_of, controller_reference, is_deleting};
use crate::plan::Plan;
use crate::world::World;
use crate::writes::{event, update_status};

static WATCHED: [Resource; 4] =
    [resources::DAEMON_SETS, resources::PODS, resources::NODES, resources::CONTROLLER_REVISIONS];

/// Keeps a pod of each DaemonSet on every node that matches.
#[derive(Debug, Default)]
pub struct DaemonSetController {}

impl DaemonSetController {
    fn reconcile_set(set: &Value, selector: &LabelSelector, look: &Look<'_>) -> Plan {
        let reference = controller_reference("apps/v1", "DaemonSet", set);
        let chronicle =
            Chronicle { owner: set, reference: reference.clone(), selector, hash_label: HASH_LABEL };
        let history = chronicle.settle(look);
        let claim = Claim { resource: resources::PODS, owner: set, reference, selector };
        let claimed = claim.settle(look.world, |_| true);
        let hash = history.now.at("metadata").at("labels").text(HASH_LABEL);
        let mut daemons = Daemons::new(set, &claimed.owned, hash, look);
        if !is_deleting(set) {
            daemons.manage(surges(set));
            let busy = !daemons.fresh.is_empty() || !daemons.leaving.is_empty();
            if !busy && set.at("spec").at("updateStrategy").text("type") != "OnDelete" {
                daemons.roll();
            }
        }
        let used: BTreeSet<String> = claimed.owned.iter().map(|pod| hash_of(pod).to_owned()).collect();
        let limit = set.at("spec").int("revisionHistoryLimit").unwrap_or(10);
        let forgotten = history.forget(limit, |revision| used.contains(hash_of(revision)), true);
        let written = history.is_written();
        let status = daemons.status(history.collisions);
        let pods = daemons.writes();
        let mut plan = Plan { writes: history.writes, again_after: daemons.again_after };
        plan.writes.extend(claimed.writes);
        plan.writes.extend(update_status(&resources::DAEMON_SETS, set, status));
        if let Some(refused) = look.refused {
            match refused.write {
                Refusable::Create => {
                    let message = format!("Error creating: {}", refused.message);
                    plan.writes.push(event(set, "Warning", "FailedCreate", message));
                }
                Refusable::Delete => {
                    let message = format!("Error deleting: {}", refused.message);
                    plan.writes.push(event(set, "Warning", "FailedDelete", message));
                }
                Refusable::Update => {}
            }
        }
        plan.writes.extend(pods);
        if written {
            plan.writes.extend(forgotten);
        }
        plan
    }

    fn keys_of_pod(pod: &Value, world: &dyn World) -> Vec<Key> {
        let namespace = pod.at("metadata").text("namespace");
        if let Some(owner) = controller_of(pod) {
            let mine = owner.text("kind") == "DaemonSet";
            return mine.then(|| Key::new(namespace, owner.text("name"))).into_iter().collect();
        }
        let labels = pod.at("metadata").map("labels");
        let sets = resources::DAEMON_SETS.list(world, Some(namespace));
        let matching = sets.iter().filter(|set| selector(set).is_some_and(|s| s.matches(labels)));
        matching.map(|set| key_of(set)).collect()
    }
}

/// Whether a change of a node may matter to some set: what it is called, its labels and its taints.
fn matters(change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    old.at("metadata").at("labels") != new.at("metadata").at("labels")
        || old.at("spec").at("taints") != new.at("spec").at("taints")
}

fn hash_of(object: &Value) -> &str {
    object.at("metadata").at("labels").text(HASH_LABEL)
}

fn key_of(object: &Value) -> Key {
    let metadata = object.at("metadata");
    Key::new(metadata.text("namespace"), metadata.text("name"))
}

fn selector(set: &Value) -> Option<LabelSelector> {
    LabelSelector::from_object(set.at("spec").at("selector")).ok()
}

impl Controller for DaemonSetController {
    fn name(&self) -> &'static str {
        "daemon-set-controller"
    }

    fn event_source(&self) -> &'static str {
        "daemonset-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let versions = [change.old.as_deref(), change.new.as_deref()].into_iter().flatten();
        let mut keys: Vec<Key> = if change.resource == resources::DAEMON_SETS {
            versions.map(key_of).collect()
        } else if change.resource == resources::NODES {
            let all = if matters(change) { resources::DAEMON_SETS.list(world, None) } else { Vec::new() };
            all.iter().map(|set: &Arc<Value>| key_of(set)).collect()
        } else if change.resource == resources::PODS {
            versions.flat_map(|pod| Self::keys_of_pod(pod, world)).collect()
        } else {
            history::keys(versions, "DaemonSet", &resources::DAEMON_SETS, world)
        };
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Some(set) = resources::DAEMON_SETS.get(look.world, &look.key.namespace, &look.key.name) else {
            return Plan::settled();
        };
        let Some(selector) = selector(&set) else { return Plan::settled() };
        if selector.is_everything() {
            let message =
                "This daemon set is selecting all pods. A non-empty selector is required.".to_owned();
            return Plan::one(event(&set, "Warning", "SelectingAll", message));
        }
        Self::reconcile_set(&set, &selector, look)
    }
}
