//! nf_tables as the kernel understands what we write: every expression, sets, maps, refusals, atomicity.

#![allow(clippy::unwrap_used)]

mod support;

use support::{Space, is_root};
use trireme_dataplane::nft::{
    Batch, Element, Expression, Family, Field, Hook, HookType, Nftables, Register, Rule, Set, SetKind, Table,
    Verdict,
};

const TABLE: Table = Table { family: Family::V4, name: "t" };
const FRONTS: Set = Set {
    name: "fronts",
    key: &[Field::Address, Field::Protocol, Field::Port],
    kind: SetKind::Verdicts,
    dynamic: None,
};
const BACKS: Set = Set {
    name: "backs",
    key: &[Field::Number, Field::Number],
    kind: SetKind::Map(&[Field::Address, Field::Port]),
    dynamic: None,
};
const SEEN: Set = Set { name: "seen", dynamic: Some(100), ..BACKS };

fn scaffold(batch: &mut Batch) {
    batch.reset_table(TABLE);
    for set in [FRONTS, BACKS, SEEN] {
        batch.add_set(TABLE, &set);
    }
    batch.add_base_chain(TABLE, "pre", Hook { kind: HookType::Nat, number: 0, priority: -100 });
    batch.add_base_chain(TABLE, "post", Hook { kind: HookType::Nat, number: 4, priority: 100 });
    batch.add_base_chain(TABLE, "raw", Hook { kind: HookType::Filter, number: 0, priority: -300 });
    batch.add_chain(TABLE, "to");
}

fn every_rule() -> Vec<(&'static str, Rule, Vec<&'static str>)> {
    let rule = || Rule::new(Family::V4);
    let lookup =
        Expression::Lookup { set: "backs".to_owned(), key: Register(0), to: Some(Register(8)), not: false };
    let dynamic = |operation, value, timeout_ms| Expression::Dynamic {
        set: "seen".to_owned(),
        operation,
        key: Register(0),
        value,
        timeout_ms,
    };
    let number = |to, value: u32| Expression::Value { to: Register(to), value: value.to_ne_bytes().to_vec() };
    let back = || Expression::Value { to: Register(8), value: vec![0; 8] };
    let pick = Expression::Random { to: Register(1), modulus: 3 };
    let hash = Expression::Hash { from: Register(0), length: 4, to: Register(1), modulus: 5, seed: 9 };
    vec![
        ("pre", rule().load_front().verdict_of("fronts"), vec!["payload", "meta", "payload", "lookup"]),
        (
            "to",
            rule().then(number(0, 7)).then(pick).then(lookup).count().redirect(8).comment("spread"),
            vec!["immediate", "numgen", "lookup", "counter", "nat"],
        ),
        (
            "to",
            rule().load_source(0).then(hash).then(back()).then(dynamic(1, Some(Register(8)), Some(60_000))),
            vec!["payload", "hash", "immediate", "dynset"],
        ),
        (
            "to",
            rule().then(number(0, 7)).then(number(1, 8)).then(back()).then(dynamic(
                2,
                Some(Register(8)),
                None,
            )),
            vec![],
        ),
        ("post", rule().marked(0x4000).clear_mark(0x4000).then(Expression::Masquerade), vec![]),
        (
            "post",
            rule().redirected().source_in("10.0.0.0/8".parse().unwrap(), true).leaves_by("x0", true),
            vec![],
        ),
        (
            "raw",
            rule().new_connection().protocol(6).reject(true),
            vec!["ct", "bitwise", "cmp", "meta", "cmp", "reject"],
        ),
        ("raw", rule().to_this_machine().set_mark(1).reject(false), vec![]),
        (
            "raw",
            rule()
                .from_this_machine()
                .then(Expression::Limit { rate: 10, burst: 5 })
                .then(Expression::NoTrack),
            vec![],
        ),
        ("raw", rule().verdict(Verdict::Return).comment("so"), vec!["immediate"]),
    ]
}

#[test]
fn the_kernel_reads_back_what_was_written() {
    if !is_root() {
        return;
    }
    let space = Space::new();
    let mut nft = Nftables::open(&space.netns).unwrap();
    let front = Element::new().address("10.96.0.1".parse().unwrap()).protocol(6).port(443);
    let front = front.decides(Verdict::Goto("to".to_owned()));
    let back = Element::new().number(7).number(0).gives("10.1.0.5".parse().unwrap(), 8080);
    let mut batch = Batch::new();
    scaffold(&mut batch);
    for (chain, rule, _) in every_rule() {
        batch.add_rule(TABLE, chain, &rule);
    }
    batch.add_elements(TABLE, "fronts", std::slice::from_ref(&front));
    batch.add_elements(TABLE, "backs", std::slice::from_ref(&back));
    nft.commit(batch).unwrap();

    assert_eq!(nft.tables(Family::V4).unwrap(), ["t"]);
    assert_eq!(nft.elements(TABLE, "fronts").unwrap(), [front]);
    assert_eq!(nft.elements(TABLE, "backs").unwrap(), [back]);
    for chain in ["pre", "to", "post", "raw"] {
        let read = nft.rules(TABLE, chain).unwrap();
        let written: Vec<_> = every_rule().into_iter().filter(|(of, _, _)| *of == chain).collect();
        assert_eq!(read.len(), written.len());
        for ((steps, _), (_, _, expected)) in
            read.iter().zip(&written).filter(|(_, (_, _, steps))| !steps.is_empty())
        {
            assert_eq!(steps, expected, "{chain}");
        }
    }
    assert_eq!(nft.rules(TABLE, "to").unwrap()[0].1, "spread");
    nft.remove_table(TABLE).unwrap();
    assert!(nft.tables(Family::V4).unwrap().is_empty());
    nft.remove_table(TABLE).unwrap();
}

#[test]
fn a_refused_batch_changes_nothing_and_names_the_object() {
    if !is_root() {
        return;
    }
    let space = Space::new();
    let mut nft = Nftables::open(&space.netns).unwrap();
    let mut batch = Batch::new();
    scaffold(&mut batch);
    nft.commit(batch).unwrap();
    let mut batch = Batch::new();
    batch.add_chain(TABLE, "half");
    batch.remove_elements(TABLE, "backs", &[Element::new().number(1).number(2)]);
    batch.add_chain(TABLE, "other-half");
    let refused = nft.commit(batch).unwrap_err();
    assert!(
        refused.is_missing() && refused.to_string().contains("elements of ip t backs: remove"),
        "{refused}"
    );
    assert!(!nft.chains(TABLE).unwrap().contains(&"half".to_owned()));
    let mut batch = Batch::new();
    batch.add_chain(TABLE, "whole");
    nft.commit(batch).unwrap();
}

#[test]
fn ten_thousand_elements_go_in_one_batch() {
    if !is_root() {
        return;
    }
    let space = Space::new();
    let mut nft = Nftables::open(&space.netns).unwrap();
    let elements: Vec<Element> = (0..10_000)
        .map(|n: u32| {
            Element::new().number(n / 10).number(n % 10).gives(std::net::Ipv4Addr::from(n).into(), 80)
        })
        .collect();
    let mut batch = Batch::new();
    scaffold(&mut batch);
    batch.add_elements(TABLE, "backs", &elements);
    nft.commit(batch).unwrap();
    let mut read = nft.elements(TABLE, "backs").unwrap();
    read.sort();
    let mut written = elements;
    written.sort();
    assert_eq!(read, written);
}
