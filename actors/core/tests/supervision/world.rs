//! A random tree of supervisors and leaves, and the harm done to it.
#![allow(clippy::print_stdout, reason = "a single seed is run to be read")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Add;
use std::time::Duration;

use trireme_core::supervision::{
    BackOff, ChildId, ChildPolicy, ExitReason, Incarnation, Intensity, RestartMode, Seen, ShutdownOrder,
    Strategy, SupervisorCore, SupervisorEffect, SupervisorInput, SupervisorPolicy, WhenExceeded,
};
use trireme_core::{Core, Rng, Tick};

use crate::shadow::Shadow;

/// Most events one seed may take; more is a restart loop without end.
const EVENT_LIMIT: u64 = 20_000;
/// When the harm ends.
const PEACE: Tick = Tick::from_millis(400);
const DEPTH: u64 = 3;

/// What the seeds covered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) restarts: u64,
    pub(crate) escalations: u64,
    pub(crate) exceeded_back_offs: u64,
    pub(crate) shutdowns_in_restart: u64,
    pub(crate) kills_after_grace: u64,
    pub(crate) stale_reports: u64,
    pub(crate) leftovers: u64,
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            restarts: self.restarts + other.restarts,
            escalations: self.escalations + other.escalations,
            exceeded_back_offs: self.exceeded_back_offs + other.exceeded_back_offs,
            shutdowns_in_restart: self.shutdowns_in_restart + other.shutdowns_in_restart,
            kills_after_grace: self.kills_after_grace + other.kills_after_grace,
            stale_reports: self.stale_reports + other.stale_reports,
            leftovers: self.leftovers + other.leftovers,
        }
    }
}

type NodeId = usize;

struct Node {
    parent: NodeId,
    child: ChildId,
    policy: ChildPolicy,
    alive: Option<Incarnation>,
    last: Incarnation,
    finished: bool,
    gone: bool,
    supervises: Option<Supervised>,
}

struct Supervised {
    policy: SupervisorPolicy,
    declared: BTreeMap<ChildId, NodeId>,
    next_child: u64,
    removing: Vec<ChildId>,
    /// Only while the supervisor is alive.
    life: Option<(SupervisorCore, Shadow)>,
    /// Reports that wait for its next life.
    waiting: Vec<SupervisorInput>,
    armed: Option<Tick>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Report(NodeId, u64),
    End(NodeId, Incarnation, u8),
    Alarm(NodeId),
    Harm,
    Shutdown,
}

const ENDS: [ExitReason; 7] = [
    ExitReason::Normal,
    ExitReason::Panic,
    ExitReason::Failed,
    ExitReason::Killed,
    ExitReason::Stalled,
    ExitReason::StartFailed,
    ExitReason::Abandoned,
];

pub(crate) struct World {
    rng: Rng,
    now: Tick,
    heap: BinaryHeap<Reverse<(Tick, u64, Event)>>,
    order: u64,
    reports: BTreeMap<u64, SupervisorInput>,
    nodes: Vec<Node>,
    shutting_down: bool,
    trace: u64,
    /// Prints every input and effect.
    verbose: bool,
    tally: Tally,
}

/// The origin: a supervisor without a parent that never dies and never escalates.
const ORIGIN: NodeId = 0;

impl World {
    pub(crate) fn new(seed: u64, verbose: bool) -> Self {
        let mut world = Self {
            rng: Rng::new(seed),
            now: Tick::ZERO,
            heap: BinaryHeap::new(),
            order: 0,
            reports: BTreeMap::new(),
            nodes: Vec::new(),
            shutting_down: false,
            trace: 0,
            verbose,
            tally: Tally::default(),
        };
        let mut policy = world.supervisor_policy();
        policy.intensity.when_exceeded = WhenExceeded::BackOff;
        let own = ChildPolicy::default();
        world.nodes.push(node(ORIGIN, ChildId(0), own, Some(supervised(policy))));
        let mut root = world.supervisor_policy();
        root.intensity.when_exceeded = WhenExceeded::BackOff;
        let permanent = ChildPolicy { restart: RestartMode::Permanent, ..world.child_policy() };
        let root = world.declare(ORIGIN, permanent, Some(root));
        world.populate(root, 1);
        world
    }

    /// Runs to the end; gives a digest of every effect, and what was covered.
    pub(crate) fn run(mut self) -> (u64, Tally) {
        self.nodes[ORIGIN].alive = Some(Incarnation(1));
        self.begin_life(ORIGIN);
        self.at(Tick::from_millis(1), Event::Harm);
        let shuts_down = self.rng.chance(1, 2);
        if shuts_down {
            let when = Tick::from_millis(self.rng.below(600));
            self.at(when, Event::Shutdown);
        }
        let mut events = 0;
        while let Some(Reverse((at, _, event))) = self.heap.pop() {
            events += 1;
            assert!(events < EVENT_LIMIT, "no end of events");
            self.now = at;
            self.happen(event);
        }
        self.check_end(shuts_down);
        (self.trace, self.tally)
    }

    fn supervisor_policy(&mut self) -> SupervisorPolicy {
        let rng = &mut self.rng;
        let strategy = [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll][pick(rng, 3)];
        let when_exceeded = [WhenExceeded::Escalate, WhenExceeded::BackOff][pick(rng, 2)];
        SupervisorPolicy {
            strategy,
            intensity: Intensity {
                restarts: u32::try_from(rng.below(5)).expect("small"),
                window: Duration::from_millis(rng.between(1, 80)),
                when_exceeded,
            },
            back_off: BackOff {
                first: Duration::from_millis(rng.below(4)),
                max: Duration::from_millis(rng.between(4, 40)),
                jitter_percent: u8::try_from(rng.below(60)).expect("small"),
            },
            shutdown_order: [ShutdownOrder::Reverse, ShutdownOrder::Reverse, ShutdownOrder::Together]
                [pick(rng, 3)],
        }
    }

    fn child_policy(&mut self) -> ChildPolicy {
        let rng = &mut self.rng;
        let modes =
            [RestartMode::Permanent, RestartMode::Permanent, RestartMode::Transient, RestartMode::Temporary];
        ChildPolicy {
            restart: modes[pick(rng, 4)],
            grace: Duration::from_millis(rng.below(12)),
            progress_limit: Duration::from_secs(1),
        }
    }

    fn declare(&mut self, under: NodeId, policy: ChildPolicy, below: Option<SupervisorPolicy>) -> NodeId {
        let id = self.nodes.len();
        let above = self.nodes[under].supervises.as_mut().expect("declared under a supervisor");
        let child = ChildId(above.next_child);
        above.next_child += 1;
        above.declared.insert(child, id);
        self.nodes.push(node(under, child, policy, below.map(supervised)));
        id
    }

    fn populate(&mut self, under: NodeId, depth: u64) {
        for _ in 0..self.rng.between(1, 4) {
            let policy = self.child_policy();
            if depth < DEPTH && self.rng.chance(1, 3) {
                let below = self.supervisor_policy();
                let node = self.declare(under, policy, Some(below));
                self.populate(node, depth + 1);
            } else {
                self.declare(under, policy, None);
            }
        }
    }

    fn at(&mut self, at: Tick, event: Event) {
        self.order += 1;
        self.heap.push(Reverse((at, self.order, event)));
    }

    fn soon(&mut self, most_ms: u64, event: Event) {
        let wait = Duration::from_micros(self.rng.below(most_ms * 1_000 + 1));
        self.at(self.now + wait, event);
    }

    /// Sends a report; now and then it comes twice, the second time late.
    fn report(&mut self, to: NodeId, input: SupervisorInput) {
        for again in [false, true] {
            if !again || self.rng.chance(1, 4) {
                self.order += 1;
                self.reports.insert(self.order, input);
                let event = Event::Report(to, self.order);
                self.soon(if again { 30 } else { 2 }, event);
            }
            self.tally.stale_reports += u64::from(again);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Report(to, number) => {
                let input = self.reports.remove(&number).expect("each report is delivered once");
                self.deliver(to, input);
            }
            Event::End(node, incarnation, reason) => {
                if self.nodes[node].alive == Some(incarnation) {
                    self.end_life(node, ENDS[usize::from(reason)]);
                }
            }
            Event::Alarm(node) => self.alarm(node),
            Event::Harm => self.harm(),
            Event::Shutdown => {
                self.shutting_down = true;
                let busy = self.nodes.iter().filter_map(|node| node.supervises.as_ref()?.life.as_ref());
                self.tally.shutdowns_in_restart +=
                    u64::from(busy.into_iter().any(|(_, shadow)| shadow.is_busy()));
                self.deliver(ORIGIN, SupervisorInput::Shutdown);
            }
        }
    }

    fn deliver(&mut self, to: NodeId, input: SupervisorInput) {
        let now = self.now;
        let supervised = self.nodes[to].supervises.as_mut().expect("reports go to supervisors");
        let Some((core, shadow)) = &mut supervised.life else {
            supervised.waiting.push(input);
            return;
        };
        // A shell forgets with its supervisor's life what was removed in it, so no repetition outlives it.
        let outlived = matches!(input, SupervisorInput::AddChild { child, .. }
            if !supervised.declared.contains_key(&child) && !shadow.has_known(child));
        if shadow.over || outlived {
            return;
        }
        let mut effects = Vec::new();
        if self.verbose {
            println!("{} {to} <- {input:?} ({})", now.as_nanos(), core.state_name());
        }
        shadow.input(now, input);
        core.step(now, input, &mut effects);
        self.carry_out(to, effects);
    }

    fn alarm(&mut self, node: NodeId) {
        let now = self.now;
        let supervised = self.nodes[node].supervises.as_mut().expect("only supervisors have timers");
        if supervised.armed != Some(now) {
            return;
        }
        supervised.armed = None;
        let Some((core, _)) = &mut supervised.life else { return };
        let mut effects = Vec::new();
        if core.deadline().is_some_and(|at| at <= now) {
            core.expire(now, &mut effects);
            assert!(core.deadline().is_none_or(|at| at > now), "expire leaves nothing that is due");
        }
        self.carry_out(node, effects);
    }

    /// Judges and carries out effects, then arms the one timer.
    fn carry_out(&mut self, node: NodeId, effects: Vec<SupervisorEffect>) {
        let now = self.now;
        for effect in effects {
            self.note(node, &effect);
            let Some((_, shadow)) = &mut self.nodes[node].supervises.as_mut().expect("a supervisor").life
            else {
                return;
            };
            shadow.effect(now, effect);
            self.perform(node, effect);
        }
        let supervised = self.nodes[node].supervises.as_mut().expect("a supervisor");
        let Some((core, shadow)) = &mut supervised.life else { return };
        shadow.settled();
        let most = core.len() + usize::try_from(supervised.policy.intensity.restarts).expect("small");
        assert!(core.len() <= shadow.declared() && core.footprint() <= most, "the core grows");
        assert!(!shadow.over || core.deadline().is_none(), "a timer is left after the end");
        let deadline = core.deadline();
        assert!(deadline.is_none_or(|at| at >= now), "a deadline that has passed is left");
        if deadline != supervised.armed {
            supervised.armed = deadline;
            if let Some(at) = deadline {
                self.at(at, Event::Alarm(node));
            }
        }
    }

    fn note(&mut self, node: NodeId, effect: &SupervisorEffect) {
        let text = format!("{} {node} {effect:?}", self.now.as_nanos());
        if self.verbose {
            println!("{text}");
        }
        for byte in text.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        match effect {
            SupervisorEffect::Start { incarnation, .. } => {
                self.tally.restarts += u64::from(incarnation.0 > 1)
            }
            SupervisorEffect::Restarting { exceeded, .. } => {
                self.tally.exceeded_back_offs += u64::from(*exceeded)
            }
            SupervisorEffect::Escalate { .. } => self.tally.escalations += 1,
            _ => {}
        }
    }

    fn perform(&mut self, node: NodeId, effect: SupervisorEffect) {
        let find = |world: &Self, child| {
            world.nodes[node].supervises.as_ref().expect("a supervisor").declared[&child]
        };
        match effect {
            SupervisorEffect::Start { child, incarnation } => {
                let id = find(self, child);
                let target = &mut self.nodes[id];
                if target.gone {
                    // Its supervisor is about to be killed with what was removed above it.
                    return;
                }
                assert_eq!(target.alive, None, "never two living incarnations");
                assert!(incarnation > target.last, "an incarnation is never used twice");
                (target.alive, target.last, target.finished) = (Some(incarnation), incarnation, false);
                self.started(node, id, child, incarnation);
            }
            SupervisorEffect::Stop { child, incarnation, .. } => {
                let id = find(self, child);
                if self.nodes[id].alive != Some(incarnation) {
                    return;
                }
                if let Some(below) = &self.nodes[id].supervises {
                    // One whose start is about to fail does not get to it any more.
                    if below.life.is_some() {
                        self.deliver(id, SupervisorInput::Shutdown);
                    }
                } else if self.rng.chance(4, 5) {
                    self.soon(8, Event::End(id, incarnation, 0));
                }
            }
            SupervisorEffect::Kill { child, incarnation } => {
                let id = find(self, child);
                self.tally.kills_after_grace += u64::from(!self.nodes[id].policy.grace.is_zero());
                self.soon(1, Event::End(id, incarnation, 3));
            }
            SupervisorEffect::ChildFinished { child } => {
                let id = find(self, child);
                self.nodes[id].finished = true;
            }
            SupervisorEffect::Removed { child } => {
                let id = find(self, child);
                assert!(self.nodes[id].alive.is_none(), "forgets only what is down");
                self.nodes[node].supervises.as_mut().expect("a supervisor").declared.remove(&child);
                self.forget(id);
            }
            SupervisorEffect::Restarting { .. } => {}
            SupervisorEffect::Escalate { .. } => {
                assert_ne!(node, ORIGIN, "the origin never escalates");
                self.end_life(node, ExitReason::Escalated);
            }
            SupervisorEffect::Finished if node == ORIGIN => {}
            SupervisorEffect::Finished => self.end_life(node, ExitReason::Normal),
        }
    }

    fn started(&mut self, above: NodeId, id: NodeId, child: ChildId, incarnation: Incarnation) {
        let fails = self.now < PEACE && self.rng.chance(1, 12);
        if fails {
            self.soon(3, Event::End(id, incarnation, 5));
        } else {
            self.report(above, SupervisorInput::Started { child, incarnation });
            if self.nodes[id].supervises.is_some() {
                self.begin_life(id);
            }
        }
    }

    fn forget(&mut self, id: NodeId) {
        self.nodes[id].gone = true;
        let supervised = self.nodes[id].supervises.as_ref();
        let below: Vec<NodeId> =
            supervised.map_or_else(Vec::new, |own| own.declared.values().copied().collect());
        for child in below {
            self.forget(child);
        }
    }

    fn begin_life(&mut self, id: NodeId) {
        let seed = self.rng.next_u64();
        let now = self.now;
        let supervised = self.nodes[id].supervises.as_ref().expect("a supervisor");
        let mut inputs = Vec::new();
        for (child, node) in &supervised.declared {
            let node = &self.nodes[*node];
            let seen = Seen { last: node.last, alive: node.alive.is_some(), finished: node.finished };
            self.tally.leftovers += u64::from(seen.alive);
            inputs.push(SupervisorInput::AddChild { child: *child, policy: node.policy, seen });
            if supervised.removing.contains(child) {
                inputs.push(SupervisorInput::RemoveChild { child: *child });
            }
        }
        let supervised = self.nodes[id].supervises.as_mut().expect("a supervisor");
        supervised.armed = None;
        let (mut core, mut shadow) =
            (SupervisorCore::new(supervised.policy, seed), Shadow::new(supervised.policy));
        let mut effects = Vec::new();
        for input in inputs {
            shadow.input(now, input);
            core.step(now, input, &mut effects);
        }
        let waiting = std::mem::take(&mut supervised.waiting);
        supervised.life = Some((core, shadow));
        self.carry_out(id, effects);
        self.deliver(id, SupervisorInput::Start);
        for input in waiting {
            self.deliver(id, input);
        }
    }

    /// An incarnation ends; with a supervisor, what is below it is killed.
    fn end_life(&mut self, id: NodeId, reason: ExitReason) {
        let Some(incarnation) = self.nodes[id].alive.take() else { return };
        if let Some(supervised) = &mut self.nodes[id].supervises {
            supervised.life = None;
            let below: Vec<NodeId> = supervised.declared.values().copied().collect();
            for child in below {
                if let Some(living) = self.nodes[child].alive {
                    self.soon(1, Event::End(child, living, 3));
                }
            }
        }
        let (parent, child) = (self.nodes[id].parent, self.nodes[id].child);
        self.report(parent, SupervisorInput::Exited { child, incarnation, reason });
    }

    fn harm(&mut self) {
        if self.now < PEACE {
            let storm = self.rng.chance(1, 4);
            self.soon(if storm { 1 } else { 40 }, Event::Harm);
        }
        let Some(victim) = self.rng.index(self.nodes.len() - 1).map(|at| at + 1) else { return };
        if self.nodes[victim].gone {
            return;
        }
        let (above, child) = (self.nodes[victim].parent, self.nodes[victim].child);
        match self.rng.below(20) {
            0 => self.add_child(),
            1 if victim != 1 => {
                let supervised = self.nodes[above].supervises.as_mut().expect("a parent");
                supervised.removing.push(child);
                self.report(above, SupervisorInput::RemoveChild { child });
            }
            2 => self.report(above, SupervisorInput::RestartChild { child }),
            3 => {
                let incarnation = Incarnation(self.rng.below(self.nodes[victim].last.0 + 1));
                if Some(incarnation) != self.nodes[victim].alive {
                    self.tally.stale_reports += 1;
                    self.report(
                        above,
                        SupervisorInput::Exited { child, incarnation, reason: ExitReason::Panic },
                    );
                }
            }
            _ => {
                if let Some(incarnation) = self.nodes[victim].alive {
                    let reason = u8::try_from(self.rng.below(7)).expect("small");
                    // Only leaves end by themselves, and only a start can fail to start.
                    let reason = if reason == 5 || (reason == 0 && self.nodes[victim].supervises.is_some()) {
                        1
                    } else {
                        reason
                    };
                    self.soon(1, Event::End(victim, incarnation, reason));
                }
            }
        }
    }

    fn add_child(&mut self) {
        let supervisors: Vec<NodeId> = (1..self.nodes.len())
            .filter(|id| self.nodes[*id].supervises.is_some() && !self.nodes[*id].gone)
            .collect();
        let Some(under) = self.rng.index(supervisors.len()).map(|at| supervisors[at]) else { return };
        let policy = self.child_policy();
        let id = self.declare(under, policy, None);
        let child = self.nodes[id].child;
        let input = SupervisorInput::AddChild { child, policy, seen: Seen::default() };
        self.deliver(under, input);
        // It may have been removed again when this one comes.
        self.report(under, input);
    }

    fn check_end(&self, shut_down: bool) {
        let (core, shadow) =
            self.nodes[ORIGIN].supervises.as_ref().and_then(|own| own.life.as_ref()).expect("lives");
        assert_eq!(core.deadline(), None, "no timer is left");
        assert_eq!(shadow.over, shut_down, "the shutdown comes to its end");
        for (id, node) in self.nodes.iter().enumerate().skip(1) {
            if shut_down || node.gone {
                assert_eq!(node.alive, None, "node {id} is alive after its end");
                continue;
            }
            let due = !self.is_finished(id);
            assert!(
                !due || node.alive.is_some(),
                "node {id} ({:?} of {}) never came back, {:?}",
                node.child,
                node.parent,
                node.policy
            );
            let Some(supervised) = &node.supervises else { continue };
            if let Some((core, shadow)) = &supervised.life {
                assert!(!shadow.over && core.deadline().is_none(), "node {id} has not settled");
                assert_eq!(core.state_name(), "running", "node {id} has not settled");
            }
        }
    }
}

impl World {
    /// True when the node, or a supervisor above it, ended for good.
    fn is_finished(&self, id: NodeId) -> bool {
        id != ORIGIN && (self.nodes[id].finished || self.is_finished(self.nodes[id].parent))
    }
}

fn pick(rng: &mut Rng, among: u64) -> usize {
    usize::try_from(rng.below(among)).expect("small")
}

fn node(parent: NodeId, child: ChildId, policy: ChildPolicy, supervises: Option<Supervised>) -> Node {
    Node {
        parent,
        child,
        policy,
        alive: None,
        last: Incarnation(0),
        finished: false,
        gone: false,
        supervises,
    }
}

fn supervised(policy: SupervisorPolicy) -> Supervised {
    Supervised {
        policy,
        declared: BTreeMap::new(),
        next_child: 0,
        removing: Vec::new(),
        life: None,
        waiting: Vec::new(),
        armed: None,
    }
}
