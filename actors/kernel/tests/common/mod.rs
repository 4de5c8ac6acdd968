//! A small actor that does on demand whatever a test needs, and helpers around it.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use trireme_faults::Faults;
use trireme_kernel::supervision::{BackOff, Incarnation, Intensity, SupervisorPolicy, WhenExceeded};
use trireme_kernel::{
    ActorPath, ActorReport, ActorSpec, Behaviour, Call, Context, Kernel, KernelConfig, Reply, StartError,
    Stopping,
};

/// Generous: only a hang takes this long.
pub const LONG: Duration = Duration::from_secs(30);

pub enum Ask {
    Add(u64, Reply<u64>),
    Count(Reply<u64>),
    Incarnation(Reply<Incarnation>),
    Panic(Option<Reply<()>>),
    Fail,
    Stop,
    Stash(Reply<()>),
    DropReply(Reply<()>),
    Refuse(Reply<()>),
    Block(Duration),
    BlockHolding(Duration, Reply<()>),
    Arm(Duration),
    Io(Duration, Reply<()>),
    IoDone(Reply<()>),
    IoPanic,
    Task(Duration),
    Note(&'static str),
}

#[derive(Serialize, Deserialize)]
pub struct AddCall(pub u64);

impl Call for AddCall {
    type Answer = u64;
    const NAME: &'static str = "add";
}

#[derive(Serialize, Deserialize)]
pub struct WhoCall;

impl Call for WhoCall {
    type Answer = String;
    const NAME: &'static str = "who";
}

/// What happened, in order: `"<name>:<what>"`.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn note(&self, entry: String) {
        self.0.lock().push(entry);
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    pub fn count(&self, entry: &str) -> usize {
        self.0.lock().iter().filter(|known| *known == entry).count()
    }

    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

#[derive(Clone, Default)]
pub struct Options {
    pub log: Log,
    /// Goes on after being asked to stop.
    pub stubborn: bool,
    /// Starts fail while this is above zero; each failure takes one off.
    pub failing_starts: Arc<Mutex<u32>>,
    /// The factory panics likewise.
    pub failing_factories: Arc<Mutex<u32>>,
}

pub struct Probe {
    name: String,
    options: Options,
    count: u64,
    stash: Vec<Reply<()>>,
}

fn take_one(counter: &Mutex<u32>) -> bool {
    let mut left = counter.lock();
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

impl Behaviour for Probe {
    type Input = Ask;

    fn started(&mut self, _cx: &mut Context<Self>) -> Result<(), StartError> {
        if take_one(&self.options.failing_starts) {
            return Err(StartError("told not to start".to_owned()));
        }
        self.options.log.note(format!("{}:started", self.name));
        Ok(())
    }

    fn handle(&mut self, input: Ask, cx: &mut Context<Self>) {
        match input {
            Ask::Add(value, reply) => {
                self.count += value;
                reply.answer(self.count);
            }
            Ask::Count(reply) => reply.answer(self.count),
            Ask::Incarnation(reply) => reply.answer(cx.incarnation()),
            Ask::Panic(_reply) => panic!("told to panic"),
            Ask::Fail => cx.fail("told to fail"),
            Ask::Stop => cx.stop(),
            Ask::Stash(reply) => self.stash.push(reply),
            Ask::DropReply(reply) => drop(reply),
            Ask::Refuse(reply) => reply.refuse("told to refuse"),
            Ask::Block(span) => std::thread::sleep(span),
            Ask::BlockHolding(span, reply) => {
                std::thread::sleep(span);
                self.options.log.note(format!("{}:unblocked", self.name));
                drop(reply);
            }
            Ask::Arm(span) => cx.arm(cx.now() + span),
            Ask::Io(span, reply) => {
                let work = async move {
                    tokio::time::sleep(span).await;
                    Ask::IoDone(reply)
                };
                cx.spawn_io(work).unwrap();
            }
            Ask::IoDone(reply) => {
                self.options.log.note(format!("{}:io", self.name));
                reply.answer(());
            }
            Ask::IoPanic => {
                cx.spawn_io(async { panic!("told to panic in I/O") }).unwrap();
            }
            Ask::Task(span) => {
                cx.spawn_task(tokio::time::sleep(span)).unwrap();
            }
            Ask::Note(text) => self.options.log.note(format!("{}:{text}", self.name)),
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        self.options.log.note(format!("{}:timer@{}", self.name, cx.incarnation()));
    }

    fn stopping(&mut self, _grace: Duration, _cx: &mut Context<Self>) -> Stopping {
        self.options.log.note(format!("{}:stopping", self.name));
        if self.options.stubborn { Stopping::Later } else { Stopping::Now }
    }

    fn label(input: &Ask) -> &'static str {
        match input {
            Ask::Add(..) => "add",
            Ask::Panic(_) => "panic",
            Ask::Block(_) | Ask::BlockHolding(..) => "block",
            Ask::Note(_) => "note",
            _ => "other",
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.options.log.note(format!("{}:dropped", self.name));
    }
}

pub fn probe(name: &str) -> ActorSpec<Probe> {
    probe_with(name, Options::default())
}

pub fn probe_with(name: &str, options: Options) -> ActorSpec<Probe> {
    let own = name.to_owned();
    ActorSpec::new(name, move |_| {
        assert!(!take_one(&options.failing_factories), "told not to be built");
        Probe { name: own.clone(), options: options.clone(), count: 0, stash: Vec::new() }
    })
    .call::<AddCall>(|call, reply| Ask::Add(call.0, reply))
}

/// Restarts at once and for ever, so that tests do not wait for back-off.
pub fn eager() -> SupervisorPolicy {
    SupervisorPolicy { intensity: endless(), back_off: quick(), ..SupervisorPolicy::default() }
}

pub fn endless() -> Intensity {
    Intensity { restarts: 1_000, window: Duration::from_millis(100), when_exceeded: WhenExceeded::BackOff }
}

pub fn quick() -> BackOff {
    BackOff { first: Duration::ZERO, max: Duration::from_millis(5), jitter_percent: 0 }
}

pub fn kernel() -> Kernel {
    kernel_with(Faults::none())
}

pub fn kernel_with(faults: Faults) -> Kernel {
    trireme_kernel::install_panic_hook();
    let config = KernelConfig {
        arbiters: 2,
        io_threads: 2,
        faults,
        seed: 7,
        root: eager(),
        ..KernelConfig::new("s1")
    };
    Kernel::start(config).unwrap()
}

pub fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

/// Runs a test body on the kernel's I/O runtime, and fails instead of hanging.
pub fn run<F: Future>(kernel: &Kernel, body: F) -> F::Output {
    kernel.io().block_on(async { tokio::time::timeout(4 * LONG, body).await.expect("the test hangs") })
}

/// Waits until `holds`; fails after [`LONG`].
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn report_of(kernel: &Kernel, at: &str) -> Option<ActorReport> {
    kernel.registry().report(&path(at)).into_iter().find(|report| report.path.as_str() == at)
}

/// True when every declared actor has a living incarnation that has started.
pub fn is_whole(kernel: &Kernel) -> bool {
    let reports = kernel.registry().report(&ActorPath::root());
    reports.iter().all(|report| report.alive && report.state != "starting")
}
