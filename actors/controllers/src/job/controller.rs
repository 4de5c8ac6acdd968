//! [`JobController`].

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::View;

use super::conditions::finished_condition;
use super::count::Terms;
use super::sync::Sync;
use super::template::{is_tracked, tracked};
use crate::claim::Claim;
use crate::controller::{Change, Controller, Look, Refusable, Resource, resources};
use crate::key::Key;
use crate::owner::{controller_of, controller_reference};
use crate::plan::Plan;
use crate::pods::is_active;
use crate::world::World;
use crate::writes::{event, patch};

static WATCHED: [Resource; 2] = [resources::JOBS, resources::PODS];

/// The name by which `spec.managedBy` names this controller.
const OURSELVES: &str = "kubernetes.io/job-controller";
/// The label with the name of a pod's job.
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";

/// Runs Jobs.
#[derive(Debug, Default)]
pub struct JobController {}

impl JobController {
    fn reconcile_job(job: &Value, look: &Look<'_>) -> Plan {
        let selector = LabelSelector::from_object(job.at("spec").at("selector"));
        let Some(selector) = selector.ok().filter(|selector| !selector.is_everything()) else {
            return Plan::settled();
        };
        let reference = controller_reference("batch/v1", "Job", job);
        let claim = Claim { resource: resources::PODS, owner: job, reference, selector: &selector };
        let claimed = claim.settle(look.world, is_active);
        if !claimed.writes.is_empty() {
            return Plan { writes: claimed.writes, again_after: None };
        }
        // Pods that were taken in are tracked like those that were made here.
        let untracked: Vec<Arc<Value>> =
            claimed.owned.iter().filter(|pod| is_active(pod) && !is_tracked(pod)).cloned().collect();
        if !untracked.is_empty() && Terms::of(job, look).completions.is_some() && !has_ending(job) {
            let writes = untracked.iter().map(|pod| patch(&resources::PODS, "", pod, &tracked(pod, true)));
            return Plan { writes: writes.collect(), again_after: None };
        }
        let mut plan = Sync::new(Terms::of(job, look), claimed.owned).run();
        if let Some(refused) = look.refused.filter(|refused| refused.write == Refusable::Create) {
            let message = format!("Error creating: {}", refused.message);
            plan.writes.insert(0, event(job, "Warning", "FailedCreate", message));
        }
        plan
    }

    /// Lets go of pods of a job that is gone or finished, or of nobody's if `uid` is empty.
    fn let_go(look: &Look<'_>, name: &str, uid: &str) -> Plan {
        let namespace = &look.key.namespace;
        let pods = match uid {
            "" => {
                let mut pods = look.world.uncontrolled(&resources::PODS, namespace);
                pods.retain(|pod| name_of_job(pod) == name && adopters(pod, look.world).is_empty());
                pods
            }
            uid if is_live(look.world, namespace, name, uid) => Vec::new(),
            uid => look.world.controlled_by(&resources::PODS, namespace, uid),
        };
        let held = pods.iter().filter(|pod| is_tracked(pod));
        let writes = held.map(|pod| patch(&resources::PODS, "", pod, &tracked(pod, false))).collect();
        Plan { writes, again_after: None }
    }

    /// The pod's job, and if that is no more, the pod itself: its finalizer has to go.
    fn keys_of_pod(pod: &Value, world: &dyn World) -> Vec<Key> {
        let namespace = pod.at("metadata").text("namespace");
        let Some(owner) = controller_of(pod) else {
            let adopters = adopters(pod, world);
            let nobodys = is_tracked(pod) && adopters.is_empty();
            return if nobodys { vec![orphans(namespace, name_of_job(pod), "")] } else { adopters };
        };
        if owner.text("kind") != "Job" {
            return Vec::new();
        }
        let (name, uid) = (owner.text("name"), owner.text("uid"));
        if is_live(world, namespace, name, uid) {
            vec![Key::new(namespace, name)]
        } else if is_tracked(pod) {
            vec![orphans(namespace, name, uid)]
        } else {
            Vec::new()
        }
    }
}

/// The key of the pods of a job that is no more. No job has such a name.
fn orphans(namespace: &str, name: &str, uid: &str) -> Key {
    Key::new(namespace, &format!("{name}/{uid}"))
}

fn name_of_job(pod: &Value) -> &str {
    pod.at("metadata").at("labels").text(NAME_LABEL)
}

/// The job is there and not finished.
fn is_live(world: &dyn World, namespace: &str, name: &str, uid: &str) -> bool {
    let found = resources::JOBS.get(world, namespace, name);
    found.is_some_and(|job| job.at("metadata").text("uid") == uid && finished_condition(&job).is_none())
}

/// Jobs that might take a pod in.
fn adopters(pod: &Value, world: &dyn World) -> Vec<Key> {
    let metadata = pod.at("metadata");
    let (namespace, labels) = (metadata.text("namespace"), metadata.map("labels"));
    let jobs = resources::JOBS.list(world, Some(namespace));
    let matching = jobs.iter().filter(|job| {
        let selector = LabelSelector::from_object(job.at("spec").at("selector"));
        selector.is_ok_and(|selector| !selector.is_everything() && selector.matches(labels))
    });
    matching.map(|job| Key::new(namespace, job.at("metadata").text("name"))).collect()
}

/// A job, and its pods in case it is finished or gone.
fn keys_of_job(job: &Value) -> [Key; 2] {
    let metadata = job.at("metadata");
    let (namespace, name) = (metadata.text("namespace"), metadata.text("name"));
    [Key::new(namespace, name), orphans(namespace, name, metadata.text("uid"))]
}

fn has_ending(job: &Value) -> bool {
    super::conditions::Ending::said(job).is_some()
}

impl Controller for JobController {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let versions = [change.old.as_deref(), change.new.as_deref()].into_iter().flatten();
        let mut keys: Vec<Key> = if change.resource == resources::JOBS {
            versions.flat_map(keys_of_job).collect()
        } else {
            versions.flat_map(|pod| Self::keys_of_pod(pod, world)).collect()
        };
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        if let Some((name, uid)) = look.key.name.split_once('/') {
            return Self::let_go(look, name, uid);
        }
        let Some(job) = resources::JOBS.get(look.world, &look.key.namespace, &look.key.name) else {
            return Plan::settled();
        };
        let manager = job.at("spec").text("managedBy");
        if (!manager.is_empty() && manager != OURSELVES) || finished_condition(&job).is_some() {
            return Plan::settled();
        }
        Self::reconcile_job(&job, look)
    }
}
