//! [`Set`]: a ReplicaSet of a Deployment, with the number of replicas it is to have.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::view::{Edit, View};

use super::numbers::Numbers;
use crate::controller::{Look, resources};
use crate::pods::{is_active, is_available};

/// Counts roll-outs.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// Revisions that a set had before.
pub(super) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Replicas of the Deployment when the set was scaled last.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// The same with surge.
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of a Deployment that its sets do not take over.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// A set as it is, and as it is to be.
#[derive(Clone, Debug)]
pub(super) struct Set {
    /// As it is.
    pub(super) object: Arc<Value>,
    /// Replicas it is to have.
    pub(super) replicas: i64,
    /// Its active pods.
    pods: i64,
    /// Those of them that are available.
    available: i64,
}

impl Set {
    /// A set with the pods that the world shows; its own status may lag behind them.
    pub(super) fn new(object: Arc<Value>, look: &Look<'_>) -> Self {
        let metadata = object.at("metadata");
        let (namespace, uid) = (metadata.text("namespace"), metadata.text("uid"));
        let mut pods = look.world.controlled_by(&resources::PODS, namespace, uid);
        pods.retain(|pod| is_active(pod));
        let min_ready = object.at("spec").int("minReadySeconds").unwrap_or(0);
        let available = pods.iter().filter(|pod| is_available(pod, min_ready, look.now)).count();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (pods, available) = (number(pods.len()), number(available));
        Self::with_pods(object, pods, available)
    }

    /// A set with a number of active and of available pods.
    pub(super) fn with_pods(object: Arc<Value>, pods: i64, available: i64) -> Self {
        let replicas = object.at("spec").int("replicas").unwrap_or(0);
        Self { object, replicas, pods, available }
    }

    /// Replicas it was asked to have.
    pub(super) fn spec_replicas(&self) -> i64 {
        self.object.at("spec").int("replicas").unwrap_or(0)
    }

    /// Places it takes: what it is to have, or what it still has. While its controller has not seen what it was asked
    /// last, creates that it decided upon before may still be on their way: until then it takes all there are.
    pub(super) fn occupied(&self, numbers: Numbers) -> i64 {
        let seen =
            self.count("observedGeneration") >= self.object.at("metadata").int("generation").unwrap_or(0);
        let coming = if seen { 0 } else { numbers.most() };
        self.replicas.max(self.pods).max(coming)
    }

    pub(super) fn name(&self) -> &str {
        self.object.at("metadata").text("name")
    }

    /// Pods that are available and stay so: of a set that is to shrink, those that are not go first.
    pub(super) fn available(&self) -> i64 {
        self.available.min(self.replicas)
    }

    /// A number of its status.
    pub(super) fn count(&self, name: &str) -> i64 {
        self.object.at("status").int(name).unwrap_or(0)
    }

    pub(super) fn annotation(&self, name: &str) -> &str {
        self.object.at("metadata").at("annotations").text(name)
    }

    pub(super) fn revision(&self) -> i64 {
        self.annotation(REVISION).parse().unwrap_or(0)
    }

    /// When it was made, for ordering.
    pub(super) fn age_key(&self) -> (String, String) {
        (self.object.at("metadata").text("creationTimestamp").to_owned(), self.name().to_owned())
    }

    /// The object with the wanted replicas, and for which numbers; `None` when nothing changes.
    pub(super) fn scaled(&self, numbers: Numbers) -> Option<Value> {
        let noted = self.replicas == 0 || self.annotation(DESIRED).parse() == Ok(numbers.replicas);
        if self.spec_replicas() == self.replicas && noted {
            return None;
        }
        let mut object = (*self.object).clone();
        object["spec"].put("replicas", self.replicas);
        note_numbers(&mut object, numbers);
        Some(object)
    }
}

/// Writes down which numbers the set was scaled for.
pub(super) fn note_numbers(set: &mut Value, numbers: Numbers) {
    annotate(set, DESIRED, &numbers.replicas.to_string());
    annotate(set, MAX, &numbers.most().to_string());
}

/// Sets an annotation.
pub(super) fn annotate(object: &mut Value, name: &str, value: &str) {
    if let Some(annotations) = object["metadata"].object("annotations") {
        annotations.put(name, value);
    }
}

/// Gives a set its Deployment's annotations and its revision.
pub(super) fn take_over_annotations(set: &mut Value, deployment: &Value, revision: i64) {
    for (name, value) in deployment.at("metadata").map("annotations").into_iter().flatten() {
        if !NOT_COPIED.contains(&name.as_str()) {
            annotate(set, name, value.as_str().unwrap_or(""));
        }
    }
    let before = set.at("metadata").at("annotations").text(REVISION).to_owned();
    if before.parse::<i64>().unwrap_or(0) < revision {
        if !before.is_empty() {
            let history = set.at("metadata").at("annotations").text(REVISION_HISTORY).to_owned();
            let history = if history.is_empty() { before } else { format!("{history},{before}") };
            annotate(set, REVISION_HISTORY, &history);
        }
        annotate(set, REVISION, &revision.to_string());
    }
}
