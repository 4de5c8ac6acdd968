//! What is remembered of decisions, and how it is told.

use trireme_core::Tick;

use super::Scheduler;
use crate::names::Sym;
use crate::plugins::Plugin;
use crate::pod::PodIx;
use crate::queue::Lane;
use crate::record::{CandidateScore, DecisionRecord, ReasonCount, Verdict};

/// Candidates whose scores are kept.
pub(super) const SCORES_KEPT: usize = 3;

/// A decision, in few bytes.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) at: Tick,
    pub(super) attempt: u32,
    pub(super) verdict: KeptVerdict,
    pub(super) nodes: usize,
    pub(super) examined: usize,
    pub(super) feasible: usize,
    pub(super) refusals: Vec<ReasonCount>,
    pub(super) scores: Vec<KeptScore>,
}

/// What an attempt came to.
#[derive(Clone, Debug)]
pub(super) enum KeptVerdict {
    Placed(Sym),
    Refused(String),
    Nominated(Sym, Vec<String>),
    Failed(String),
}

/// A candidate.
#[derive(Clone, Debug)]
pub(super) struct KeptScore {
    pub(super) node: Sym,
    pub(super) total: i64,
    pub(super) parts: Vec<(Plugin, i64)>,
}

impl Scheduler {
    /// The last decision about a pod; `None` when the pod is not known here or nothing was decided.
    pub fn explain(&self, namespace: &str, name: &str) -> Option<DecisionRecord> {
        let pod = self.ledger.find_pod(namespace, name)?;
        let shown = format!("{namespace}/{name}");
        let names = &self.ledger.names;
        let Some(kept) = self.records.get(&pod) else { return self.explain_gated(pod, shown) };
        let text = |name: Sym| names.text(name).to_owned();
        let verdict = match &kept.verdict {
            KeptVerdict::Placed(node) => Verdict::Placed { node: text(*node) },
            KeptVerdict::Refused(message) => Verdict::Refused { message: message.clone() },
            KeptVerdict::Nominated(node, victims) => {
                Verdict::Nominated { node: text(*node), victims: victims.clone() }
            }
            KeptVerdict::Failed(message) => Verdict::Failed { message: message.clone() },
        };
        let scores = kept.scores.iter().map(|score| CandidateScore {
            node: text(score.node),
            total: score.total,
            parts: score.parts.iter().map(|(plugin, score)| (plugin.name(), *score)).collect(),
        });
        Some(DecisionRecord {
            pod: shown,
            at_nanos: kept.at.as_nanos(),
            attempt: kept.attempt,
            verdict,
            nodes: kept.nodes,
            examined: kept.examined,
            feasible: kept.feasible,
            refusals: kept.refusals.clone(),
            scores: scores.collect(),
        })
    }

    fn explain_gated(&self, pod: PodIx, shown: String) -> Option<DecisionRecord> {
        let (Lane::Gated, attempt) = self.queue.lane(pod)? else { return None };
        let gates = self.ledger.pod(pod).spec.gates.iter();
        let gates = gates.map(|gate| self.ledger.names.text(*gate).to_owned()).collect();
        Some(DecisionRecord {
            pod: shown,
            at_nanos: 0,
            attempt,
            verdict: Verdict::Gated { gates },
            nodes: 0,
            examined: 0,
            feasible: 0,
            refusals: Vec::new(),
            scores: Vec::new(),
        })
    }
}
