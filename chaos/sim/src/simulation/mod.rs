//! The world: an event heap on virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use trireme_core::{Core, Rng, Tick};

mod faults;
mod peer;
mod run;

use crate::network::Network;
use crate::{Adapter, Disk, Outside, PeerClock, PeerId, Peers, Plan, Settings, TraceHash};
use peer::Peer;
pub use run::{Run, Stopped};

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

    fn peer(&mut self, peer: PeerId) -> &mut Peer<A::Core, A::Message> {
        &mut self.peers[peer as usize]
    }
}
