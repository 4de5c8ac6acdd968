//! The fixed part of the tables: sets, base chains and the rules that never change.

use trireme_dataplane::nft::{
    Batch, Expression, Family, Field, Hook, HookType, Rule, Set, SetKind, Table, Verdict,
};

use crate::kernel::ServicesConfig;

pub(crate) const NAME: &str = "trireme-services";
/// Packets with this mark get the node's address when they leave.
const MASQUERADE_MARK: u32 = 0x4000;
/// Clients that a node remembers for session affinity, in each family.
const AFFINITY_LIMIT: u32 = 262_144;

const FRONT: &[Field] = &[Field::Address, Field::Protocol, Field::Port];
const NODE_FRONT: &[Field] = &[Field::Protocol, Field::Port];
const BACKEND: &[Field] = &[Field::Address, Field::Port];

const fn verdicts(name: &'static str, key: &'static [Field]) -> Set {
    Set { name, key, kind: SetKind::Verdicts, dynamic: None }
}

const fn plain(name: &'static str, key: &'static [Field]) -> Set {
    Set { name, key, kind: SetKind::Set, dynamic: None }
}

pub(crate) const FRONTS: Set = verdicts("fronts", FRONT);
pub(crate) const NODE_FRONTS: Set = verdicts("node-fronts", NODE_FRONT);
pub(crate) const REFUSED: Set = verdicts("refused", FRONT);
pub(crate) const NODE_REFUSED: Set = verdicts("node-refused", NODE_FRONT);
pub(crate) const GUARDED: Set = verdicts("guarded", FRONT);
pub(crate) const ADDRESSES: Set = plain("addresses", &[Field::Address]);
pub(crate) const SELVES: Set = plain("selves", &[Field::Address, Field::Address]);
/// Backends by pool and place.
pub(crate) const BACKENDS: Set = Set {
    name: "backends",
    key: &[Field::Number, Field::Number],
    kind: SetKind::Map(BACKEND),
    dynamic: None,
};
/// Backends of pools with affinity: a remembered one counts only while it is here.
pub(crate) const ALIVE: Set = plain("alive", &[Field::Number, Field::Address, Field::Port]);
/// Whom a client was sent to, by pool and client.
pub(crate) const AFFINITY: Set = Set {
    name: "affinity",
    key: &[Field::Number, Field::Address],
    kind: SetKind::Map(BACKEND),
    dynamic: Some(AFFINITY_LIMIT),
};

const SETS: [Set; 10] =
    [FRONTS, NODE_FRONTS, REFUSED, NODE_REFUSED, GUARDED, ADDRESSES, SELVES, BACKENDS, ALIVE, AFFINITY];

/// The table of a family.
pub(crate) fn table(family: Family) -> Table {
    Table { family, name: NAME }
}

/// Makes a family's table anew, without any Service.
pub(crate) fn scaffold(batch: &mut Batch, family: Family, config: &ServicesConfig) {
    let table = table(family);
    batch.reset_table(table);
    for set in &SETS {
        batch.add_set(table, set);
    }
    for chain in ["reject", "check", "services"] {
        batch.add_chain(table, chain);
    }
    let base = |batch: &mut Batch, chain, kind, number, priority| {
        batch.add_base_chain(table, chain, Hook { kind, number, priority });
    };
    // Judged before destinations change, so by the address that was asked for.
    base(batch, "check-prerouting", HookType::Filter, 0, -110);
    base(batch, "check-output", HookType::Filter, 3, -110);
    base(batch, "prerouting", HookType::Nat, 0, -100);
    base(batch, "output", HookType::Nat, 3, -100);
    base(batch, "postrouting", HookType::Nat, 4, 100);
    // What still goes to a Service's address here was sent to a port it does not have.
    base(batch, "unmatched-forward", HookType::Filter, 2, 0);
    base(batch, "unmatched-output", HookType::Filter, 3, 0);
    let rule = || Rule::new(family);
    for chain in ["check-prerouting", "check-output"] {
        batch.add_rule(table, chain, &rule().new_connection().jump("check"));
    }
    batch.add_rule(table, "check", &rule().load_front().verdict_of(GUARDED.name));
    batch.add_rule(table, "check", &rule().load_front().verdict_of(REFUSED.name));
    batch.add_rule(table, "check", &rule().to_this_machine().load_port_pair().verdict_of(NODE_REFUSED.name));
    for chain in ["prerouting", "output"] {
        batch.add_rule(table, chain, &rule().jump("services"));
    }
    service_rules(batch, table, config);
    let marked = rule().marked(MASQUERADE_MARK).clear_mark(MASQUERADE_MARK).count();
    batch.add_rule(table, "postrouting", &marked.then(Expression::Masquerade).comment("from outside"));
    let itself = rule().load_source(0);
    let second = itself.after_address(0);
    let itself = itself.load_destination(second).in_set(SELVES.name).redirected().count();
    batch.add_rule(
        table,
        "postrouting",
        &itself.then(Expression::Masquerade).comment("a pod reaches itself"),
    );
    for chain in ["unmatched-forward", "unmatched-output"] {
        let unmatched = rule().load_destination(0).in_set(ADDRESSES.name).new_connection();
        batch.add_rule(table, chain, &unmatched.verdict(Verdict::Goto("reject".to_owned())));
    }
    let tcp = 6;
    batch.add_rule(table, "reject", &rule().protocol(tcp).count().reject(true));
    batch.add_rule(table, "reject", &rule().count().reject(false));
}

fn service_rules(batch: &mut Batch, table: Table, config: &ServicesConfig) {
    let family = table.family;
    let pods: Vec<_> = config.cluster_cidrs.iter().filter(|net| Family::of(net.addr()) == family).collect();
    if !pods.is_empty() {
        let outside = Rule::new(family).load_destination(0).in_set(ADDRESSES.name);
        let outside = pods.iter().fold(outside, |rule, net| rule.source_in(**net, true));
        batch.add_rule(table, "services", &mark(outside).comment("not from a pod"));
    }
    batch.add_rule(table, "services", &Rule::new(family).load_front().verdict_of(FRONTS.name));
    let node = Rule::new(family).to_this_machine().load_port_pair().verdict_of(NODE_FRONTS.name);
    batch.add_rule(table, "services", &node);
}

/// The packet gets the node's address when it leaves.
pub(crate) fn mark(rule: Rule) -> Rule {
    rule.set_mark(MASQUERADE_MARK)
}
