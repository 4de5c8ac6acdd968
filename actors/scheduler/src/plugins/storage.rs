//! VolumeRestrictions, NodeVolumeLimits, VolumeBinding and VolumeZone, for claims that are bound.

use std::collections::BTreeSet;

use super::{Plugin, Reason, Refused, Rejection};
use crate::ledger::Ledger;
use crate::names::Sym;
use crate::node::Node;
use crate::pod::Pod;

/// What a pod's claims ask of nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Storage {
    /// Volumes of bound claims.
    volumes: Vec<Sym>,
    /// A claim waits for its first consumer.
    delayed: bool,
}

/// PreFilter of VolumeBinding.
pub(super) fn prepare(ledger: &Ledger, pod: &Pod) -> Result<Storage, Refused> {
    let refuse = |message| Err(Refused { plugin: Plugin::VolumeBinding, message });
    let mut storage = Storage::default();
    let mut unbound = false;
    for used in &pod.spec.claims {
        let full = ledger.names.text(used.claim);
        let name = full.split_once('/').map_or(full, |(_, name)| name);
        let Some(claim) = ledger.volumes.claims.get(&used.claim) else {
            return refuse(if used.ephemeral {
                format!(
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"
                )
            } else {
                format!("persistentvolumeclaim {name:?} not found")
            });
        };
        if let Some(lost) = claim.lost {
            let lost = ledger.names.text(lost);
            return refuse(format!(
                "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {lost:?}"
            ));
        }
        if claim.deleting {
            return refuse(format!("persistentvolumeclaim {name:?} is being deleted"));
        }
        match claim.volume {
            Some(volume) => storage.volumes.push(volume),
            None if ledger.volumes.is_delayed(claim.class) => storage.delayed = true,
            None => unbound = true,
        }
    }
    if unbound {
        return refuse("pod has unbound immediate PersistentVolumeClaims".to_owned());
    }
    Ok(storage)
}

fn refuse(plugin: Plugin, reason: Reason, curable: bool) -> Option<Rejection> {
    Some(Rejection { plugin, reason, curable })
}

/// Filter of VolumeBinding.
pub(super) fn bound(ledger: &Ledger, prepared: &super::Prepared, node: &Node) -> Option<Rejection> {
    for volume in &prepared.storage.volumes {
        let Some(volume) = ledger.volumes.volumes.get(volume) else {
            return refuse(Plugin::VolumeBinding, Reason::VolumeMissing, false);
        };
        let good = |affinity: &crate::labels::NodeSelector| {
            affinity.matches(&ledger.names, node.name, &node.facts.labels)
        };
        if !volume.affinity.as_ref().is_none_or(good) {
            return refuse(Plugin::VolumeBinding, Reason::VolumeAffinity, false);
        }
    }
    if prepared.storage.delayed { refuse(Plugin::VolumeBinding, Reason::VolumeUnbound, false) } else { None }
}

/// Filter of VolumeZone.
pub(super) fn zone(ledger: &Ledger, prepared: &super::Prepared, node: &Node) -> Option<Rejection> {
    let volumes = prepared.storage.volumes.iter().filter_map(|volume| ledger.volumes.volumes.get(volume));
    for (label, values) in volumes.flat_map(|volume| &volume.zones) {
        let there = node.facts.labels.get(*label);
        if !there.is_some_and(|there| values.contains(&there)) {
            return refuse(Plugin::VolumeZone, Reason::VolumeZone, false);
        }
    }
    None
}

/// Filter of VolumeRestrictions: a claim for one pod has one.
pub(super) fn one_pod(ledger: &Ledger, pod: &Pod) -> Option<Rejection> {
    let volumes = &ledger.volumes;
    let alone = |claim: &Sym| volumes.claims.get(claim).is_some_and(|claim| claim.one_pod);
    let taken = pod.spec.claims.iter().any(|one| alone(&one.claim) && volumes.users.contains_key(&one.claim));
    if taken { refuse(Plugin::VolumeRestrictions, Reason::OnePodVolume, true) } else { None }
}

/// Filter of NodeVolumeLimits: distinct CSI volumes per driver.
pub(super) fn limits(ledger: &Ledger, pod: &Pod, node: &Node) -> Option<Rejection> {
    if node.volume_limits.is_empty() {
        return None;
    }
    let attached: BTreeSet<_> = node.pods.iter().flat_map(|at| csi(ledger, ledger.pod(*at))).collect();
    let more: BTreeSet<_> = csi(ledger, pod).filter(|volume| !attached.contains(volume)).collect();
    for (driver, limit) in &node.volume_limits {
        let of = |all: &BTreeSet<(Sym, Sym)>| all.iter().filter(|(own, _)| own == driver).count();
        let (new, old) = (of(&more), of(&attached));
        if new > 0 && i64::try_from(new + old).unwrap_or(i64::MAX) > *limit {
            return refuse(Plugin::NodeVolumeLimits, Reason::VolumeCount, true);
        }
    }
    None
}

fn csi<'a>(ledger: &'a Ledger, pod: &'a Pod) -> impl Iterator<Item = (Sym, Sym)> + 'a {
    let volumes = &ledger.volumes;
    let claims = pod.spec.claims.iter().filter_map(|one| volumes.claims.get(&one.claim)?.volume);
    claims.filter_map(|volume| volumes.volumes.get(&volume)?.csi)
}
