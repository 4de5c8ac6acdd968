use std::io;
use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use actix_rt::System;
use parking_lot::{Mutex, RwLock};
use thiserror::Error;
use tokio::runtime::Handle;
use trireme_core::Tick;
use trireme_core::supervision::{ChildId, ChildPolicy, SupervisorPolicy};
use trireme_faults::Faults;

use crate::ActorPath;
use crate::arbiter::Arbiters;
use crate::clock::Clock;
use crate::gauges::Gauges;
use crate::origin::Origin;
use crate::registry::Registry;
use crate::report::KernelReport;
use crate::shared::Shared;
use crate::slot::AnySlot;
use crate::supervisor::{SupervisorRef, SupervisorShared, supervisor_slot};
use crate::watchdog::{self, Alarm};

/// Most arbiters by default; more only help a process that is busy deciding.
const DEFAULT_ARBITERS: usize = 4;

/// How a kernel is started.
#[derive(Clone, Debug)]
pub struct KernelConfig {
    /// This machine's name: the owner of `/server/<machine>/..` and `/node/<machine>/..`.
    pub machine: String,
    /// Arbiter threads; 0 for one per core, at most 4.
    pub arbiters: usize,
    /// Threads of the shared I/O runtime; 0 for one per core, at most 4.
    pub io_threads: usize,
    /// Fault points to consult.
    pub faults: Faults,
    /// Seed of everything random in the kernel (jitter of back-off) and of what actors derive from it.
    pub seed: u64,
    /// The root supervisor's policy. Its reaction to too many restarts is always to back off: a process
    /// does not exit because of restarts.
    pub root: SupervisorPolicy,
}

impl KernelConfig {
    /// Defaults for `machine`, without faults.
    pub fn new(machine: impl Into<String>) -> Self {
        Self {
            machine: machine.into(),
            arbiters: 0,
            io_threads: 0,
            faults: Faults::none(),
            seed: 0,
            root: SupervisorPolicy::default(),
        }
    }
}

/// Why a kernel did not start.
#[derive(Debug, Error)]
pub enum KernelError {
    /// A thread or runtime could not be made.
    #[error("cannot start {what}: {source}; check the limits on threads and files")]
    Threads {
        /// What was started.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// A running tree of actors, its threads and its clock.
///
/// Dropping it ends its threads without grace; call [`Kernel::shutdown`] before.
pub struct Kernel {
    shared: Arc<Shared>,
    root: Arc<SupervisorShared>,
    origin: Origin,
    alarm: Arc<Alarm>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    io: tokio::runtime::Runtime,
    system: thread::JoinHandle<()>,
    watchdog: thread::JoinHandle<()>,
}

impl Kernel {
    /// Starts a kernel with an empty root supervisor (path `/`). May be called from any thread.
    ///
    /// # Errors
    /// When a thread or runtime cannot be made.
    pub fn start(config: KernelConfig) -> Result<Self, KernelError> {
        let threads = |what| move |source| KernelError::Threads { what, source };
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(DEFAULT_ARBITERS);
        let or_cores = |asked: usize| if asked == 0 { cores } else { asked };
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(or_cores(config.io_threads))
            .thread_name("trireme-io")
            .enable_all()
            .build()
            .map_err(threads("the I/O runtime"))?;
        let (system, system_thread) = start_system().map_err(threads("the actor system"))?;
        let alarm = Arc::new(Alarm::default());
        let arbiters = Arbiters::start(system, or_cores(config.arbiters), Arc::clone(&alarm))
            .map_err(threads("the arbiters"))?;
        let shared = Arc::new(Shared {
            machine: config.machine,
            seed: config.seed,
            clock: Clock::start(),
            io: io.handle().clone(),
            faults: config.faults,
            arbiters,
            gauges: Arc::new(Gauges::default()),
            next_slot: AtomicU64::new(0),
            slots: RwLock::default(),
            remote: RwLock::new(None),
        });
        let watchdog = watchdog::spawn(&shared, Arc::clone(&alarm)).map_err(threads("the watchdog"))?;
        let root = SupervisorShared::new(ActorPath::root(), Origin::endless(config.root), &shared);
        let (origin, sink) = Origin::prepare();
        let policy = ChildPolicy { grace: Duration::from_secs(3600), ..ChildPolicy::default() };
        let slot = supervisor_slot(&root, policy, ChildId(0), sink, None);
        shared.slots.write().insert(ActorPath::root(), slot.clone());
        let origin = origin.start(slot, policy, &shared);
        let threads = Mutex::new(Some(Threads { io, system: system_thread, watchdog }));
        Ok(Self { shared, root, origin, alarm, threads })
    }

    /// The registry.
    pub fn registry(&self) -> Registry {
        Registry::new(Arc::clone(&self.shared))
    }

    /// The root supervisor, path `/`.
    pub fn root(&self) -> SupervisorRef {
        SupervisorRef::new(Arc::clone(&self.root))
    }

    /// The shared I/O runtime.
    pub fn io(&self) -> &Handle {
        &self.shared.io
    }

    /// The time on the kernel's clock.
    pub fn now(&self) -> Tick {
        self.shared.clock.now()
    }

    /// The fault points the kernel consults.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What the kernel holds in all.
    pub fn report(&self) -> KernelReport {
        self.registry().kernel_report()
    }

    /// Every actor's figures and the kernel's as OpenMetrics text.
    pub fn metrics_text(&self) -> String {
        self.registry().metrics_text()
    }

    /// Stops the whole tree in order, each actor with its own grace and all of it within `grace`; what is
    /// left then is killed. Returns what is alive at the end: 0, unless an actor is stuck. Calling it again,
    /// also at the same time, waits for the same end.
    pub async fn shutdown(&self, grace: Duration) -> u64 {
        self.origin.shut_down();
        if tokio::time::timeout(grace, self.origin.finished()).await.is_err() {
            tracing::warn!(?grace, "the tree did not stop within its grace; killing what is left");
            self.origin.kill();
        }
        // Long enough for the watchdog to give up on actors that do not even let themselves be killed.
        let patience = Duration::from_secs(2);
        let _still_alive = tokio::time::timeout(patience, self.quiet()).await;
        self.close_tree();
        self.shared.gauges.live.load(Ordering::Acquire)
    }

    /// Waits until [`Kernel::shutdown`] has brought the tree down, whoever called it.
    pub async fn finished(&self) {
        self.origin.finished().await;
    }

    /// Closes every mailbox and empties the registry, which also lets go of the slots' hold on the kernel.
    fn close_tree(&self) {
        let root: Option<Arc<dyn AnySlot>> = self.shared.slots.read().get(&ActorPath::root()).cloned();
        if let Some(root) = root {
            crate::supervisor::close_slot(&self.shared, &root);
        }
    }

    async fn quiet(&self) {
        loop {
            let mut quiet = pin!(self.shared.gauges.quiet.notified());
            quiet.as_mut().enable();
            if self.shared.gauges.live.load(Ordering::Acquire) == 0 {
                return;
            }
            quiet.await;
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.alarm.stop();
        self.close_tree();
        self.shared.arbiters.stop();
        let Some(threads) = self.threads.lock().take() else { return };
        // Not joined: an arbiter may be stuck, and a runtime may be dropped from async code.
        threads.io.shutdown_background();
        drop((threads.system, threads.watchdog));
    }
}

/// Starts the actix system on a thread of its own.
fn start_system() -> io::Result<(System, thread::JoinHandle<()>)> {
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("trireme-system".to_owned()).spawn(move || {
        let runner = System::new();
        let _gone = ready.send(System::current());
        if let Err(error) = runner.run() {
            tracing::error!(%error, "the actor system ended with an error");
        }
    })?;
    let system = started.recv().map_err(|_| io::Error::other("the system's thread ended at once"))?;
    Ok((system, thread))
}
