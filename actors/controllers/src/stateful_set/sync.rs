//! [`Sync`]: one look at the pods of a StatefulSet.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_schema::int_or_string::IntOrString;
use trireme_schema::view::View;

use super::claims::{PodClaims, retained};
use super::identity::{Ordinals, is_itself, is_running_and_ready, mended, new_pod, ordinal, revision_of};
use super::status::{Counts, is_available, ready_in};
use crate::controller::{Look, resources};
use crate::owner::is_deleting;
use crate::plan::Write;
use crate::pods::is_finished;
use crate::writes::{create, delete_pod, event, update};

/// A place among the asked ordinals, and its pod: stored, or to be made.
struct Replica {
    ordinal: i64,
    pod: Arc<Value>,
    stored: bool,
}

/// Whether what follows may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    Wait,
}

/// See the module.
pub(super) struct Sync<'a> {
    set: &'a Value,
    update: &'a Value,
    look: &'a Look<'a>,
    monotonic: bool,
    replicas: Vec<Replica>,
    /// Pods beyond the asked ordinals, highest first.
    condemned: Vec<(i64, Arc<Value>)>,
    pub(super) counts: Counts,
    pub(super) writes: Vec<Write>,
    /// When a pod that is ready becomes available.
    pub(super) again_after: Option<Duration>,
}

impl<'a> Sync<'a> {
    /// Sorts the pods.
    pub(super) fn new(
        set: &'a Value,
        pods: &[Arc<Value>],
        current: &Value,
        update: &'a Value,
        look: &'a Look<'a>,
    ) -> Self {
        let ordinals = Ordinals::of(set);
        let strategy = set.at("spec").at("updateStrategy");
        let partition = strategy.at("rollingUpdate").int("partition").unwrap_or(0);
        let on_delete = strategy.text("type") == "OnDelete";
        let mut found: Vec<(i64, Arc<Value>)> =
            pods.iter().filter_map(|pod| Some((ordinal(set, pod)?, pod.clone()))).collect();
        found.sort_by_key(|(ordinal, _)| *ordinal);
        let (inside, mut condemned): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(ordinal, _)| ordinals.contain(*ordinal));
        condemned.reverse();
        let replicas = (0..ordinals.count).map(|index| {
            let ordinal = ordinals.start + index;
            let pod = inside.iter().find(|(other, _)| *other == ordinal).map(|(_, pod)| pod.clone());
            let stored = pod.is_some();
            let revision = if !on_delete && index < partition { current } else { update };
            let pod = pod.unwrap_or_else(|| Arc::new(new_pod(set, revision, ordinal)));
            Replica { ordinal, pod, stored }
        });
        let replicas: Vec<Replica> = replicas.collect();
        let refs: Vec<&Value> = pods.iter().map(Arc::as_ref).collect();
        let names = [current, update].map(|revision| revision.at("metadata").text("name"));
        let counts = Counts::of(set, &refs, names[0], names[1], look.now);
        let waits = pods.iter().filter_map(|pod| ready_in(set, pod, look.now));
        let again_after = waits.filter(|wait| !wait.is_zero()).min();
        let monotonic = set.at("spec").text("podManagementPolicy") != "Parallel";
        Self { set, update, look, monotonic, replicas, condemned, counts, writes: Vec::new(), again_after }
    }

    /// Plans the pods: those that are asked for, then those that are not, then the update.
    pub(super) fn run(&mut self) {
        for index in 0..self.replicas.len() {
            if self.process_replica(index) == Then::Wait && self.monotonic {
                return;
            }
        }
        self.settle_condemned_claims();
        if self.process_condemned() == Then::Wait && self.monotonic {
            return;
        }
        if self.set.at("spec").at("updateStrategy").text("type") != "OnDelete" {
            self.roll();
        }
    }

    fn process_replica(&mut self, index: usize) -> Then {
        let (ordinal, pod, stored) = {
            let replica = &self.replicas[index];
            (replica.ordinal, replica.pod.clone(), replica.stored)
        };
        if stored && is_finished(&pod) {
            if !is_deleting(&pod) {
                self.delete(&pod);
            }
            return Then::Wait;
        }
        if !stored {
            self.make(&pod, ordinal);
            return Then::Wait;
        }
        if pod.at("status").text("phase") == "Pending" {
            let claims = PodClaims::of(self.set, ordinal, self.look.world);
            self.make_claims(claims.missing, &pod);
        }
        let waits =
            is_deleting(&pod) || !is_running_and_ready(&pod) || !is_available(self.set, &pod, self.look.now);
        if waits && self.monotonic {
            return Then::Wait;
        }
        if !is_deleting(&pod) {
            if !is_itself(self.set, &pod, ordinal) {
                let claims = PodClaims::of(self.set, ordinal, self.look.world);
                self.make_claims(claims.missing, &pod);
                self.writes.push(update(&resources::PODS, mended(self.set, &pod, ordinal)));
            }
            self.settle_claims(&pod, ordinal);
        }
        Then::GoOn
    }

    /// Makes a pod, its claims first.
    fn make(&mut self, pod: &Value, ordinal: i64) {
        let claims = PodClaims::of(self.set, ordinal, self.look.world);
        if claims.is_stale(self.set, ordinal, "") {
            return;
        }
        let name = pod.at("metadata").text("name").to_owned();
        if let Some(leaving) = claims.leaving() {
            let set = self.set.at("metadata").text("name");
            let message = format!(
                "create Pod {name} in StatefulSet {set} failed error: pvc {leaving} is being deleted"
            );
            self.writes.push(event(self.set, "Warning", "FailedCreate", message));
            return;
        }
        self.make_claims(claims.missing, pod);
        self.writes.push(create(&resources::PODS, pod.clone()));
        self.tell("SuccessfulCreate", "create", &name);
    }

    fn make_claims(&mut self, missing: Vec<Value>, pod: &Value) {
        let (pod, set) = (pod.at("metadata").text("name"), self.set.at("metadata").text("name"));
        for claim in missing {
            let name = claim.at("metadata").text("name").to_owned();
            self.writes.push(create(&resources::VOLUME_CLAIMS, claim));
            let message = format!("create Claim {name} Pod {pod} in StatefulSet {set} success");
            self.writes.push(event(self.set, "Normal", "SuccessfulCreate", message));
        }
    }

    fn settle_claims(&mut self, pod: &Value, ordinal: i64) {
        for claim in PodClaims::of(self.set, ordinal, self.look.world).present {
            match retained(self.set, pod, ordinal, &claim) {
                Ok(None) => {}
                Ok(Some(claim)) => self.writes.push(update(&resources::VOLUME_CLAIMS, claim)),
                Err(message) => {
                    self.writes.push(event(self.set, "Warning", "ConflictingController", message));
                }
            }
        }
    }

    /// Claims of pods that go belong to them before they go.
    fn settle_condemned_claims(&mut self) {
        for (ordinal, pod) in self.condemned.clone() {
            self.settle_claims(&pod, ordinal);
        }
    }

    fn process_condemned(&mut self) -> Then {
        let first_unavailable = self.first_unavailable();
        for (ordinal, pod) in self.condemned.clone() {
            if is_deleting(&pod) {
                if self.monotonic {
                    return Then::Wait;
                }
                continue;
            }
            // A finished pod never serves again: to wait for it would be to wait for ever.
            let may_go = is_available(self.set, &pod, self.look.now)
                || is_finished(&pod)
                || first_unavailable == Some(ordinal);
            if self.monotonic && !may_go {
                return Then::Wait;
            }
            self.delete(&pod);
            if self.monotonic {
                return Then::Wait;
            }
        }
        Then::GoOn
    }

    /// The ordinal of the first pod that does not serve: of those asked for, else the lowest of the others.
    fn first_unavailable(&self) -> Option<i64> {
        let asked = self.replicas.iter().map(|replica| (replica.ordinal, &replica.pod));
        let others = self.condemned.iter().rev().map(|(ordinal, pod)| (*ordinal, pod));
        let mut all = asked.chain(others);
        all.find(|(_, pod)| !is_available(self.set, pod, self.look.now)).map(|(ordinal, _)| ordinal)
    }

    /// Takes down pods of other revisions, the highest ordinal first.
    fn roll(&mut self) {
        let rolling = self.set.at("spec").at("updateStrategy").at("rollingUpdate");
        let partition = usize::try_from(rolling.int("partition").unwrap_or(0)).unwrap_or(0);
        let most = IntOrString::of(rolling.at("maxUnavailable"))
            .and_then(|value| value.scaled(i64::try_from(self.replicas.len()).unwrap_or(0), false))
            .unwrap_or(1);
        let most = usize::try_from(most.max(1)).unwrap_or(1);
        let update = self.update.at("metadata").text("name").to_owned();
        let outdated = |pod: &Value| revision_of(pod) != update && !is_deleting(pod) && !is_finished(pod);
        let pods: Vec<Arc<Value>> = self.replicas.iter().map(|replica| replica.pod.clone()).collect();
        let unavailable = pods.iter().filter(|pod| !is_available(self.set, pod, self.look.now)).count();
        let mut left = most.saturating_sub(unavailable);
        for (index, pod) in pods.iter().enumerate().skip(partition).rev() {
            if !self.replicas[index].stored || !outdated(pod) {
                continue;
            }
            // One that does not serve anyway costs nothing.
            if is_available(self.set, pod, self.look.now) {
                if left == 0 {
                    return;
                }
                left -= 1;
            }
            self.delete(pod);
            self.counts.current -= i64::from(self.counts.current > 0);
        }
    }

    fn delete(&mut self, pod: &Value) {
        self.writes.push(delete_pod(pod));
        self.tell("SuccessfulDelete", "delete", pod.at("metadata").text("name"));
    }

    fn tell(&mut self, reason: &'static str, verb: &str, pod: &str) {
        let set = self.set.at("metadata").text("name");
        let message = format!("{verb} Pod {pod} in StatefulSet {set} successful");
        self.writes.push(event(self.set, "Normal", reason, message));
    }
}
