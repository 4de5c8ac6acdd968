//! Who may ask what over the bus. Everything that is not allowed here is denied.

use trireme_bus::permission::{CallPattern, Rule, Who};
use trireme_bus::{IdentityKind, PermissionTable};
use trireme_kernel::{Call, Class};
use trireme_pki::GROUP_MASTERS;
use trireme_process::cluster::{ListMembers, RenewCertificate};

/// The table of every machine.
pub(crate) fn permissions() -> PermissionTable {
    let exactly = |name: &str| CallPattern::Exact(name.to_owned());
    let raft = || CallPattern::Prefix("raft.".to_owned());
    let node = || Who::Kind(IdentityKind::Node);
    PermissionTable::new(vec![
        // Servers are one party: each holds the cluster's signing key.
        Rule::allow(Who::Kind(IdentityKind::Server), "/", CallPattern::Any),
        // Administrators may look at everything and change everything.
        Rule::allow(Who::Group(GROUP_MASTERS.to_owned()), "/", CallPattern::Any),
        // Consensus is between servers, whatever group a certificate names.
        Rule::deny(node(), "/", raft()),
        Rule::deny(Who::Kind(IdentityKind::User), "/", raft()),
        Rule::deny(Who::Kind(IdentityKind::Component), "/", raft()),
        Rule::deny(node(), "/", CallPattern::Any).on(&[Class::Raft]),
        Rule::deny(Who::Kind(IdentityKind::User), "/", CallPattern::Any).on(&[Class::Raft]),
        Rule::deny(Who::Kind(IdentityKind::Component), "/", CallPattern::Any).on(&[Class::Raft]),
        // An agent may talk to its own actors, and to servers about its own certificate and who they are.
        Rule::allow(node(), "/node/{self}", CallPattern::Any),
        Rule::allow(node(), "/server/*/cluster", exactly(RenewCertificate::NAME)),
        Rule::allow(node(), "/server/*/cluster", exactly(ListMembers::NAME)),
    ])
}
