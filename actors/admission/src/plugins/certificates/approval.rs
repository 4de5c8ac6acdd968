//! [`CertificateApproval`]: only a signer's approvers approve or deny requests to it.

use trireme_schema::status::Failure;
use trireme_schema::view::View;

use super::{GROUP, REQUESTS, may};
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

/// The plugin.
pub(crate) struct CertificateApproval;

impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Update
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        if !request.is(GROUP, REQUESTS) || request.subresource != "approval" {
            return Ok(());
        }
        let signer = request.new_object().at("spec").text("signerName");
        if may(request, world, "approve", signer) {
            return Ok(());
        }
        let why = format!("user not permitted to approve requests with signerName {signer:?}");
        Err(forbidden(request, why))
    }
}
