//! [`Scheduler`]: the core.

mod attempt;
mod explain;
mod extend;
mod failure;
mod objects;
mod outcome;
mod pods;
mod preempt;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use trireme_core::{Core, OpId, OpTable, Rng, Tick};

use crate::config::{ConfigError, SchedulerConfig, Setup};
use crate::effect::{Effect, PodRef};
use crate::input::Input;
use crate::ledger::Ledger;
use crate::node::NodeIx;
use crate::plugins::{ClusterEvent, Plugin, Scratch, may_help, registered};
use crate::pod::PodIx;
use crate::queue::{Depths, Queue};
use explain::Kept;
use extend::Asking;

/// Attempts of one turn; then inputs have theirs.
const ATTEMPTS_PER_TURN: usize = 256;
/// Bindings, evictions and questions that may be on their way at once.
const OPEN_LIMIT: usize = 65_536;
/// Pods whose last decision is kept.
const RECORDS_LIMIT: usize = 20_000;
/// Longest message of an event, in bytes, as the API takes it.
pub const NOTE_LIMIT_BYTES: usize = 1_024;

/// What an effect was for.
#[derive(Clone, Debug)]
enum Op {
    Bind { pod: PodIx, node: NodeIx },
    Evict { preemptor: PodIx },
    Extend(Box<Asking>),
}

/// See the crate.
#[derive(Clone, Debug)]
pub struct Scheduler {
    setup: Setup,
    ledger: Ledger,
    queue: Queue,
    ops: OpTable<(Op, Arc<str>)>,
    rng: Rng,
    synced: bool,
    /// Where the search for nodes goes on.
    next_node: usize,
    scratch: Scratch,
    feasible: Vec<NodeIx>,
    /// Nodes as extenders are shown them, kept only for those that do not know nodes themselves.
    node_objects: BTreeMap<crate::names::Sym, Arc<serde_json::Value>>,
    records: BTreeMap<PodIx, Kept>,
    recorded: VecDeque<PodIx>,
}

impl Scheduler {
    /// Knows nothing yet. Ties between nodes are broken by `seed`.
    ///
    /// # Errors
    /// The configuration names what does not exist.
    pub fn new(config: &SchedulerConfig, seed: u64) -> Result<Self, ConfigError> {
        let mut ledger = Ledger::new();
        let setup = config.setup(&mut ledger.names)?;
        let managed = setup.extenders.iter().flat_map(|extender| &extender.managed_resources);
        let ignored = managed.filter(|resource| resource.ignored_by_scheduler);
        ledger.ignored = ignored.map(|resource| ledger.names.of(&resource.name)).collect();
        Ok(Self {
            queue: Queue::new(setup.back_off_first, setup.back_off_most),
            setup,
            ledger,
            ops: OpTable::new(OPEN_LIMIT),
            rng: Rng::new(seed),
            synced: false,
            next_node: 0,
            scratch: Scratch::default(),
            feasible: Vec::new(),
            node_objects: BTreeMap::new(),
            records: BTreeMap::new(),
            recorded: VecDeque::new(),
        })
    }

    /// How many pods wait, and for what.
    pub fn depths(&self) -> Depths {
        self.queue.depths()
    }

    /// Effects that have not been answered.
    pub fn open(&self) -> usize {
        self.ops.len()
    }

    fn pod_ref(&self, pod: PodIx) -> PodRef {
        let own = self.ledger.pod(pod);
        PodRef {
            namespace: self.ledger.names.shared(own.namespace),
            name: own.name.clone(),
            uid: own.uid.clone(),
        }
    }

    /// The profile that a pod asks for; `None` when it is another scheduler's.
    fn profile_of(&self, scheduler: crate::names::Sym) -> Option<usize> {
        let name = self.ledger.names.text(scheduler);
        self.setup.profiles.iter().position(|profile| profile.name == name)
    }

    /// Something happened: pods that it may help are tried again.
    fn happened(&mut self, now: Tick, event: &ClusterEvent) {
        let plugins = registered(event);
        if !self.queue.concerns(plugins) {
            return;
        }
        let helps = |pod: PodIx, plugin: Plugin| {
            plugins.has(plugin) && may_help(plugin, &self.ledger, self.ledger.pod(pod), event)
        };
        let waiting = self.queue.waiting().filter(|(_, by)| by.meets(plugins));
        let woken: Vec<PodIx> = waiting
            .filter(|(pod, by)| by.iter().any(|plugin| helps(*pod, plugin)))
            .map(|(pod, _)| pod)
            .collect();
        for pod in woken {
            self.queue.wake(now, pod);
        }
    }

    fn open_op(&mut self, op: Op, uid: Arc<str>) -> Option<OpId> {
        self.ops.open((op, uid)).ok()
    }

    /// The pod of an answered effect, unless it is gone or another one has its place.
    fn same(&self, pod: PodIx, uid: &str) -> bool {
        self.ledger.pods.get(pod.at()).is_some_and(|own| *own.uid == *uid)
    }
}

impl Core for Scheduler {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Tick, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Put { resource, object } => self.put(now, resource, &object),
            Input::Gone { resource, namespace, name } => self.gone(now, resource, &namespace, &name),
            Input::Synced => self.synced = true,
            Input::Bound { op, outcome } => {
                if let Some((Op::Bind { pod, node }, uid)) = self.ops.finish(op) {
                    self.bound(now, pod, node, &uid, outcome, out);
                }
            }
            Input::Evicted { op, failed } => {
                if let Some((Op::Evict { preemptor }, uid)) = self.ops.finish(op)
                    && failed
                    && self.same(preemptor, &uid)
                {
                    self.queue.wake(now, preemptor);
                }
            }
            Input::Extended { op, answer } => {
                if let Some((Op::Extend(asking), uid)) = self.ops.finish(op) {
                    self.extended(now, *asking, &uid, answer, out);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Tick> {
        // Bindings on their way make room for more.
        if !self.synced || self.ops.len() >= OPEN_LIMIT / 2 { None } else { self.queue.deadline() }
    }

    fn expire(&mut self, now: Tick, out: &mut Vec<Effect>) {
        for _ in 0..ATTEMPTS_PER_TURN {
            if !self.synced || self.ops.len() >= OPEN_LIMIT / 2 {
                return;
            }
            match self.queue.pop(now) {
                Some(pod) => self.attempt(now, pod, out),
                None => return,
            }
        }
    }
}
