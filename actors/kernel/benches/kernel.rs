//! What the kernel costs: asks, sends, the fault hook while idle, memory of an idle actor.
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trireme_faults::Faults;
use trireme_kernel::supervision::ShutdownOrder;
use trireme_kernel::{ActorSpec, Address, Behaviour, Context, Kernel, KernelConfig, Reply, SupervisorSpec};

const DEADLINE: Duration = Duration::from_secs(10);
const BURST: u64 = 512;
const ACTORS: u64 = 10_000;

enum Input {
    Add(u64),
    Sum(Reply<u64>),
}

#[derive(Default)]
struct Adder {
    sum: u64,
}

impl Behaviour for Adder {
    type Input = Input;

    fn handle(&mut self, input: Input, _cx: &mut Context<Self>) {
        match input {
            Input::Add(value) => self.sum = self.sum.wrapping_add(value),
            Input::Sum(reply) => reply.answer(self.sum),
        }
    }
}

fn kernel(faults: Faults) -> (Kernel, Address<Input>) {
    let kernel = Kernel::start(KernelConfig { faults, ..KernelConfig::new("bench") }).expect("starts");
    let adder = kernel.root().add(ActorSpec::new("adder", |_| Adder::default())).expect("is added");
    (kernel, adder)
}

fn asks(criterion: &mut Criterion) {
    let (kernel, adder) = kernel(Faults::none());
    let mut group = criterion.benchmark_group("ask");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one at a time", |bench| {
        bench.iter_custom(|rounds| {
            kernel.io().block_on(async {
                let start = Instant::now();
                for _ in 0..rounds {
                    black_box(adder.ask(Input::Sum, DEADLINE).await).expect("answers");
                }
                start.elapsed()
            })
        });
    });
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 callers", |bench| {
        bench.iter_custom(|rounds| {
            kernel.io().block_on(async {
                let start = Instant::now();
                let callers = (0..64).map(|_| {
                    let adder = adder.clone();
                    tokio::spawn(async move {
                        for _ in 0..rounds {
                            black_box(adder.ask(Input::Sum, DEADLINE).await).expect("answers");
                        }
                    })
                });
                for caller in callers.collect::<Vec<_>>() {
                    caller.await.expect("no caller panics");
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

/// Sends bursts and waits for the sum, so that the rate is that of inputs handled.
fn send_bursts(kernel: &Kernel, adder: &Address<Input>, rounds: u64) -> Duration {
    kernel.io().block_on(async {
        let start = Instant::now();
        for _ in 0..rounds {
            for value in 0..BURST {
                adder.send(Input::Add(value)).expect("a burst fits the mailbox");
            }
            black_box(adder.ask(Input::Sum, DEADLINE).await).expect("answers");
        }
        start.elapsed()
    })
}

/// `none` cannot be armed, `idle` can; both ask the hook. The hook's own cost is measured alone below.
fn sends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("send");
    group.throughput(Throughput::Elements(BURST));
    for (name, faults) in [("none", Faults::none()), ("idle", Faults::new())] {
        let (kernel, adder) = kernel(faults);
        group.bench_function(name, |bench| bench.iter_custom(|rounds| send_bursts(&kernel, &adder, rounds)));
    }
    group.finish();
    let faults = Faults::new();
    criterion.bench_function("fault hook while idle", |bench| bench.iter(|| black_box(&faults).is_idle()));
}

fn memory(_: &mut Criterion) {
    let (kernel, _adder) = kernel(Faults::none());
    let pool = SupervisorSpec::new("pool").shutdown_order(ShutdownOrder::Together);
    let pool = kernel.root().add_supervisor(pool).expect("is added");
    let idle = resident_kib();
    let mut last = None;
    for at in 0..ACTORS {
        last = Some(pool.add(ActorSpec::new(format!("a{at}"), |_| Adder::default())).expect("is added"));
    }
    let last = last.expect("there are some");
    let start = Instant::now();
    kernel.io().block_on(async {
        last.ask(Input::Sum, DEADLINE).await.expect("answers");
        while kernel.report().live < ACTORS + 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let each = resident_kib().saturating_sub(idle) as f64 / ACTORS as f64;
    println!(
        "memory: kernel {idle} KiB resident, {each:.2} KiB per idle actor ({ACTORS} up after {:?})",
        start.elapsed()
    );
    kernel.io().block_on(kernel.shutdown(Duration::from_secs(60)));
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

criterion_group! {
    name = kernel_benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = memory, asks, sends
}
criterion_main!(kernel_benches);
