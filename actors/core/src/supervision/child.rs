use super::{ChildPolicy, Incarnation, Seen};
use crate::Tick;

/// What a supervisor knows of one child.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) policy: ChildPolicy,
    pub(super) state: ChildState,
    /// The last incarnation asked for.
    pub(super) last: Incarnation,
    /// Counted failures in a row.
    pub(super) streak: u32,
    pub(super) failed_at: Option<Tick>,
    /// To be forgotten once it is down.
    pub(super) removing: bool,
    /// To be started again once it is down (one-for-one, on demand).
    pub(super) again: bool,
    /// Alive since an earlier life of the supervisor, which may have told it to stop: its end says nothing.
    pub(super) leftover: bool,
}

impl Child {
    pub(super) fn new(policy: ChildPolicy, seen: Seen) -> Self {
        let state = match seen {
            Seen { alive: true, .. } => ChildState::Running,
            Seen { finished: true, .. } => ChildState::Finished,
            Seen { .. } => ChildState::Down,
        };
        Self {
            policy,
            state,
            last: seen.last,
            streak: 0,
            failed_at: None,
            removing: false,
            again: false,
            leftover: seen.alive,
        }
    }

    /// One that ended for good is just down.
    pub(super) fn revive(&mut self) {
        if self.state == ChildState::Finished {
            self.state = ChildState::Down;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChildState {
    Down,
    /// Ended for good, but declared.
    Finished,
    /// Waits for its back-off; the timer is armed.
    Waiting(Tick),
    Starting,
    Running,
    /// Told to stop; the timer is armed until it is killed.
    Stopping(Option<Tick>),
}

impl ChildState {
    pub(super) fn is_alive(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping(_))
    }

    /// The moment for which a timer is armed.
    pub(super) fn due(self) -> Option<Tick> {
        match self {
            Self::Waiting(at) | Self::Stopping(Some(at)) => Some(at),
            Self::Down | Self::Finished | Self::Starting | Self::Running | Self::Stopping(None) => None,
        }
    }
}
