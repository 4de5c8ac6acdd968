//! One attempt: PreFilter, Filter, Score, and what follows.

use trireme_core::Tick;

use super::Scheduler;
use super::extend::{Asking, Question};
use crate::diagnosis::{Diagnosis, NodeVerdict};
use crate::effect::Effect;
use crate::node::NodeIx;
use crate::plugins::{Plugin, PluginSet, Prepared, Rejection, filter, prepare, score, why};
use crate::pod::{PodIx, Stage};

/// Fewer nodes than this are all looked at.
const FEASIBLE_LEAST: usize = 100;
/// The adaptive share of nodes to find does not sink below this, in percent.
const ADAPTIVE_LEAST_PERCENT: usize = 5;

impl Scheduler {
    /// Tries to find a node for a pod that was popped.
    pub(super) fn attempt(&mut self, now: Tick, pod: PodIx, out: &mut Vec<Effect>) {
        let own = self.ledger.pod(pod);
        if own.stage != Stage::Waiting || own.deleting {
            return;
        }
        let Some(profile) = self.profile_of(own.spec.scheduler) else { return };
        let setup = &self.setup.profiles[profile];
        self.ledger.refresh_defaults(pod, &setup.spreads, !setup.system_defaults);
        let nodes = self.ledger.order().len();
        if nodes == 0 {
            // A node that comes is the only thing that helps.
            let plugins = [Plugin::NodeName].into_iter().collect();
            let diagnosis = Diagnosis { plugins, ..Diagnosis::default() };
            return self.refused(now, pod, profile, diagnosis, 0, out);
        }
        let prepared = match prepare(&self.ledger, &self.setup.profiles[profile], self.ledger.pod(pod)) {
            Ok(prepared) => prepared,
            Err(refused) => {
                let plugins = [refused.plugin].into_iter().collect();
                let before = Some(refused.message);
                let diagnosis = Diagnosis { nodes, before, plugins, ..Diagnosis::default() };
                return self.refused(now, pod, profile, diagnosis, 0, out);
            }
        };
        let mut feasible = std::mem::take(&mut self.feasible);
        feasible.clear();
        let examined = self.search(pod, profile, &prepared, &mut feasible);
        if feasible.is_empty() {
            let diagnosis = self.diagnose(pod, profile, &prepared, nodes);
            self.feasible = feasible;
            return self.refused(now, pod, profile, diagnosis, examined, out);
        }
        let interested = self.interested(pod, |extender| !extender.filter_verb.is_empty());
        if let Some(first) = interested.first().copied() {
            let question = Question::Filter { candidates: feasible.clone(), at: first };
            self.feasible = feasible;
            return self.ask(now, Asking { pod, profile, examined, question, refused: Vec::new() }, out);
        }
        self.choose(now, pod, profile, &feasible, examined, out);
        self.feasible = feasible;
    }

    /// Filter, until enough nodes fit. Gives how many were looked at.
    fn search(
        &mut self,
        pod: PodIx,
        profile: usize,
        prepared: &Prepared,
        feasible: &mut Vec<NodeIx>,
    ) -> usize {
        if let Some(promised) = self.ledger.pod(pod).nominated
            && self.ledger.node(promised).present
            && self.fits(pod, profile, prepared, promised).is_none()
        {
            feasible.push(promised);
            return 1;
        }
        if let Some(only) = &prepared.only {
            for node in only {
                if self.fits(pod, profile, prepared, *node).is_none() {
                    feasible.push(*node);
                }
            }
            return only.len();
        }
        let all = self.ledger.ordered().len();
        let enough = enough(all, self.setup.profiles[profile].percentage);
        let mut examined = 0;
        while examined < all && feasible.len() < enough {
            let node = self.ledger.ordered()[(self.next_node + examined) % all];
            examined += 1;
            if self.fits(pod, profile, prepared, node).is_none() {
                feasible.push(node);
            }
        }
        self.next_node = (self.next_node + examined) % all;
        examined
    }

    /// Whether a node takes a pod, also when the pods get in that were promised room there.
    pub(super) fn fits(
        &mut self,
        pod: PodIx,
        profile: usize,
        prepared: &Prepared,
        node: NodeIx,
    ) -> Option<Rejection> {
        let at = self.ledger.node(node);
        if !at.nominated.is_empty() {
            let priority = self.ledger.pod(pod).priority;
            let counts = |other: &&PodIx| {
                let other_pod = self.ledger.pod(**other);
                **other != pod && other_pod.priority >= priority && other_pod.node.is_none()
            };
            let promised: Vec<PodIx> = at.nominated.iter().filter(counts).copied().collect();
            if !promised.is_empty() {
                promised.iter().for_each(|other| self.ledger.place(*other, node));
                let setup = &self.setup.profiles[profile];
                let with = prepare(&self.ledger, setup, self.ledger.pod(pod));
                let refused = match with {
                    Ok(with) => filter(&self.ledger, setup, &with, self.ledger.pod(pod), node),
                    Err(refused) => {
                        let reason = crate::plugins::Reason::VolumeUnbound;
                        Some(Rejection { plugin: refused.plugin, reason, curable: false })
                    }
                };
                promised.iter().for_each(|other| {
                    self.ledger.unplace(*other);
                });
                if refused.is_some() {
                    return refused;
                }
            }
        }
        let setup = &self.setup.profiles[profile];
        filter(&self.ledger, setup, prepared, self.ledger.pod(pod), node)
    }

    /// Every node's reasons, when none fits.
    fn diagnose(&mut self, pod: PodIx, profile: usize, prepared: &Prepared, nodes: usize) -> Diagnosis {
        let mut diagnosis = Diagnosis { nodes, ..Diagnosis::default() };
        let looked = match &prepared.only {
            Some(only) => {
                diagnosis.narrowed.insert(Plugin::NodeAffinity);
                diagnosis.plugins.insert(Plugin::NodeAffinity);
                only.clone()
            }
            None => self.ledger.ordered().to_vec(),
        };
        for node in looked {
            let Some(first) = self.fits(pod, profile, prepared, node) else { continue };
            let reasons = why(&self.ledger, self.ledger.pod(pod), node, first).to_vec();
            // A pod promised room stands in the way of what would fit otherwise.
            let reasons = if reasons.is_empty() { vec![first.reason] } else { reasons };
            diagnosis.plugins.insert(first.plugin);
            diagnosis.verdicts.push(NodeVerdict { node, first, reasons });
        }
        diagnosis
    }

    /// Score, and the best of the nodes.
    pub(super) fn choose(
        &mut self,
        now: Tick,
        pod: PodIx,
        profile: usize,
        feasible: &[NodeIx],
        examined: usize,
        out: &mut Vec<Effect>,
    ) {
        if let [only] = feasible {
            self.scratch.totals.clear();
            self.scratch.parts.clear();
            return self.assume(now, pod, *only, (examined, feasible), out);
        }
        let setup = &self.setup.profiles[profile];
        score(&self.ledger, setup, self.ledger.pod(pod), feasible, &mut self.scratch);
        let interested = self.interested(pod, |extender| !extender.prioritize_verb.is_empty());
        if let Some(first) = interested.first().copied() {
            let totals = self.scratch.totals.clone();
            let question = Question::Prioritize { candidates: feasible.to_vec(), totals, at: first };
            return self.ask(now, Asking { pod, profile, examined, question, refused: Vec::new() }, out);
        }
        let best = self.best(feasible);
        self.assume(now, pod, best, (examined, feasible), out);
    }

    /// The node with the highest total; ties are drawn.
    pub(super) fn best(&mut self, feasible: &[NodeIx]) -> NodeIx {
        let (mut best, mut most, mut ties) = (feasible[0], i64::MIN, 0);
        for (node, total) in feasible.iter().zip(&self.scratch.totals) {
            if *total > most {
                (best, most, ties) = (*node, *total, 1);
            } else if *total == most {
                ties += 1;
                if self.rng.below(ties) == 0 {
                    best = *node;
                }
            }
        }
        best
    }

    /// Extenders that want to be asked about a pod.
    pub(super) fn interested(&self, pod: PodIx, does: fn(&crate::config::Extender) -> bool) -> Vec<usize> {
        let asks = |extender: &crate::config::Extender| {
            let asked = &self.ledger.pod(pod).spec.requests.all;
            extender.managed_resources.is_empty()
                || extender.managed_resources.iter().any(|resource| {
                    self.ledger.names.find(&resource.name).is_some_and(|name| asked.scalar(name) > 0)
                })
        };
        let all = self.setup.extenders.iter().enumerate();
        all.filter(|(_, extender)| does(extender) && asks(extender)).map(|(at, _)| at).collect()
    }

    /// Everything that may refuse a pod, for pods that were refused by all at once.
    pub(super) fn extender_set() -> PluginSet {
        [Plugin::Extender].into_iter().collect()
    }
}

/// How many nodes must fit before the search ends.
fn enough(all: usize, percentage: i64) -> usize {
    let percentage = usize::try_from(percentage).unwrap_or(0);
    if all < FEASIBLE_LEAST || percentage >= 100 {
        return all;
    }
    let percentage = if percentage == 0 {
        50_usize.saturating_sub(all / 125).max(ADAPTIVE_LEAST_PERCENT)
    } else {
        percentage
    };
    (all * percentage / 100).max(FEASIBLE_LEAST)
}

#[cfg(test)]
mod tests {
    use super::enough;

    #[test]
    fn the_share_to_find_adapts_as_upstream() {
        assert_eq!(enough(99, 0), 99);
        assert_eq!(enough(1_000, 0), 420);
        assert_eq!(enough(5_000, 0), 500);
        assert_eq!(enough(6_000, 0), 300);
        assert_eq!(enough(6_000, 40), 2_400);
        assert_eq!(enough(150, 1), 100);
        assert_eq!(enough(6_000, 100), 6_000);
    }
}
