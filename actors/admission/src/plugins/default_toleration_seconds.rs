//! [`DefaultTolerationSeconds`]: a pod stays some minutes on a node in trouble unless it says otherwise.

use serde_json::{Value, json};
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use crate::config::ChainConfig;
use crate::plugin::{Plugin, World};
use crate::request::{Operation, Request};

/// The plugin.
pub(crate) struct DefaultTolerationSeconds {
    /// Taint and seconds.
    waits: [(&'static str, i64); 2],
}

impl DefaultTolerationSeconds {
    pub(crate) fn new(config: &ChainConfig) -> Self {
        Self {
            waits: [
                ("node.kubernetes.io/not-ready", config.not_ready_seconds),
                ("node.kubernetes.io/unreachable", config.unreachable_seconds),
            ],
        }
    }
}

impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn admit(&self, request: &mut Request<'_>, _: &World<'_>) -> Result<(), Failure> {
        if !request.is_whole("", "pods") {
            return Ok(());
        }
        let Some(spec) = request.object.as_mut().and_then(|pod| pod.object("spec")) else { return Ok(()) };
        let mut tolerations = spec.list("tolerations").to_vec();
        let given = tolerations.len();
        for (taint, seconds) in self.waits {
            if !tolerations[..given].iter().any(|toleration| covers(toleration, taint)) {
                tolerations.push(json!({
                    "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds
                }));
            }
        }
        if tolerations.len() > given {
            spec.put("tolerations", tolerations);
        }
        Ok(())
    }
}

fn covers(toleration: &Value, taint: &str) -> bool {
    ["", taint].contains(&toleration.text("key")) && ["", "NoExecute"].contains(&toleration.text("effect"))
}
