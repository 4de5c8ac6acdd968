use std::sync::Arc;
use std::time::Duration;

use trireme_core::supervision::{
    BackOff, ChildPolicy, Intensity, RestartMode, ShutdownOrder, Strategy, SupervisorPolicy,
};

use trireme_core::Tick;
use trireme_core::supervision::Incarnation;

use crate::call_table::CallTable;
use crate::{ActorPath, Behaviour, Call, Caller, Reply};

/// Inputs a mailbox holds unless its spec says otherwise.
pub const DEFAULT_MAILBOX: usize = 1_024;
/// I/O tasks an incarnation may have in flight unless its spec says otherwise.
pub const DEFAULT_IO_LIMIT: usize = 1_024;

/// What a factory is told about the incarnation it builds.
#[derive(Clone, Debug)]
pub struct Birth {
    /// The actor's path.
    pub path: ActorPath,
    /// Which life it is.
    pub incarnation: Incarnation,
    /// A seed of its own, derived from the kernel's seed, the path and the incarnation.
    pub seed: u64,
    /// When it is built, on the kernel's clock.
    pub now: Tick,
}

pub(crate) type Factory<B> = Arc<dyn Fn(&Birth) -> B + Send + Sync>;

/// How an actor is made and kept: everything its supervisor needs to know.
///
/// Defaults: permanent, 2 s grace, 10 s progress limit, mailbox of [`DEFAULT_MAILBOX`], no calls.
#[must_use]
pub struct ActorSpec<B: Behaviour> {
    pub(crate) name: String,
    pub(crate) policy: ChildPolicy,
    pub(crate) mailbox: usize,
    pub(crate) io_limit: usize,
    pub(crate) calls: CallTable,
    pub(crate) factory: Factory<B>,
}

impl<B: Behaviour> ActorSpec<B> {
    /// An actor called `name` (one or more segments joined by `/`, below its supervisor's path), whose
    /// incarnations `factory` builds. The factory runs on the arbiter; a panic in it is a failed start.
    pub fn new(name: impl Into<String>, factory: impl Fn(&Birth) -> B + Send + Sync + 'static) -> Self {
        Self {
            name: name.into(),
            policy: ChildPolicy::default(),
            mailbox: DEFAULT_MAILBOX,
            io_limit: DEFAULT_IO_LIMIT,
            calls: CallTable::default(),
            factory: Arc::new(factory),
        }
    }

    /// When it is started again.
    pub fn restart(mut self, restart: RestartMode) -> Self {
        self.policy.restart = restart;
        self
    }

    /// How long it may take to stop before it is killed.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.policy.grace = grace;
        self
    }

    /// How long it may be busy with one input before it is replaced.
    pub fn progress_limit(mut self, limit: Duration) -> Self {
        self.policy.progress_limit = limit;
        self
    }

    /// Most inputs waiting, at least 1.
    pub fn mailbox(mut self, capacity: usize) -> Self {
        self.mailbox = capacity.max(1);
        self
    }

    /// Most I/O tasks in flight.
    pub fn io_limit(mut self, limit: usize) -> Self {
        self.io_limit = limit;
        self
    }

    /// Answers calls of kind `C`, each turned into an input by `into`.
    ///
    /// # Panics
    /// When a call of the same name is in the table already.
    pub fn call<C: Call>(
        mut self,
        into: impl Fn(C, Reply<C::Answer>) -> B::Input + Send + Sync + 'static,
    ) -> Self {
        self.calls.add::<B::Input, C, _>(move |_: &Caller, call, reply| into(call, reply));
        self
    }

    /// The same, with the identity of the caller.
    ///
    /// # Panics
    /// When a call of the same name is in the table already.
    pub fn call_from<C: Call>(
        mut self,
        into: impl Fn(&Caller, C, Reply<C::Answer>) -> B::Input + Send + Sync + 'static,
    ) -> Self {
        self.calls.add::<B::Input, C, _>(into);
        self
    }
}

/// How a supervisor is made and kept, with its first children.
///
/// Defaults: permanent, one-for-one, five restarts in ten seconds then escalate, 30 s grace.
#[must_use]
pub struct SupervisorSpec {
    pub(crate) name: String,
    pub(crate) policy: ChildPolicy,
    pub(crate) children_policy: SupervisorPolicy,
    pub(crate) children: Vec<Box<dyn crate::supervisor::Declare>>,
}

impl SupervisorSpec {
    /// A supervisor called `name`, see [`ActorSpec::new`] for names.
    pub fn new(name: impl Into<String>) -> Self {
        let policy = ChildPolicy { grace: Duration::from_secs(30), ..ChildPolicy::default() };
        Self { name: name.into(), policy, children_policy: SupervisorPolicy::default(), children: Vec::new() }
    }

    /// When the supervisor itself is started again.
    pub fn restart(mut self, restart: RestartMode) -> Self {
        self.policy.restart = restart;
        self
    }

    /// How long the supervisor may take to stop, with all below it, before everything is killed.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.policy.grace = grace;
        self
    }

    /// Who is restarted with a failed child.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.children_policy.strategy = strategy;
        self
    }

    /// How many restarts are normal.
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.children_policy.intensity = intensity;
        self
    }

    /// How long to wait before a restart.
    pub fn back_off(mut self, back_off: BackOff) -> Self {
        self.children_policy.back_off = back_off;
        self
    }

    /// How all children are stopped.
    pub fn shutdown_order(mut self, order: ShutdownOrder) -> Self {
        self.children_policy.shutdown_order = order;
        self
    }

    /// Adds a child, started after those added before.
    pub fn child<B: Behaviour>(mut self, spec: ActorSpec<B>) -> Self {
        self.children.push(Box::new(spec));
        self
    }

    /// Adds a supervisor as a child.
    pub fn supervisor(mut self, spec: SupervisorSpec) -> Self {
        self.children.push(Box::new(spec));
        self
    }
}
