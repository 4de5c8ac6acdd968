//! What a fault point costs while no rule is live.
//!
//! Read the results as ratios of one run: `handler/with_point` over `handler/bare` is the price an actor pays for
//! its inputs (1000 per measurement), `point/idle` over `point/empty` is the check against an empty loop body, and
//! `point/armed_elsewhere` is a question while a rule about something else is live.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;
use trireme_core::Tick;
use trireme_faults::{BusAction, BusRule, Direction, FaultPoint, FaultRule, Faults};

const PATH: &str = "/server/s1/bus/peer/s2";

/// Inputs handled in one measurement.
const INPUTS: u64 = 1_000;

/// A small realistic actor: one keyed counter update and an answer of 64 bytes for each input.
#[derive(Default)]
struct Work {
    counts: BTreeMap<u64, u64>,
}

impl Work {
    /// Handles [`INPUTS`] inputs, each if `may` lets it.
    fn repeat(&mut self, may: impl Fn(&str) -> bool) -> u64 {
        let mut sum = 0;
        for input in 0..INPUTS {
            if may(black_box(PATH)) {
                sum += u64::from(self.handle(input.wrapping_mul(0x9e37_79b9))[0]);
            }
        }
        sum
    }

    #[inline(never)]
    fn handle(&mut self, input: u64) -> Vec<u8> {
        let count = self.counts.entry(input % 256).or_default();
        *count += 1;
        let mut answer = vec![0; 64];
        answer[..8].copy_from_slice(&count.to_le_bytes());
        black_box(answer)
    }
}

fn idle(c: &mut Criterion) {
    let faults = Faults::new();
    let now = Tick::from_nanos(1);
    let mut point = c.benchmark_group("point");
    point.bench_function("empty", |b| b.iter(|| (black_box(&faults), black_box(PATH)).1.len()));
    point.bench_function("idle", |b| b.iter(|| black_box(&faults).mailbox(black_box(PATH), now).is_some()));
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

    // The bare handler runs before and after, so that the noise of the machine shows.
    let mut handler = c.benchmark_group("handler");
    for name in ["bare", "with_point", "bare_again"] {
        let point = (name == "with_point").then_some(&faults);
        handler.bench_function(name, |b| match point {
            None => b.iter_batched_ref(Work::default, |work| work.repeat(|_| true), BatchSize::SmallInput),
            Some(faults) => b.iter_batched_ref(
                Work::default,
                |work| work.repeat(|path| black_box(faults).mailbox(path, now).is_none()),
                BatchSize::SmallInput,
            ),
        });
    }
    handler.finish();
}

criterion_group!(benches, idle);
criterion_main!(benches);
