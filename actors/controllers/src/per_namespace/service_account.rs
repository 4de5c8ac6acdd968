//! [`ServiceAccountController`].

use serde_json::json;

use super::{is_open, keys};
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::plan::{Plan, Write};
use crate::world::World;

/// The account that pods get which name none.
const NAME: &str = "default";

static WATCHED: [Resource; 2] = [resources::NAMESPACES, resources::SERVICE_ACCOUNTS];

/// Gives every namespace the service account `default`.
#[derive(Debug, Default)]
pub struct ServiceAccountController {}

impl Controller for ServiceAccountController {
    fn name(&self) -> &'static str {
        "service-account-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        keys(change, &resources::SERVICE_ACCOUNTS, NAME)
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let namespace = &look.key.name;
        if !is_open(look.world, namespace)
            || resources::SERVICE_ACCOUNTS.get(look.world, namespace, NAME).is_some()
        {
            return Plan::settled();
        }
        let object = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace},
        });
        Plan::one(Write::Create { resource: resources::SERVICE_ACCOUNTS, object })
    }
}
