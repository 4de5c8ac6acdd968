//! [`NamespaceExists`]: nothing is written into a namespace that is missing.

use trireme_schema::status::{Failure, Status};

use crate::plugin::{Plugin, World};
use crate::request::{Operation, Request, Verdict};

/// The plugin.
pub(crate) struct NamespaceExists;

impl Plugin for NamespaceExists {
    fn name(&self) -> &'static str {
        "NamespaceExists"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation != Operation::Connect
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        let own = request.is("", "namespaces");
        if own
            || request.namespace.is_empty()
            || world.objects.get("", "namespaces", "", request.namespace).is_some()
        {
            return Ok(());
        }
        Err(Status::not_found("", "namespaces", request.namespace))
    }
}
