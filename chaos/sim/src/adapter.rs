//! How a core stands in the simulated world.

use std::fmt::Debug;
use std::time::Duration;

use trireme_core::{Core, Rng, Tick};

use crate::{Disk, DiskError, PeerId, TraceHash};

/// Says how cores are started, what their effects do, and plays the clients.
///
/// One adapter serves all peers of a run; it is also where a run's history is recorded.
pub trait Adapter {
    /// What runs on every peer.
    type Core: Core;
    /// What peers send each other.
    type Message: Clone + Debug;

    /// Starts an incarnation of a peer from what its disk holds. `now` is the peer's own time. A failure to start
    /// is a failure of the run.
    fn start(
        &mut self,
        peer: PeerId,
        now: Tick,
        shell: &mut Shell<'_, Self::Message>,
    ) -> Result<Self::Core, String>;

    /// Carries out one effect of a peer.
    fn perform(&mut self, effect: <Self::Core as Core>::Effect, shell: &mut Shell<'_, Self::Message>);

    /// The input for a message that arrived; none drops it.
    fn received(&mut self, from: PeerId, message: Self::Message) -> Option<<Self::Core as Core>::Input>;

    /// The input for a sync that ended.
    fn synced(&mut self, ticket: u64, result: Result<(), DiskError>) -> Option<<Self::Core as Core>::Input>;

    /// Called at the beginning (`token` 0) and whenever [`Outside::wake`] asked for it: the clients' turn.
    fn outside(&mut self, token: u64, outside: &mut Outside<'_, <Self::Core as Core>::Input>);

    /// Called when a peer lost power.
    fn crashed(&mut self, _peer: PeerId, _now: Tick) {}

    /// Looks at all peers after every event; an error fails the run at this moment.
    fn check(&mut self, _peers: &Peers<'_, Self::Core>) -> Result<(), String> {
        Ok(())
    }

    /// Judges the run when it is over.
    fn finish(&mut self, peers: &Peers<'_, Self::Core>) -> Result<(), String>;

    /// Takes a message into the trace; messages that differ should differ here.
    fn trace(&self, message: &Self::Message, trace: &mut TraceHash) {
        trace.add_bytes(format!("{message:?}").as_bytes());
    }
}

/// What one peer can do to the world while it starts or carries out an effect.
pub struct Shell<'a, M> {
    pub(crate) peer: PeerId,
    pub(crate) world_now: Tick,
    pub(crate) local_now: Tick,
    pub(crate) disk: &'a mut Disk,
    pub(crate) sends: Vec<(PeerId, M)>,
    pub(crate) syncs: Vec<u64>,
    pub(crate) wakes: Vec<(Duration, u64)>,
}

impl<M> Shell<'_, M> {
    /// Who acts.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The peer's own time.
    pub fn now(&self) -> Tick {
        self.local_now
    }

    /// The world's time, for histories; a core must not learn it.
    pub fn world_now(&self) -> Tick {
        self.world_now
    }

    /// The peer's disk. Changes are seen at once and durable after a sync.
    pub fn disk(&mut self) -> &mut Disk {
        self.disk
    }

    /// Sends a message over a link; to itself, it arrives at once.
    pub fn send(&mut self, to: PeerId, message: M) {
        self.sends.push((to, message));
    }

    /// Syncs all changes made so far; [`Adapter::synced`] names the ticket when it ends.
    pub fn sync(&mut self, ticket: u64) {
        self.syncs.push(ticket);
    }

    /// Asks for [`Adapter::outside`] after some time: a client got its answer and goes on.
    pub fn wake_outside(&mut self, after: Duration, token: u64) {
        self.wakes.push((after, token));
    }
}

/// What clients can do.
pub struct Outside<'a, I> {
    pub(crate) now: Tick,
    pub(crate) up: Vec<bool>,
    pub(crate) rng: &'a mut Rng,
    pub(crate) inputs: Vec<(PeerId, Duration, I)>,
    pub(crate) wakes: Vec<(Duration, u64)>,
}

impl<I> Outside<'_, I> {
    /// The world's time.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// How many peers there are.
    pub fn peers(&self) -> u32 {
        u32::try_from(self.up.len()).expect("peers are numbered by 32 bits")
    }

    /// Whether a peer has power.
    pub fn is_up(&self, peer: PeerId) -> bool {
        self.up[peer as usize]
    }

    /// Chance, by seed.
    pub fn rng(&mut self) -> &mut Rng {
        self.rng
    }

    /// Gives a peer an input after some time; it is lost if the peer is down then.
    pub fn input(&mut self, peer: PeerId, after: Duration, input: I) {
        self.inputs.push((peer, after, input));
    }

    /// Asks for [`Adapter::outside`] after some time.
    pub fn wake(&mut self, after: Duration, token: u64) {
        self.wakes.push((after, token));
    }
}

/// The running cores.
pub struct Peers<'a, C> {
    pub(crate) cores: Vec<Option<&'a C>>,
    pub(crate) now: Tick,
}

impl<C> Peers<'_, C> {
    /// The world's time.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// Every peer's core; none if it is down.
    pub fn iter(&self) -> impl Iterator<Item = (PeerId, Option<&C>)> {
        (0..).zip(self.cores.iter().copied())
    }
}
