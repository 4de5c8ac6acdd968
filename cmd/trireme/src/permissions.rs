//! Who may ask what over the bus. Everything that is not allowed here is denied.

use trireme_bus::permission::{CallPattern, Rule, Who};
use trireme_bus::{IdentityKind, PermissionTable};
use trireme_kernel::{Call, Class};
use trireme_node_host::DIAL;
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
        // Streams to a node are asked for by the API, which has judged who wants one.
        Rule::deny(node(), "/", exactly(DIAL)),
        Rule::deny(Who::Kind(IdentityKind::User), "/", exactly(DIAL)),
        Rule::deny(Who::Kind(IdentityKind::Component), "/", exactly(DIAL)),
        // An agent may talk to its own actors, and to servers about its own certificate and who they are.
        Rule::allow(node(), "/node/{self}", CallPattern::Any),
        Rule::allow(node(), "/server/*/cluster", exactly(RenewCertificate::NAME)),
        Rule::allow(node(), "/server/*/cluster", exactly(ListMembers::NAME)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use trireme_bus::PeerIdentity;
    use trireme_bus::permission::SUBSCRIBE_CALL;
    use trireme_process::cluster::{CreateToken, RevokeMachine};
    use trireme_process::{ArmFault, HealFaults};
    use trireme_store::calls::{
        Admit, ChangeMember, CommitRestore, Get, Propose, SetDiskFaults, TransferLeadership,
    };

    const CLASSES: [Class; 4] = [Class::Raft, Class::Control, Class::Watch, Class::Bulk];

    fn may(who: &PeerIdentity, path: &str, call: &str) -> Vec<Class> {
        let table = permissions();
        CLASSES.into_iter().filter(|class| table.check(who, path, call, *class).is_ok()).collect()
    }

    fn node() -> PeerIdentity {
        PeerIdentity::new(IdentityKind::Node, "a1")
    }

    #[test]
    fn a_node_comes_near_nothing_of_a_server_but_its_own_certificate() {
        let forbidden = [
            ("/server/s1/faults", ArmFault::NAME),
            ("/server/s1/faults", HealFaults::NAME),
            ("/server/s1/cluster", RevokeMachine::NAME),
            ("/server/s1/cluster", CreateToken::NAME),
            ("/server/s1/store", Propose::NAME),
            ("/server/s1/store", Get::NAME),
            ("/server/s1/store", Admit::NAME),
            ("/server/s1/store", ChangeMember::NAME),
            ("/server/s1/store", TransferLeadership::NAME),
            ("/server/s1/store", CommitRestore::NAME),
            ("/server/s1/store", SetDiskFaults::NAME),
            ("/server/s1/store", SUBSCRIBE_CALL),
            ("/server/s1/store", "raft.ask"),
            ("/server/s1/store", "raft.stream"),
            ("/cluster/clock", "anything"),
            ("/node/a2/faults", ArmFault::NAME),
            ("/node/a10", "anything"),
        ];
        for (path, call) in forbidden {
            assert_eq!(may(&node(), path, call), [], "{call} at {path}");
        }
        for call in [RenewCertificate::NAME, ListMembers::NAME] {
            let classes = may(&node(), "/server/s1/cluster", call);
            assert!(
                classes.contains(&Class::Control) && !classes.contains(&Class::Raft),
                "{call}: {classes:?}"
            );
        }
        assert!(may(&node(), "/node/a1/kubelet", "anything").contains(&Class::Control));
    }

    #[test]
    fn only_servers_speak_raft_whatever_groups_the_others_are_in() {
        let path = "/server/s1/store";
        let server = PeerIdentity::new(IdentityKind::Server, "s2");
        assert_eq!(may(&server, path, "raft.ask"), CLASSES);
        for kind in [IdentityKind::Node, IdentityKind::User, IdentityKind::Component] {
            let mut peer = PeerIdentity::new(kind, "x");
            assert_eq!(may(&peer, path, Propose::NAME), [], "{kind:?}");
            peer.groups.push(GROUP_MASTERS.to_owned());
            assert_eq!(may(&peer, path, "raft.ask"), [], "{kind:?}");
            let classes = may(&peer, path, Propose::NAME);
            assert!(classes.contains(&Class::Control) && !classes.contains(&Class::Raft), "{kind:?}");
        }
    }

    #[test]
    fn only_servers_dial_nodes() {
        let server = PeerIdentity::new(IdentityKind::Server, "s2");
        assert!(may(&server, "/node/a1/kubelet", DIAL).contains(&Class::Bulk));
        for kind in [IdentityKind::Node, IdentityKind::User, IdentityKind::Component] {
            for name in ["a1", "a2"] {
                let mut peer = PeerIdentity::new(kind, name);
                peer.groups.push(GROUP_MASTERS.to_owned());
                assert_eq!(may(&peer, "/node/a1/kubelet", DIAL), [], "{kind:?}");
            }
        }
    }

    #[test]
    fn who_is_in_no_group_may_nothing() {
        for kind in [IdentityKind::User, IdentityKind::Component] {
            let peer = PeerIdentity::new(kind, "somebody");
            for path in ["/server/s1/faults", "/server/s1/cluster", "/node/somebody"] {
                assert_eq!(may(&peer, path, ListMembers::NAME), [], "{path}");
            }
        }
    }
}
