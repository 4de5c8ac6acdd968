//! What a ReplicaSet says of its pods.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::selector::LabelSelector;
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use crate::condition::{self, Says};
use crate::controller::{Refusable, Refused};
use crate::pods::{available_in, is_ready};

/// The new status, and when a pod that is ready becomes available, if one is still to.
pub(super) fn status(
    object: &Value,
    pods: &[Arc<Value>],
    refused: Option<&Refused>,
    now: Moment,
) -> (Value, Option<Duration>) {
    let min_ready = object.at("spec").int("minReadySeconds").unwrap_or(0);
    let labels = LabelSelector::from_map(object.at("spec").at("template").at("metadata").map("labels"));
    let labelled = |pod: &Arc<Value>| {
        labels.as_ref().is_ok_and(|labels| labels.matches(pod.at("metadata").map("labels")))
    };
    let waits: Vec<Duration> = pods.iter().filter_map(|pod| available_in(pod, min_ready, now)).collect();
    let counts = [
        ("replicas", pods.len()),
        ("fullyLabeledReplicas", pods.iter().filter(|pod| labelled(pod)).count()),
        ("readyReplicas", pods.iter().filter(|pod| is_ready(pod)).count()),
        ("availableReplicas", waits.iter().filter(|wait| wait.is_zero()).count()),
    ];
    let mut status = json!({"observedGeneration": object.at("metadata").at("generation")});
    if object.at("status").has("conditions") {
        status.put("conditions", object.at("status").at("conditions").clone());
    }
    for (name, count) in counts {
        // The number of pods is always said, the others only when there are any.
        if count > 0 || name == "replicas" {
            status.put(name, count);
        }
    }
    match refused {
        Some(Refused { write: Refusable::Create, message, .. }) => {
            fail(&mut status, "FailedCreate", message, now);
        }
        Some(Refused { write: Refusable::Delete, message, .. }) => {
            fail(&mut status, "FailedDelete", message, now);
        }
        _ => condition::remove(&mut status, "ReplicaFailure"),
    }
    let next = waits.into_iter().filter(|wait| !wait.is_zero()).min();
    (status, next)
}

fn fail(status: &mut Value, reason: &str, message: &str, now: Moment) {
    condition::set(status, Says { kind: "ReplicaFailure", status: "True", reason, message }, now);
}
