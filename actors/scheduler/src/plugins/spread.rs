//! PodTopologySpread.

use smallvec::SmallVec;

use super::{Plugin, Prepared, Reason, Rejection};
use crate::census::SpreadTerm;
use crate::ledger::Ledger;
use crate::node::NodeIx;
use crate::pod::Pod;
use crate::topology::NOWHERE;

/// PreFilter: the least count of each hard constraint, in their order.
pub(super) fn least(ledger: &Ledger, pod: &Pod) -> SmallVec<[i64; 2]> {
    hard(pod)
        .map(|term| {
            let tally = ledger.census.tally(term.tally);
            if tally.live < term.min_domains { 0 } else { tally.least() }
        })
        .collect()
}

fn hard(pod: &Pod) -> impl Iterator<Item = &SpreadTerm> {
    pod.spread_terms().iter().filter(|term| term.hard)
}

/// Filter.
pub(super) fn filter(ledger: &Ledger, prepared: &Prepared, pod: &Pod, at: NodeIx) -> Option<Rejection> {
    let refuse = |reason, curable| Some(Rejection { plugin: Plugin::PodTopologySpread, reason, curable });
    for (term, least) in hard(pod).zip(&prepared.least) {
        let tally = ledger.census.tally(term.tally);
        let domain = ledger.census.domain(tally, at);
        if domain == NOWHERE {
            return refuse(Reason::SpreadLabel, false);
        }
        if tally.count(domain) + i64::from(term.own) - least > term.max_skew {
            return refuse(Reason::Spread, true);
        }
    }
    None
}

/// Score, unnormalised: `None` for a node that lacks a key.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts of pods, as upstream"
)]
pub(super) fn score(
    ledger: &Ledger,
    terms: &[&SpreadTerm],
    all_keys: bool,
    nodes: &[NodeIx],
    seen: &mut Vec<u32>,
    out: &mut Vec<Option<i64>>,
) {
    let census = &ledger.census;
    let place = |term: &SpreadTerm, node| {
        let tally = census.tally(term.tally);
        (tally, census.domain(tally, node))
    };
    let lacks = |node| all_keys && terms.iter().any(|term| place(term, node).1 == NOWHERE);
    let scored = nodes.iter().filter(|node| !lacks(**node)).count();
    let weights: SmallVec<[f64; 4]> = terms
        .iter()
        .map(|term| {
            let size = if term.hostname { scored } else { domains(ledger, term, nodes, seen, lacks) };
            ((size + 2) as f64).ln()
        })
        .collect();
    out.clear();
    for node in nodes {
        if lacks(*node) {
            out.push(None);
            continue;
        }
        let mut score = 0.0;
        for (term, weight) in terms.iter().zip(&weights) {
            let (tally, domain) = place(term, *node);
            if domain != NOWHERE {
                score += tally.count(domain) as f64 * weight + (term.max_skew - 1) as f64;
            }
        }
        out.push(Some(score.round() as i64));
    }
}

/// How many domains the nodes are in.
fn domains(
    ledger: &Ledger,
    term: &SpreadTerm,
    nodes: &[NodeIx],
    seen: &mut Vec<u32>,
    lacks: impl Fn(NodeIx) -> bool,
) -> usize {
    let tally = ledger.census.tally(term.tally);
    seen.clear();
    seen.resize(ledger.census.size(tally) + 1, 0);
    let mut count = 0;
    for node in nodes.iter().filter(|node| !lacks(**node)) {
        let domain = ledger.census.domain(tally, *node);
        // No value is a value as well, as upstream counts.
        let at = if domain == NOWHERE { seen.len() - 1 } else { domain as usize };
        count += usize::from(seen[at] == 0);
        seen[at] = 1;
    }
    count
}

/// NormalizeScore: fewer matching pods are better.
pub(super) fn normalise(raw: &[Option<i64>], out: &mut Vec<i64>) {
    let least = raw.iter().flatten().copied().min().unwrap_or(0);
    let most = raw.iter().flatten().copied().max().unwrap_or(0).max(0);
    out.clear();
    out.extend(raw.iter().map(|score| match score {
        None => 0,
        Some(_) if most == 0 => 100,
        Some(score) => 100 * (most + least - score) / most,
    }));
}
