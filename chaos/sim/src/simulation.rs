//! The world: an event heap on virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;
use trireme_core::{Core, Rng, Tick};

use crate::network::Network;
use crate::{
    Adapter, Disk, DiskError, Fault, Outside, PeerClock, PeerId, Peers, Plan, Settings, Shell, TraceHash,
};

/// Streams of chance, kept apart so that one does not disturb the others.
#[derive(Clone, Copy)]
enum Stream {
    Network = 1,
    Disk = 2,
    Clients = 3,
    Clocks = 4,
    Crash = 5,
    Plan = 6,
}

fn chance(seed: u64, stream: Stream, detail: u64) -> Rng {
    let mut root = Rng::new(seed ^ ((stream as u64) << 56));
    Rng::new(root.next_u64() ^ detail)
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// The faults that struck.
    pub plan: Plan,
    /// The fingerprint of everything that happened.
    pub trace_hash: u64,
    /// How many events there were.
    pub steps: u64,
    /// Whether it was as it should be.
    pub result: Result<(), Stopped>,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stopped {
    /// Something is wrong: the adapter said so, during the run or at its end.
    #[error("at {at}: {reason}")]
    Wrong {
        /// When, in world time.
        at: Tick,
        /// What.
        reason: String,
    },
    /// A peer could not be started from what its disk held.
    #[error("at {at}: peer {peer} could not start: {reason}")]
    NoStart {
        /// When, in world time.
        at: Tick,
        /// Which.
        peer: PeerId,
        /// What its adapter said.
        reason: String,
    },
    /// The run had too many events.
    #[error("at {at}: more than {limit} events; a timer or message loop does not come to rest")]
    StepLimit {
        /// When, in world time.
        at: Tick,
        /// The limit that was reached.
        limit: u64,
    },
}

enum Event<I, M> {
    Begin(usize),
    End(usize),
    Wake(u64),
    Local { peer: PeerId, event: Local<I, M> },
}

type EventOf<A> = Event<<<A as Adapter>::Core as Core>::Input, <A as Adapter>::Message>;

/// What happens to one peer.
enum Local<I, M> {
    Deliver { from: PeerId, message: M },
    Input(I),
    Synced { incarnation: u64, ticket: u64, covered: u64 },
    Timer { incarnation: u64, armed: Tick },
}

struct Peer<C: Core, M> {
    core: Option<C>,
    incarnation: u64,
    disk: Disk,
    clock: PeerClock,
    armed: Option<Tick>,
    /// How many episodes keep it down, or standing still.
    down: u32,
    paused: u32,
    held: Vec<Local<C::Input, M>>,
    slow_syncs: Vec<Duration>,
    failing_syncs: u32,
}

/// One run of one seed.
pub struct Simulation<A: Adapter> {
    seed: u64,
    settings: Settings,
    plan: Plan,
    adapter: A,
    peers: Vec<Peer<A::Core, A::Message>>,
    network: Network,
    /// By time, then by order of scheduling.
    events: BTreeMap<(Tick, u64), EventOf<A>>,
    scheduled: u64,
    last_arrival: BTreeMap<(PeerId, PeerId), Tick>,
    disk_rng: Rng,
    client_rng: Rng,
    now: Tick,
    trace: TraceHash,
    effects: Vec<<A::Core as Core>::Effect>,
}

impl<A: Adapter> Simulation<A> {
    /// A world with the plan that belongs to the seed.
    pub fn new(seed: u64, settings: Settings, adapter: A) -> Simulation<A> {
        let mut rng = chance(seed, Stream::Plan, 0);
        let plan = Plan::draw(&settings.plan, settings.peers, settings.length, &mut rng);
        Simulation::with_plan(seed, settings, plan, adapter)
    }

    /// A world with another plan for the same seed, as when faults are taken away one by one.
    pub fn with_plan(seed: u64, settings: Settings, plan: Plan, adapter: A) -> Simulation<A> {
        let mut clocks = chance(seed, Stream::Clocks, 0);
        let peers = (0..settings.peers)
            .map(|_| {
                let offset = u64::try_from(settings.clock_offset.as_nanos()).unwrap_or(u64::MAX);
                let drift = i64::from(settings.clock_drift_ppm);
                let gain = clocks.between(0, u64::from(settings.clock_drift_ppm) * 2);
                let drift_ppm = i64::try_from(gain).expect("twice a 32-bit number") - drift;
                let clock = PeerClock::new(Duration::from_nanos(clocks.between(0, offset)), drift_ppm);
                Peer::new(Disk::new(settings.disk.capacity_bytes), clock)
            })
            .collect();
        Simulation {
            seed,
            network: Network::new(settings.link, chance(seed, Stream::Network, 0)),
            settings,
            plan,
            adapter,
            peers,
            events: BTreeMap::new(),
            scheduled: 0,
            last_arrival: BTreeMap::new(),
            disk_rng: chance(seed, Stream::Disk, 0),
            client_rng: chance(seed, Stream::Clients, 0),
            now: Tick::ZERO,
            trace: TraceHash::default(),
            effects: Vec::new(),
        }
    }

    /// Runs to the end or the first failure; the adapter comes back with what it recorded.
    pub fn run(mut self) -> (Run, A) {
        let mut steps = 0;
        let result = self.play(&mut steps);
        let Simulation { seed, plan, trace, adapter, .. } = self;
        (Run { seed, plan, trace_hash: trace.value(), steps, result }, adapter)
    }

    fn play(&mut self, steps: &mut u64) -> Result<(), Stopped> {
        for (index, episode) in self.plan.episodes.clone().iter().enumerate() {
            self.schedule(episode.at, Event::Begin(index));
            self.schedule(episode.at + episode.lasts, Event::End(index));
        }
        for peer in 0..self.settings.peers {
            self.start(peer)?;
        }
        self.schedule(Tick::ZERO, Event::Wake(0));
        let end = Tick::ZERO + self.settings.length;
        while let Some(((at, number), event)) = self.events.pop_first() {
            if at > end {
                break;
            }
            if *steps == self.settings.step_limit {
                return Err(Stopped::StepLimit { at: self.now, limit: self.settings.step_limit });
            }
            *steps += 1;
            self.now = at;
            self.trace.add(at.as_nanos());
            self.trace.add(number);
            self.handle(event)?;
            let peers = Peers { cores: self.peers.iter().map(|peer| peer.core.as_ref()).collect(), now: at };
            self.adapter.check(&peers).map_err(|reason| Stopped::Wrong { at, reason })?;
        }
        self.now = end;
        let peers = Peers { cores: self.peers.iter().map(|peer| peer.core.as_ref()).collect(), now: end };
        self.adapter.finish(&peers).map_err(|reason| Stopped::Wrong { at: end, reason })
    }

    fn schedule(&mut self, at: Tick, event: EventOf<A>) {
        self.scheduled += 1;
        self.events.insert((at.max(self.now), self.scheduled), event);
    }

    fn handle(&mut self, event: EventOf<A>) -> Result<(), Stopped> {
        match event {
            Event::Begin(index) => self.begin(index),
            Event::End(index) => self.end(index)?,
            Event::Wake(token) => self.wake(token),
            Event::Local { peer, event } => self.local(peer, event),
        }
        Ok(())
    }

    fn begin(&mut self, index: usize) {
        self.trace.add(index as u64);
        match self.plan.episodes[index].fault.clone() {
            Fault::Down { peer } => {
                self.peer(peer).down += 1;
                self.crash(peer);
            }
            Fault::Paused { peer } => self.peer(peer).paused += 1,
            Fault::Cut { from, to } => self.network.cut(from, to),
            Fault::Split { side } => {
                for (from, to) in self.across(&side) {
                    self.network.cut(from, to);
                }
            }
            Fault::Lossy { per_mille } => self.network.add_loss(per_mille),
            Fault::SlowSync { peer, by } => self.peer(peer).slow_syncs.push(by),
            Fault::FailingSync { peer } => self.peer(peer).failing_syncs += 1,
            Fault::ClockJump { peer, by } => {
                let now = self.now;
                self.peer(peer).clock.jump(now, by);
                self.arm(peer);
            }
        }
    }

    fn end(&mut self, index: usize) -> Result<(), Stopped> {
        match self.plan.episodes[index].fault.clone() {
            Fault::Down { peer } => {
                self.peer(peer).down -= 1;
                if self.peer(peer).down == 0 {
                    self.start(peer)?;
                }
            }
            Fault::Paused { peer } => {
                self.peer(peer).paused -= 1;
                if self.peer(peer).paused == 0 {
                    for event in std::mem::take(&mut self.peer(peer).held) {
                        self.schedule(self.now, Event::Local { peer, event });
                    }
                }
            }
            Fault::Cut { from, to } => self.network.heal(from, to),
            Fault::Split { side } => {
                for (from, to) in self.across(&side) {
                    self.network.heal(from, to);
                }
            }
            Fault::Lossy { per_mille } => self.network.remove_loss(per_mille),
            Fault::SlowSync { peer, by } => {
                let slow = &mut self.peer(peer).slow_syncs;
                if let Some(at) = slow.iter().position(|other| *other == by) {
                    slow.remove(at);
                }
            }
            Fault::FailingSync { peer } => self.peer(peer).failing_syncs -= 1,
            Fault::ClockJump { .. } => {}
        }
        Ok(())
    }

    /// Every link between one side and the rest.
    fn across(&self, side: &[PeerId]) -> Vec<(PeerId, PeerId)> {
        let all =
            (0..self.settings.peers).flat_map(|from| (0..self.settings.peers).map(move |to| (from, to)));
        all.filter(|(from, to)| side.contains(from) != side.contains(to)).collect()
    }

    fn crash(&mut self, peer: PeerId) {
        let (seed, now) = (self.seed, self.now);
        let state = self.peer(peer);
        if state.core.take().is_none() {
            return;
        }
        let detail = u64::from(peer) << 32 | state.incarnation;
        state.disk.crash(&mut chance(seed, Stream::Crash, detail));
        state.held.clear();
        state.armed = None;
        self.adapter.crashed(peer, now);
    }

    fn start(&mut self, peer: PeerId) -> Result<(), Stopped> {
        let at = self.now;
        self.peer(peer).incarnation += 1;
        let core = self.with_shell(peer, |adapter, now, shell| adapter.start(peer, now, shell));
        let core = core.map_err(|reason| Stopped::NoStart { at, peer, reason })?;
        self.peer(peer).core = Some(core);
        self.arm(peer);
        Ok(())
    }

    fn wake(&mut self, token: u64) {
        self.trace.add(token);
        let up = self.peers.iter().map(|peer| peer.core.is_some()).collect();
        let mut outside =
            Outside { now: self.now, up, rng: &mut self.client_rng, inputs: Vec::new(), wakes: Vec::new() };
        self.adapter.outside(token, &mut outside);
        let Outside { inputs, wakes, .. } = outside;
        for (peer, after, input) in inputs {
            self.schedule(self.now + after, Event::Local { peer, event: Local::Input(input) });
        }
        for (after, token) in wakes {
            self.schedule(self.now + after, Event::Wake(token));
        }
    }

    fn local(&mut self, peer: PeerId, event: Local<<A::Core as Core>::Input, A::Message>) {
        let now = self.now;
        let state = &mut self.peers[peer as usize];
        if state.core.is_none() {
            return;
        }
        if state.paused > 0 {
            state.held.push(event);
            return;
        }
        self.trace.add(u64::from(peer));
        let input = match event {
            Local::Deliver { from, message } => {
                if self.network.is_cut(from, peer) {
                    return;
                }
                self.adapter.trace(&message, &mut self.trace);
                self.adapter.received(from, message)
            }
            Local::Input(input) => Some(input),
            Local::Synced { incarnation, ticket, covered } => {
                if incarnation != state.incarnation {
                    return;
                }
                let succeeded = state.failing_syncs == 0;
                state.disk.finish_sync(covered, succeeded);
                self.trace.add(ticket << 1 | u64::from(succeeded));
                let result = if succeeded { Ok(()) } else { Err(DiskError::SyncFailed) };
                self.adapter.synced(ticket, result)
            }
            Local::Timer { incarnation, armed } => {
                if incarnation == state.incarnation && state.armed == Some(armed) {
                    state.armed = None;
                    self.expire(peer);
                }
                return;
            }
        };
        let local_now = self.peer(peer).clock.local(now);
        let mut effects = std::mem::take(&mut self.effects);
        if let (Some(input), Some(core)) = (input, &mut self.peer(peer).core) {
            core.step(local_now, input, &mut effects);
        }
        self.carry_out(peer, effects);
    }

    fn expire(&mut self, peer: PeerId) {
        let now = self.now;
        let mut effects = std::mem::take(&mut self.effects);
        let state = self.peer(peer);
        let local_now = state.clock.local(now);
        if let Some(core) = &mut state.core
            && core.deadline().is_some_and(|deadline| deadline <= local_now)
        {
            core.expire(local_now, &mut effects);
        }
        self.carry_out(peer, effects);
    }

    fn carry_out(&mut self, peer: PeerId, mut effects: Vec<<A::Core as Core>::Effect>) {
        if !effects.is_empty() {
            self.with_shell(peer, |adapter, _, shell| {
                effects.drain(..).for_each(|effect| adapter.perform(effect, shell));
            });
        }
        self.effects = effects;
        self.arm(peer);
    }

    /// Lets the adapter act for a peer, then lets the world follow.
    fn with_shell<R>(
        &mut self,
        peer: PeerId,
        act: impl FnOnce(&mut A, Tick, &mut Shell<'_, A::Message>) -> R,
    ) -> R {
        let state = &mut self.peers[peer as usize];
        let local_now = state.clock.local(self.now);
        let mut shell = Shell {
            peer,
            world_now: self.now,
            local_now,
            disk: &mut state.disk,
            sends: Vec::new(),
            syncs: Vec::new(),
            wakes: Vec::new(),
        };
        let result = act(&mut self.adapter, local_now, &mut shell);
        let Shell { sends, syncs, wakes, .. } = shell;
        for (to, message) in sends {
            self.send(peer, to, message);
        }
        for ticket in syncs {
            self.sync(peer, ticket);
        }
        for (after, token) in wakes {
            self.schedule(self.now + after, Event::Wake(token));
        }
        result
    }

    fn send(&mut self, from: PeerId, to: PeerId, message: A::Message) {
        if from == to {
            self.schedule(self.now, Event::Local { peer: to, event: Local::Deliver { from, message } });
            return;
        }
        for way in self.network.route(from, to) {
            let mut at = self.now + way;
            if self.network.in_order() {
                let last = self.last_arrival.entry((from, to)).or_insert(at);
                at = at.max(*last);
                *last = at;
            }
            let event = Local::Deliver { from, message: message.clone() };
            self.schedule(at, Event::Local { peer: to, event });
        }
    }

    fn sync(&mut self, peer: PeerId, ticket: u64) {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let disk = self.settings.disk;
        let mut takes =
            Duration::from_nanos(self.disk_rng.between(nanos(disk.sync_min), nanos(disk.sync_max)));
        let state = self.peer(peer);
        takes += state.slow_syncs.iter().sum::<Duration>();
        let (incarnation, covered) = (state.incarnation, state.disk.last_change());
        self.schedule(
            self.now + takes,
            Event::Local { peer, event: Local::Synced { incarnation, ticket, covered } },
        );
    }

    /// Keeps one timer for the core's deadline.
    fn arm(&mut self, peer: PeerId) {
        let state = &mut self.peers[peer as usize];
        let deadline = state.core.as_ref().and_then(Core::deadline);
        let at = deadline.map(|deadline| state.clock.world(deadline).max(self.now));
        if at == state.armed {
            return;
        }
        state.armed = at;
        let incarnation = state.incarnation;
        if let Some(armed) = at {
            self.schedule(armed, Event::Local { peer, event: Local::Timer { incarnation, armed } });
        }
    }

    fn peer(&mut self, peer: PeerId) -> &mut Peer<A::Core, A::Message> {
        &mut self.peers[peer as usize]
    }
}

impl<C: Core, M> Peer<C, M> {
    fn new(disk: Disk, clock: PeerClock) -> Self {
        Peer {
            core: None,
            incarnation: 0,
            disk,
            clock,
            armed: None,
            down: 0,
            paused: 0,
            held: Vec::new(),
            slow_syncs: Vec::new(),
            failing_syncs: 0,
        }
    }
}
