//! [`DenyServiceExternalIPs`]: no service takes in further external addresses.

use trireme_schema::status::Failure;
use trireme_schema::view::View;

use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

/// The plugin.
pub(crate) struct DenyServiceExternalIPs;

impl Plugin for DenyServiceExternalIPs {
    fn name(&self) -> &'static str {
        "DenyServiceExternalIPs"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn validate(&self, request: &Request<'_>, _: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        let before = request.old_object().at("spec").list("externalIPs");
        let after = request.new_object().at("spec").list("externalIPs");
        if request.is_whole("", "services") && after.iter().any(|address| !before.contains(address)) {
            return Err(forbidden(request, "Use of external IPs is denied by admission control"));
        }
        Ok(())
    }
}
