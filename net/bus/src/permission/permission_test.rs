use super::*;
use crate::identity::{IdentityKind, PeerIdentity};
use trireme_kernel::Class;

fn id(kind: IdentityKind, name: &str) -> PeerIdentity {
    PeerIdentity::new(kind, name)
}

fn table() -> PermissionTable {
    PermissionTable::standard(&[("/server/*/pki", "renew")])
}

#[test]
fn a_node_reaches_itself_and_the_listed_calls_only() {
    let (table, n1) = (table(), id(IdentityKind::Node, "n1"));
    let may = |path, call, class| table.check(&n1, path, call, class).is_ok();
    assert!(may("/node/n1/kubelet", "sync", Class::Control));
    assert!(may("/server/s1/pki", "renew", Class::Control));
    assert!(!may("/server/s1/pki", "issue", Class::Control));
    assert!(!may("/server/s1/raft", "renew", Class::Control));
    assert!(!may("/node/n2/kubelet", "sync", Class::Control));
    assert!(!may("/node/n10/kubelet", "sync", Class::Control), "a name is a whole segment");
    assert!(!may("/node", "sync", Class::Control));
    assert!(!may("node/n1/kubelet", "sync", Class::Control), "paths are absolute");
    assert!(!may("/node/n1/kubelet", "sync", Class::Raft), "consensus is between servers");
}

#[test]
fn servers_and_masters_may_do_all_and_strangers_nothing() {
    let table = table();
    assert!(table.check(&id(IdentityKind::Server, "s1"), "/node/n2/kubelet", "sync", Class::Raft).is_ok());
    let mut admin = id(IdentityKind::User, "admin");
    assert!(table.check(&admin, "/server/s1/faults", "arm", Class::Control).is_err());
    admin.groups.push("system:masters".into());
    assert!(table.check(&admin, "/server/s1/faults", "arm", Class::Control).is_ok());
    assert!(table.check(&admin, "/server/s1/raft", "append", Class::Raft).is_err());
    assert!(PermissionTable::default().check(&admin, "/", "x", Class::Bulk).is_err());
}

#[test]
fn deny_wins_in_any_order() {
    let who = || Who::Identity { kind: IdentityKind::Node, name: "n1".into() };
    let allow = Rule::allow(who(), "/a", CallPattern::Any);
    let deny = Rule::deny(Who::Anyone, "/a/b", CallPattern::Prefix("set-".into()));
    let n1 = id(IdentityKind::Node, "n1");
    for rules in [vec![allow.clone(), deny.clone()], vec![deny, allow]] {
        let table = PermissionTable::new(rules);
        assert!(table.check(&n1, "/a/b", "get", Class::Control).is_ok());
        let denied = table.check(&n1, "/a/b/c", "set-x", Class::Control).expect_err("the rule forbids it");
        assert_eq!(
            denied.to_string(),
            "node:n1 may not send set-x to /a/b/c as class control: a rule forbids it"
        );
    }
}
