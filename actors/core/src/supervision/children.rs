use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::child::{Child, ChildState};
use super::timers::Timers;
use super::{ChildId, ChildPolicy, Incarnation, Seen, SupervisorEffect};
use crate::Tick;

/// The children of one supervisor and what may be done to a single one of them. Every change of state goes
/// through here, so that the set of the living and the timers always agree with the states.
#[derive(Debug, Default)]
pub(super) struct Children {
    declared: BTreeMap<ChildId, Child>,
    /// The last child declared, also if it was removed since.
    highest: Option<ChildId>,
    /// Those declared that have a living incarnation.
    alive: BTreeSet<ChildId>,
    timers: Timers,
}

impl Children {
    /// False, and nothing happens, unless `id` is greater than all before.
    pub(super) fn declare(&mut self, id: ChildId, policy: ChildPolicy, seen: Seen) -> bool {
        if Some(id) <= self.highest {
            return false;
        }
        self.highest = Some(id);
        if seen.alive {
            self.alive.insert(id);
        }
        self.declared.insert(id, Child::new(policy, seen));
        true
    }

    /// Whether it is alive or waits changes only by the methods here.
    pub(super) fn get_mut(&mut self, id: ChildId) -> Option<&mut Child> {
        self.declared.get_mut(&id)
    }

    /// The first child at or after `from`, and its state.
    pub(super) fn first_from(&self, from: ChildId) -> Option<(ChildId, ChildState)> {
        self.declared.range(from..).next().map(|(id, child)| (*id, child.state))
    }

    /// The first child after `id`, and its state.
    pub(super) fn first_after(&self, id: ChildId) -> Option<(ChildId, ChildState)> {
        let after = (Bound::Excluded(id), Bound::Unbounded);
        self.declared.range(after).next().map(|(id, child)| (*id, child.state))
    }

    /// Those alive at or after `from`, in the order of their start.
    pub(super) fn alive_from(&self, from: ChildId) -> impl DoubleEndedIterator<Item = ChildId> {
        self.alive.range(from..).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.declared.len()
    }

    /// Starts the next incarnation of a child that is down.
    pub(super) fn start(&mut self, id: ChildId, out: &mut Vec<SupervisorEffect>) {
        let Some(child) = self.declared.get_mut(&id) else { return };
        assert!(!child.state.is_alive(), "a child with a living incarnation is not started");
        self.timers.disarm(child.state.due(), id);
        child.last = Incarnation(child.last.0 + 1);
        child.state = ChildState::Starting;
        child.leftover = false;
        self.alive.insert(id);
        out.push(SupervisorEffect::Start { child: id, incarnation: child.last });
    }

    /// The start asked for has succeeded; false when it was not this one that was asked for.
    pub(super) fn note_started(&mut self, id: ChildId, incarnation: Incarnation) -> bool {
        match self.declared.get_mut(&id) {
            Some(child) if child.last == incarnation && child.state == ChildState::Starting => {
                child.state = ChildState::Running;
                true
            }
            _ => false,
        }
    }

    /// Asks a child that is alive to stop; one that was asked already is left alone.
    pub(super) fn stop(&mut self, now: Tick, id: ChildId, out: &mut Vec<SupervisorEffect>) {
        let Some(child) = self.declared.get_mut(&id) else { return };
        if matches!(child.state, ChildState::Stopping(_)) {
            return;
        }
        let (incarnation, grace) = (child.last, child.policy.grace);
        if grace.is_zero() {
            child.state = ChildState::Stopping(None);
            out.push(SupervisorEffect::Kill { child: id, incarnation });
        } else {
            let until = now + grace;
            child.state = ChildState::Stopping(Some(until));
            self.timers.arm(until, id);
            out.push(SupervisorEffect::Stop { child: id, incarnation, grace });
        }
    }

    /// Takes the end of a living incarnation; gives the state it ended in, `None` when it was not alive.
    pub(super) fn note_exited(&mut self, id: ChildId, incarnation: Incarnation) -> Option<ChildState> {
        let child = self.declared.get_mut(&id)?;
        if child.last != incarnation || !child.state.is_alive() {
            return None;
        }
        let before = std::mem::replace(&mut child.state, ChildState::Down);
        self.timers.disarm(before.due(), id);
        self.alive.remove(&id);
        Some(before)
    }

    /// A child that is down ended for good.
    pub(super) fn finish(&mut self, id: ChildId, out: &mut Vec<SupervisorEffect>) {
        let Some(child) = self.declared.get_mut(&id) else { return };
        child.state = ChildState::Finished;
        out.push(SupervisorEffect::ChildFinished { child: id });
    }

    /// A child that is down is to be started at `until`.
    pub(super) fn wait(&mut self, id: ChildId, until: Tick) {
        let Some(child) = self.declared.get_mut(&id) else { return };
        child.state = ChildState::Waiting(until);
        self.timers.arm(until, id);
    }

    /// Those at or after `from` that wait for their back-off are just down.
    pub(super) fn end_waits(&mut self, from: ChildId) {
        for (id, child) in self.declared.range_mut(from..) {
            if let ChildState::Waiting(at) = child.state {
                self.timers.disarm(Some(at), *id);
                child.state = ChildState::Down;
            }
        }
    }

    /// Forgets a child that is down.
    pub(super) fn forget(&mut self, id: ChildId, out: &mut Vec<SupervisorEffect>) {
        let Some(child) = self.declared.remove(&id) else { return };
        self.timers.disarm(child.state.due(), id);
        out.push(SupervisorEffect::Removed { child: id });
    }

    /// The earliest moment for [`Children::expire`].
    pub(super) fn deadline(&self) -> Option<Tick> {
        self.timers.earliest()
    }

    /// How many timers are armed.
    pub(super) fn armed(&self) -> usize {
        self.timers.len()
    }

    /// Starts whose back-off is over, kills whose grace is over.
    pub(super) fn expire(&mut self, now: Tick, out: &mut Vec<SupervisorEffect>) {
        while let Some(id) = self.timers.take_due(now) {
            let Some(child) = self.declared.get_mut(&id) else { continue };
            match child.state {
                ChildState::Waiting(_) => {
                    child.state = ChildState::Down;
                    self.start(id, out);
                }
                ChildState::Stopping(Some(_)) => {
                    child.state = ChildState::Stopping(None);
                    out.push(SupervisorEffect::Kill { child: id, incarnation: child.last });
                }
                ChildState::Down
                | ChildState::Finished
                | ChildState::Starting
                | ChildState::Running
                | ChildState::Stopping(None) => {}
            }
        }
    }
}
