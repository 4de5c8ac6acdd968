//! [`VolumeProtectionController`].

use trireme_schema::view::View;

use super::protect;
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::plan::Plan;
use crate::world::World;

const FINALIZER: &str = "kubernetes.io/pv-protection";

static WATCHED: [Resource; 1] = [resources::VOLUMES];

/// Keeps PersistentVolumes while they are bound.
#[derive(Debug, Default)]
pub struct VolumeProtectionController {}

impl Controller for VolumeProtectionController {
    fn name(&self) -> &'static str {
        "pv-protection-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let volume = change.new.as_deref().map(|volume| volume.at("metadata"));
        volume.map(|volume| Key::new("", volume.text("name"))).into_iter().collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Some(volume) = resources::VOLUMES.get(look.world, "", &look.key.name) else {
            return Plan::settled();
        };
        let bound = || volume.at("status").text("phase") == "Bound";
        protect(&resources::VOLUMES, &volume, FINALIZER, bound)
    }
}
