//! [`Sync`]: one look at a Job that is not finished.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use super::conditions::{self, Ending};
use super::count::{Count, Terms, UNCOUNTED_LIMIT};
use super::manage::{self, Moves};
use super::policy::{success, verdict};
use super::template::{is_tracked, new_pod, tracked};
use crate::controller::resources;
use crate::owner::is_deleting;
use crate::plan::{Plan, Write};
use crate::suffix::Suffixes;
use crate::writes::{create, delete_pod, event, patch, update_status};

/// See the module.
pub(super) struct Sync<'a> {
    terms: Terms<'a>,
    pods: Vec<Arc<Value>>,
    count: Count,
    ending: Option<Ending>,
    /// The ending stood in the status before this look.
    said_before: bool,
    moves: Moves,
    told: Vec<Write>,
    again_after: Option<Duration>,
}

impl<'a> Sync<'a> {
    pub(super) fn new(terms: Terms<'a>, pods: Vec<Arc<Value>>) -> Self {
        let count = Count::of(terms, &pods);
        let ending = Ending::said(terms.job);
        Self {
            terms,
            pods,
            count,
            said_before: ending.is_some(),
            ending,
            moves: Moves::default(),
            told: Vec::new(),
            again_after: None,
        }
    }

    /// The whole plan.
    pub(super) fn run(mut self) -> Plan {
        self.start();
        if self.ending.is_none() {
            self.ending = self.ended();
        }
        if self.ending.is_some() {
            self.moves.leaving.clone_from(&self.count.active);
        } else if !is_deleting(self.terms.job) {
            self.moves = manage::plan(self.terms, &self.count, &self.pods);
            if self.is_complete() {
                let message = "Reached expected number of succeeded pods";
                self.ending = Some(Ending::success("CompletionsReached", message));
            } else {
                self.say_suspended();
            }
        }
        let removals = self.track();
        self.say_ending(&removals);
        self.put_counts();
        self.finish(removals)
    }

    fn now(&self) -> Moment {
        self.terms.look.now
    }

    fn start(&mut self) {
        let deadline = self.terms.spec.int("activeDeadlineSeconds");
        if self.terms.suspended {
            return;
        }
        // The deadline of a job that goes on after a pause counts from now.
        let paused = conditions::find(&self.count.status, "Suspended");
        let resumes = paused.is_some_and(|condition| condition.text("status") == "True");
        if resumes || !self.count.status.has("startTime") {
            self.count.status.put("startTime", self.now().to_time());
        }
        let left = deadline.and_then(|deadline| self.time_left(deadline));
        if let Some(left) = left.filter(|left| *left > 0 && self.ending.is_none()) {
            self.again_after = Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)));
        }
    }

    fn time_left(&self, deadline: i64) -> Option<i64> {
        let started = Moment::parse_time(self.count.status.text("startTime")).ok()?;
        Some(started.unix_seconds().saturating_add(deadline) - self.now().unix_seconds())
    }

    /// Why the job ends now, but for having all its successes.
    fn ended(&self) -> Option<Ending> {
        let (terms, count) = (self.terms, &self.count);
        let verdicts = self.pods.iter().filter(|pod| terms.is_failed(pod)).map(|pod| verdict(terms.job, pod));
        if let Some(message) = verdicts.into_iter().find_map(|verdict| verdict.fails_job) {
            return Some(Ending::failure("PodFailurePolicy", &message));
        }
        let limit = terms.spec.int("backoffLimit").unwrap_or(6);
        if count.failed > limit || self.restarted_too_often(limit) {
            let message = "Job has reached the specified backoff limit";
            return Some(Ending::failure("BackoffLimitExceeded", message));
        }
        let deadline = terms.spec.int("activeDeadlineSeconds").filter(|_| !terms.suspended);
        if deadline.and_then(|deadline| self.time_left(deadline)).is_some_and(|left| left <= 0) {
            let message = "Job was active longer than specified deadline";
            return Some(Ending::failure("DeadlineExceeded", message));
        }
        let completions = terms.completions.filter(|_| terms.indexed)?;
        let failed = count.failed_indexes.total();
        if terms.limit_per_index.is_some() {
            if terms.spec.int("maxFailedIndexes").is_some_and(|most| failed > most) {
                let message = "Job has exceeded the specified maximal number of failed indexes";
                return Some(Ending::failure("MaxFailedIndexesExceeded", message));
            }
            if failed > 0 && failed + count.succeeded_indexes.total() >= completions {
                return Some(Ending::failure("FailedIndexes", "Job has failed indexes"));
            }
        }
        let message = success(terms.job, completions, &count.succeeded_indexes)?;
        Some(Ending::success("SuccessPolicy", &message))
    }

    /// Under `OnFailure` restarts of containers count as failures.
    fn restarted_too_often(&self, limit: i64) -> bool {
        if self.terms.spec.at("template").at("spec").text("restartPolicy") != "OnFailure" {
            return false;
        }
        let restarts = self.count.active.iter().flat_map(|pod| {
            let status = pod.at("status");
            status.list("containerStatuses").iter().chain(status.list("initContainerStatuses"))
        });
        let total: i64 = restarts.filter_map(|container| container.int("restartCount")).sum();
        if limit == 0 { total > 0 } else { total >= limit }
    }

    fn is_complete(&self) -> bool {
        let idle = self.count.active.is_empty();
        match self.terms.completions {
            None => self.count.succeeded > 0 && idle,
            Some(completions) => self.count.succeeded >= completions && idle,
        }
    }

    fn say_suspended(&mut self) {
        let now = self.now();
        let status = &mut self.count.status;
        if self.terms.suspended {
            if conditions::set(status, "Suspended", "True", "JobSuspended", "Job suspended", now) {
                self.tell("Normal", "Suspended", "Job suspended".to_owned());
            }
        } else if conditions::set(status, "Suspended", "False", "JobResumed", "Job resumed", now) {
            self.tell("Normal", "Resumed", "Job resumed".to_owned());
        }
    }

    /// Takes pods that have ended into the status. Returns those that need their finalizer no longer once that is
    /// written.
    fn track(&mut self) -> Vec<Arc<Value>> {
        let terms = self.terms;
        let failing = self.ending.as_ref().is_some_and(|ending| !ending.success);
        let mut removals = Vec::new();
        let mut indexes = BTreeSet::new();
        let known = self.count.status.text("completedIndexes").to_owned();
        let known = super::indexes::Indexes::parse(&known, terms.completions.unwrap_or(0));
        for pod in self.pods.iter().filter(|pod| is_tracked(pod)) {
            let (failed, succeeded) = (terms.is_failed(pod), pod.at("status").text("phase") == "Succeeded");
            if !self.may_let_go(pod, failed, succeeded) {
                continue;
            }
            removals.push(pod.clone());
            if self.count.is_counted(pod) {
                continue;
            }
            let uid = pod.at("metadata").text("uid").to_owned();
            if succeeded {
                if terms.indexed {
                    indexes.extend(terms.index(pod));
                } else {
                    self.count.uncounted_succeeded.insert(uid);
                }
            } else if (failed || failing)
                && (!terms.indexed || terms.index(pod).is_some())
                && verdict(terms.job, pod).counts
            {
                self.count.uncounted_failed.insert(uid);
            }
            if self.count.uncounted_succeeded.len() + self.count.uncounted_failed.len() + indexes.len()
                >= UNCOUNTED_LIMIT
            {
                self.again_after = Some(Duration::ZERO);
                break;
            }
        }
        if terms.indexed {
            let all = known.with(&indexes);
            self.count.status.put("succeeded", all.total());
            self.count.status.put("completedIndexes", all.to_string());
            if terms.limit_per_index.is_some() {
                self.count.status.put("failedIndexes", self.count.failed_indexes.to_string());
            }
        }
        removals
    }

    fn may_let_go(&self, pod: &Arc<Value>, failed: bool, succeeded: bool) -> bool {
        if is_deleting(self.terms.job) || self.ending.is_some() || succeeded {
            return true;
        }
        let last = self.terms.index(pod).and_then(|index| self.count.delayed.get(&index));
        let uid = |pod: &Value| pod.at("metadata").text("uid").to_owned();
        failed && last.is_none_or(|last| uid(last) != uid(pod))
    }

    fn say_ending(&mut self, removals: &[Arc<Value>]) {
        let Some(ending) = self.ending.clone() else { return };
        let now = self.now();
        if !self.said_before {
            ending.say(&mut self.count.status, false, now);
            return;
        }
        let idle = self.count.active.is_empty() && self.count.terminating.is_empty();
        let uncounted = !self.count.uncounted_succeeded.is_empty() || !self.count.uncounted_failed.is_empty();
        if uncounted || !removals.is_empty() || !idle {
            return;
        }
        ending.say(&mut self.count.status, true, now);
        if ending.success {
            self.count.status.put("completionTime", now.to_time());
            let surplus =
                self.terms.completions.is_some_and(|completions| self.count.succeeded > completions);
            if surplus {
                let message = "Too many succeeded pods running after completion count reached".to_owned();
                self.tell("Warning", "TooManySucceededPods", message);
            }
            self.tell("Normal", "Completed", "Job completed".to_owned());
        } else {
            let reason = match ending.reason.as_str() {
                "PodFailurePolicy" => "PodFailurePolicy",
                "DeadlineExceeded" => "DeadlineExceeded",
                "MaxFailedIndexesExceeded" => "MaxFailedIndexesExceeded",
                "FailedIndexes" => "FailedIndexes",
                _ => "BackoffLimitExceeded",
            };
            self.tell("Warning", reason, ending.message);
        }
    }

    fn put_counts(&mut self) {
        let count = &mut self.count;
        let number = |pods: &[Arc<Value>]| i64::try_from(pods.len()).unwrap_or(i64::MAX);
        count.status.put("active", number(&count.active));
        count.status.put("ready", count.ready);
        count.status.put("terminating", number(&count.terminating));
        let list = |uids: &BTreeSet<String>| json!(uids.iter().collect::<Vec<_>>());
        let mut uncounted = json!({});
        for (name, uids) in [("succeeded", &count.uncounted_succeeded), ("failed", &count.uncounted_failed)] {
            if !uids.is_empty() {
                uncounted.put(name, list(uids));
            }
        }
        count.status.put("uncountedTerminatedPods", uncounted);
        for name in ["active", "succeeded", "failed"] {
            if count.status.int(name) == Some(0) {
                count.status.remove(name);
            }
        }
    }

    fn tell(&mut self, kind: &'static str, reason: &'static str, message: String) {
        self.told.push(event(self.terms.job, kind, reason, message));
    }

    /// What is counted is written first, then finalizers go, then pods.
    fn finish(self, removals: Vec<Arc<Value>>) -> Plan {
        let job = self.terms.job;
        let mut plan = Plan { writes: Vec::new(), again_after: self.again_after };
        if let Some(wait) = self.moves.again_after {
            plan.look_again(wait);
        }
        plan.writes.extend(update_status(&resources::JOBS, job, self.count.status));
        plan.writes.extend(self.told);
        plan.writes.extend(removals.iter().map(|pod| patch(&resources::PODS, "", pod, &tracked(pod, false))));
        let leaving = self.moves.leaving.iter();
        plan.writes.extend(leaving.clone().map(|pod| delete_pod(pod)));
        plan.writes.extend(leaving.map(|pod| {
            let name = pod.at("metadata").text("name");
            event(job, "Normal", "SuccessfulDelete", format!("Deleted pod: {name}"))
        }));
        let mut suffixes = Suffixes::new(job.at("metadata").text("uid"), self.terms.look.now);
        let fresh: Vec<Value> =
            self.moves.fresh.iter().map(|indexed| new_pod(job, *indexed, &suffixes.draw())).collect();
        let events = fresh.iter().map(|pod| {
            let name = pod.at("metadata").text("name");
            event(job, "Normal", "SuccessfulCreate", format!("Created pod: {name}"))
        });
        let events: Vec<Write> = events.collect();
        plan.writes.extend(fresh.into_iter().map(|pod| create(&resources::PODS, pod)));
        plan.writes.extend(events);
        plan
    }
}
