//! InterPodAffinity.

use smallvec::SmallVec;

use super::{Plugin, Prepared, Reason, Rejection};
use crate::census::{CarrierIx, Role, TallyIx};
use crate::config::Profile;
use crate::ledger::Ledger;
use crate::node::NodeIx;
use crate::pod::Pod;
use crate::topology::NOWHERE;

/// Required anti-affinity of placed pods that selects this pod.
pub(super) fn repellers(ledger: &Ledger, pod: &Pod) -> SmallVec<[CarrierIx; 4]> {
    let carriers = ledger.census.carriers_of(pod.class);
    carriers.filter(|(_, carrier)| carrier.role == Role::Repels).map(|(at, _)| at).collect()
}

/// Filter: own affinity, own anti-affinity, that of others.
pub(super) fn filter(ledger: &Ledger, prepared: &Prepared, pod: &Pod, at: NodeIx) -> Option<Rejection> {
    let refuse = |reason, curable| Some(Rejection { plugin: Plugin::InterPodAffinity, reason, curable });
    let census = &ledger.census;
    if !pod.terms.near.is_empty() && !near(ledger, pod, at) {
        return refuse(Reason::PodAffinity, false);
    }
    let crowded = |tally: &TallyIx| {
        let tally = census.tally(*tally);
        tally.count(census.domain(tally, at)) > 0
    };
    if pod.terms.far.iter().any(crowded) {
        return refuse(Reason::PodAntiAffinity, true);
    }
    let repels = |carrier: &CarrierIx| {
        let tally = &census.carrier(*carrier).tally;
        tally.count(census.domain(tally, at)) > 0
    };
    if prepared.repellers.iter().any(repels) {
        return refuse(Reason::ExistingAntiAffinity, true);
    }
    None
}

/// The node's domains hold pods that the affinity asks for; or none are anywhere and the pod asks for its own kind.
fn near(ledger: &Ledger, pod: &Pod, at: NodeIx) -> bool {
    let census = &ledger.census;
    let (mut there, mut anywhere) = (true, false);
    for tally in &pod.terms.near {
        let tally = census.tally(*tally);
        let domain = census.domain(tally, at);
        if domain == NOWHERE {
            return false;
        }
        there &= tally.count(domain) > 0;
        anywhere |= tally.total > 0;
    }
    there || (!anywhere && census.is_near_itself(pod.class, &pod.terms))
}

/// What adds to the score of a node: tallies or carriers, each with a weight.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulls {
    own: SmallVec<[(TallyIx, i64); 4]>,
    others: SmallVec<[(CarrierIx, i64); 4]>,
}

impl Pulls {
    /// PreScore; empty when nothing pulls.
    pub(super) fn gather(ledger: &Ledger, profile: &Profile, pod: &Pod) -> Self {
        let mut pulls = Self::default();
        let own = pod.terms.preferred.iter();
        pulls.own.extend(own.filter(|(tally, _)| ledger.census.tally(*tally).total > 0).copied());
        if profile.ignore_others_preferences && pod.spec.preferred.is_empty() {
            return pulls;
        }
        for (at, carrier) in ledger.census.carriers_of(pod.class) {
            match carrier.role {
                Role::Prefers => pulls.others.push((at, 1)),
                Role::Attracts if profile.hard_affinity_weight > 0 => {
                    pulls.others.push((at, profile.hard_affinity_weight));
                }
                Role::Attracts | Role::Repels => {}
            }
        }
        pulls
    }

    /// Nothing pulls.
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.others.is_empty()
    }

    /// The sum at a node.
    pub(super) fn at(&self, ledger: &Ledger, node: NodeIx) -> i64 {
        let census = &ledger.census;
        let own = self.own.iter().map(|(tally, weight)| (census.tally(*tally), weight));
        let others = self.others.iter().map(|(carrier, weight)| (&census.carrier(*carrier).tally, weight));
        own.chain(others).map(|(tally, weight)| weight * tally.count(census.domain(tally, node))).sum()
    }
}

/// NormalizeScore: the range between least (at most zero) and most (at least zero) becomes 0 to 100.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a share of one hundred, as upstream"
)]
pub(super) fn normalise(scores: &mut [i64]) {
    let most = scores.iter().copied().max().unwrap_or(0).max(0);
    let least = scores.iter().copied().min().unwrap_or(0).min(0);
    let range = most - least;
    for score in scores {
        *score = if range > 0 { (100.0 * ((*score - least) as f64 / range as f64)) as i64 } else { 0 };
    }
}
