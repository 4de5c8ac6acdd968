//! Faults that begin and end.

use super::{Event, Simulation, Stopped};
use crate::{Adapter, Fault, PeerId};

impl<A: Adapter> Simulation<A> {
    pub(super) fn begin(&mut self, index: usize) {
        self.trace.add(index as u64);
        match self.plan.episodes[index].fault.clone() {
            Fault::Down { peer } => {
                self.peer(peer).down += 1;
                self.crash(peer);
            }
            Fault::Blackout => {
                for peer in 0..self.settings.peers {
                    self.peer(peer).down += 1;
                    self.crash(peer);
                }
            }
            Fault::Paused { peer } => self.peer(peer).paused += 1,
            Fault::Cut { from, to } => self.network.cut(from, to),
            Fault::Split { side } => {
                for (from, to) in self.across(&side) {
                    self.network.cut(from, to);
                }
            }
            Fault::Ring => {
                for (from, to) in self.strangers() {
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

    pub(super) fn end(&mut self, index: usize) -> Result<(), Stopped> {
        match self.plan.episodes[index].fault.clone() {
            Fault::Down { peer } => self.power_back(peer)?,
            Fault::Blackout => {
                for peer in 0..self.settings.peers {
                    self.power_back(peer)?;
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
            Fault::Ring => {
                for (from, to) in self.strangers() {
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

    fn power_back(&mut self, peer: PeerId) -> Result<(), Stopped> {
        self.peer(peer).down -= 1;
        if self.peer(peer).down > 0 {
            return Ok(());
        }
        self.start(peer)
    }

    /// Every link between one side and the rest.
    pub(super) fn across(&self, side: &[PeerId]) -> Vec<(PeerId, PeerId)> {
        let all =
            (0..self.settings.peers).flat_map(|from| (0..self.settings.peers).map(move |to| (from, to)));
        all.filter(|(from, to)| side.contains(from) != side.contains(to)).collect()
    }

    /// Every link between two that are no neighbours in the ring.
    pub(super) fn strangers(&self) -> Vec<(PeerId, PeerId)> {
        let count = self.settings.peers;
        let all = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let near =
            |from: PeerId, to: PeerId| from == to || (from + 1) % count == to || (to + 1) % count == from;
        all.filter(|(from, to)| !near(*from, *to)).collect()
    }
}
