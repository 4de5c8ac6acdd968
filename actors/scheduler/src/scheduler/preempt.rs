//! DefaultPreemption: which pods go so that one of higher priority fits.

use std::cmp::Reverse;

use serde_json::{Value, json};
use trireme_core::Tick;

use super::extend::{Asking, Question};
use super::{Op, Scheduler};
use crate::diagnosis::{Diagnosis, NodeVerdict};
use crate::effect::Effect;
use crate::node::NodeIx;
use crate::plugins::{Plugin, Reason, Rejection, fits_empty, prepare};
use crate::pod::PodIx;

/// What PostFilter came to.
pub(super) enum Preempted {
    /// Room is made on a node; victims by `namespace/name`.
    Node { node: NodeIx, victims: Vec<String> },
    /// Nothing was done.
    Not(Option<WhyNot>),
    /// An extender is asked first.
    Asking,
}

/// Why nothing was done.
pub(super) struct WhyNot {
    pub(super) message: String,
    /// An earlier promise stands.
    pub(super) keeps_promise: bool,
}

/// A node on which evictions make room.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) node: NodeIx,
    /// By falling importance.
    pub(super) victims: Vec<PodIx>,
    /// Victims whose budgets do not allow it.
    pub(super) violations: usize,
}

impl Scheduler {
    /// Looks for a node where evicting pods of lower priority makes room, and evicts them.
    pub(super) fn preempt(
        &mut self,
        now: Tick,
        pod: PodIx,
        profile: usize,
        diagnosis: &Diagnosis,
        out: &mut Vec<Effect>,
    ) -> Preempted {
        if let Some(message) = self.ineligible(pod, diagnosis) {
            return Preempted::Not(Some(WhyNot {
                message: format!("preemption: {message}"),
                keeps_promise: true,
            }));
        }
        let curable: Vec<NodeIx> = diagnosis
            .verdicts
            .iter()
            .filter(|verdict| verdict.first.curable)
            .map(|verdict| verdict.node)
            .collect();
        let (candidates, verdicts) = self.candidates(pod, profile, &curable);
        if candidates.is_empty() {
            let message = self.unhelpful(diagnosis.nodes, verdicts);
            return Preempted::Not(Some(WhyNot { message, keeps_promise: false }));
        }
        let interested = self.interested(pod, |extender| !extender.preempt_verb.is_empty());
        if let Some(first) = interested.first().copied() {
            let question =
                Question::Preempt { candidates, at: first, diagnosis: Box::new(diagnosis.clone()) };
            self.ask(now, Asking { pod, profile, examined: 0, question, refused: Vec::new() }, out);
            return Preempted::Asking;
        }
        self.evict_for(now, pod, candidates, out)
    }

    /// Why the pod may not preempt.
    fn ineligible(&self, pod: PodIx, diagnosis: &Diagnosis) -> Option<&'static str> {
        let own = self.ledger.pod(pod);
        if !own.spec.preempts {
            return Some("not eligible due to preemptionPolicy=Never.");
        }
        let promised = own.nominated?;
        let hopeless = diagnosis.before.is_some()
            || diagnosis.verdicts.iter().any(|verdict| verdict.node == promised && !verdict.first.curable);
        let going = |other: &PodIx| {
            let other = self.ledger.pod(*other);
            other.deleting && other.priority < own.priority
        };
        let waits = !hopeless && self.ledger.node(promised).pods.iter().any(going);
        waits.then_some("not eligible due to a terminating pod on the nominated node.")
    }

    /// Upstream's words when no eviction helps.
    fn unhelpful(&self, nodes: usize, verdicts: Vec<NodeVerdict>) -> String {
        let mut texts = std::collections::BTreeMap::<String, usize>::new();
        for reason in verdicts.iter().flat_map(|verdict| &verdict.reasons) {
            *texts.entry(reason.text(&self.ledger.names)).or_default() += 1;
        }
        let absent = nodes - verdicts.len().min(nodes);
        if absent > 0 {
            *texts.entry("Preemption is not helpful for scheduling".to_owned()).or_default() += absent;
        }
        let mut counts: Vec<String> =
            texts.into_iter().map(|(text, count)| format!("{count} {text}")).collect();
        counts.sort_unstable();
        format!("preemption: 0/{nodes} nodes are available: {}.", counts.join(", "))
    }

    /// Dry runs, from a drawn place on, until enough candidates are found.
    fn candidates(
        &mut self,
        pod: PodIx,
        profile: usize,
        curable: &[NodeIx],
    ) -> (Vec<Candidate>, Vec<NodeVerdict>) {
        let (mut candidates, mut verdicts) = (Vec::new(), Vec::new());
        let setup = &self.setup.profiles[profile];
        let share = curable.len() * usize::try_from(setup.candidates_percent).unwrap_or(0) / 100;
        let least = usize::try_from(setup.candidates_least).unwrap_or(usize::MAX);
        let enough = share.max(least).min(curable.len());
        let Some(from) = self.rng.index(curable.len()) else { return (candidates, verdicts) };
        let mut clean = 0;
        for turn in 0..curable.len() {
            let node = curable[(from + turn) % curable.len()];
            match self.victims_on(pod, profile, node) {
                Ok(candidate) => {
                    clean += usize::from(candidate.violations == 0);
                    candidates.push(candidate);
                    if clean > 0 && candidates.len() >= enough {
                        break;
                    }
                }
                Err(verdict) => verdicts.push(verdict),
            }
        }
        (candidates, verdicts)
    }

    /// The fewest, least important pods of a node that must go.
    fn victims_on(&mut self, pod: PodIx, profile: usize, node: NodeIx) -> Result<Candidate, NodeVerdict> {
        let priority = self.ledger.pod(pod).priority;
        let lower = |other: &&PodIx| self.ledger.pod(**other).priority < priority;
        let mut potential: Vec<PodIx> = self.ledger.node(node).pods.iter().filter(lower).copied().collect();
        let refuse = |first: Rejection, reasons: Vec<Reason>| Err(NodeVerdict { node, first, reasons });
        if potential.is_empty() {
            let words = self.ledger.names.of("No preemption victims found for incoming pod");
            let reason = Reason::Told(words);
            let first = Rejection { plugin: Plugin::DefaultPreemption, reason, curable: false };
            return refuse(first, vec![reason]);
        }
        // More important first: higher priority, then started earlier.
        potential.sort_by_key(|other| {
            let own = self.ledger.pod(*other);
            (Reverse(own.priority), own.started, *other)
        });
        potential.iter().for_each(|other| {
            self.ledger.unplace(*other);
        });
        if let Some(first) = self.refits(pod, profile, node) {
            let reasons = crate::plugins::why(&self.ledger, self.ledger.pod(pod), node, first).to_vec();
            potential.iter().for_each(|other| self.ledger.place(*other, node));
            let reasons = if reasons.is_empty() { vec![first.reason] } else { reasons };
            return refuse(first, reasons);
        }
        let (violating, rest) = self.by_budget(&potential);
        let (mut victims, mut violations) = (Vec::new(), 0);
        for (other, violates) in violating
            .into_iter()
            .map(|other| (other, true))
            .chain(rest.into_iter().map(|other| (other, false)))
        {
            self.ledger.place(other, node);
            if self.refits(pod, profile, node).is_some() {
                self.ledger.unplace(other);
                victims.push(other);
                violations += usize::from(violates);
            }
        }
        victims.iter().for_each(|other| self.ledger.place(*other, node));
        victims.sort_by_key(|other| potential.iter().position(|one| one == other));
        Ok(Candidate { node, victims, violations })
    }

    fn refits(&mut self, pod: PodIx, profile: usize, node: NodeIx) -> Option<Rejection> {
        // The cheap answer first: most pods that are put back do not fit beside the new one.
        if !fits_empty(&self.ledger, self.ledger.node(node), self.ledger.pod(pod)) {
            let reason = Reason::TooManyPods;
            return Some(Rejection { plugin: Plugin::NodeResourcesFit, reason, curable: false });
        }
        let prepared = prepare(&self.ledger, &self.setup.profiles[profile], self.ledger.pod(pod));
        match prepared {
            Ok(prepared) => self.fits(pod, profile, &prepared, node),
            Err(refused) => {
                Some(Rejection { plugin: refused.plugin, reason: Reason::VolumeUnbound, curable: false })
            }
        }
    }

    /// Pods whose eviction their budgets do not allow, and the others; each in the given order.
    fn by_budget(&self, pods: &[PodIx]) -> (Vec<PodIx>, Vec<PodIx>) {
        let names = &self.ledger.names;
        let mut allowed: Vec<_> =
            self.ledger.budgets.values().map(|budget| (budget, budget.allowed)).collect();
        let (mut violating, mut rest) = (Vec::new(), Vec::new());
        for pod in pods {
            let own = self.ledger.pod(*pod);
            let mut violates = false;
            for (budget, left) in &mut allowed {
                if budget.covers(names, own.namespace, &own.labels, &own.name) {
                    *left -= 1;
                    violates |= *left < 0;
                }
            }
            if violates { violating.push(*pod) } else { rest.push(*pod) }
        }
        (violating, rest)
    }

    /// The best candidate: fewest violated budgets, lowest highest victim, lowest sum of priorities, fewest victims, whose
    /// most important victims started last; then the first.
    fn best_candidate(&self, candidates: Vec<Candidate>) -> Option<Candidate> {
        let rank = |candidate: &Candidate| {
            let priority = |pod: &PodIx| i64::from(self.ledger.pod(*pod).priority);
            let highest = candidate.victims.iter().map(priority).max().unwrap_or(i64::MIN);
            let sum: i64 = candidate.victims.iter().map(|pod| priority(pod) + i64::from(i32::MAX) + 1).sum();
            let started = |pod: &&PodIx| priority(pod) == highest;
            let earliest =
                candidate.victims.iter().filter(started).map(|pod| self.ledger.pod(*pod).started).min();
            (candidate.violations, highest, sum, candidate.victims.len(), Reverse(earliest))
        };
        candidates.into_iter().min_by_key(rank)
    }

    /// Evicts the victims of the best candidate, and promises their room.
    pub(super) fn evict_for(
        &mut self,
        now: Tick,
        pod: PodIx,
        candidates: Vec<Candidate>,
        out: &mut Vec<Effect>,
    ) -> Preempted {
        let Some(best) = self.best_candidate(candidates) else {
            let message = "preemption: no candidate node for preemption".to_owned();
            return Preempted::Not(Some(WhyNot { message, keeps_promise: false }));
        };
        let preemptor = self.pod_ref(pod);
        let scheduler = self.scheduler_name(pod);
        let mut told = Vec::new();
        for victim in &best.victims {
            let reference = self.pod_ref(*victim);
            told.push(format!("{}/{}", reference.namespace, reference.name));
            if !self.ledger.pod(*victim).deleting {
                let message = format!("{scheduler}: preempting to accommodate a higher priority pod");
                let Some(op) = self.open_op(Op::Evict { preemptor: pod }, preemptor.uid.clone()) else {
                    break;
                };
                out.push(Effect::Evict { op, pod: reference.clone(), message });
            }
            let node = self.ledger.node_name(best.node);
            out.push(Effect::Record {
                about: reference,
                related: Some(preemptor.clone()),
                warning: false,
                reason: "Preempted",
                action: "Preempting",
                message: format!("Preempted by pod {} on node {node}", preemptor.uid),
                scheduler: scheduler.clone(),
            });
        }
        self.lower_promises(now, pod, best.node, out);
        Preempted::Node { node: best.node, victims: told }
    }

    /// Pods of lower priority that were promised the node lose the promise, and are tried elsewhere.
    fn lower_promises(&mut self, now: Tick, pod: PodIx, node: NodeIx, out: &mut Vec<Effect>) {
        let priority = self.ledger.pod(pod).priority;
        let lower = |other: &&PodIx| **other != pod && self.ledger.pod(**other).priority < priority;
        let losers: Vec<PodIx> = self.ledger.node(node).nominated.iter().filter(lower).copied().collect();
        for other in losers {
            self.ledger.nominate(other, None);
            self.ledger.pod_mut(other).told_nominated = None;
            out.push(Effect::Patch {
                pod: self.pod_ref(other),
                condition: None,
                turns: false,
                nominated: Some(std::sync::Arc::from("")),
            });
            self.queue.wake(now, other);
        }
    }

    /// Candidates as an extender is shown them.
    pub(super) fn candidates_body(&self, pod: PodIx, candidates: &[Candidate], meta: bool) -> Value {
        let mut nodes = serde_json::Map::new();
        for candidate in candidates {
            let victims: Vec<Value> = candidate
                .victims
                .iter()
                .map(|victim| {
                    let own = self.ledger.pod(*victim);
                    if meta { json!({"UID": &*own.uid}) } else { self.object(*victim) }
                })
                .collect();
            let node = self.ledger.node_name(candidate.node).to_owned();
            nodes.insert(node, json!({"Pods": victims, "NumPDBViolations": candidate.violations}));
        }
        let shown = self.object(pod);
        if meta {
            json!({"Pod": shown, "NodeNameToMetaVictims": nodes})
        } else {
            json!({"Pod": shown, "NodeNameToVictims": nodes})
        }
    }

    /// The candidates that an extender leaves, with the victims that it leaves.
    pub(super) fn candidates_left(&self, candidates: Vec<Candidate>, answer: &Value) -> Vec<Candidate> {
        let left = answer.get("NodeNameToMetaVictims").or_else(|| answer.get("nodeNameToMetaVictims"));
        let Some(left) = left.and_then(Value::as_object) else { return Vec::new() };
        let keep = |mut candidate: Candidate| {
            let victims = left.get(self.ledger.node_name(candidate.node))?;
            let pods = victims.get("Pods").or_else(|| victims.get("pods")).and_then(Value::as_array);
            let uid = |one: &Value| one.get("UID").or_else(|| one.get("uid"))?.as_str().map(str::to_owned);
            let uids: Vec<String> = pods.into_iter().flatten().filter_map(uid).collect();
            candidate.victims.retain(|pod| uids.iter().any(|uid| **uid == *self.ledger.pod(*pod).uid));
            let violations = victims.get("NumPDBViolations").and_then(Value::as_u64).unwrap_or(0);
            candidate.violations = usize::try_from(violations).unwrap_or(usize::MAX);
            (!candidate.victims.is_empty()).then_some(candidate)
        };
        candidates.into_iter().filter_map(keep).collect()
    }
}
