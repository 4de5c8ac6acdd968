//! What a supervisor may do, judged from the inputs it was given and the effects it gave, without a look
//! inside.

use std::collections::{BTreeMap, VecDeque};

use trireme_core::Tick;
use trireme_core::supervision::{
    ChildId, ChildPolicy, ExitReason, Incarnation, RestartMode, Seen, ShutdownOrder, Strategy,
    SupervisorEffect, SupervisorInput, SupervisorPolicy, WhenExceeded,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Down,
    Finished,
    Starting,
    Running,
    Stopping,
}

#[derive(Debug)]
struct Child {
    policy: ChildPolicy,
    known: Known,
    last: Incarnation,
    removing: bool,
    /// A restart was asked for by hand: it waits for nothing.
    by_hand: bool,
    not_before: Tick,
    kill_at: Option<Tick>,
    leftover: bool,
}

/// One incarnation of a supervisor, as seen from outside.
#[derive(Debug)]
pub(crate) struct Shadow {
    policy: SupervisorPolicy,
    children: BTreeMap<ChildId, Child>,
    highest: Option<ChildId>,
    failures: VecDeque<Tick>,
    /// The intensity was exceeded and the policy says to escalate.
    must_escalate: bool,
    shutting_down: bool,
    expect_exceeded: Option<(ChildId, bool)>,
    pub(crate) over: bool,
}

impl Shadow {
    pub(crate) fn new(policy: SupervisorPolicy) -> Self {
        Self {
            policy,
            children: BTreeMap::new(),
            highest: None,
            failures: VecDeque::new(),
            must_escalate: false,
            shutting_down: false,
            expect_exceeded: None,
            over: false,
        }
    }

    pub(crate) fn ends(&self) -> bool {
        self.must_escalate || self.shutting_down
    }

    pub(crate) fn declared(&self) -> usize {
        self.children.len()
    }

    /// True when the child was declared in this life.
    pub(crate) fn has_known(&self, child: ChildId) -> bool {
        Some(child) <= self.highest
    }

    /// True when a child is neither up nor down for good.
    pub(crate) fn is_busy(&self) -> bool {
        self.children.values().any(|child| !matches!(child.known, Known::Running | Known::Finished))
    }

    pub(crate) fn input(&mut self, now: Tick, input: SupervisorInput) {
        match input {
            SupervisorInput::Start => {}
            SupervisorInput::AddChild { child, policy, seen } => self.add(child, policy, seen),
            SupervisorInput::RemoveChild { child } => {
                if let Some(child) = self.children.get_mut(&child) {
                    child.removing = true;
                }
            }
            SupervisorInput::RestartChild { child } => {
                if let Some(child) = self.children.get_mut(&child) {
                    child.by_hand = true;
                    if child.known == Known::Finished {
                        child.known = Known::Down;
                    }
                }
                // Whoever else waits may be taken along.
                self.children.values_mut().for_each(|child| child.not_before = Tick::ZERO);
            }
            SupervisorInput::Started { child, incarnation } => {
                if let Some(child) = self.children.get_mut(&child)
                    && child.last == incarnation
                    && child.known == Known::Starting
                {
                    child.known = Known::Running;
                }
            }
            SupervisorInput::Exited { child, incarnation, reason } => {
                self.exited(now, child, incarnation, reason)
            }
            SupervisorInput::Shutdown => self.shutting_down = true,
        }
    }

    fn add(&mut self, id: ChildId, policy: ChildPolicy, seen: Seen) {
        let known = match seen {
            Seen { alive: true, .. } => Known::Running,
            Seen { finished: true, .. } => Known::Finished,
            Seen { .. } => Known::Down,
        };
        let child = Child {
            policy,
            known,
            last: seen.last,
            removing: false,
            by_hand: false,
            not_before: Tick::ZERO,
            kill_at: None,
            leftover: seen.alive,
        };
        if !self.ends() && Some(id) > self.highest {
            self.highest = Some(id);
            self.children.insert(id, child);
        }
    }

    fn exited(&mut self, now: Tick, id: ChildId, incarnation: Incarnation, reason: ExitReason) {
        let ends = self.ends();
        let Some(child) = self.children.get_mut(&id) else { return };
        if child.last != incarnation || matches!(child.known, Known::Down | Known::Finished) {
            return;
        }
        let expected = child.known == Known::Stopping || child.leftover;
        child.known = Known::Down;
        child.kill_at = None;
        let finishes = child.policy.restart == RestartMode::Transient && reason == ExitReason::Normal;
        let failure = !expected && !finishes && !ends && child.policy.restart != RestartMode::Temporary;
        if !failure || child.removing {
            return;
        }
        if reason == ExitReason::Abandoned {
            self.expect_exceeded = Some((id, false));
            return;
        }
        let intensity = self.policy.intensity;
        self.failures.push_back(now);
        self.failures.retain(|at| now.since(*at) <= intensity.window);
        let exceeded = self.failures.len() > intensity.restarts as usize;
        if exceeded && intensity.when_exceeded == WhenExceeded::Escalate {
            self.must_escalate = true;
        } else {
            self.expect_exceeded = Some((id, exceeded));
        }
    }

    pub(crate) fn effect(&mut self, now: Tick, effect: SupervisorEffect) {
        assert!(!self.over, "{effect:?} after the last effect");
        match effect {
            SupervisorEffect::Start { child, incarnation } => self.start(now, child, incarnation),
            SupervisorEffect::Stop { child, incarnation, grace } => {
                self.check_stop_order(child);
                let child = self.children.get_mut(&child).expect("stops what is declared");
                assert!(child.last == incarnation && !grace.is_zero() && grace == child.policy.grace);
                assert!(matches!(child.known, Known::Starting | Known::Running), "stops what is alive");
                child.known = Known::Stopping;
                child.kill_at = Some(now + grace);
            }
            SupervisorEffect::Kill { child: id, incarnation } => {
                let child = self.children.get_mut(&id).expect("kills what is declared");
                assert_eq!(child.last, incarnation);
                match child.kill_at.take() {
                    Some(at) => assert_eq!(at, now, "kills when the grace is over"),
                    None => {
                        assert!(child.policy.grace.is_zero(), "kills at once only without grace");
                        self.check_stop_order(id);
                    }
                }
                self.children.get_mut(&id).expect("still there").known = Known::Stopping;
            }
            SupervisorEffect::Restarting { child, reason, delay, exceeded } => {
                assert_eq!(
                    self.expect_exceeded.take(),
                    Some((child, exceeded)),
                    "a counted failure, judged right"
                );
                let back_off = self.policy.back_off;
                if exceeded {
                    let least = back_off.max * (100 - u32::from(back_off.jitter_percent)) / 100;
                    assert!(delay + std::time::Duration::from_micros(1) >= least, "{delay:?} of {least:?}");
                }
                assert!(reason != ExitReason::Abandoned || delay.is_zero());
                self.children.get_mut(&child).expect("declared").not_before = now + delay;
            }
            SupervisorEffect::ChildFinished { child } => {
                self.children.get_mut(&child).expect("declared").known = Known::Finished;
            }
            SupervisorEffect::Removed { child } => {
                let child = self.children.remove(&child).expect("forgets what is declared");
                assert!(child.removing || child.policy.restart == RestartMode::Temporary);
                assert!(matches!(child.known, Known::Down | Known::Finished), "forgets what is down");
            }
            SupervisorEffect::Escalate { .. } => {
                assert!(self.must_escalate && !self.shutting_down, "escalates only when exceeded");
                self.end();
            }
            SupervisorEffect::Finished => {
                assert!(self.shutting_down, "finishes only when told to");
                self.end();
            }
        }
    }

    fn start(&mut self, now: Tick, id: ChildId, incarnation: Incarnation) {
        assert!(!self.ends(), "starts nothing while it ends");
        let grouped = self.policy.strategy != Strategy::OneForOne
            && self.policy.shutdown_order == ShutdownOrder::Reverse;
        for (earlier, child) in self.children.range(..id) {
            let ready = matches!(child.known, Known::Running | Known::Finished) || child.removing;
            assert!(!grouped || ready, "{id:?} is started although {earlier:?} is {child:?}");
        }
        let child = self.children.get_mut(&id).expect("starts what is declared");
        assert!(
            child.known == Known::Down && incarnation > child.last,
            "starts what is down, anew: {child:?}"
        );
        let once = child.policy.restart != RestartMode::Temporary || child.last == Incarnation(0);
        assert!(once, "a temporary child is started once: {child:?}");
        assert!(child.by_hand || now >= child.not_before, "{id:?} is started before its back-off is over");
        child.known = Known::Starting;
        child.last = incarnation;
        child.by_hand = false;
        child.leftover = false;
        child.not_before = Tick::ZERO;
    }

    /// In an orderly end, nothing is stopped while something started later is alive.
    fn check_stop_order(&self, id: ChildId) {
        if !self.ends() || self.policy.shutdown_order == ShutdownOrder::Together {
            return;
        }
        let removing = self.children.get(&id).is_some_and(|child| child.removing);
        let above = (std::ops::Bound::Excluded(id), std::ops::Bound::Unbounded);
        let later = self
            .children
            .range(above)
            .find(|(_, child)| !matches!(child.known, Known::Down | Known::Finished));
        assert!(removing || later.is_none(), "{id:?} is stopped before {later:?}");
    }

    fn end(&mut self) {
        self.over = true;
        let alive =
            self.children.values().find(|child| !matches!(child.known, Known::Down | Known::Finished));
        assert!(alive.is_none(), "ends with {alive:?} alive");
    }

    /// After each step: a failure that had to be answered was.
    pub(crate) fn settled(&mut self) {
        assert_eq!(self.expect_exceeded, None, "a counted failure went unanswered");
    }
}
