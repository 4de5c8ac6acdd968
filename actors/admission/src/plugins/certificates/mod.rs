//! Who may decide about certificates: each signer's approvers and signers, and what nobody may ask for.

mod approval;
mod attest;
mod request;
mod signing;
mod subject;

use std::sync::Arc;

use trireme_access::Attributes;

pub(crate) use approval::CertificateApproval;
pub(crate) use attest::ClusterTrustBundleAttest;
pub(super) use request::CertificateRequest;
pub(crate) use signing::CertificateSigning;
pub(crate) use subject::CertificateSubjectRestriction;

use crate::plugin::World;
use crate::request::Request;

const GROUP: &str = "certificates.k8s.io";
const REQUESTS: &str = "certificatesigningrequests";

/// Whether the user may do `verb` for a signer, or for all signers of its domain.
fn may(request: &Request<'_>, world: &World<'_>, verb: &str, signer: &str) -> bool {
    let user = Arc::new(request.user.clone());
    let allowed = |name: &str| {
        let attributes = Attributes::resource(&user, verb, GROUP, "*", "signers").named(name);
        world.authorizer.authorize(&attributes).allowed()
    };
    let domain = signer.split('/').next().unwrap_or(signer);
    allowed(signer) || allowed(&format!("{domain}/*"))
}
