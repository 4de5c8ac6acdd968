//! The rules of pods: node ports of single pods, a pod that reaches itself, and packets that leave the cluster.
//!
//! A fixed handful of rules for each family; what changes are elements of three sets.

use std::net::IpAddr;

use ipnet::IpNet;

use super::BridgeConfig;
use crate::ipam::{Lease, Published};
use crate::nft::{Batch, Element, Family, Field, Hook, HookType, Rule, Set, SetKind, Table};
use crate::nft::{Expression, Register};

const NAME: &str = "trireme-pods";
/// Just before Services change destinations.
const BEFORE_SERVICES: i32 = -101;
const SOURCES: i32 = 100;

const PORTS: Set = Set {
    name: "host-ports",
    key: &[Field::Protocol, Field::Port],
    kind: SetKind::Map(&[Field::Address, Field::Port]),
    dynamic: None,
};
const PORTS_AT: Set =
    Set { name: "host-ports-at", key: &[Field::Address, Field::Protocol, Field::Port], ..PORTS };
const SELVES: Set =
    Set { name: "selves", key: &[Field::Address, Field::Address], kind: SetKind::Set, dynamic: None };

/// The table of a family.
pub(crate) fn table(family: Family) -> Table {
    Table { family, name: NAME }
}

/// Makes the tables anew, with the elements of all leases.
pub(crate) fn rebuild(batch: &mut Batch, config: &BridgeConfig, ranges: &[IpNet], leases: &[&Lease]) {
    for family in Family::BOTH {
        let table = table(family);
        batch.reset_table(table);
        for set in [PORTS, PORTS_AT, SELVES] {
            batch.add_set(table, &set);
        }
        let nat = |number, priority| Hook { kind: HookType::Nat, number, priority };
        for (chain, number) in [("prerouting", 0), ("output", 3)] {
            batch.add_base_chain(table, chain, nat(number, BEFORE_SERVICES));
            host_port_rules(batch, table, chain);
        }
        batch.add_base_chain(table, "postrouting", nat(4, SOURCES));
        leaving_rules(batch, table, config, ranges);
    }
    for lease in leases {
        add(batch, lease);
    }
}

fn host_port_rules(batch: &mut Batch, table: Table, chain: &str) {
    let family = table.family;
    let found = |set: Set| Expression::Lookup {
        set: set.name.to_owned(),
        key: Register(0),
        to: Some(Register(8)),
        not: false,
    };
    let at = Rule::new(family)
        .load_front()
        .then(found(PORTS_AT))
        .count()
        .redirect(8)
        .comment("hostIP and hostPort");
    batch.add_rule(table, chain, &at);
    let any = Rule::new(family).to_this_machine_or_loopback().load_port_pair().then(found(PORTS));
    batch.add_rule(table, chain, &any.count().redirect(8).comment("hostPort"));
}

fn leaving_rules(batch: &mut Batch, table: Table, config: &BridgeConfig, ranges: &[IpNet]) {
    let family = table.family;
    let of_family = |net: &&IpNet| Family::of(net.addr()) == family;
    let pair = Rule::new(family).load_source(0);
    let second = pair.after_address(0);
    let itself = pair.load_destination(second).in_set(SELVES.name).redirected();
    let itself = itself.count().then(Expression::Masquerade).comment("a pod reaches itself");
    batch.add_rule(table, "postrouting", &itself);
    let loopback: IpNet =
        if family == Family::V4 { "127.0.0.0/8" } else { "::1/128" }.parse().expect("constants");
    let from_loopback = Rule::new(family).source_in(loopback, false).redirected().count();
    let from_loopback = from_loopback.then(Expression::Masquerade).comment("hostPort from the node itself");
    batch.add_rule(table, "postrouting", &from_loopback);
    let multicast: IpNet =
        if family == Family::V4 { "224.0.0.0/4" } else { "ff00::/8" }.parse().expect("constants");
    for range in ranges.iter().filter(of_family) {
        let mut rule = Rule::new(family).source_in(*range, false).leaves_by(&config.bridge, true);
        let inside = config.cluster_cidrs.iter().chain(&config.no_masquerade);
        for net in inside.filter(of_family).chain([&multicast, range]) {
            rule = rule.destination_in(*net, true);
        }
        let rule = rule.count().then(Expression::Masquerade).comment("pods leave the cluster");
        batch.add_rule(table, "postrouting", &rule);
    }
}

/// Adds a pod's elements.
pub(crate) fn add(batch: &mut Batch, lease: &Lease) {
    for (family, set, element) in elements(lease) {
        batch.add_elements(table(family), set, &[element]);
    }
}

/// Removes a pod's elements, which are there.
pub(crate) fn remove(batch: &mut Batch, lease: &Lease) {
    for (family, set, element) in elements(lease) {
        batch.remove_elements(table(family), set, &[element]);
    }
}

fn elements(lease: &Lease) -> Vec<(Family, &'static str, Element)> {
    let mut elements = Vec::new();
    for address in &lease.addresses {
        let family = Family::of(*address);
        elements.push((family, SELVES.name, Element::new().address(*address).address(*address)));
        let ports = lease.ports.iter().filter(|port| port.host_ip.is_none_or(|at| Family::of(at) == family));
        elements.extend(ports.map(|port| {
            let (set, element) = port_element(port, *address);
            (family, set, element)
        }));
    }
    elements
}

fn port_element(port: &Published, pod: IpAddr) -> (&'static str, Element) {
    let (set, start) = match port.host_ip {
        Some(at) => (PORTS_AT.name, Element::new().address(at)),
        None => (PORTS.name, Element::new()),
    };
    (set, start.protocol(port.protocol).port(port.host_port).gives(pod, port.container_port))
}
