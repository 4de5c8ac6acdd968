//! [`PodTopologyLabels`]: a pod that gets its node carries the node's zone and region.

use serde_json::Value;
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use crate::plugin::{Plugin, World};
use crate::request::{Operation, Request};

const LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// The plugin. It labels bindings, whose labels the pod takes over, and pods made with a node.
pub(crate) struct PodTopologyLabels;

impl Plugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        if !request.is("", "pods") {
            return Ok(());
        }
        let object = request.new_object();
        let node = match request.subresource {
            "binding" if ["", "Node"].contains(&object.at("target").text("kind")) => {
                object.at("target").text("name")
            }
            "" => object.at("spec").text("nodeName"),
            _ => return Ok(()),
        };
        // A node that is not there (yet) gives no labels; whether it must be there is not decided here.
        let Some(node) = world.objects.get("", "nodes", "", node) else { return Ok(()) };
        let labels = node.at("metadata").at("labels");
        let found: Vec<(&str, &Value)> = LABELS
            .iter()
            .map(|&name| (name, labels.at(name)))
            .filter(|(_, value)| value.is_string())
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        let metadata = request.object.as_mut().and_then(|object| object.object("metadata"));
        if let Some(own) = metadata.and_then(|metadata| metadata.object("labels")) {
            for (name, value) in found {
                own.put(name, value.clone());
            }
        }
        Ok(())
    }
}
