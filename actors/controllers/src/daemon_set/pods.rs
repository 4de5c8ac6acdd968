//! [`Daemons`]: which pods of a DaemonSet come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_schema::names::generated_name;
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use super::FAILURES;
use super::nodes::{HASH_LABEL, Wish, by_node, new_pod, tolerations, wish};
use crate::controller::{Look, resources};
use crate::owner::is_deleting;
use crate::plan::Write;
use crate::pods::{available_in, finished_at, is_available, is_ready};
use crate::suffix::Suffixes;
use crate::writes::{create, delete_pod, event};

/// Most pods that one plan creates or deletes, as upstream.
const BURST: usize = 250;
/// Wait before the first failed pod on a node is replaced, as upstream; it doubles with each failure.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest wait, as upstream.
const BACKOFF_MAX: Duration = Duration::from_secs(15 * 60);

/// A pod to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewPod {
    pub(super) node: String,
    /// Failures on the node before it.
    pub(super) failures: u32,
}

/// The nodes and pods of a set at one look.
pub(super) struct Daemons<'a> {
    pub(super) set: &'a Value,
    pub(super) look: &'a Look<'a>,
    pub(super) hash: &'a str,
    pub(super) min_ready: i64,
    pub(super) tolerations: Vec<Value>,
    /// Every node, and what the set wants of it.
    pub(super) wishes: BTreeMap<String, Wish>,
    pub(super) pods: BTreeMap<String, Vec<Arc<Value>>>,
    pub(super) fresh: Vec<NewPod>,
    pub(super) leaving: Vec<Arc<Value>>,
    /// What is told before the writes.
    pub(super) told: Vec<Write>,
    pub(super) again_after: Option<Duration>,
}

impl<'a> Daemons<'a> {
    pub(super) fn new(set: &'a Value, pods: &[Arc<Value>], hash: &'a str, look: &'a Look<'a>) -> Self {
        let template = set.at("spec").at("template").at("spec");
        let tolerations = tolerations(template);
        let nodes = resources::NODES.list(look.world, None);
        let wish = |node: &Arc<Value>| {
            (node.at("metadata").text("name").to_owned(), wish(template, &tolerations, node))
        };
        let wishes = nodes.iter().map(wish).collect();
        let min_ready = set.at("spec").int("minReadySeconds").unwrap_or(0);
        let waits = pods.iter().filter_map(|pod| available_in(pod, min_ready, look.now));
        let again_after = waits.filter(|wait| !wait.is_zero()).min();
        let pods = by_node(pods);
        Self {
            set,
            look,
            hash,
            min_ready,
            tolerations,
            wishes,
            pods,
            fresh: Vec::new(),
            leaving: Vec::new(),
            told: Vec::new(),
            again_after,
        }
    }

    pub(super) fn is_updated(&self, pod: &Value) -> bool {
        pod.at("metadata").at("labels").text(HASH_LABEL) == self.hash
    }

    pub(super) fn is_available(&self, pod: &Value) -> bool {
        is_available(pod, self.min_ready, self.look.now) && !is_deleting(pod)
    }

    /// Nodes that need a pod, and pods that are too many, failed, or on nodes that do not match (any more).
    pub(super) fn manage(&mut self, surging: bool) {
        for (node, wish) in self.wishes.clone() {
            let pods = self.pods.get(&node).cloned().unwrap_or_default();
            if pods.is_empty() {
                if wish.run {
                    self.fresh.push(NewPod { node, failures: 0 });
                }
            } else if wish.stay {
                self.keep_one(node, wish, &pods, surging);
            } else {
                self.leaving.extend(pods.into_iter().filter(|pod| !is_deleting(pod)));
            }
        }
        // Nodes that are no more; the pod collector takes those that were bound to them.
        let gone = self.pods.iter().filter(|(node, _)| !self.wishes.contains_key(*node));
        let unbound = gone
            .flat_map(|(_, pods)| pods)
            .filter(|pod| pod.at("spec").text("nodeName").is_empty() && !is_deleting(pod));
        self.leaving.extend(unbound.cloned().collect::<Vec<_>>());
    }

    fn keep_one(&mut self, node: String, wish: Wish, pods: &[Arc<Value>], surging: bool) {
        let mut running = Vec::new();
        let mut failures = None;
        for pod in pods.iter().filter(|pod| !is_deleting(pod)) {
            match pod.at("status").text("phase") {
                "Failed" => failures = failures.max(self.replace_failed(&node, pod)),
                "Succeeded" => {
                    self.tell_finished(&node, pod, "Normal", "SucceededDaemonPod", "succeeded", "delete");
                    self.leaving.push(pod.clone());
                }
                _ => running.push(pod.clone()),
            }
        }
        let replaced = failures.is_some();
        if running.is_empty() && wish.run {
            let terminating = pods.iter().any(|pod| is_deleting(pod));
            // The replacement of a failed pod comes with it, so that the number of failures is not lost.
            if replaced || (surging && terminating) {
                self.fresh.push(NewPod { node, failures: failures.unwrap_or(0) });
            }
            return;
        }
        if running.len() > 1 {
            self.thin_out(&running, surging);
        }
    }

    /// The failures in a row if the pod's back-off is over.
    fn replace_failed(&mut self, node: &str, pod: &Arc<Value>) -> Option<u32> {
        let before = pod.at("metadata").at("annotations").text(FAILURES).parse::<u32>().unwrap_or(0);
        let failed = finished_at(pod).map_or(0, Moment::unix_seconds);
        let created = Moment::parse_time(pod.at("metadata").text("creationTimestamp"));
        let lived = failed - created.map_or(failed, Moment::unix_seconds);
        // One that lived for long begins anew.
        let before =
            if Duration::from_secs(u64::try_from(lived).unwrap_or(0)) > BACKOFF_MAX { 0 } else { before };
        let wait = BACKOFF_MIN.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX)).min(BACKOFF_MAX);
        let since = u64::try_from(self.look.now.unix_seconds() - failed).unwrap_or(0);
        let left = wait.saturating_sub(Duration::from_secs(since));
        if !left.is_zero() {
            self.again_after = Some(self.again_after.map_or(left, |before| before.min(left)));
            return None;
        }
        self.tell_finished(node, pod, "Warning", "FailedDaemonPod", "failed", "kill");
        self.leaving.push(pod.clone());
        Some(before + 1)
    }

    fn tell_finished(
        &mut self,
        node: &str,
        pod: &Value,
        kind: &'static str,
        reason: &'static str,
        how: &str,
        what: &str,
    ) {
        let metadata = pod.at("metadata");
        let (namespace, name) = (metadata.text("namespace"), metadata.text("name"));
        let message =
            format!("Found {how} daemon pod {namespace}/{name} on node {node}, will try to {what} it");
        self.told.push(event(self.set, kind, reason, message));
    }

    /// Without surge the oldest stays. With it, an old pod stays beside the new one until that serves.
    fn thin_out(&mut self, running: &[Arc<Value>], surging: bool) {
        if !surging {
            self.leaving.extend(running[1..].iter().cloned());
            return;
        }
        let (mut new, mut old) = (None, None);
        for pod in running {
            let place = if self.is_updated(pod) { &mut new } else { &mut old };
            if place.is_none() {
                *place = Some(pod.clone());
            } else {
                self.leaving.push(pod.clone());
            }
        }
        if let (Some(new), Some(old)) = (new, old)
            && (!is_ready(&old) || self.is_available(&new))
        {
            self.leaving.push(old);
        }
    }

    /// The writes that make and delete pods: what comes first, because it carries what is known of those that go.
    pub(super) fn writes(&self) -> Vec<Write> {
        let metadata = self.set.at("metadata");
        let base = format!("{}-", metadata.text("name"));
        let mut suffixes = Suffixes::new(metadata.text("uid"), self.look.now);
        let mut writes = self.told.clone();
        let mut events = Vec::new();
        for fresh in self.fresh.iter().take(BURST) {
            let name = generated_name(&base, &suffixes.draw());
            let mut pod = new_pod(self.set, &self.tolerations, &fresh.node, self.hash);
            pod["metadata"].put("generateName", base.as_str());
            pod["metadata"].put("name", name.as_str());
            if fresh.failures > 0 {
                pod["metadata"]["annotations"].put(FAILURES, fresh.failures.to_string());
            }
            writes.push(create(&resources::PODS, pod));
            events.push(event(self.set, "Normal", "SuccessfulCreate", format!("Created pod: {name}")));
        }
        for pod in self.leaving.iter().take(BURST) {
            let name = pod.at("metadata").text("name");
            writes.push(delete_pod(pod));
            events.push(event(self.set, "Normal", "SuccessfulDelete", format!("Deleted pod: {name}")));
        }
        writes.extend(events);
        writes
    }
}
