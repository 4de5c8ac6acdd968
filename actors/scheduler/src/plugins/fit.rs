//! NodeResourcesFit and NodeResourcesBalancedAllocation.

use smallvec::SmallVec;

use super::{Plugin, Reason, Rejection};
use crate::config::{FitStrategy, Profile, ShapePoint};
use crate::ledger::Ledger;
use crate::names::Sym;
use crate::node::Node;
use crate::pod::Pod;

/// The best score of a node.
const MAX: i64 = 100;

/// Filter: the first thing that the node has too little of.
#[inline]
pub(super) fn filter(ledger: &Ledger, node: &Node, pod: &Pod) -> Option<Rejection> {
    let asked = &pod.spec.requests.all;
    // One look for the common case.
    let short = node.free_pods < 1
        || (asked.cpu > 0 && asked.cpu > node.free_cpu)
        || (asked.memory > 0 && asked.memory > node.free_memory)
        || (asked.ephemeral > 0 && asked.ephemeral > node.free_ephemeral);
    if !short && asked.scalars.is_empty() {
        return None;
    }
    let reason = *lacks(ledger, node, pod).first()?;
    Some(Rejection { plugin: Plugin::NodeResourcesFit, reason, curable: fits_empty(ledger, node, pod) })
}

/// Everything that the node has too little of.
pub(crate) fn lacks(ledger: &Ledger, node: &Node, pod: &Pod) -> SmallVec<[Reason; 2]> {
    let (asked, known) = (&pod.spec.requests.all, &ledger.known);
    let mut lacks = SmallVec::new();
    if node.free_pods < 1 {
        lacks.push(Reason::TooManyPods);
    }
    let main = [
        (known.cpu, asked.cpu, node.free_cpu),
        (known.memory, asked.memory, node.free_memory),
        (known.ephemeral, asked.ephemeral, node.free_ephemeral),
    ];
    for (name, asked, free) in main {
        if asked > 0 && asked > free {
            lacks.push(Reason::Insufficient(name));
        }
    }
    for (name, asked) in &asked.scalars {
        let free = node.facts.allocatable.scalar(*name) - node.requested.scalar(*name);
        if *asked > free && !ledger.ignored.contains(name) {
            lacks.push(Reason::Insufficient(*name));
        }
    }
    lacks
}

/// Whether the node would do if it were empty: then evicting pods can help.
pub(crate) fn fits_empty(ledger: &Ledger, node: &Node, pod: &Pod) -> bool {
    let (asked, offered) = (&pod.spec.requests.all, &node.facts.allocatable);
    node.facts.allowed_pods >= 1
        && asked.cpu <= offered.cpu
        && asked.memory <= offered.memory
        && asked.ephemeral <= offered.ephemeral
        && asked
            .scalars
            .iter()
            .all(|(name, amount)| *amount <= offered.scalar(*name) || ledger.ignored.contains(name))
}

/// Requested with the pod, and offered, of one resource. `actual` counts requests alone; otherwise containers without
/// requests count with a default.
fn use_of(ledger: &Ledger, node: &Node, pod: &Pod, resource: Sym, actual: bool) -> Option<(i64, i64)> {
    let (asked, offered, known) = (&pod.spec.requests, &node.facts.allocatable, &ledger.known);
    let (used, offered) = if resource == known.cpu {
        let used = if actual { node.requested.cpu + asked.all.cpu } else { node.scored.0 + asked.scored.0 };
        (used, offered.cpu)
    } else if resource == known.memory {
        let used =
            if actual { node.requested.memory + asked.all.memory } else { node.scored.1 + asked.scored.1 };
        (used, offered.memory)
    } else if resource == known.ephemeral {
        (node.requested.ephemeral + asked.all.ephemeral, offered.ephemeral)
    } else {
        // A pod that does not ask for an extended resource is not placed by it.
        let own = asked.all.scalar(resource);
        if own == 0 {
            return None;
        }
        (node.requested.scalar(resource) + own, offered.scalar(resource))
    };
    (offered > 0).then_some((used, offered))
}

/// Score of NodeResourcesFit.
pub(super) fn score(ledger: &Ledger, profile: &Profile, node: &Node, pod: &Pod) -> i64 {
    let (mut sum, mut weights) = (0_i64, 0_i64);
    for (resource, weight) in &profile.fit.resources {
        let Some((used, offered)) = use_of(ledger, node, pod, *resource, false) else { continue };
        let score = match &profile.fit.strategy {
            FitStrategy::Least => {
                if used > offered {
                    0
                } else {
                    share(offered - used, offered)
                }
            }
            FitStrategy::Most => share(used.min(offered), offered),
            FitStrategy::Ratio(shape) => {
                let percent = if used > offered { MAX } else { share(used, offered) };
                let score = along(shape, percent);
                if score <= 0 {
                    continue;
                }
                score
            }
        };
        sum += score * weight;
        weights += weight;
    }
    match (&profile.fit.strategy, weights) {
        (_, 0) => 0,
        // Upstream rounds this one to the nearest.
        (FitStrategy::Ratio(_), weights) => (sum + weights / 2) / weights,
        (_, weights) => sum / weights,
    }
}

fn share(part: i64, whole: i64) -> i64 {
    match part.checked_mul(MAX) {
        Some(scaled) => scaled / whole,
        None => i64::try_from(i128::from(part) * i128::from(MAX) / i128::from(whole)).unwrap_or(MAX),
    }
}

/// The value of a broken line at `percent`.
fn along(shape: &[ShapePoint], percent: i64) -> i64 {
    for (at, point) in shape.iter().enumerate() {
        if percent <= point.utilization {
            let Some(before) = at.checked_sub(1).map(|before| shape[before]) else { return point.score };
            let (run, rise) = (point.utilization - before.utilization, point.score - before.score);
            return before.score + rise * (percent - before.utilization) / run;
        }
    }
    shape.last().map_or(0, |last| last.score)
}

/// Score of NodeResourcesBalancedAllocation: the less the shares in use differ, the better.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "shares of one, as upstream"
)]
pub(super) fn balanced(ledger: &Ledger, profile: &Profile, node: &Node, pod: &Pod) -> i64 {
    let mut shares: SmallVec<[f64; 4]> = SmallVec::new();
    for (resource, _) in &profile.balanced {
        if let Some((used, offered)) = use_of(ledger, node, pod, *resource, true) {
            shares.push((used as f64 / offered as f64).min(1.0));
        }
    }
    let spread = match shares.as_slice() {
        [] | [_] => 0.0,
        [a, b] => ((a - b) / 2.0).abs(),
        all => {
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            (all.iter().map(|share| (share - mean) * (share - mean)).sum::<f64>() / all.len() as f64).sqrt()
        }
    };
    ((1.0 - spread) * MAX as f64) as i64
}
