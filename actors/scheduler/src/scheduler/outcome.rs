//! Assume, Bind, and what comes of it.

use std::sync::Arc;

use serde_json::json;
use trireme_core::Tick;

use super::explain::{Kept, KeptVerdict};
use super::extend::{Asking, Question};
use super::{Op, Scheduler};
use crate::effect::Effect;
use crate::input::BindFailure;
use crate::node::NodeIx;
use crate::plugins::{ClusterEvent, PluginSet};
use crate::pod::{PodIx, Stage};

impl Scheduler {
    /// A node is chosen: the pod counts there from now on, and its binding is asked for.
    pub(super) fn assume(
        &mut self,
        now: Tick,
        pod: PodIx,
        node: NodeIx,
        (examined, feasible): (usize, &[NodeIx]),
        out: &mut Vec<Effect>,
    ) {
        let scores = self.top(feasible);
        let name = self.ledger.node(node).name;
        self.keep(now, pod, KeptVerdict::Placed(name), (examined, feasible.len()), Vec::new(), scores);
        self.ledger.nominate(pod, None);
        self.ledger.drop_defaults(pod);
        self.ledger.place(pod, node);
        self.ledger.pod_mut(pod).stage = Stage::Assumed;
        let uid = self.ledger.pod(pod).uid.clone();
        let reference = self.pod_ref(pod);
        let name = self.ledger.names.shared(name);
        let binder = self.interested(pod, |extender| !extender.bind_verb.is_empty());
        if let Some(extender) = binder.first().copied() {
            let asking = Asking {
                pod,
                profile: 0,
                examined,
                question: Question::Bind { node, at: extender },
                refused: Vec::new(),
            };
            let op = self.open_op(Op::Extend(Box::new(asking)), uid).expect("fewer are open than the limit");
            let body = json!({
                "PodName": &*reference.name, "PodNamespace": &*reference.namespace,
                "PodUID": &*reference.uid, "Node": &*name,
            });
            let verb = self.setup.extenders[extender].bind_verb.clone();
            out.push(Effect::Extend { op, extender, verb, body });
            return;
        }
        let op = self.open_op(Op::Bind { pod, node }, uid).expect("fewer are open than the limit");
        out.push(Effect::Bind { op, pod: reference, node: name });
    }

    /// What came of a binding.
    pub(super) fn bound(
        &mut self,
        now: Tick,
        pod: PodIx,
        node: NodeIx,
        uid: &str,
        outcome: Result<(), BindFailure>,
        out: &mut Vec<Effect>,
    ) {
        if !self.same(pod, uid) {
            return;
        }
        match outcome {
            Ok(()) => self.tell_scheduled(pod, node, out),
            Err(failure) => {
                if self.ledger.pod(pod).stage != Stage::Assumed {
                    // The feed was first: somebody bound it.
                    return;
                }
                let freed = self.subject(pod);
                self.ledger.unplace(pod);
                self.ledger.pod_mut(pod).stage = Stage::Waiting;
                match failure {
                    BindFailure::Gone => self.pod_gone(now, pod),
                    BindFailure::Failed(why) => self.failed(now, pod, &why, out),
                }
                self.happened(now, &ClusterEvent::Freed(freed));
            }
        }
    }

    fn tell_scheduled(&mut self, pod: PodIx, node: NodeIx, out: &mut Vec<Effect>) {
        let about = self.pod_ref(pod);
        let message = format!(
            "Successfully assigned {}/{} to {}",
            about.namespace,
            about.name,
            self.ledger.node_name(node)
        );
        out.push(Effect::Record {
            about,
            related: None,
            warning: false,
            reason: "Scheduled",
            action: "Binding",
            message,
            scheduler: self.scheduler_name(pod),
        });
    }

    /// An attempt ended in an error rather than a refusal: it is made again after a pause.
    pub(super) fn failed(&mut self, now: Tick, pod: PodIx, why: &str, out: &mut Vec<Effect>) {
        let verdict = KeptVerdict::Failed(why.to_owned());
        self.keep(now, pod, verdict, (0, 0), Vec::new(), Vec::new());
        self.tell_failed(pod, "SchedulerError", why, None, out);
        self.queue.refuse(now, pod, PluginSet::default());
    }

    /// The scheduler's name that a pod asked for.
    pub(super) fn scheduler_name(&self, pod: PodIx) -> Arc<str> {
        self.ledger.names.shared(self.ledger.pod(pod).spec.scheduler)
    }

    /// The best candidates with their scores.
    fn top(&self, feasible: &[NodeIx]) -> Vec<super::explain::KeptScore> {
        let totals = &self.scratch.totals;
        let mut top: [Option<usize>; super::explain::SCORES_KEPT] = [None; super::explain::SCORES_KEPT];
        for at in 0..totals.len().min(feasible.len()) {
            let mut rising = Some(at);
            for slot in &mut top {
                let better = match (rising, *slot) {
                    (Some(new), Some(old)) => totals[new] > totals[old],
                    (Some(_), None) => true,
                    (None, _) => false,
                };
                if better {
                    std::mem::swap(slot, &mut rising);
                }
            }
        }
        let score = |at: usize| super::explain::KeptScore {
            node: self.ledger.node(feasible[at]).name,
            total: totals[at],
            parts: self.scratch.parts.iter().map(|(plugin, part)| (*plugin, part[at])).collect(),
        };
        top.into_iter().flatten().map(score).collect()
    }
}

/// What was decided is kept.
impl Scheduler {
    pub(super) fn keep(
        &mut self,
        now: Tick,
        pod: PodIx,
        verdict: KeptVerdict,
        (examined, feasible): (usize, usize),
        refusals: Vec<crate::record::ReasonCount>,
        scores: Vec<super::explain::KeptScore>,
    ) {
        let attempt = self.queue.lane(pod).map_or(0, |(_, attempts)| attempts);
        let nodes = self.ledger.order().len();
        let kept = Kept { at: now, attempt, verdict, nodes, examined, feasible, refusals, scores };
        if self.records.insert(pod, kept).is_none() {
            self.recorded.push_back(pod);
            while self.recorded.len() > super::RECORDS_LIMIT {
                if let Some(oldest) = self.recorded.pop_front() {
                    self.records.remove(&oldest);
                }
            }
        }
    }
}
