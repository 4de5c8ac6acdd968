//! Extenders: services that are asked to filter, to score, to judge preemption, to bind. A pod waits for the answers
//! while others are decided; what came of it is checked again against the ledger.

use serde_json::{Value, json};
use trireme_core::Tick;

use super::preempt::{Candidate, Preempted};
use super::{Op, Scheduler};
use crate::config::Extender;
use crate::diagnosis::{Diagnosis, NodeVerdict};
use crate::effect::Effect;
use crate::input::BindFailure;
use crate::node::NodeIx;
use crate::plugins::{Plugin, Reason, Rejection, prepare};
use crate::pod::{PodIx, Stage};

/// The best score that an extender gives; nodes are scored up to ten times as much.
const EXTENDER_BEST: i64 = 10;

/// An attempt that waits for an extender.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) pod: PodIx,
    pub(super) profile: usize,
    pub(super) examined: usize,
    pub(super) question: Question,
    /// What extenders refused so far.
    pub(super) refused: Vec<NodeVerdict>,
}

/// What is asked, of the extender `at`.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Filter { candidates: Vec<NodeIx>, at: usize },
    Prioritize { candidates: Vec<NodeIx>, totals: Vec<i64>, at: usize },
    Preempt { candidates: Vec<Candidate>, at: usize, diagnosis: Box<Diagnosis> },
    Bind { node: NodeIx, at: usize },
}

impl Scheduler {
    /// Puts the question.
    pub(super) fn ask(&mut self, now: Tick, asking: Asking, out: &mut Vec<Effect>) {
        let pod = asking.pod;
        let (extender, verb, body) = match &asking.question {
            Question::Filter { candidates, at } => {
                let extender = &self.setup.extenders[*at];
                (*at, extender.filter_verb.clone(), self.nodes_body(pod, candidates, extender))
            }
            Question::Prioritize { candidates, at, .. } => {
                let extender = &self.setup.extenders[*at];
                (*at, extender.prioritize_verb.clone(), self.nodes_body(pod, candidates, extender))
            }
            Question::Preempt { candidates, at, .. } => {
                let extender = &self.setup.extenders[*at];
                let body = self.candidates_body(pod, candidates, extender.node_cache_capable);
                (*at, extender.preempt_verb.clone(), body)
            }
            Question::Bind { .. } => return,
        };
        let uid = self.ledger.pod(pod).uid.clone();
        match self.open_op(Op::Extend(Box::new(asking)), uid) {
            Some(op) => {
                self.ledger.pod_mut(pod).stage = Stage::Asking;
                out.push(Effect::Extend { op, extender, verb, body });
            }
            None => self.failed(now, pod, "too many questions to extenders are open", out),
        }
    }

    fn nodes_body(&self, pod: PodIx, candidates: &[NodeIx], extender: &Extender) -> Value {
        let name = |node: &NodeIx| self.ledger.node_name(*node);
        if extender.node_cache_capable {
            let names: Vec<&str> = candidates.iter().map(name).collect();
            return json!({"Pod": self.object(pod), "Nodes": null, "NodeNames": names});
        }
        let objects =
            candidates.iter().filter_map(|node| self.node_objects.get(&self.ledger.node(*node).name));
        let items: Vec<&Value> = objects.map(|object| &**object).collect();
        let list = json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": items});
        json!({"Pod": self.object(pod), "Nodes": list, "NodeNames": null})
    }

    /// A pod as an extender is shown it.
    pub(super) fn object(&self, pod: PodIx) -> Value {
        self.ledger.pod(pod).object.as_deref().cloned().unwrap_or(Value::Null)
    }

    /// An extender answered.
    pub(super) fn extended(
        &mut self,
        now: Tick,
        asking: Asking,
        uid: &str,
        answer: Result<Value, String>,
        out: &mut Vec<Effect>,
    ) {
        let pod = asking.pod;
        if !self.same(pod, uid) {
            return;
        }
        let told = answer.as_ref().ok().and_then(|answer| text(answer, "Error"));
        let answer = match told {
            Some(error) => Err(error),
            None => answer,
        };
        if let Question::Bind { node, .. } = asking.question {
            let outcome = answer.map(drop).map_err(BindFailure::Failed);
            return self.bound(now, pod, node, uid, outcome, out);
        }
        if self.ledger.pod(pod).stage != Stage::Asking {
            return;
        }
        let at = match &asking.question {
            Question::Filter { at, .. } | Question::Prioritize { at, .. } | Question::Preempt { at, .. } => {
                *at
            }
            Question::Bind { at, .. } => *at,
        };
        let answer = match answer {
            Ok(answer) => Some(answer),
            // Upstream goes on without a failing extender's scores, and without an ignorable one at all.
            Err(_)
                if self.setup.extenders[at].ignorable
                    || matches!(asking.question, Question::Prioritize { .. }) =>
            {
                None
            }
            Err(why) => {
                self.ledger.pod_mut(pod).stage = Stage::Waiting;
                return self.failed(now, pod, &why, out);
            }
        };
        self.go_on(now, asking, answer.as_ref(), out);
    }

    fn go_on(&mut self, now: Tick, mut asking: Asking, answer: Option<&Value>, out: &mut Vec<Effect>) {
        let pod = asking.pod;
        match asking.question {
            Question::Filter { mut candidates, at } => {
                if let Some(answer) = answer {
                    self.left(&mut candidates, &mut asking.refused, answer);
                }
                let next = self.interested(pod, |one| !one.filter_verb.is_empty());
                if let Some(next) = next.into_iter().find(|next| *next > at && !candidates.is_empty()) {
                    asking.question = Question::Filter { candidates, at: next };
                    return self.ask(now, asking, out);
                }
                self.filtered(
                    now,
                    asking.pod,
                    asking.profile,
                    candidates,
                    asking.refused,
                    asking.examined,
                    out,
                );
            }
            Question::Prioritize { candidates, mut totals, at } => {
                if let Some(answer) = answer {
                    self.weigh(&candidates, &mut totals, answer, at);
                }
                let next = self.interested(pod, |one| !one.prioritize_verb.is_empty());
                if let Some(next) = next.into_iter().find(|next| *next > at) {
                    asking.question = Question::Prioritize { candidates, totals, at: next };
                    return self.ask(now, asking, out);
                }
                self.ledger.pod_mut(pod).stage = Stage::Waiting;
                self.weighed(now, pod, asking.profile, candidates, totals, asking.examined, out);
            }
            Question::Preempt { candidates, at, diagnosis } => {
                let candidates = match answer {
                    Some(answer) => self.candidates_left(candidates, answer),
                    None => candidates,
                };
                let next = self.interested(pod, |one| !one.preempt_verb.is_empty());
                if let Some(next) = next.into_iter().find(|next| *next > at && !candidates.is_empty()) {
                    asking.question = Question::Preempt { candidates, at: next, diagnosis };
                    return self.ask(now, asking, out);
                }
                self.judged(now, pod, candidates, &diagnosis, out);
            }
            Question::Bind { .. } => {}
        }
    }

    /// Candidates that an extender left; the others with its words.
    fn left(&mut self, candidates: &mut Vec<NodeIx>, refused: &mut Vec<NodeVerdict>, answer: &Value) {
        let names: Option<Vec<&str>> = match (field(answer, "NodeNames"), field(answer, "Nodes")) {
            (Some(Value::Array(names)), _) => Some(names.iter().filter_map(Value::as_str).collect()),
            (_, Some(list)) => list.get("items").and_then(Value::as_array).map(|items| {
                items.iter().filter_map(|node| node.get("metadata")?.get("name")?.as_str()).collect()
            }),
            _ => None,
        };
        let names = names.unwrap_or_default();
        let failed =
            |field_name: &str, node: &str| Some(field(answer, field_name)?.get(node)?.as_str()?.to_owned());
        let mut kept = Vec::new();
        for node in candidates.drain(..) {
            let name = self.ledger.node_name(node).to_owned();
            if names.contains(&name.as_str()) {
                kept.push(node);
                continue;
            }
            let hard = failed("FailedAndUnresolvableNodes", &name);
            let curable = hard.is_none();
            let words = hard
                .or_else(|| failed("FailedNodes", &name))
                .unwrap_or_else(|| "refused by an extender".to_owned());
            let reason = Reason::Told(self.ledger.names.of(&words));
            let first = Rejection { plugin: Plugin::Extender, reason, curable };
            refused.push(NodeVerdict { node, first, reasons: vec![reason] });
        }
        *candidates = kept;
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of an attempt that goes on")]
    fn filtered(
        &mut self,
        now: Tick,
        pod: PodIx,
        profile: usize,
        mut candidates: Vec<NodeIx>,
        refused: Vec<NodeVerdict>,
        examined: usize,
        out: &mut Vec<Effect>,
    ) {
        self.ledger.pod_mut(pod).stage = Stage::Waiting;
        self.still_fit(pod, profile, &mut candidates);
        if !candidates.is_empty() {
            return self.choose(now, pod, profile, &candidates, examined, out);
        }
        if refused.is_empty() {
            // Others were faster: their nodes are full now.
            return self.queue.activate_out(now, pod);
        }
        let nodes = self.ledger.order().len();
        let diagnosis =
            Diagnosis { nodes, verdicts: refused, plugins: Self::extender_set(), ..Diagnosis::default() };
        self.refused(now, pod, profile, diagnosis, examined, out);
    }

    /// Nodes may have changed while extenders thought.
    fn still_fit(&mut self, pod: PodIx, profile: usize, candidates: &mut Vec<NodeIx>) {
        self.ledger.order();
        let prepared = prepare(&self.ledger, &self.setup.profiles[profile], self.ledger.pod(pod));
        let Ok(prepared) = prepared else { return candidates.clear() };
        let all = std::mem::take(candidates);
        for node in all {
            if self.ledger.node(node).present && self.fits(pod, profile, &prepared, node).is_none() {
                candidates.push(node);
            }
        }
    }

    fn weigh(&self, candidates: &[NodeIx], totals: &mut [i64], answer: &Value, at: usize) {
        let scale = 100 / EXTENDER_BEST * self.setup.extenders[at].weight;
        for one in answer.as_array().into_iter().flatten() {
            let (Some(host), Some(score)) = (text(one, "Host"), field(one, "Score").and_then(Value::as_i64))
            else {
                continue;
            };
            let place = candidates.iter().position(|node| self.ledger.node_name(*node) == host);
            if let Some(place) = place {
                totals[place] = totals[place].saturating_add(score.saturating_mul(scale));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of an attempt that goes on")]
    fn weighed(
        &mut self,
        now: Tick,
        pod: PodIx,
        profile: usize,
        candidates: Vec<NodeIx>,
        totals: Vec<i64>,
        examined: usize,
        out: &mut Vec<Effect>,
    ) {
        let mut left = candidates.clone();
        self.still_fit(pod, profile, &mut left);
        if left.is_empty() {
            return self.queue.activate_out(now, pod);
        }
        let total = |node: &NodeIx| candidates.iter().position(|own| own == node).map_or(0, |at| totals[at]);
        self.scratch.totals = left.iter().map(total).collect();
        self.scratch.parts.clear();
        let best = self.best(&left);
        self.assume(now, pod, best, (examined, &left), out);
    }

    fn judged(
        &mut self,
        now: Tick,
        pod: PodIx,
        candidates: Vec<Candidate>,
        diagnosis: &Diagnosis,
        out: &mut Vec<Effect>,
    ) {
        self.ledger.pod_mut(pod).stage = Stage::Waiting;
        // A victim may be gone by now, and another in its place.
        let here = |candidate: &Candidate| {
            candidate.victims.iter().all(|victim| self.ledger.pod(*victim).node == Some(candidate.node))
        };
        let candidates: Vec<Candidate> = candidates.into_iter().filter(here).collect();
        let mut diagnosis = diagnosis.clone();
        let node = match self.evict_for(now, pod, candidates, out) {
            Preempted::Node { node, .. } => Some(node),
            Preempted::Not(why) => {
                diagnosis.after = why.map(|why| why.message).unwrap_or_default();
                None
            }
            Preempted::Asking => None,
        };
        self.ledger.nominate(pod, node);
        let message = diagnosis.message(&self.ledger.names);
        let told = node.map(|node| self.ledger.node(node).name);
        self.tell_failed(pod, "Unschedulable", &message, Some(told), out);
        self.queue.refuse(now, pod, diagnosis.plugins);
    }
}

/// A field by its Go name, as Go reads it: whatever the case.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_object()?;
    fields
        .iter()
        .find(|(own, value)| own.eq_ignore_ascii_case(name) && !value.is_null())
        .map(|(_, value)| value)
}

fn text(value: &Value, name: &str) -> Option<String> {
    field(value, name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
