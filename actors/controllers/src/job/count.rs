//! [`Count`]: what a Job's pods come to: which ends are counted, which are new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use super::indexes::Indexes;
use super::policy::verdict;
use super::template::{failures_of, index_of, is_tracked};
use crate::controller::Look;
use crate::owner::is_deleting;
use crate::pods::{is_active, is_finished, is_ready};

/// Longest list of uids in a status, as upstream; the rest waits for the next look.
pub(super) const UNCOUNTED_LIMIT: usize = 500;

/// What of a Job does not change during a look.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) job: &'a Value,
    pub(super) spec: &'a Value,
    pub(super) look: &'a Look<'a>,
    /// How many successes; `None`: one is enough.
    pub(super) completions: Option<i64>,
    pub(super) parallelism: i64,
    pub(super) indexed: bool,
    pub(super) suspended: bool,
    /// Failures that each index may have, when they are counted per index.
    pub(super) limit_per_index: Option<i64>,
    /// Pods that are on their way out count as failed, and are replaced, only when they have ended.
    pub(super) waits_for_the_end: bool,
}

impl<'a> Terms<'a> {
    pub(super) fn of(job: &'a Value, look: &'a Look<'a>) -> Self {
        let spec = job.at("spec");
        Self {
            job,
            spec,
            look,
            completions: spec.int("completions"),
            parallelism: spec.int("parallelism").unwrap_or(1),
            indexed: spec.text("completionMode") == "Indexed",
            suspended: spec.is_true("suspend"),
            limit_per_index: spec.int("backoffLimitPerIndex"),
            waits_for_the_end: spec.text("podReplacementPolicy") == "Failed" || spec.has("podFailurePolicy"),
        }
    }

    /// Whether a pod has failed.
    pub(super) fn is_failed(self, pod: &Value) -> bool {
        match pod.at("status").text("phase") {
            "Failed" => true,
            "Succeeded" => false,
            // One that nobody runs any more might never get to the phase.
            _ => is_deleting(pod) && !self.waits_for_the_end,
        }
    }

    /// A pod's completion index.
    pub(super) fn index(self, pod: &Value) -> Option<i64> {
        index_of(pod, self.completions.filter(|_| self.indexed)?)
    }
}

/// See the module.
pub(super) struct Count {
    /// The status, with what is sure by now.
    pub(super) status: Value,
    pub(super) active: Vec<Arc<Value>>,
    /// On their way out and not ended.
    pub(super) terminating: Vec<Arc<Value>>,
    pub(super) ready: i64,
    pub(super) succeeded: i64,
    pub(super) failed: i64,
    /// Uids in the status whose pods still carry the finalizer.
    pub(super) uncounted_succeeded: BTreeSet<String>,
    pub(super) uncounted_failed: BTreeSet<String>,
    /// Indexes that have succeeded, those of pods that are not counted yet included.
    pub(super) succeeded_indexes: Indexes,
    pub(super) failed_indexes: Indexes,
    /// By index, the failed pod whose number of failures its successor must take over before it may go.
    pub(super) delayed: BTreeMap<i64, Arc<Value>>,
}

fn uids(value: &Value) -> impl Iterator<Item = String> + '_ {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
}

fn uid(pod: &Value) -> &str {
    pod.at("metadata").text("uid")
}

impl Count {
    pub(super) fn of(terms: Terms<'_>, pods: &[Arc<Value>]) -> Self {
        let mut status = terms.job.at("status").clone();
        if !status.is_object() {
            status = json!({});
        }
        let held: BTreeSet<&str> = pods.iter().filter(|pod| is_tracked(pod)).map(|pod| uid(pod)).collect();
        let mut uncounted = [BTreeSet::new(), BTreeSet::new()];
        for (place, (list, counter)) in
            [("succeeded", "succeeded"), ("failed", "failed")].into_iter().enumerate()
        {
            for uid in uids(terms.job.at("status").at("uncountedTerminatedPods").at(list)) {
                if held.contains(uid.as_str()) {
                    uncounted[place].insert(uid);
                } else {
                    // Its finalizer is gone: the counter takes its place in the same write.
                    status.put(counter, status.int(counter).unwrap_or(0) + 1);
                }
            }
        }
        let [uncounted_succeeded, uncounted_failed] = uncounted;
        let active: Vec<Arc<Value>> = pods.iter().filter(|pod| is_active(pod)).cloned().collect();
        let terminating = pods.iter().filter(|pod| is_deleting(pod) && !is_finished(pod)).cloned().collect();
        let ready = i64::try_from(active.iter().filter(|pod| is_ready(pod)).count()).unwrap_or(i64::MAX);
        let length = |set: &BTreeSet<String>| i64::try_from(set.len()).unwrap_or(i64::MAX);
        let mut out = Self {
            succeeded: status.int("succeeded").unwrap_or(0) + length(&uncounted_succeeded),
            failed: status.int("failed").unwrap_or(0) + length(&uncounted_failed),
            status,
            active,
            terminating,
            ready,
            uncounted_succeeded,
            uncounted_failed,
            succeeded_indexes: Indexes::default(),
            failed_indexes: Indexes::default(),
            delayed: BTreeMap::new(),
        };
        for pod in
            pods.iter().filter(|pod| is_tracked(pod) && !out.is_counted(pod)).cloned().collect::<Vec<_>>()
        {
            if pod.at("status").text("phase") == "Succeeded" {
                out.succeeded += 1;
            } else if terms.is_failed(&pod) && verdict(terms.job, &pod).counts {
                out.failed += 1;
            }
        }
        if let Some(completions) = terms.completions.filter(|_| terms.indexed) {
            out.count_indexes(terms, pods, completions);
        }
        out
    }

    /// Its uid stands in the status.
    pub(super) fn is_counted(&self, pod: &Value) -> bool {
        self.uncounted_succeeded.contains(uid(pod)) || self.uncounted_failed.contains(uid(pod))
    }

    fn count_indexes(&mut self, terms: Terms<'_>, pods: &[Arc<Value>], completions: i64) {
        let succeeded: BTreeSet<i64> = pods
            .iter()
            .filter(|pod| is_tracked(pod) && pod.at("status").text("phase") == "Succeeded")
            .filter_map(|pod| index_of(pod, completions))
            .collect();
        let before = Indexes::parse(terms.job.at("status").text("completedIndexes"), completions);
        self.succeeded_indexes = before.with(&succeeded);
        self.succeeded = self.succeeded_indexes.total();
        let Some(limit) = terms.limit_per_index else { return };
        let before = Indexes::parse(terms.job.at("status").text("failedIndexes"), completions);
        let failed = pods.iter().filter(|pod| terms.is_failed(pod)).filter(|pod| {
            let verdict = verdict(terms.job, pod);
            verdict.fails_index || (verdict.counts && failures_of(pod).0 >= limit)
        });
        let failed: BTreeSet<i64> = failed.filter_map(|pod| index_of(pod, completions)).collect();
        self.failed_indexes = before.with(&failed);
        let active: BTreeSet<i64> = self.active.iter().filter_map(|pod| index_of(pod, completions)).collect();
        for pod in pods.iter().filter(|pod| is_tracked(pod) && terms.is_failed(pod)) {
            let Some(index) = index_of(pod, completions) else { continue };
            let settled = self.succeeded_indexes.contains(index) || self.failed_indexes.contains(index);
            if settled || active.contains(&index) {
                continue;
            }
            let absolute = |pod: &Value| failures_of(pod).0 + failures_of(pod).1;
            let later = self.delayed.get(&index).is_none_or(|last| absolute(last) < absolute(pod));
            if later {
                self.delayed.insert(index, pod.clone());
            }
        }
    }
}
