use super::child::ChildState;
use super::children::Children;
use super::{ChildId, ShutdownOrder, Strategy, SupervisorEffect, SupervisorPolicy};
use crate::Tick;

/// Work on all children from one on: stop them (in reverse), wait out the back-off, start them again (in
/// order). The first start is a pass without stops, a shutdown one without starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// The first child concerned.
    from: ChildId,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// `told`: all were told to stop at once. Starts follow from `then` on; nothing follows when it is `None`.
    Stopping {
        told: bool,
        then: Option<Tick>,
    },
    Waiting {
        until: Tick,
    },
    /// Everything before `next` has been seen to.
    Starting {
        next: ChildId,
    },
}

impl Pass {
    /// Starts what is down from `from` on.
    pub(super) fn start(from: ChildId) -> Self {
        Self { from, stage: Stage::Starting { next: from } }
    }

    /// Stops everything from `from` on and starts it again, not before `not_before`.
    pub(super) fn restart(from: ChildId, not_before: Tick) -> Self {
        Self { from, stage: Stage::Stopping { told: false, then: Some(not_before) } }
    }

    /// Stops everything.
    pub(super) fn shutdown() -> Self {
        Self { from: ChildId(0), stage: Stage::Stopping { told: false, then: None } }
    }

    /// The pass that does what both this one, which is under way, and a restart of everything from `from` on
    /// not before `not_before` would do.
    pub(super) fn joined(self, from: ChildId, not_before: Tick) -> Self {
        let (from, then) = match self.stage {
            Stage::Stopping { then, .. } => (from.min(self.from), then.map(|at| at.max(not_before))),
            Stage::Waiting { until } => (from.min(self.from), Some(until.max(not_before))),
            // What was started before `next` keeps running, what was not still has to be.
            Stage::Starting { next } => (from.min(next), Some(not_before)),
        };
        Self { from, stage: Stage::Stopping { told: false, then } }
    }

    /// The first child concerned.
    pub(super) fn from(&self) -> ChildId {
        self.from
    }

    /// What it is doing, in a word.
    pub(super) fn stage_name(&self) -> &'static str {
        match self.stage {
            Stage::Stopping { .. } => "restarting-stop",
            Stage::Waiting { .. } => "restarting-wait",
            Stage::Starting { .. } => "starting",
        }
    }

    /// True when it will start `id` by itself.
    pub(super) fn starts(&self, id: ChildId) -> bool {
        match self.stage {
            Stage::Stopping { .. } | Stage::Waiting { .. } => id >= self.from,
            Stage::Starting { next } => id >= next,
        }
    }

    /// True when it stops `id` or waits with it.
    pub(super) fn stops(&self, id: ChildId) -> bool {
        matches!(self.stage, Stage::Stopping { .. } | Stage::Waiting { .. }) && id >= self.from
    }

    /// The moment it waits for.
    pub(super) fn deadline(&self) -> Option<Tick> {
        match self.stage {
            Stage::Waiting { until } => Some(until),
            Stage::Stopping { .. } | Stage::Starting { .. } => None,
        }
    }

    /// Does whatever can be done now; gives what is left to do, `None` when it is complete.
    pub(super) fn advance(
        self,
        now: Tick,
        policy: &SupervisorPolicy,
        children: &mut Children,
        out: &mut Vec<SupervisorEffect>,
    ) -> Option<Self> {
        let Self { from, mut stage } = self;
        loop {
            stage = match stage {
                Stage::Stopping { told, then } => {
                    if !stop_all(from, told, now, policy, children, out) {
                        return Some(Self { from, stage: Stage::Stopping { told: true, then } });
                    }
                    Stage::Waiting { until: then? }
                }
                Stage::Waiting { until } if now < until => return Some(Self { from, stage }),
                Stage::Waiting { .. } => Stage::Starting { next: from },
                Stage::Starting { next } => {
                    let next = start_all(next, policy, children, out)?;
                    return Some(Self { from, stage: Stage::Starting { next } });
                }
            }
        }
    }
}

/// True when everything from `from` on is down.
fn stop_all(
    from: ChildId,
    told: bool,
    now: Tick,
    policy: &SupervisorPolicy,
    children: &mut Children,
    out: &mut Vec<SupervisorEffect>,
) -> bool {
    match policy.shutdown_order {
        ShutdownOrder::Reverse => {
            let Some(last) = children.alive_from(from).next_back() else { return true };
            children.stop(now, last, out);
            false
        }
        ShutdownOrder::Together => {
            if !told {
                let all: Vec<ChildId> = children.alive_from(from).rev().collect();
                for id in all {
                    children.stop(now, id, out);
                }
            }
            children.alive_from(from).next().is_none()
        }
    }
}

/// Starts what is down, as far as the order allows; gives the child to go on with, `None` when all is done.
fn start_all(
    next: ChildId,
    policy: &SupervisorPolicy,
    children: &mut Children,
    out: &mut Vec<SupervisorEffect>,
) -> Option<ChildId> {
    let mut cursor = children.first_from(next);
    while let Some((id, state)) = cursor {
        let starts = match state {
            ChildState::Down => {
                children.start(id, out);
                true
            }
            ChildState::Starting => true,
            ChildState::Finished | ChildState::Running => false,
            // With dependents, what is being removed or restarted by itself holds up what comes after it.
            ChildState::Stopping(_) | ChildState::Waiting(_) if policy.strategy != Strategy::OneForOne => {
                return Some(id);
            }
            ChildState::Stopping(_) | ChildState::Waiting(_) => false,
        };
        if starts && policy.shutdown_order == ShutdownOrder::Reverse {
            return Some(id);
        }
        cursor = children.first_after(id);
    }
    None
}
