use std::collections::BTreeSet;

use super::ChildId;
use crate::Tick;

/// The moments at which children need attention, at most one per child.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Tick, ChildId)>,
}

impl Timers {
    pub(super) fn arm(&mut self, at: Tick, child: ChildId) {
        self.due.insert((at, child));
    }

    /// Clears the timer armed for `at`, if there is one.
    pub(super) fn disarm(&mut self, at: Option<Tick>, child: ChildId) {
        if let Some(at) = at {
            self.due.remove(&(at, child));
        }
    }

    pub(super) fn earliest(&self) -> Option<Tick> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn take_due(&mut self, now: Tick) -> Option<ChildId> {
        let first = *self.due.first()?;
        if first.0 > now {
            return None;
        }
        self.due.remove(&first);
        Some(first.1)
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }
}
