//! [`Reason`]: why a node does not take a pod, in upstream's words.

use crate::names::{Names, Sym};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Unschedulable,
    Taint(Sym, Sym),
    Affinity,
    AddedAffinity,
    Ports,
    TooManyPods,
    Insufficient(Sym),
    Spread,
    SpreadLabel,
    PodAffinity,
    PodAntiAffinity,
    ExistingAntiAffinity,
    VolumeAffinity,
    VolumeMissing,
    VolumeUnbound,
    VolumeZone,
    VolumeCount,
    OnePodVolume,
    /// Words of an extender.
    Told(Sym),
}

impl Reason {
    /// Upstream's words.
    pub(crate) fn text(self, names: &Names) -> String {
        let fixed = match self {
            Self::Taint(key, value) => {
                let (key, value) = (names.text(key), names.text(value));
                return format!("node(s) had untolerated taint {{{key}: {value}}}");
            }
            Self::Insufficient(resource) => return format!("Insufficient {}", names.text(resource)),
            Self::Told(words) => return names.text(words).to_owned(),
            Self::Unschedulable => "node(s) were unschedulable",
            Self::Affinity => "node(s) didn't match Pod's node affinity/selector",
            Self::AddedAffinity => "node(s) didn't match scheduler-enforced node affinity",
            Self::Ports => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::Spread => "node(s) didn't match pod topology spread constraints",
            Self::SpreadLabel => {
                "node(s) didn't match pod topology spread constraints (missing required label)"
            }
            Self::PodAffinity => "node(s) didn't match pod affinity rules",
            Self::PodAntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Self::ExistingAntiAffinity => "node(s) didn't satisfy existing pods anti-affinity rules",
            Self::VolumeAffinity => "node(s) didn't match PersistentVolume's node affinity",
            Self::VolumeMissing => {
                "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
            }
            Self::VolumeUnbound => "node(s) didn't find available persistent volumes to bind",
            Self::VolumeZone => "node(s) had no available volume zone",
            Self::VolumeCount => "node(s) exceed max volume count",
            Self::OnePodVolume => {
                "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
            }
        };
        fixed.to_owned()
    }

    /// What would have to change, for people.
    pub(crate) fn remedy(self, names: &Names) -> String {
        let fixed = match self {
            Self::Taint(key, value) => {
                let (key, value) = (names.text(key), names.text(value));
                return format!("tolerate the taint {key}={value} in the pod, or take it off the node");
            }
            Self::Insufficient(resource) => {
                let resource = names.text(resource);
                return format!("free {resource} on the node, ask for less of it, or add nodes");
            }
            Self::Told(_) => "see the extender that refused",
            Self::Unschedulable => "uncordon the node",
            Self::Affinity => "label the node as nodeSelector and nodeAffinity ask, or ask for less",
            Self::AddedAffinity => "change addedAffinity of the scheduler's profile, or label the node",
            Self::Ports => "free the host port on the node, or take another",
            Self::TooManyPods => "move pods off the node, or raise its limit of pods",
            Self::Spread => {
                "place matching pods elsewhere, raise maxSkew, or add nodes in the emptier domains"
            }
            Self::SpreadLabel => "label the node with the constraint's topologyKey",
            Self::PodAffinity => "run a pod that the affinity selects in the node's domain first",
            Self::PodAntiAffinity => "move the pods that the anti-affinity selects out of the node's domain",
            Self::ExistingAntiAffinity => "move the pods whose anti-affinity selects this pod away",
            Self::VolumeAffinity => "use a node from which the bound volume can be reached",
            Self::VolumeMissing => "restore the PersistentVolume that the claim names",
            Self::VolumeUnbound => "bind the claim to a volume: this scheduler does not bind claims yet",
            Self::VolumeZone => "use a node in the bound volume's zone",
            Self::VolumeCount => "detach volumes from the node",
            Self::OnePodVolume => "end the pod that uses the claim",
        };
        fixed.to_owned()
    }
}
