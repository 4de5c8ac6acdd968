//! Benchmarks of the state machine with 100,000 keys: applying, listing, waking and reading 10,000 watchers.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use trireme_mvcc::*;

const KEYS: u64 = 100_000;

fn key(number: u64) -> Key {
    Key::new(format!("/registry/pods/namespace-{}/pod-{number:06}-7d4b9c6f5d", number % 100))
}

fn put(number: u64, value: &Bytes) -> Proposal {
    let operation = Operation::Put { key: key(number), value: value.clone(), lease: None };
    Proposal::transaction(vec![Guard::Present(key(number))], vec![operation])
}

fn apply(state: &mut State, proposal: &Proposal, delta: &mut Delta) {
    let outcome = state.apply(state.applied_index() + 1, 1, proposal, delta);
    black_box(outcome).expect("next").expect("committed");
}

fn filled(value: &Bytes) -> State {
    let mut state = State::new();
    for number in 0..KEYS {
        let operation = Operation::Put { key: key(number), value: value.clone(), lease: None };
        apply(&mut state, &Proposal::transaction(vec![], vec![operation]), &mut Delta::new());
    }
    state
}

fn scattered(step: u64) -> u64 {
    step.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS
}

fn applying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(1));
    for value_bytes in [256, 1024] {
        let value = Bytes::from(vec![7; value_bytes]);
        let mut state = filled(&value);
        let mut step = 0;
        group.bench_function(format!("guarded update, {value_bytes} B"), |bencher| {
            bencher.iter_batched(
                || {
                    step += 1;
                    put(scattered(step), &value)
                },
                |proposal| apply(&mut state, &proposal, &mut Delta::new()),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let state = filled(&Bytes::from(vec![7; 1024]));
    let mut group = criterion.benchmark_group("read");
    let mut step = 0;
    group.bench_function("get", |bencher| {
        bencher.iter_batched(
            || {
                step += 1;
                key(scattered(step))
            },
            |key| black_box(state.get(&key).is_some()),
            BatchSize::SmallInput,
        );
    });
    let range = KeyRange::prefix("/registry/pods/");
    let middle = key(50_000);
    let page = |at| ListRequest {
        range: &range,
        at,
        after: Some(&middle),
        limit_objects: 5000,
        limit_bytes: usize::MAX,
    };
    group.bench_function("list 5,000 of 100,000, latest", |bencher| {
        bencher.iter(|| black_box(state.list(&page(At::Latest)).expect("latest")));
    });
    let old = At::Exact(Revision::new(KEYS - 1000));
    group.bench_function("list 5,000 of 100,000, 1,000 writes ago", |bencher| {
        bencher.iter(|| black_box(state.list(&page(old)).expect("kept")));
    });
    group.bench_function("count 100,000", |bencher| {
        bencher.iter(|| black_box(state.count(&range, At::Latest)));
    });
    group.finish();
}

fn watching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("watch");
    group.throughput(Throughput::Elements(10_000));
    let value = Bytes::from(vec![7; 1024]);
    for (name, namespaces) in [("all on one prefix", 1), ("one namespace of 100 each", 100)] {
        let mut state = filled(&value);
        let mut watches = Watches::new();
        let mut due: Vec<CursorId> = Vec::new();
        for number in 0..10_000_u64 {
            let prefix = match namespaces {
                1 => Key::from("/registry/pods/"),
                _ => Key::new(format!("/registry/pods/namespace-{}/", number % namespaces)),
            };
            let filter = Filter::Prefix(prefix);
            let after = state.revision();
            let request = WatchRequest { filter, after, previous: false, bookmarks: false };
            due.push(watches.open(&state, request).expect("open"));
        }
        let mut batch = Batch::default();
        let mut step = 0;
        let mut round = || {
            // As many writes as make every watcher get one event.
            for _ in 0..namespaces {
                step += 1;
                apply(&mut state, &put(step % KEYS, &value), &mut Delta::new());
            }
            watches.wake(&state, &mut due);
            let mut events = 0;
            for id in due.drain(..) {
                watches.read(&state, id, ReadLimits::default(), &mut batch).expect("kept");
                events += batch.events.len();
            }
            events
        };
        round();
        assert_eq!(round(), 10_000);
        group.bench_function(format!("10,000 watchers, {name}"), |bencher| bencher.iter(&mut round));
    }
    group.finish();
}

fn carrying_over(criterion: &mut Criterion) {
    let state = filled(&Bytes::from(vec![7; 1024]));
    let mut group = criterion.benchmark_group("snapshot of 100,000 x 1 KiB");
    group.sample_size(10);
    group.bench_function("freeze", |bencher| bencher.iter(|| black_box(state.snapshot())));
    group.bench_function("stream", |bencher| {
        let snapshot = Arc::new(state.snapshot());
        bencher.iter(|| snapshot.chunks(256 * 1024).map(|chunk| chunk.len()).sum::<usize>());
    });
    let chunks: Vec<Bytes> = Arc::new(state.snapshot()).chunks(256 * 1024).collect();
    group.bench_function("restore", |bencher| {
        bencher.iter(|| {
            let mut restore = Restore::new();
            chunks.iter().for_each(|chunk| restore.chunk(chunk).expect("good"));
            restore.finish().expect("whole")
        });
    });
    group.finish();
}

criterion_group!(benches, applying, reading, watching, carrying_over);
criterion_main!(benches);
