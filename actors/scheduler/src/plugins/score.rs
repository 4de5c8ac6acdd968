//! PreScore, Score and NormalizeScore: which of the nodes that can take a pod is the best.

use super::affinity::{self, Pulls};
use super::{Plugin, fit, spread};
use crate::census::SpreadTerm;
use crate::config::Profile;
use crate::ledger::Ledger;
use crate::node::{Node, NodeIx};
use crate::pod::Pod;
use crate::taints::disliked;

/// An image below this size does not matter, in bytes.
const IMAGE_LEAST: i64 = 23 * 1024 * 1024;
/// An image above this size matters no more, in bytes per container.
const IMAGE_MOST: i64 = 1_000 * 1024 * 1024;

/// Memory that cycles use again, and the outcome of the last one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// Sum of the weighted scores, by candidate.
    pub(crate) totals: Vec<i64>,
    /// Weighted scores of each plugin that had something to say, by candidate.
    pub(crate) parts: Vec<(Plugin, Vec<i64>)>,
    raw: Vec<Option<i64>>,
    seen: Vec<u32>,
    spare: Vec<Vec<i64>>,
}

/// Scores candidates; the outcome is in `scratch`.
pub(crate) fn score(ledger: &Ledger, profile: &Profile, pod: &Pod, nodes: &[NodeIx], scratch: &mut Scratch) {
    scratch.totals.clear();
    scratch.totals.resize(nodes.len(), 0);
    while let Some((_, used)) = scratch.parts.pop() {
        scratch.spare.push(used);
    }
    for (plugin, weight) in &profile.scores {
        let mut part = scratch.spare.pop().unwrap_or_default();
        part.clear();
        if !one(*plugin, ledger, profile, pod, nodes, scratch, &mut part) {
            scratch.spare.push(part);
            continue;
        }
        for (total, score) in scratch.totals.iter_mut().zip(&mut part) {
            *score *= weight;
            *total += *score;
        }
        scratch.parts.push((*plugin, part));
    }
}

/// One plugin; false when it would give all nodes the same.
fn one(
    plugin: Plugin,
    ledger: &Ledger,
    profile: &Profile,
    pod: &Pod,
    nodes: &[NodeIx],
    scratch: &mut Scratch,
    out: &mut Vec<i64>,
) -> bool {
    let each = |score: &dyn Fn(&Node) -> i64, out: &mut Vec<i64>| {
        out.extend(nodes.iter().map(|node| score(ledger.node(*node))));
    };
    match plugin {
        Plugin::TaintToleration => {
            if ledger.soft_tainted == 0 {
                return false;
            }
            each(&|node| disliked(&node.facts.taints, &pod.spec.tolerations), out);
            share_of_most(out, true);
        }
        Plugin::NodeAffinity => {
            if pod.spec.preferred_nodes.is_empty() && profile.added_preferred.is_empty() {
                return false;
            }
            each(&|node| liked(ledger, profile, pod, node), out);
            share_of_most(out, false);
        }
        Plugin::NodeResourcesFit => {
            out.extend(nodes.iter().map(|at| fit::score(ledger, profile, ledger.node(*at), pod)))
        }
        Plugin::BalancedAllocation => {
            if pod.spec.requests.all.is_zero() {
                return false;
            }
            out.extend(nodes.iter().map(|at| fit::balanced(ledger, profile, ledger.node(*at), pod)));
        }
        Plugin::ImageLocality => {
            if !pod.spec.images.iter().any(|image| ledger.images.contains_key(image)) {
                return false;
            }
            each(&|node| images(ledger, pod, node), out);
        }
        Plugin::PodTopologySpread => {
            let soft: Vec<&SpreadTerm> = pod.spread_terms().iter().filter(|term| !term.hard).collect();
            if soft.is_empty() {
                return false;
            }
            let all_keys = !pod.spec.spreads.is_empty() || !profile.system_defaults;
            spread::score(ledger, &soft, all_keys, nodes, &mut scratch.seen, &mut scratch.raw);
            spread::normalise(&scratch.raw, out);
        }
        Plugin::InterPodAffinity => {
            let pulls = Pulls::gather(ledger, profile, pod);
            if pulls.is_empty() {
                return false;
            }
            out.extend(nodes.iter().map(|node| pulls.at(ledger, *node)));
            affinity::normalise(out);
        }
        _ => return false,
    }
    true
}

/// The sum of the weights of the preferred terms that a node meets.
fn liked(ledger: &Ledger, profile: &Profile, pod: &Pod, node: &Node) -> i64 {
    let terms = pod.spec.preferred_nodes.iter().chain(&profile.added_preferred);
    let met = terms.filter(|(term, _)| term.matches(&ledger.names, node.name, &node.facts.labels));
    met.map(|(_, weight)| weight).sum()
}

/// The most becomes 100; turned round when fewer are better.
fn share_of_most(scores: &mut [i64], turned: bool) {
    let most = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let share = if most == 0 { 0 } else { 100 * *score / most };
        *score = if turned { 100 - share } else { share };
    }
}

/// How much of a pod's images a node has; images that many nodes have count more, lest nodes heat up.
fn images(ledger: &Ledger, pod: &Pod, node: &Node) -> i64 {
    let nodes = i64::try_from(ledger.ordered().len()).unwrap_or(i64::MAX).max(1);
    let size = |image| {
        let at = node.facts.images.binary_search_by_key(&image, |own| own.name).ok()?;
        let have = ledger.images.get(&image).copied().unwrap_or(0);
        Some(node.facts.images[at].bytes.saturating_mul(have) / nodes)
    };
    let sum: i64 = pod.spec.images.iter().filter_map(|image| size(*image)).sum();
    let most = IMAGE_MOST.saturating_mul(pod.spec.containers.max(1));
    100 * (sum.clamp(IMAGE_LEAST, most) - IMAGE_LEAST) / (most - IMAGE_LEAST)
}
