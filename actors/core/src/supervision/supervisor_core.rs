use std::time::Duration;

use super::child::ChildState;
use super::children::Children;
use super::failures::Failures;
use super::pass::Pass;
use super::{
    ChildId, ChildPolicy, ExitReason, Incarnation, RestartMode, Seen, Strategy, SupervisorEffect,
    SupervisorInput, SupervisorPolicy, WhenExceeded,
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
    children: Children,
    pass: Option<Pass>,
    failures: Failures,
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

type Effects = Vec<SupervisorEffect>;

impl SupervisorCore {
    /// A supervisor without children. `seed` spreads its back-offs.
    pub fn new(policy: SupervisorPolicy, seed: u64) -> Self {
        Self {
            policy,
            rng: Rng::new(seed),
            phase: Phase::New,
            children: Children::default(),
            pass: None,
            failures: Failures::default(),
        }
    }

    /// Where it is, in a word.
    pub fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::New => "new",
            Phase::Up => self.pass.map_or("running", |pass| pass.stage_name()),
            Phase::Ending(None) => "stopping",
            Phase::Ending(Some(_)) => "escalating",
            Phase::Ended => "ended",
        }
    }

    /// How many children are declared.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// True when no child is declared.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries of any kind it holds beyond its children; bounded, for tests of just that.
    pub fn footprint(&self) -> usize {
        self.children.armed() + self.failures.len()
    }

    fn start(&mut self, now: Tick, out: &mut Effects) {
        if self.phase != Phase::New {
            return;
        }
        self.phase = Phase::Up;
        let all = ChildId(0);
        let leftovers = self.children.alive_from(all).next().is_some();
        self.pass = Some(if leftovers { Pass::restart(all, now) } else { Pass::start(all) });
        self.advance(now, out);
    }

    fn add(&mut self, now: Tick, id: ChildId, policy: ChildPolicy, seen: Seen, out: &mut Effects) {
        let ends = matches!(self.phase, Phase::Ending(_) | Phase::Ended);
        if ends || !self.children.declare(id, policy, seen) {
            return;
        }
        let ended = seen.last > Incarnation(0) && !seen.alive;
        if ended && policy.restart == RestartMode::Temporary {
            self.children.forget(id, out);
            return;
        }
        if self.phase == Phase::Up && self.pass.is_none() {
            self.pass = Some(Pass::start(id));
        }
        self.advance(now, out);
    }

    fn remove(&mut self, now: Tick, id: ChildId, out: &mut Effects) {
        if self.phase == Phase::Ended {
            return;
        }
        let Some(child) = self.children.get_mut(id) else { return };
        child.removing = true;
        child.again = false;
        if !child.state.is_alive() {
            self.children.forget(id, out);
        } else if self.phase != Phase::New {
            self.children.stop(now, id, out);
        }
        self.advance(now, out);
    }

    fn restart(&mut self, now: Tick, id: ChildId, out: &mut Effects) {
        let Some(child) = self.children.get_mut(id) else { return };
        if self.phase != Phase::Up || child.removing {
            return;
        }
        child.revive();
        match self.policy.strategy {
            Strategy::OneForOne if child.state.is_alive() => {
                child.again = true;
                self.children.stop(now, id, out);
            }
            Strategy::OneForOne if self.pass_starts(id) => {}
            Strategy::OneForOne => self.children.start(id, out),
            Strategy::RestForOne => self.begin_pass(id, now),
            Strategy::OneForAll => self.begin_pass(ChildId(0), now),
        }
        self.advance(now, out);
    }

    fn shut_down(&mut self, now: Tick, out: &mut Effects) {
        match self.phase {
            Phase::Ended => return,
            Phase::Ending(_) => self.phase = Phase::Ending(None),
            Phase::New | Phase::Up => self.begin_end(None),
        }
        self.advance(now, out);
    }

    fn child_started(&mut self, now: Tick, id: ChildId, incarnation: Incarnation, out: &mut Effects) {
        if self.children.note_started(id, incarnation) {
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
        let Some(before) = self.children.note_exited(id, incarnation) else { return };
        let Some(child) = self.children.get_mut(id) else { return };
        let expected = matches!(before, ChildState::Stopping(_)) || child.leftover;
        let (removing, again, mode) =
            (child.removing, std::mem::take(&mut child.again), child.policy.restart);
        if removing || mode == RestartMode::Temporary {
            self.children.forget(id, out);
        } else if expected {
            if again && self.phase == Phase::Up && !self.pass_starts(id) {
                self.children.start(id, out);
            }
        } else if mode == RestartMode::Transient && reason == ExitReason::Normal {
            self.children.finish(id, out);
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
            let exceeded = self.failures.count(now, self.policy.intensity);
            if exceeded && self.policy.intensity.when_exceeded == WhenExceeded::Escalate {
                self.begin_end(Some(id));
                return;
            }
            (self.delay(now, id, exceeded), exceeded)
        };
        out.push(SupervisorEffect::Restarting { child: id, reason, delay, exceeded });
        match self.policy.strategy {
            Strategy::OneForOne if self.pass.is_some_and(|pass| pass.stops(id)) => {
                self.begin_pass(id, now + delay);
            }
            Strategy::OneForOne if delay.is_zero() => self.children.start(id, out),
            Strategy::OneForOne => self.children.wait(id, now + delay),
            Strategy::RestForOne => self.begin_pass(id, now + delay),
            Strategy::OneForAll => self.begin_pass(ChildId(0), now + delay),
        }
    }

    fn delay(&mut self, now: Tick, id: ChildId, exceeded: bool) -> Duration {
        let window = self.policy.intensity.window;
        let Some(child) = self.children.get_mut(id) else { return Duration::ZERO };
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
        let pass = match self.pass {
            Some(pass) => pass.joined(from, not_before),
            None => Pass::restart(from, not_before),
        };
        // Children that only wait for their back-off are down at once.
        self.children.end_waits(pass.from());
        self.pass = Some(pass);
    }

    fn begin_end(&mut self, because: Option<ChildId>) {
        self.phase = Phase::Ending(because);
        let pass = Pass::shutdown();
        self.children.end_waits(pass.from());
        self.pass = Some(pass);
    }

    /// Does whatever the pass under way allows now.
    fn advance(&mut self, now: Tick, out: &mut Effects) {
        let Some(pass) = self.pass else { return };
        self.pass = pass.advance(now, &self.policy, &mut self.children, out);
        if let (None, Phase::Ending(because)) = (self.pass, self.phase) {
            self.phase = Phase::Ended;
            self.failures.clear();
            out.push(match because {
                Some(child) => SupervisorEffect::Escalate { child },
                None => SupervisorEffect::Finished,
            });
        }
    }

    /// True when the pass under way will start `id` by itself.
    fn pass_starts(&self, id: ChildId) -> bool {
        self.pass.is_some_and(|pass| pass.starts(id))
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
        let pass = self.pass.and_then(|pass| pass.deadline());
        pass.into_iter().chain(self.children.deadline()).min()
    }

    fn expire(&mut self, now: Tick, out: &mut Effects) {
        self.children.expire(now, out);
        self.advance(now, out);
    }
}
