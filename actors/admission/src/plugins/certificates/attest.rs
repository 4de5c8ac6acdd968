//! [`ClusterTrustBundleAttest`]: only who may attest for a signer writes trust bundles in its name.

use trireme_schema::status::Failure;
use trireme_schema::view::View;

use super::{GROUP, may};
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

/// The plugin.
pub(crate) struct ClusterTrustBundleAttest;

impl Plugin for ClusterTrustBundleAttest {
    fn name(&self) -> &'static str {
        "ClusterTrustBundleAttest"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        if !request.is_whole(GROUP, "clustertrustbundles") {
            return Ok(());
        }
        let signer = request.new_object().at("spec").text("signerName");
        if signer.is_empty() || may(request, world, "attest", signer) {
            return Ok(());
        }
        Err(forbidden(request, format!("user not permitted to attest for signerName {signer:?}")))
    }
}
