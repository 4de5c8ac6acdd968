//! What a StatefulSet says of its pods.

use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use super::identity::{is_here, is_running_and_ready, revision_of};
use crate::owner::is_deleting;
use crate::pods::available_in;

/// Counts of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) replicas: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
    pub(super) current: i64,
    pub(super) updated: i64,
}

/// How long until a pod that runs and is ready counts as available; `None` for one that is not ready.
pub(super) fn ready_in(set: &Value, pod: &Value, now: Moment) -> Option<Duration> {
    let seconds = set.at("spec").int("minReadySeconds").unwrap_or(0);
    if is_running_and_ready(pod) { available_in(pod, seconds, now) } else { None }
}

/// Serving, and not about to stop.
pub(super) fn is_available(set: &Value, pod: &Value, now: Moment) -> bool {
    ready_in(set, pod, now) == Some(Duration::ZERO) && !is_deleting(pod)
}

impl Counts {
    pub(super) fn of(set: &Value, pods: &[&Value], current: &str, update: &str, now: Moment) -> Self {
        let mut out = Self::default();
        for pod in pods {
            out.replicas += i64::from(!pod.at("status").text("phase").is_empty());
            let ready = ready_in(set, pod, now);
            out.ready += i64::from(ready.is_some());
            out.available += i64::from(ready == Some(Duration::ZERO));
            if is_here(pod) {
                out.current += i64::from(revision_of(pod) == current);
                out.updated += i64::from(revision_of(pod) == update);
            }
        }
        out
    }
}

/// The whole status. A roll-out that is complete makes the update revision the current one.
pub(super) fn status(set: &Value, counts: Counts, current: &str, update: &str, collisions: i64) -> Value {
    let spec = set.at("spec");
    let wanted = spec.int("replicas").unwrap_or(1);
    let complete = spec.at("updateStrategy").text("type") != "OnDelete"
        && counts.updated == wanted
        && counts.ready == wanted
        && counts.replicas == wanted;
    let (current, current_count) =
        if complete { (update, counts.updated) } else { (current, counts.current) };
    let mut status = json!({
        "observedGeneration": set.at("metadata").at("generation"),
        "replicas": counts.replicas,
        "availableReplicas": counts.available,
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
    });
    let some = [
        ("readyReplicas", counts.ready),
        ("currentReplicas", current_count),
        ("updatedReplicas", counts.updated),
    ];
    for (name, count) in some.into_iter().filter(|(_, count)| *count > 0) {
        status.put(name, count);
    }
    if set.at("status").has("conditions") {
        status.put("conditions", set.at("status").at("conditions").clone());
    }
    status
}
