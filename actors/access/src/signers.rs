//! May a user approve, sign or attest for a signer of certificates? Asked by the CertificateApproval, CertificateSigning
//! and ClusterTrustBundleAttest admission plugins.

use std::sync::Arc;

use crate::attributes::{Attributes, Authorizer};
use crate::user::User;

/// What is done in a signer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignerVerb {
    /// Approving or denying a request.
    Approve,
    /// Putting a certificate into a request's status.
    Sign,
    /// Publishing trust anchors.
    Attest,
}

impl SignerVerb {
    /// The verb that roles name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Sign => "sign",
            Self::Attest => "attest",
        }
    }
}

/// Whether a user may act for a signer (`example.com/name`): allowed for the signer itself or for `example.com/*`.
pub fn may_act_for_signer(
    authorizer: &dyn Authorizer,
    user: &Arc<User>,
    verb: SignerVerb,
    signer: &str,
) -> bool {
    let ask = |name: &str| {
        let ask = Attributes::resource(user, verb.name(), "certificates.k8s.io", "*", "signers");
        authorizer.authorize(&ask.named(name)).allowed()
    };
    let domain = signer.split('/').next().unwrap_or(signer);
    ask(signer) || ask(&format!("{domain}/*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::{Decision, Rules};

    struct Only(&'static str);
    impl Authorizer for Only {
        fn authorize(&self, ask: &Attributes) -> Decision {
            let reason = String::new();
            let fits = ask.verb == "approve" && ask.resource == "signers" && ask.name == self.0;
            if fits { Decision::Allow { reason } } else { Decision::NoOpinion { reason } }
        }
        fn rules_for(&self, _: &User, _: &str) -> Rules {
            Rules::default()
        }
    }

    #[test]
    fn by_name_or_by_domain() {
        let user = Arc::new(User::internal("alice", &[]));
        let may = |rule, verb, signer| may_act_for_signer(&Only(rule), &user, verb, signer);
        assert!(may("example.com/a", SignerVerb::Approve, "example.com/a"));
        assert!(may("example.com/*", SignerVerb::Approve, "example.com/a"));
        assert!(!may("example.com/a", SignerVerb::Approve, "example.com/b"));
        assert!(!may("example.com/*", SignerVerb::Approve, "example.org/a"));
        assert!(!may("example.com/a", SignerVerb::Sign, "example.com/a"));
    }
}
