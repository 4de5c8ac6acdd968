//! What a fault point costs while no rule is live.
//!
//! Read the results as ratios of one run: `handler/with_point` over `handler/bare` is the price an actor pays for
//! each input; `point/idle` over `point/empty` is the check alone against an empty loop body.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;
use trireme_core::Tick;
use trireme_faults::{BusAction, BusRule, Direction, FaultPoint, FaultRule, Faults};

const PATH: &str = "/server/s1/bus/peer/s2";

/// A small realistic handler: one keyed counter update and an answer of 64 bytes.
fn handle(state: &mut BTreeMap<u64, u64>, input: u64) -> Vec<u8> {
    let count = state.entry(input % 256).or_default();
    *count += 1;
    let mut answer = vec![0; 64];
    answer[..8].copy_from_slice(&count.to_le_bytes());
    answer
}

fn idle(c: &mut Criterion) {
    let faults = Faults::new();
    let now = Tick::from_nanos(1);
    let mut point = c.benchmark_group("point");
    point.bench_function("empty", |b| b.iter(|| black_box(PATH)));
    point.bench_function("idle", |b| b.iter(|| black_box(&faults).mailbox(black_box(PATH), now)));
    point.bench_function("idle_bus", |b| {
        b.iter(|| black_box(&faults).bus(black_box("s2"), "raft", Direction::Out, now));
    });
    // For comparison: a rule about another peer is live, so every question takes the lock.
    let armed = Faults::new();
    let elsewhere = BusRule {
        peer_glob: "s9".into(),
        class: None,
        direction: Direction::Both,
        action: BusAction::Partition,
    };
    let rule = FaultRule::new("elsewhere", FaultPoint::Bus(elsewhere), Duration::from_secs(600));
    armed.arm(rule, now).expect("the rule is valid and the table empty");
    point.bench_function("armed_elsewhere", |b| b.iter(|| black_box(&armed).mailbox(black_box(PATH), now)));
    point.finish();

    let mut handler = c.benchmark_group("handler");
    let mut state = BTreeMap::new();
    let mut input = 0_u64;
    handler.bench_function("bare", |b| {
        b.iter(|| {
            input = input.wrapping_add(0x9e37_79b9);
            black_box(handle(&mut state, input))
        });
    });
    handler.bench_function("with_point", |b| {
        b.iter(|| {
            input = input.wrapping_add(0x9e37_79b9);
            match black_box(&faults).mailbox(PATH, now) {
                None => black_box(handle(&mut state, input)),
                Some(_) => Vec::new(),
            }
        });
    });
    handler.finish();
}

criterion_group!(benches, idle);
criterion_main!(benches);
