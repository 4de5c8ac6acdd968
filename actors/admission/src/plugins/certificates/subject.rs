//! [`CertificateSubjectRestriction`]: nobody gets a client certificate in `system:masters` from the cluster.

use trireme_schema::status::Failure;
use trireme_schema::view::View;

use super::{CertificateRequest, GROUP, REQUESTS};
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const MASTERS: &str = "system:masters";

/// The plugin.
pub(crate) struct CertificateSubjectRestriction;

impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn validate(&self, request: &Request<'_>, _: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        let spec = request.new_object().at("spec");
        if !request.is_whole(GROUP, REQUESTS) || spec.text("signerName") != SIGNER {
            return Ok(());
        }
        let parsed = CertificateRequest::read(spec.text("request"));
        let parsed = parsed.map_err(|why| forbidden(request, format!("unable to parse csr: {why}")))?;
        if parsed.organizations.iter().any(|organization| organization == MASTERS) {
            return Err(forbidden(
                request,
                format!("use of {SIGNER} signer with {MASTERS} group is not allowed"),
            ));
        }
        Ok(())
    }
}
