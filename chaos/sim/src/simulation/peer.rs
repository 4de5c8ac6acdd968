//! What happens to one peer, and what it does to the world.

use std::time::Duration;

use trireme_core::{Core, Tick};

use super::{Event, Local, Simulation, Stopped, Stream, chance};
use crate::{Adapter, Disk, DiskError, PeerClock, PeerId, Shell};

pub(super) struct Peer<C: Core, M> {
    pub(super) core: Option<C>,
    pub(super) incarnation: u64,
    pub(super) disk: Disk,
    pub(super) clock: PeerClock,
    pub(super) armed: Option<Tick>,
    /// How many episodes keep it down, or standing still.
    pub(super) down: u32,
    pub(super) paused: u32,
    pub(super) held: Vec<Local<C::Input, M>>,
    pub(super) slow_syncs: Vec<Duration>,
    pub(super) failing_syncs: u32,
}

impl<C: Core, M> Peer<C, M> {
    pub(super) fn new(disk: Disk, clock: PeerClock) -> Self {
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

impl<A: Adapter> Simulation<A> {
    pub(super) fn crash(&mut self, peer: PeerId) {
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

    pub(super) fn start(&mut self, peer: PeerId) -> Result<(), Stopped> {
        let at = self.now;
        self.peer(peer).incarnation += 1;
        let core = self.with_shell(peer, |adapter, now, shell| adapter.start(peer, now, shell));
        let core = core.map_err(|reason| Stopped::NoStart { at, peer, reason })?;
        self.peer(peer).core = Some(core);
        self.arm(peer);
        Ok(())
    }

    pub(super) fn local(&mut self, peer: PeerId, event: Local<<A::Core as Core>::Input, A::Message>) {
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

    pub(super) fn expire(&mut self, peer: PeerId) {
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

    pub(super) fn carry_out(&mut self, peer: PeerId, mut effects: Vec<<A::Core as Core>::Effect>) {
        if !effects.is_empty() {
            self.with_shell(peer, |adapter, _, shell| {
                effects.drain(..).for_each(|effect| adapter.perform(effect, shell));
            });
        }
        self.effects = effects;
        self.arm(peer);
    }

    /// Lets the adapter act for a peer, then lets the world follow.
    pub(super) fn with_shell<R>(
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

    pub(super) fn send(&mut self, from: PeerId, to: PeerId, message: A::Message) {
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

    pub(super) fn sync(&mut self, peer: PeerId, ticket: u64) {
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
    pub(super) fn arm(&mut self, peer: PeerId) {
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
}
