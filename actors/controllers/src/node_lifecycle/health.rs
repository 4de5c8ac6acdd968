//! Whether a node still beats, and what its conditions say when it does not.

use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use crate::condition::condition;
use crate::controller::{Look, resources};

/// The namespace of the nodes' leases.
pub(super) const LEASES: &str = "kube-node-lease";
/// How far a node's clock may be off before the API server's counts.
pub(super) const SKEW_SECONDS: i64 = 2;
/// The grace of nodes that have no Lease and post their whole status now and then, as upstream.
const STATUS_GRACE: Duration = Duration::from_secs(40);
/// How long a node that never beat may take to start, as upstream.
const STARTUP: Duration = Duration::from_secs(60);
/// How long before the end of its lease a node is lost.
const AHEAD: Duration = Duration::from_millis(500);
/// The conditions that a silent node can no longer vouch for, as upstream.
const VOUCHED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// What is known of a node's heart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heart {
    /// It beats; the next beat is due within this time.
    Beats(Duration),
    /// It has stopped.
    Stopped,
}

impl Heart {
    /// Listens to a node.
    pub(super) fn of(node: &Value, grace: Duration, look: &Look<'_>) -> Self {
        let lease = resources::LEASES.get(look.world, LEASES, node.at("metadata").text("name"));
        let beat = lease.as_deref().and_then(last_beat);
        let (beat, grace) = match beat {
            Some(beat) => (Some(beat), grace_of(lease.as_deref(), grace)),
            None => {
                let said = Moment::parse_time(condition(node, "Ready").text("lastHeartbeatTime"));
                match said {
                    Ok(said) => (Some(said), grace.max(STATUS_GRACE)),
                    Err(_) => {
                        let created = node.at("metadata").text("creationTimestamp");
                        (Moment::parse_time(created).ok(), grace.max(STARTUP))
                    }
                }
            }
        };
        let Some(beat) = beat else { return Self::Stopped };
        let due = nanos(beat).saturating_add(i128::try_from(grace.as_nanos()).unwrap_or(i128::MAX));
        match u64::try_from(due - nanos(look.now)) {
            Ok(left @ 1..) => Self::Beats(Duration::from_nanos(left)),
            _ => Self::Stopped,
        }
    }
}

/// A node that beats slowly says so by the length of its lease: it is lost just before that ends.
fn grace_of(lease: Option<&Value>, grace: Duration) -> Duration {
    let said = lease.and_then(|lease| lease.at("spec").int("leaseDurationSeconds"));
    let said = said.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    said.map_or(grace, |said| grace.max(said.saturating_sub(AHEAD).min(STATUS_GRACE)))
}

fn nanos(moment: Moment) -> i128 {
    i128::from(moment.unix_seconds()) * 1_000_000_000 + i128::from(moment.nanos())
}

/// When a lease was renewed.
fn last_beat(lease: &Value) -> Option<Moment> {
    let own = Moment::parse_time(lease.at("spec").text("renewTime")).ok();
    let managers = lease.at("metadata").list("managedFields").iter();
    let noted = managers.filter_map(|fields| Moment::parse_time(fields.text("time")).ok()).max();
    match (own, noted) {
        (Some(own), Some(noted)) => {
            let off = (own.unix_seconds() - noted.unix_seconds()).abs();
            // It is noted in whole seconds.
            let noted = Moment::from_unix(noted.unix_seconds() + 1, 0);
            Some(if off > SKEW_SECONDS { noted } else { own })
        }
        (own, noted) => own.or(noted),
    }
}

/// The conditions of a node that is silent.
pub(super) fn silenced(node: &Value, now: Moment) -> Vec<Value> {
    let mut conditions = node.at("status").list("conditions").to_vec();
    for kind in VOUCHED {
        let place = conditions.iter_mut().find(|condition| condition.text("type") == kind);
        match place {
            Some(condition) if condition.text("status") != "Unknown" => {
                condition.put("status", "Unknown");
                condition.put("reason", "NodeStatusUnknown");
                condition.put("message", "Kubelet stopped posting node status.");
                condition.put("lastTransitionTime", now.to_time());
            }
            Some(_) => {}
            None => conditions.push(json!({
                "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
                "lastHeartbeatTime": node.at("metadata").at("creationTimestamp"),
                "lastTransitionTime": now.to_time(),
            })),
        }
    }
    conditions
}
