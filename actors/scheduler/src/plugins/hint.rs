//! Queueing hints: whether something that happened may let a pod in that a plugin had refused (KEP-4247).

use super::{Plugin, PluginSet, fit};
use crate::labels::Labels;
use crate::ledger::{Ledger, NodeChange};
use crate::names::Sym;
use crate::pod::{AffinityTerm, Pod, Spread};
use crate::taints::untolerated;

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum ClusterEvent {
    /// A node came or changed.
    Node(NodeChange),
    /// A node is gone.
    NodeGone,
    /// A pod was placed, or its labels changed where it is.
    Placed(Subject),
    /// A placed pod went, or asks for less.
    Freed(Subject),
    /// A claim came or changed: `namespace/name`.
    Claim(Sym),
    /// A volume, a storage class or a node's CSI drivers came or changed.
    Storage,
    /// A node's limit of volumes changed.
    VolumeLimits,
}

/// The pod that an event is about, as it was.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Where.
    pub(crate) node: crate::node::NodeIx,
    pub(crate) namespace: Sym,
    pub(crate) labels: Labels,
    /// It holds required anti-affinity.
    pub(crate) repels: bool,
    /// Ports that were freed.
    pub(crate) ports: Vec<crate::pod::HostPort>,
    pub(crate) claims: Vec<Sym>,
}

/// The plugins that look at an event at all.
pub(crate) fn registered(event: &ClusterEvent) -> PluginSet {
    use Plugin as P;
    let all: &[Plugin] = match event {
        ClusterEvent::Node(_) => &[
            P::NodeUnschedulable,
            P::NodeName,
            P::TaintToleration,
            P::NodeAffinity,
            P::NodePorts,
            P::NodeResourcesFit,
            P::NodeVolumeLimits,
            P::VolumeBinding,
            P::VolumeZone,
            P::PodTopologySpread,
            P::InterPodAffinity,
            P::Extender,
        ],
        ClusterEvent::NodeGone => &[P::PodTopologySpread, P::Extender],
        ClusterEvent::Placed(_) => &[P::PodTopologySpread, P::InterPodAffinity, P::Extender],
        ClusterEvent::Freed(_) => &[
            P::NodePorts,
            P::NodeResourcesFit,
            P::NodeVolumeLimits,
            P::VolumeRestrictions,
            P::PodTopologySpread,
            P::InterPodAffinity,
            P::Extender,
        ],
        ClusterEvent::Claim(_) => {
            &[P::VolumeBinding, P::VolumeZone, P::VolumeRestrictions, P::NodeVolumeLimits, P::Extender]
        }
        ClusterEvent::Storage => &[P::VolumeBinding, P::VolumeZone, P::NodeVolumeLimits, P::Extender],
        ClusterEvent::VolumeLimits => &[P::NodeVolumeLimits],
    };
    all.iter().copied().collect()
}

/// The hint of one plugin that had refused `pod`.
pub(crate) fn may_help(plugin: Plugin, ledger: &Ledger, pod: &Pod, event: &ClusterEvent) -> bool {
    if plugin == Plugin::Extender {
        return true;
    }
    match event {
        ClusterEvent::Node(change) => node_helps(plugin, ledger, pod, *change),
        ClusterEvent::NodeGone => plugin == Plugin::PodTopologySpread,
        ClusterEvent::Placed(subject) | ClusterEvent::Freed(subject) => match plugin {
            Plugin::PodTopologySpread => {
                let selects = |one: &Spread| one.selector.matches(&ledger.names, &subject.labels);
                subject.namespace == pod.namespace
                    && (pod.spec.spreads.is_empty() || pod.spec.spreads.iter().any(selects))
            }
            Plugin::InterPodAffinity => {
                let selects = |one: &AffinityTerm| one.selector.matches(&ledger.names, &subject.labels);
                match event {
                    ClusterEvent::Placed(_) => pod.spec.affinity.iter().any(selects),
                    _ => subject.repels || pod.spec.anti_affinity.iter().any(selects),
                }
            }
            Plugin::NodePorts => {
                subject.ports.iter().any(|freed| pod.spec.ports.iter().any(|port| port.clashes(freed)))
            }
            Plugin::NodeResourcesFit => {
                let node = ledger.node(subject.node);
                node.present && fit::filter(ledger, node, pod).is_none()
            }
            Plugin::VolumeRestrictions => {
                pod.spec.claims.iter().any(|one| subject.claims.contains(&one.claim))
            }
            Plugin::NodeVolumeLimits => !subject.claims.is_empty(),
            _ => false,
        },
        ClusterEvent::Claim(claim) => pod.spec.claims.iter().any(|one| one.claim == *claim),
        ClusterEvent::Storage | ClusterEvent::VolumeLimits => true,
    }
}

fn node_helps(plugin: Plugin, ledger: &Ledger, pod: &Pod, change: NodeChange) -> bool {
    let node = ledger.node(change.node);
    match plugin {
        Plugin::NodeUnschedulable => (change.added || change.taints) && !node.facts.unschedulable,
        Plugin::NodeName | Plugin::NodePorts => change.added,
        Plugin::TaintToleration => {
            (change.added || change.taints)
                && untolerated(&node.facts.taints, &pod.spec.tolerations).is_none()
        }
        Plugin::NodeAffinity => {
            let affinity = pod.spec.node_affinity.as_ref();
            let matches =
                |own: &crate::labels::NodeSelector| own.matches(&ledger.names, node.name, &node.facts.labels);
            (change.added || change.labels)
                && pod.spec.node_labels.within(&node.facts.labels)
                && affinity.is_none_or(matches)
        }
        Plugin::NodeResourcesFit => {
            (change.added || change.allocatable) && fit::filter(ledger, node, pod).is_none()
        }
        Plugin::PodTopologySpread | Plugin::InterPodAffinity => {
            change.added || change.labels || change.taints
        }
        Plugin::VolumeBinding | Plugin::VolumeZone => change.added || change.labels,
        Plugin::NodeVolumeLimits => change.added,
        _ => false,
    }
}
