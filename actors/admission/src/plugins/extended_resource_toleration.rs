//! [`ExtendedResourceToleration`]: a pod that asks for a special resource may run on nodes kept for it.

use std::collections::BTreeSet;

use serde_json::json;
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View, same};

use crate::plugin::{Plugin, World};
use crate::request::{Operation, Request};
use crate::resources::is_extended;

/// The plugin.
pub(crate) struct ExtendedResourceToleration;

impl Plugin for ExtendedResourceToleration {
    fn name(&self) -> &'static str {
        "ExtendedResourceToleration"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn admit(&self, request: &mut Request<'_>, _: &World<'_>) -> Result<(), Failure> {
        if !request.is_whole("", "pods") {
            return Ok(());
        }
        let Some(spec) = request.object.as_mut().and_then(|pod| pod.object("spec")) else { return Ok(()) };
        let containers = spec.list("containers").iter().chain(spec.list("initContainers"));
        let names: BTreeSet<String> = containers
            .flat_map(|container| container.at("resources").map("requests").into_iter().flatten())
            .map(|(name, _)| name.clone())
            .filter(|name| is_extended(name))
            .collect();
        let mut tolerations = spec.list("tolerations").to_vec();
        let given = tolerations.len();
        for name in names {
            let toleration = json!({"key": name, "operator": "Exists", "effect": "NoSchedule"});
            if !tolerations.iter().any(|own| same(own, &toleration)) {
                tolerations.push(toleration);
            }
        }
        if tolerations.len() > given {
            spec.put("tolerations", tolerations);
        }
        Ok(())
    }
}
