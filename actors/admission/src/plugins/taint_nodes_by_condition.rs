//! [`TaintNodesByCondition`]: a new node takes no pods before it is ready.

use serde_json::json;
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use crate::plugin::{Plugin, World};
use crate::request::{Operation, Request};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const NO_SCHEDULE: &str = "NoSchedule";

/// The plugin.
pub(crate) struct TaintNodesByCondition;

impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn admit(&self, request: &mut Request<'_>, _: &World<'_>) -> Result<(), Failure> {
        if !request.is_whole("", "nodes") {
            return Ok(());
        }
        let Some(spec) = request.object.as_mut().and_then(|node| node.object("spec")) else { return Ok(()) };
        let mut taints = spec.list("taints").to_vec();
        let same =
            |taint: &serde_json::Value| taint.text("key") == NOT_READY && taint.text("effect") == NO_SCHEDULE;
        if !taints.iter().any(same) {
            taints.push(json!({"key": NOT_READY, "effect": NO_SCHEDULE}));
            spec.put("taints", taints);
        }
        Ok(())
    }
}
