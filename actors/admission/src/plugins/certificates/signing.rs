//! [`CertificateSigning`]: only a signer sets certificates and conditions of requests to it.

use trireme_schema::status::Failure;
use trireme_schema::view::{View, same};

use super::{GROUP, REQUESTS, may};
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

/// The plugin.
pub(crate) struct CertificateSigning;

impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Update
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        if !request.is(GROUP, REQUESTS) || request.subresource != "status" {
            return Ok(());
        }
        let (old, new) = (request.old_object(), request.new_object());
        let unchanged = |field: &str| same(old.at("status").at(field), new.at("status").at(field));
        if unchanged("certificate") && unchanged("conditions") {
            return Ok(());
        }
        let signer = old.at("spec").text("signerName");
        if may(request, world, "sign", signer) {
            return Ok(());
        }
        let why = format!("user not permitted to sign requests with signerName {signer:?}");
        Err(forbidden(request, why))
    }
}
