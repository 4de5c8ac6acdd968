//! [`Sides`]: conditions, promises and evictions: writes beside the bindings, one of each pod at a time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use trireme_apiserver::ApiClient;
use trireme_apiserver::client::{Place, Resource};
use trireme_core::OpId;
use trireme_scheduler::PodRef;
use trireme_schema::status::Failure;
use trireme_schema::time::Moment;

use crate::ways::Ways;

/// Writes at once.
const WRITES: usize = 32;
/// Writes that may wait. Beyond it conditions are dropped, which the next attempt writes again; evictions are answered
/// as failed.
const WAITING: usize = 16_384;

const PODS: Resource<'static> = Resource { group: "", version: "v1", resource: "pods" };
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A write.
pub(crate) enum Side {
    /// The condition PodScheduled, the promised node.
    Patch { pod: PodRef, condition: Option<(&'static str, String)>, turns: bool, nominated: Option<Arc<str>> },
    /// An eviction with the message of its condition.
    Evict { op: OpId, pod: PodRef, message: String },
}

impl Side {
    fn pod(&self) -> &PodRef {
        match self {
            Self::Patch { pod, .. } | Self::Evict { pod, .. } => pod,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Sides {
    waiting: VecDeque<Side>,
    /// Uids of pods that are being written.
    busy: BTreeSet<Arc<str>>,
}

impl Sides {
    /// A write is asked for; hands it back when too many wait.
    pub(crate) fn push(&mut self, side: Side) -> Result<(), Side> {
        if self.waiting.len() >= WAITING {
            return Err(side);
        }
        self.waiting.push_back(side);
        Ok(())
    }

    /// The next write, when one may set out.
    pub(crate) fn next(&mut self) -> Option<Side> {
        if self.busy.len() >= WRITES {
            return None;
        }
        let at = self.waiting.iter().position(|side| !self.busy.contains(&side.pod().uid))?;
        let side = self.waiting.remove(at)?;
        self.busy.insert(side.pod().uid.clone());
        Some(side)
    }

    /// A write is over.
    pub(crate) fn done(&mut self, uid: &Arc<str>) {
        self.busy.remove(uid);
    }
}

/// What a write came to: the pod's uid; of an eviction, which and whether it failed.
pub(crate) type SideDone = (Arc<str>, Option<(OpId, bool)>);

/// Carries a write out.
pub(crate) async fn carry_out(ways: &Ways, side: Side) -> SideDone {
    let client = &ways.client;
    match side {
        Side::Patch { pod, condition, turns, nominated } => {
            let patch = status_patch(&pod, condition, turns, nominated);
            if let Err(failure) = patch_status(client, &pod, &patch).await {
                // The pod is gone, or the next attempt writes it.
                tracing::debug!(pod = %pod.name, why = failure.message, "a pod's condition is not written");
            }
            (pod.uid, None)
        }
        Side::Evict { op, pod, message } => match evict(client, &pod, &message).await {
            Ok(()) => (pod.uid, Some((op, false))),
            Err(failure) => {
                tracing::warn!(pod = %pod.name, why = failure.message, "a pod is not evicted");
                (pod.uid, Some((op, true)))
            }
        },
    }
}

fn status_patch(
    pod: &PodRef,
    condition: Option<(&'static str, String)>,
    turns: bool,
    nominated: Option<Arc<str>>,
) -> Value {
    let mut status = json!({});
    if let Some((reason, message)) = condition {
        status["conditions"] = json!([condition_of("PodScheduled", "False", reason, &message, turns)]);
    }
    if let Some(node) = nominated {
        status["nominatedNodeName"] = if node.is_empty() { Value::Null } else { json!(&*node) };
    }
    json!({"metadata": {"uid": &*pod.uid}, "status": status})
}

fn condition_of(kind: &str, status: &str, reason: &str, message: &str, turns: bool) -> Value {
    let mut condition = json!({"type": kind, "status": status, "reason": reason, "message": message});
    if turns {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        condition["lastTransitionTime"] = json!(Moment::from_unix(seconds, 0).to_time());
        condition["lastProbeTime"] = Value::Null;
    }
    condition
}

async fn patch_status(client: &ApiClient, pod: &PodRef, patch: &Value) -> Result<(), Failure> {
    let place = Place { namespace: &pod.namespace, name: &pod.name, subresource: "status" };
    client.patch(PODS, place, STRATEGIC, patch, &[]).await.map(drop)
}

/// As upstream: the condition first, so that what counts disruptions sees it before the pod is gone.
async fn evict(client: &ApiClient, pod: &PodRef, message: &str) -> Result<(), Failure> {
    let condition = condition_of("DisruptionTarget", "True", "PreemptionByScheduler", message, true);
    let patch = json!({"metadata": {"uid": &*pod.uid}, "status": {"conditions": [condition]}});
    let gone = |failure: &Failure| failure.code == 404 || failure.code == 409;
    match patch_status(client, pod, &patch).await {
        Err(failure) if !gone(&failure) => return Err(failure),
        // Another pod of that name: ours is gone.
        Err(_) => return Ok(()),
        Ok(()) => {}
    }
    let place = Place { namespace: &pod.namespace, name: &pod.name, subresource: "" };
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": &*pod.uid}});
    match client.delete(PODS, place, &options).await {
        Err(failure) if !gone(&failure) => Err(failure),
        _ => Ok(()),
    }
}
