//! [`LimitRanger`]: pods get a namespace's default requests and limits, and pods and claims keep within its bounds.

mod bounds;
mod defaults;

use serde_json::Value;
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use crate::plugin::{Plugin, World};
use crate::refuse::{aggregate, forbidden};
use crate::request::{Operation, Request, Verdict};

/// The plugin.
pub(crate) struct LimitRanger;

impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        if !concerns(request) || request.resource != "pods" {
            return Ok(());
        }
        for range in world.objects.list("", "limitranges", Some(request.namespace)) {
            if let Some(pod) = request.object.as_mut() {
                defaults::fill(pod, &range);
            }
        }
        Ok(())
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        if !concerns(request) {
            return Ok(());
        }
        let judge: fn(&Value, &Value) -> Vec<String> =
            if request.resource == "pods" { bounds::of_pod } else { bounds::of_claim };
        for range in world.objects.list("", "limitranges", Some(request.namespace)) {
            let reasons = judge(request.new_object(), &range);
            if !reasons.is_empty() {
                return Err(forbidden(request, aggregate(&reasons)));
            }
        }
        Ok(())
    }
}

/// Pods when they are made or resized, claims always; nothing that is on its way out.
fn concerns(request: &Request<'_>) -> bool {
    let pod = request.is("", "pods")
        && match request.operation {
            Operation::Create => request.subresource.is_empty(),
            Operation::Update => request.subresource == "resize",
            Operation::Delete | Operation::Connect => false,
        };
    let claim = request.is_whole("", "persistentvolumeclaims");
    (pod || claim) && !request.old_object().at("metadata").has("deletionTimestamp")
}
