use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::timers::Timers;
use super::{
    ChildId, ChildPolicy, ExitReason, Incarnation, Intensity, RestartMode, Seen, ShutdownOrder, Strategy,
    SupervisorEffect, SupervisorInput, SupervisorPolicy, WhenExceeded,
};
use crate::{Core, Rng, Tick};

/// A supervisor's decision. See the module for the laws it keeps.
///
/// Work on several children is a *pass*: stop everything from one child on (in reverse), wait out the
/// back-off, start it again (in order). The first start, a group restart and a shutdown are passes; with
/// one-for-one a failed child goes through its own wait and start beside them.
#[derive(Debug)]
pub struct SupervisorCore {
    policy: SupervisorPolicy,
    rng: Rng,
    phase: Phase,
    children: BTreeMap<ChildId, Child>,
    /// The last child declared, also if it was removed since.
    highest: Option<ChildId>,
    /// Those of them with a living incarnation.
    alive: BTreeSet<ChildId>,
    timers: Timers,
    pass: Option<Pass>,
    /// Counted failures within the intensity window, oldest first.
    failures: VecDeque<Tick>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Declared, not started.
    New,
    Up,
    /// All children are being stopped; `Some` names the child whose failure was one too many.
    Ending(Option<ChildId>),
    Ended,
}

#[derive(Debug)]
struct Child {
    policy: ChildPolicy,
    state: State,
    /// The last incarnation asked for.
    last: Incarnation,
    /// Counted failures in a row.
    streak: u32,
    failed_at: Option<Tick>,
    /// To be forgotten once it is down.
    removing: bool,
    /// To be started again once it is down (one-for-one, on demand).
    again: bool,
    /// Alive since an earlier life of the supervisor, which may have told it to stop: its end says nothing.
    leftover: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
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

impl State {
    fn is_alive(self) -> bool {
        matches!(self, State::Starting | State::Running | State::Stopping(_))
    }
}

#[derive(Clone, Copy, Debug)]
struct Pass {
    /// The first child concerned.
    from: ChildId,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Then waits until `not_before`. `told`: all were told to stop at once.
    Stopping {
        told: bool,
        not_before: Tick,
    },
    Waiting {
        until: Tick,
    },
    /// Everything before `next` has been seen to.
    Starting {
        next: ChildId,
    },
}

type Effects = Vec<SupervisorEffect>;

impl SupervisorCore {
    /// A supervisor without children. `seed` spreads its back-offs.
    pub fn new(policy: SupervisorPolicy, seed: u64) -> Self {
        Self {
            policy,
            rng: Rng::new(seed),
            phase: Phase::New,
            children: BTreeMap::new(),
            highest: None,
            alive: BTreeSet::new(),
            timers: Timers::default(),
            pass: None,
            failures: VecDeque::new(),
        }
    }

    /// Where it is, in a word.
    pub fn state_name(&self) -> &'static str {
        match (self.phase, self.pass.map(|pass| pass.stage)) {
            (Phase::New, _) => "new",
            (Phase::Up, None) => "running",
            (Phase::Up, Some(Stage::Stopping { .. })) => "restarting-stop",
            (Phase::Up, Some(Stage::Waiting { .. })) => "restarting-wait",
            (Phase::Up, Some(Stage::Starting { .. })) => "starting",
            (Phase::Ending(None), _) => "stopping",
            (Phase::Ending(Some(_)), _) => "escalating",
            (Phase::Ended, _) => "ended",
        }
    }

    /// How many children are declared.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// True when no child is declared.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// How many entries of any kind it holds beyond its children; bounded, for tests of just that.
    pub fn footprint(&self) -> usize {
        self.timers.len() + self.failures.len()
    }

    fn add(&mut self, now: Tick, id: ChildId, policy: ChildPolicy, seen: Seen, out: &mut Effects) {
        if Some(id) <= self.highest || matches!(self.phase, Phase::Ending(_) | Phase::Ended) {
            return;
        }
        self.highest = Some(id);
        let state = match seen {
            Seen { alive: true, .. } => State::Running,
            Seen { finished: true, .. } => State::Finished,
            Seen { .. } => State::Down,
        };
        if seen.alive {
            self.alive.insert(id);
        }
        let child = Child {
            policy,
            state,
            last: seen.last,
            streak: 0,
            failed_at: None,
            removing: false,
            again: false,
            leftover: seen.alive,
        };
        self.children.insert(id, child);
        if self.phase == Phase::Up && self.pass.is_none() {
            self.pass = Some(Pass { from: id, stage: Stage::Starting { next: id } });
        }
        self.advance(now, out);
    }

    fn start(&mut self, now: Tick, out: &mut Effects) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Up;
        let stage = if self.alive.is_empty() {
            Stage::Starting { next: ChildId(0) }
        } else {
            Stage::Stopping { told: false, not_before: now }
        };
        self.pass = Some(Pass { from: ChildId(0), stage });
        self.advance(now, out);
    }

    fn remove(&mut self, now: Tick, id: ChildId, out: &mut Effects) {
        if self.phase == Phase::Ended {
            return;
        }
        let Some(child) = self.children.get_mut(&id) else { return };
        child.removing = true;
        child.again = false;
        if child.state.is_alive() {
            if self.phase != Phase::New {
                self.stop_child(now, id, out);
            }
        } else {
            self.forget(id, out);
        }
        self.advance(now, out);
    }

    fn restart(&mut self, now: Tick, id: ChildId, out: &mut Effects) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if self.phase != Phase::Up || child.removing {
            return;
        }
        if child.state == State::Finished {
            child.state = State::Down;
        }
        match self.policy.strategy {
            Strategy::OneForOne if child.state.is_alive() => {
                child.again = true;
                self.stop_child(now, id, out);
            }
            Strategy::OneForOne if self.pass_covers(id) => {}
            Strategy::OneForOne => self.start_child(id, out),
            Strategy::RestForOne => self.begin_pass(id, now),
            Strategy::OneForAll => self.begin_pass(ChildId(0), now),
        }
        self.advance(now, out);
    }

    fn shut_down(&mut self, now: Tick, out: &mut Effects) {
        match self.phase {
            Phase::Ended => return,
            Phase::Ending(_) => self.phase = Phase::Ending(None),
            Phase::New | Phase::Up => self.begin_end(now, None),
        }
        self.advance(now, out);
    }

    fn child_started(&mut self, now: Tick, id: ChildId, incarnation: Incarnation, out: &mut Effects) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if child.last == incarnation && child.state == State::Starting {
            child.state = State::Running;
            self.advance(now, out);
        }
    }

    fn child_exited(
        &mut self,
        now: Tick,
        id: ChildId,
        incarnation: Incarnation,
        reason: ExitReason,
        out: &mut Effects,
    ) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if child.last != incarnation || !child.state.is_alive() {
            return;
        }
        let expected = matches!(child.state, State::Stopping(_)) || child.leftover;
        if let State::Stopping(Some(at)) = child.state {
            self.timers.disarm(at, id);
        }
        child.state = State::Down;
        self.alive.remove(&id);
        let (removing, again, mode) =
            (child.removing, std::mem::take(&mut child.again), child.policy.restart);
        if removing || mode == RestartMode::Temporary {
            self.forget(id, out);
        } else if expected {
            if again && self.phase == Phase::Up && !self.pass_covers(id) {
                self.start_child(id, out);
            }
        } else if mode == RestartMode::Transient && reason == ExitReason::Normal {
            self.set_state(id, State::Finished);
            out.push(SupervisorEffect::ChildFinished { child: id });
        } else if self.phase == Phase::Up {
            self.child_failed(now, id, reason, out);
        }
        self.advance(now, out);
    }

    /// A child that should be alive ended by itself.
    fn child_failed(&mut self, now: Tick, id: ChildId, reason: ExitReason, out: &mut Effects) {
        let (delay, exceeded) = if reason == ExitReason::Abandoned {
            (Duration::ZERO, false)
        } else {
            let exceeded = self.count_failure(now);
            if exceeded && self.policy.intensity.when_exceeded == WhenExceeded::Escalate {
                self.begin_end(now, Some(id));
                return;
            }
            (self.delay(now, id, exceeded), exceeded)
        };
        out.push(SupervisorEffect::Restarting { child: id, reason, delay, exceeded });
        match self.policy.strategy {
            Strategy::OneForOne if self.is_stopping(id) => self.begin_pass(id, now + delay),
            Strategy::OneForOne if delay.is_zero() => self.start_child(id, out),
            Strategy::OneForOne => {
                let until = now + delay;
                self.timers.arm(until, id);
                self.set_state(id, State::Waiting(until));
            }
            Strategy::RestForOne => self.begin_pass(id, now + delay),
            Strategy::OneForAll => self.begin_pass(ChildId(0), now + delay),
        }
    }

    /// Notes a counted failure; true when there are now more than the intensity allows.
    fn count_failure(&mut self, now: Tick) -> bool {
        let Intensity { restarts, window, .. } = self.policy.intensity;
        let limit = usize::try_from(restarts.min(Intensity::MAX_RESTARTS)).unwrap_or(usize::MAX);
        while self.failures.front().is_some_and(|at| now.since(*at) > window) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let exceeded = self.failures.len() > limit;
        if exceeded {
            self.failures.pop_front();
        }
        exceeded
    }

    fn delay(&mut self, now: Tick, id: ChildId, exceeded: bool) -> Duration {
        let window = self.policy.intensity.window;
        let Some(child) = self.children.get_mut(&id) else { return Duration::ZERO };
        let quiet = child.failed_at.is_none_or(|at| now.since(at) > window);
        child.streak = if quiet { 1 } else { child.streak.saturating_add(1) };
        child.failed_at = Some(now);
        if exceeded {
            self.policy.back_off.longest(&mut self.rng)
        } else {
            self.policy.back_off.delay(child.streak, &mut self.rng)
        }
    }

    /// Stops everything from `from` on and starts it again, not before `not_before`. Joins a pass that is
    /// under way.
    fn begin_pass(&mut self, from: ChildId, not_before: Tick) {
        let (from, not_before) = match self.pass {
            None => (from, not_before),
            Some(Pass { from: other, stage: Stage::Stopping { not_before: at, .. } }) => {
                (from.min(other), not_before.max(at))
            }
            Some(Pass { from: other, stage: Stage::Waiting { until } }) => {
                (from.min(other), not_before.max(until))
            }
            // What was started before `next` keeps running, what was not still has to be.
            Some(Pass { stage: Stage::Starting { next }, .. }) => (from.min(next), not_before),
        };
        self.stop_from(from, not_before);
    }

    fn begin_end(&mut self, now: Tick, because: Option<ChildId>) {
        self.phase = Phase::Ending(because);
        self.stop_from(ChildId(0), now);
    }

    /// Enters the stopping stage. Children that only wait for their back-off are down at once.
    fn stop_from(&mut self, from: ChildId, not_before: Tick) {
        for (id, child) in self.children.range_mut(from..) {
            if let State::Waiting(at) = child.state {
                self.timers.disarm(at, *id);
                child.state = State::Down;
            }
        }
        self.pass = Some(Pass { from, stage: Stage::Stopping { told: false, not_before } });
    }

    /// Does whatever the pass under way allows now.
    fn advance(&mut self, now: Tick, out: &mut Effects) {
        while let Some(pass) = self.pass {
            match pass.stage {
                Stage::Stopping { told, not_before } => {
                    if !self.advance_stopping(now, pass.from, told, out) {
                        let stage = Stage::Stopping { told: true, not_before };
                        self.pass = Some(Pass { stage, ..pass });
                        return;
                    }
                    if let Phase::Ending(because) = self.phase {
                        self.end(because, out);
                        return;
                    }
                    self.pass = Some(Pass { stage: Stage::Waiting { until: not_before }, ..pass });
                }
                Stage::Waiting { until } if now < until => return,
                Stage::Waiting { .. } => {
                    self.pass = Some(Pass { stage: Stage::Starting { next: pass.from }, ..pass });
                }
                Stage::Starting { next } => {
                    if !self.advance_starting(pass.from, next, out) {
                        return;
                    }
                    self.pass = None;
                }
            }
        }
    }

    /// True when everything from `from` on is down.
    fn advance_stopping(&mut self, now: Tick, from: ChildId, told: bool, out: &mut Effects) -> bool {
        match self.policy.shutdown_order {
            ShutdownOrder::Reverse => {
                let Some(last) = self.alive.range(from..).next_back().copied() else { return true };
                self.stop_child(now, last, out);
                false
            }
            ShutdownOrder::Together => {
                if !told {
                    let all: Vec<ChildId> = self.alive.range(from..).rev().copied().collect();
                    for id in all {
                        self.stop_child(now, id, out);
                    }
                }
                self.alive.range(from..).next().is_none()
            }
        }
    }

    /// True when everything from `next` on has been started.
    fn advance_starting(&mut self, from: ChildId, next: ChildId, out: &mut Effects) -> bool {
        let mut cursor = next;
        while let Some((&id, child)) = self.children.range(cursor..).next() {
            match child.state {
                State::Down => self.start_child(id, out),
                State::Finished | State::Starting | State::Running => {}
                // With dependents, what is being removed or restarted by itself holds up what comes after it.
                State::Stopping(_) | State::Waiting(_) if self.policy.strategy != Strategy::OneForOne => {
                    return false;
                }
                State::Stopping(_) | State::Waiting(_) => {}
            }
            let starting = self.children.get(&id).is_some_and(|child| child.state == State::Starting);
            if starting && self.policy.shutdown_order == ShutdownOrder::Reverse {
                self.pass = Some(Pass { from, stage: Stage::Starting { next: id } });
                return false;
            }
            cursor = ChildId(id.0.saturating_add(1));
        }
        true
    }

    fn end(&mut self, because: Option<ChildId>, out: &mut Effects) {
        self.phase = Phase::Ended;
        self.pass = None;
        self.failures.clear();
        out.push(match because {
            Some(child) => SupervisorEffect::Escalate { child },
            None => SupervisorEffect::Finished,
        });
    }

    fn start_child(&mut self, id: ChildId, out: &mut Effects) {
        let Some(child) = self.children.get_mut(&id) else { return };
        assert!(!child.state.is_alive(), "a child with a living incarnation is not started");
        if let State::Waiting(at) = child.state {
            self.timers.disarm(at, id);
        }
        child.last = Incarnation(child.last.0 + 1);
        child.state = State::Starting;
        child.leftover = false;
        self.alive.insert(id);
        out.push(SupervisorEffect::Start { child: id, incarnation: child.last });
    }

    fn stop_child(&mut self, now: Tick, id: ChildId, out: &mut Effects) {
        let Some(child) = self.children.get_mut(&id) else { return };
        if matches!(child.state, State::Stopping(_)) {
            return;
        }
        let (incarnation, grace) = (child.last, child.policy.grace);
        if grace.is_zero() {
            child.state = State::Stopping(None);
            out.push(SupervisorEffect::Kill { child: id, incarnation });
        } else {
            let until = now + grace;
            child.state = State::Stopping(Some(until));
            self.timers.arm(until, id);
            out.push(SupervisorEffect::Stop { child: id, incarnation, grace });
        }
    }

    fn forget(&mut self, id: ChildId, out: &mut Effects) {
        let Some(child) = self.children.remove(&id) else { return };
        if let State::Waiting(at) | State::Stopping(Some(at)) = child.state {
            self.timers.disarm(at, id);
        }
        out.push(SupervisorEffect::Removed { child: id });
    }

    fn set_state(&mut self, id: ChildId, state: State) {
        if let Some(child) = self.children.get_mut(&id) {
            child.state = state;
        }
    }

    /// True when the pass under way will start `id` by itself.
    fn pass_covers(&self, id: ChildId) -> bool {
        match self.pass {
            None => false,
            Some(Pass { from, stage: Stage::Stopping { .. } | Stage::Waiting { .. } }) => id >= from,
            Some(Pass { stage: Stage::Starting { next }, .. }) => id >= next,
        }
    }

    /// True when the pass under way stops `id` or waits with it.
    fn is_stopping(&self, id: ChildId) -> bool {
        match self.pass {
            Some(Pass { from, stage: Stage::Stopping { .. } | Stage::Waiting { .. } }) => id >= from,
            _ => false,
        }
    }

    /// A child's moment has come: its back-off is over, or its grace is.
    fn child_due(&mut self, id: ChildId, out: &mut Effects) {
        let Some(child) = self.children.get_mut(&id) else { return };
        match child.state {
            State::Waiting(_) => {
                child.state = State::Down;
                self.start_child(id, out);
            }
            State::Stopping(Some(_)) => {
                child.state = State::Stopping(None);
                out.push(SupervisorEffect::Kill { child: id, incarnation: child.last });
            }
            State::Down | State::Finished | State::Starting | State::Running | State::Stopping(None) => {}
        }
    }
}

impl Core for SupervisorCore {
    type Input = SupervisorInput;
    type Effect = SupervisorEffect;

    fn step(&mut self, now: Tick, input: SupervisorInput, out: &mut Effects) {
        match input {
            SupervisorInput::Start => self.start(now, out),
            SupervisorInput::AddChild { child, policy, seen } => self.add(now, child, policy, seen, out),
            SupervisorInput::RemoveChild { child } => self.remove(now, child, out),
            SupervisorInput::RestartChild { child } => self.restart(now, child, out),
            SupervisorInput::Started { child, incarnation } => {
                self.child_started(now, child, incarnation, out)
            }
            SupervisorInput::Exited { child, incarnation, reason } => {
                self.child_exited(now, child, incarnation, reason, out);
            }
            SupervisorInput::Shutdown => self.shut_down(now, out),
        }
    }

    fn deadline(&self) -> Option<Tick> {
        let pass = match self.pass {
            Some(Pass { stage: Stage::Waiting { until }, .. }) => Some(until),
            _ => None,
        };
        pass.into_iter().chain(self.timers.earliest()).min()
    }

    fn expire(&mut self, now: Tick, out: &mut Effects) {
        while let Some(id) = self.timers.take_due(now) {
            self.child_due(id, out);
        }
        self.advance(now, out);
    }
}
