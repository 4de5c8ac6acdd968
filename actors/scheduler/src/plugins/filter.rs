//! PreFilter and Filter: which nodes can take a pod.

use smallvec::SmallVec;

use super::storage::Storage;
use super::{Plugin, Reason, affinity, fit, spread, storage};
use crate::census::CarrierIx;
use crate::config::Profile;
use crate::ledger::Ledger;
use crate::node::{Node, NodeIx};
use crate::pod::Pod;
use crate::taints::{Taint, TaintEffect, untolerated};

/// Why a node was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) plugin: Plugin,
    pub(crate) reason: Reason,
    /// Evicting pods could change it (upstream's Unschedulable, not UnschedulableAndUnresolvable).
    pub(crate) curable: bool,
}

/// Why no node needs to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) plugin: Plugin,
    pub(crate) message: String,
}

/// What PreFilter found out about a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prepared {
    /// Filters that can refuse a node; the others have nothing to say about this pod.
    pub(crate) filters: SmallVec<[Plugin; 12]>,
    /// The only nodes to look at.
    pub(crate) only: Option<Vec<NodeIx>>,
    /// Anti-affinity of placed pods that selects this pod.
    pub(crate) repellers: SmallVec<[CarrierIx; 4]>,
    /// The least count of each hard spread constraint.
    pub(crate) least: SmallVec<[i64; 2]>,
    pub(crate) storage: Storage,
}

/// PreFilter.
pub(crate) fn prepare(ledger: &Ledger, profile: &Profile, pod: &Pod) -> Result<Prepared, Refused> {
    let mut prepared = Prepared { repellers: affinity::repellers(ledger, pod), ..Prepared::default() };
    let spec = &pod.spec;
    for plugin in &profile.filters {
        let needed = match plugin {
            Plugin::NodeName => false,
            Plugin::NodePorts => !spec.ports.is_empty(),
            Plugin::NodeAffinity => {
                if let Some(named) = spec.node_affinity.as_ref().and_then(|affinity| affinity.named()) {
                    prepared.only = Some(named.iter().filter_map(|name| ledger.find_node(*name)).collect());
                }
                spec.node_affinity.is_some()
                    || !spec.node_labels.is_empty()
                    || profile.added_affinity.is_some()
            }
            Plugin::PodTopologySpread => {
                prepared.least = spread::least(ledger, pod);
                !prepared.least.is_empty()
            }
            Plugin::InterPodAffinity => {
                let terms = &pod.terms;
                !prepared.repellers.is_empty() || !terms.near.is_empty() || !terms.far.is_empty()
            }
            Plugin::VolumeRestrictions
            | Plugin::NodeVolumeLimits
            | Plugin::VolumeZone
            | Plugin::VolumeBinding => {
                if !spec.claims.is_empty() && *plugin == Plugin::VolumeBinding {
                    prepared.storage = storage::prepare(ledger, pod)?;
                }
                !spec.claims.is_empty()
            }
            _ => true,
        };
        if needed {
            prepared.filters.push(*plugin);
        }
    }
    Ok(prepared)
}

/// Filter: the first plugin that refuses the node.
#[inline]
pub(crate) fn filter(
    ledger: &Ledger,
    profile: &Profile,
    prepared: &Prepared,
    pod: &Pod,
    at: NodeIx,
) -> Option<Rejection> {
    let node = ledger.node(at);
    prepared.filters.iter().find_map(|plugin| one(*plugin, ledger, profile, prepared, pod, (at, node)))
}

/// Every reason of the first plugin that refuses the node.
pub(crate) fn why(ledger: &Ledger, pod: &Pod, at: NodeIx, first: Rejection) -> SmallVec<[Reason; 2]> {
    match first.plugin {
        Plugin::NodeResourcesFit => fit::lacks(ledger, ledger.node(at), pod),
        _ => SmallVec::from_slice(&[first.reason]),
    }
}

fn one(
    plugin: Plugin,
    ledger: &Ledger,
    profile: &Profile,
    prepared: &Prepared,
    pod: &Pod,
    (at, node): (NodeIx, &Node),
) -> Option<Rejection> {
    let refuse = |reason, curable| Some(Rejection { plugin, reason, curable });
    match plugin {
        Plugin::NodeUnschedulable => {
            let known = &ledger.known;
            let taint =
                Taint { key: known.unschedulable, value: known.empty, effect: TaintEffect::NoSchedule };
            let refused =
                node.facts.unschedulable && !pod.spec.tolerations.iter().any(|one| one.covers(&taint));
            if refused { refuse(Reason::Unschedulable, false) } else { None }
        }
        Plugin::TaintToleration => {
            if node.facts.taints.is_empty() {
                return None;
            }
            let taint = untolerated(&node.facts.taints, &pod.spec.tolerations)?;
            refuse(Reason::Taint(taint.key, taint.value), false)
        }
        Plugin::NodeAffinity => {
            let (names, labels) = (&ledger.names, &node.facts.labels);
            let added = profile.added_affinity.as_ref();
            if added.is_some_and(|added| !added.matches(names, node.name, labels)) {
                return refuse(Reason::AddedAffinity, false);
            }
            let own = pod.spec.node_affinity.as_ref();
            let good = pod.spec.node_labels.within(labels)
                && own.is_none_or(|own| own.matches(names, node.name, labels));
            if good { None } else { refuse(Reason::Affinity, false) }
        }
        Plugin::NodePorts => {
            let clash = pod.spec.ports.iter().any(|port| node.ports.iter().any(|taken| taken.clashes(port)));
            if clash { refuse(Reason::Ports, true) } else { None }
        }
        Plugin::NodeResourcesFit => fit::filter(ledger, node, pod),
        Plugin::PodTopologySpread => spread::filter(ledger, prepared, pod, at),
        Plugin::InterPodAffinity => affinity::filter(ledger, prepared, pod, at),
        Plugin::VolumeRestrictions => storage::one_pod(ledger, pod),
        Plugin::NodeVolumeLimits => storage::limits(ledger, pod, node),
        Plugin::VolumeBinding => storage::bound(ledger, prepared, node),
        Plugin::VolumeZone => storage::zone(ledger, prepared, node),
        _ => None,
    }
}
