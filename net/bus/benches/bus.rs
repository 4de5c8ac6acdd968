//! `cargo bench -p trireme-bus`: criterion's figures, and one line per promise with its target.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::print_stdout
)]

#[path = "../tests/bus/board.rs"]
mod board;
#[path = "../tests/bus/kit.rs"]
mod kit;
mod measure;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kit::*;
use std::time::Duration;

fn pipelined(c: &mut Criterion) {
    const REQUESTS: usize = 50_000;
    let runtime = runtime();
    let pair = runtime.block_on(pair());
    runtime.block_on(measure::pipelined(&pair.peer, 100_000));
    let mut group = c.benchmark_group("bus");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .throughput(Throughput::Elements(REQUESTS as u64));
    group.bench_function("pipelined 256-byte requests", |b| {
        b.iter(|| runtime.block_on(measure::pipelined(&pair.peer, REQUESTS)));
    });
    group.finish();
}

fn raft(c: &mut Criterion) {
    let runtime = runtime();
    let pair = runtime.block_on(pair());
    let mut group = c.benchmark_group("bus");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("100 raft-class round trips, idle", |b| {
        b.iter(|| runtime.block_on(measure::raft_latency(&pair.peer, 100)));
    });
    group.finish();
}

fn promises(_: &mut Criterion) {
    let runtime = runtime();
    for line in runtime.block_on(measure::promises(2_000_000, 5_000, 400)) {
        println!("{line}");
    }
}

/// As the kernel's I/O runtime should be: a busy worker looks at its sockets after few tasks (the default is 61,
/// and a task that encrypts a batch of bulk datagrams takes a tenth of a millisecond).
fn runtime() -> tokio::runtime::Runtime {
    const EVENT_INTERVAL: u32 = 4;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).event_interval(EVENT_INTERVAL).enable_all().build().unwrap()
}

criterion_group!(benches, promises, pipelined, raft);
criterion_main!(benches);
