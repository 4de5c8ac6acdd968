//! What a Deployment says of its roll-out.

use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use super::conditions::{find, renew, set};
use super::numbers::Numbers;
use super::set::Set;
use crate::condition::{self, Says};

/// A progress deadline of this many seconds means none.
const NO_DEADLINE: i64 = i32::MAX as i64;

/// What became of the new set in this plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewSet<'a> {
    /// There is none, and none is made.
    None,
    /// It was there before.
    Found(&'a str),
    /// This plan makes it.
    Created(&'a str),
}

/// All that the status is made of.
pub(super) struct Report<'a> {
    pub(super) deployment: &'a Value,
    pub(super) numbers: Numbers,
    pub(super) new: Option<&'a Set>,
    pub(super) old: &'a [Set],
    pub(super) outcome: NewSet<'a>,
    /// The last attempt to create a set was refused with this text.
    pub(super) refused: Option<&'a str>,
    /// The name of the new set is taken by something else: how often that happened by now.
    pub(super) collisions: i64,
    pub(super) now: Moment,
}

impl Report<'_> {
    /// The new status, and when the progress deadline is to be looked at.
    pub(super) fn status(&self) -> (Value, Option<Duration>) {
        let mut status = self.counts();
        self.say_available(&mut status);
        let deadline = self.deadline();
        match deadline {
            None => condition::remove(&mut status, "Progressing"),
            Some(seconds) => {
                self.say_paused(&mut status);
                self.say_found(&mut status);
                if !self.paused() {
                    self.say_progress(&mut status, seconds);
                }
            }
        }
        self.say_failure(&mut status);
        let again = deadline.and_then(|seconds| self.time_left(&status, seconds));
        (status, again)
    }

    fn deadline(&self) -> Option<i64> {
        self.deployment.at("spec").int("progressDeadlineSeconds").filter(|seconds| *seconds < NO_DEADLINE)
    }

    fn paused(&self) -> bool {
        self.deployment.at("spec").is_true("paused")
    }

    fn counts(&self) -> Value {
        let sum = |name: &str| self.old.iter().chain(self.new).map(|set| set.count(name)).sum::<i64>();
        let available = sum("availableReplicas");
        let replicas = sum("replicas");
        let wanted: i64 = self.old.iter().chain(self.new).map(|set| set.replicas).sum();
        let counts = [
            ("replicas", replicas),
            ("updatedReplicas", self.new.map_or(0, |set| set.count("replicas"))),
            ("readyReplicas", sum("readyReplicas")),
            ("availableReplicas", available),
            ("unavailableReplicas", (wanted - available).max(0)),
        ];
        let before = self.deployment.at("status");
        let mut status = json!({"observedGeneration": self.deployment.at("metadata").at("generation")});
        if before.has("conditions") {
            status.put("conditions", before.at("conditions").clone());
        }
        if self.collisions > 0 {
            status.put("collisionCount", self.collisions);
        }
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            status.put(name, count);
        }
        status
    }

    fn say_available(&self, status: &mut Value) {
        let available = status.int("availableReplicas").unwrap_or(0) >= self.numbers.fewest_available();
        let says = if available {
            Says {
                kind: "Available",
                status: "True",
                reason: "MinimumReplicasAvailable",
                message: "Deployment has minimum availability.",
            }
        } else {
            Says {
                kind: "Available",
                status: "False",
                reason: "MinimumReplicasUnavailable",
                message: "Deployment does not have minimum availability.",
            }
        };
        set(status, says, self.now);
    }

    fn say_paused(&self, status: &mut Value) {
        let reason = find(status, "Progressing").text("reason").to_owned();
        if reason == "ProgressDeadlineExceeded" {
            return;
        }
        let (reason, message) = match (self.paused(), reason == "DeploymentPaused") {
            (true, false) => ("DeploymentPaused", "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return,
        };
        set(status, Says { kind: "Progressing", status: "Unknown", reason, message }, self.now);
    }

    fn say_found(&self, status: &mut Value) {
        let known = !find(status, "Progressing").is_null();
        let (reason, message) = match (self.outcome, self.refused) {
            (NewSet::Created(_), Some(refused)) => {
                let says = Says {
                    kind: "Progressing",
                    status: "False",
                    reason: "ReplicaSetCreateError",
                    message: refused,
                };
                return set(status, says, self.now);
            }
            (NewSet::Created(name), None) => {
                ("NewReplicaSetCreated", format!("Created new replica set \"{name}\""))
            }
            (NewSet::Found(name), _) if !known => {
                ("FoundNewReplicaSet", format!("Found new replica set \"{name}\""))
            }
            _ => return,
        };
        set(status, Says { kind: "Progressing", status: "True", reason, message: &message }, self.now);
    }

    /// Complete, progressing, or stuck for too long.
    fn say_progress(&self, status: &mut Value, seconds: i64) {
        let current = find(status, "Progressing").clone();
        let count = |of: &Value, name: &str| of.int(name).unwrap_or(0);
        let settled = current.text("reason") == "NewReplicaSetAvailable"
            && count(status, "replicas") == count(status, "updatedReplicas");
        if settled {
            return;
        }
        let what = match self.new {
            Some(set) => format!("ReplicaSet \"{}\"", set.name()),
            None => format!("Deployment \"{}\"", self.deployment.at("metadata").text("name")),
        };
        let before = self.deployment.at("status");
        let complete = ["updatedReplicas", "replicas", "availableReplicas"]
            .iter()
            .all(|name| count(status, name) == self.numbers.replicas);
        let old_pods = |of: &Value| count(of, "replicas") - count(of, "updatedReplicas");
        let moved = count(status, "updatedReplicas") > count(before, "updatedReplicas")
            || old_pods(status) < old_pods(before)
            || count(status, "readyReplicas") > count(before, "readyReplicas")
            || count(status, "availableReplicas") > count(before, "availableReplicas");
        let says = |value, reason, message| Says { kind: "Progressing", status: value, reason, message };
        if complete {
            let message = format!("{what} has successfully progressed.");
            set(status, says("True", "NewReplicaSetAvailable", &message), self.now);
        } else if moved {
            let message = format!("{what} is progressing.");
            renew(status, says("True", "ReplicaSetUpdated", &message), self.now);
        } else if self.overdue(&current, seconds) {
            let message = format!("{what} has timed out progressing.");
            set(status, says("False", "ProgressDeadlineExceeded", &message), self.now);
        }
    }

    fn overdue(&self, current: &Value, seconds: i64) -> bool {
        match current.text("reason") {
            "ProgressDeadlineExceeded" => true,
            "" | "NewReplicaSetAvailable" => false,
            _ => self.left(current, seconds).is_some_and(|left| left <= 0),
        }
    }

    /// Seconds until a condition that says nothing new is overdue.
    fn left(&self, condition: &Value, seconds: i64) -> Option<i64> {
        let updated = Moment::parse_time(condition.text("lastUpdateTime")).ok()?;
        Some(updated.unix_seconds() + seconds - self.now.unix_seconds())
    }

    fn time_left(&self, status: &Value, seconds: i64) -> Option<Duration> {
        let current = find(status, "Progressing");
        let waits =
            !matches!(current.text("reason"), "" | "NewReplicaSetAvailable" | "ProgressDeadlineExceeded");
        let left = self.left(current, seconds).filter(|_| waits && !self.paused())?;
        Some(Duration::from_secs(u64::try_from(left).unwrap_or(0) + 1))
    }

    /// What keeps a set from making pods is said by the Deployment as well.
    fn say_failure(&self, status: &mut Value) {
        let sets = self.new.into_iter().chain(self.old);
        let failure =
            sets.map(|set| condition::condition(&set.object, "ReplicaFailure")).find(|c| !c.is_null());
        match failure.cloned() {
            Some(failure) => {
                let says = Says {
                    kind: "ReplicaFailure",
                    status: failure.text("status"),
                    reason: failure.text("reason"),
                    message: failure.text("message"),
                };
                set(status, says, self.now);
            }
            None => condition::remove(status, "ReplicaFailure"),
        }
    }
}
