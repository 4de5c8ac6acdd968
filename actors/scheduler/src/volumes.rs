//! [`Volumes`]: claims, volumes and classes, as far as claims that are bound decide where a pod may go.
//!
//! Deliberately absent: choosing or making a volume for a claim that is not bound (delayed binding). Such a pod stays
//! pending with upstream's words.

use std::collections::BTreeMap;

use serde_json::Value;
use trireme_schema::view::View;

use crate::labels::NodeSelector;
use crate::names::{Names, Sym};

/// Labels of a volume that say in which zone it lives.
const ZONE_LABELS: [&str; 4] = [
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The volume, once binding is complete.
    pub(crate) volume: Option<Sym>,
    /// Its volume is gone.
    pub(crate) lost: Option<Sym>,
    pub(crate) class: Option<Sym>,
    pub(crate) deleting: bool,
    pub(crate) one_pod: bool,
}

/// A PersistentVolume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) affinity: Option<NodeSelector>,
    /// Label and the values of which a node must have one.
    pub(crate) zones: Vec<(Sym, Vec<Sym>)>,
    /// CSI driver and handle.
    pub(crate) csi: Option<(Sym, Sym)>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volumes {
    /// By `namespace/name`.
    pub(crate) claims: BTreeMap<Sym, Claim>,
    pub(crate) volumes: BTreeMap<Sym, Volume>,
    /// Whether the class waits for the first consumer.
    pub(crate) classes: BTreeMap<Sym, bool>,
    /// Placed pods by claim.
    pub(crate) users: BTreeMap<Sym, i64>,
    /// Limits of nodes by driver, by node name.
    pub(crate) limits: BTreeMap<Sym, Vec<(Sym, i64)>>,
}

impl Volumes {
    /// Reads a claim.
    pub(crate) fn read_claim(names: &mut Names, claim: &Value) -> Claim {
        let spec = claim.at("spec");
        let complete = claim.below(&["metadata", "annotations"]).has("pv.kubernetes.io/bind-completed");
        let name = |names: &mut Names, text: &str| (!text.is_empty()).then(|| names.of(text));
        let volume = name(names, spec.text("volumeName"));
        Claim {
            volume: volume.filter(|_| complete),
            lost: volume.filter(|_| claim.at("status").text("phase") == "Lost"),
            class: name(names, spec.text("storageClassName")),
            deleting: claim.at("metadata").has("deletionTimestamp"),
            one_pod: spec.list("accessModes").iter().any(|mode| mode == "ReadWriteOncePod"),
        }
    }

    /// Reads a volume.
    pub(crate) fn read_volume(names: &mut Names, volume: &Value) -> Volume {
        let (spec, labels) = (volume.at("spec"), volume.below(&["metadata", "labels"]));
        let zones = ZONE_LABELS.iter().filter_map(|label| {
            let values = labels.at(label).as_str()?.split("__").map(|value| names.of(value)).collect();
            Some((names.of(label), values))
        });
        let zones = zones.collect();
        let csi = spec.at("csi");
        Volume {
            affinity: NodeSelector::read(names, spec.below(&["nodeAffinity", "required"])),
            zones,
            csi: csi.is_object().then(|| (names.of(csi.text("driver")), names.of(csi.text("volumeHandle")))),
        }
    }

    /// Reads the limits of a CSINode.
    pub(crate) fn read_limits(names: &mut Names, node: &Value) -> Vec<(Sym, i64)> {
        let drivers = node.at("spec").list("drivers").iter();
        drivers
            .filter_map(|one| Some((names.of(one.text("name")), one.at("allocatable").int("count")?)))
            .collect()
    }

    /// Whether a class binds only when a pod needs the volume.
    pub(crate) fn is_delayed(&self, class: Option<Sym>) -> bool {
        class.and_then(|class| self.classes.get(&class)).is_some_and(|delayed| *delayed)
    }
}
