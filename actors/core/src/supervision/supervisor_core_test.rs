use std::time::Duration;

use super::*;
use crate::{Core, Tick};

const GRACE: Duration = Duration::from_millis(100);

fn policy(strategy: Strategy) -> SupervisorPolicy {
    let back_off =
        BackOff { first: Duration::from_millis(10), max: Duration::from_millis(80), jitter_percent: 0 };
    SupervisorPolicy { strategy, back_off, ..SupervisorPolicy::default() }
}

fn ms(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn step(core: &mut SupervisorCore, at: u64, input: SupervisorInput) -> Vec<SupervisorEffect> {
    let mut out = Vec::new();
    core.step(ms(at), input, &mut out);
    out
}

fn expire(core: &mut SupervisorCore, at: u64) -> Vec<SupervisorEffect> {
    assert_eq!(core.deadline(), Some(ms(at)));
    let mut out = Vec::new();
    core.expire(ms(at), &mut out);
    out
}

fn start(child: u64, incarnation: u64) -> SupervisorEffect {
    SupervisorEffect::Start { child: ChildId(child), incarnation: Incarnation(incarnation) }
}

fn stop(child: u64, incarnation: u64) -> SupervisorEffect {
    SupervisorEffect::Stop { child: ChildId(child), incarnation: Incarnation(incarnation), grace: GRACE }
}

fn started(child: u64, incarnation: u64) -> SupervisorInput {
    SupervisorInput::Started { child: ChildId(child), incarnation: Incarnation(incarnation) }
}

fn exited(child: u64, incarnation: u64, reason: ExitReason) -> SupervisorInput {
    SupervisorInput::Exited { child: ChildId(child), incarnation: Incarnation(incarnation), reason }
}

fn restarting(child: u64, reason: ExitReason, delay_ms: u64, exceeded: bool) -> SupervisorEffect {
    let delay = Duration::from_millis(delay_ms);
    SupervisorEffect::Restarting { child: ChildId(child), reason, delay, exceeded }
}

/// A supervisor with children 0, 1, 2 up in their first incarnation.
fn up(policy: SupervisorPolicy, restart: RestartMode) -> SupervisorCore {
    let mut core = SupervisorCore::new(policy, 1);
    let own = ChildPolicy { restart, grace: GRACE, ..ChildPolicy::default() };
    for child in 0..3 {
        let input = SupervisorInput::AddChild { child: ChildId(child), policy: own, seen: Seen::default() };
        assert_eq!(step(&mut core, 0, input), []);
    }
    assert_eq!(step(&mut core, 0, SupervisorInput::Start), [start(0, 1)]);
    assert_eq!(step(&mut core, 0, started(0, 1)), [start(1, 1)]);
    assert_eq!(step(&mut core, 0, started(1, 1)), [start(2, 1)]);
    assert_eq!(step(&mut core, 0, started(2, 1)), []);
    core
}

#[test]
fn one_for_one_restarts_one_after_a_growing_wait() {
    let mut core = up(policy(Strategy::OneForOne), RestartMode::Permanent);
    assert_eq!(
        step(&mut core, 1, exited(1, 1, ExitReason::Panic)),
        [restarting(1, ExitReason::Panic, 10, false)]
    );
    assert_eq!(expire(&mut core, 11), [start(1, 2)]);
    assert_eq!(
        step(&mut core, 12, exited(1, 2, ExitReason::StartFailed)),
        [restarting(1, ExitReason::StartFailed, 20, false)]
    );
    assert_eq!(expire(&mut core, 32), [start(1, 3)]);
    assert_eq!(core.deadline(), None);
}

#[test]
fn back_off_starts_over_after_a_quiet_window() {
    let mut core = up(policy(Strategy::OneForOne), RestartMode::Permanent);
    step(&mut core, 1, exited(1, 1, ExitReason::Panic));
    expire(&mut core, 11);
    step(&mut core, 12, started(1, 2));
    let late = step(&mut core, 20_000, exited(1, 2, ExitReason::Panic));
    assert_eq!(late, [restarting(1, ExitReason::Panic, 10, false)]);
}

#[test]
fn rest_for_one_stops_later_ones_in_reverse_and_starts_in_order() {
    let mut core = up(policy(Strategy::RestForOne), RestartMode::Permanent);
    let effects = step(&mut core, 1, exited(1, 1, ExitReason::Panic));
    assert_eq!(effects, [restarting(1, ExitReason::Panic, 10, false), stop(2, 1)]);
    assert_eq!(step(&mut core, 2, exited(2, 1, ExitReason::Normal)), []);
    assert_eq!(expire(&mut core, 11), [start(1, 2)]);
    assert_eq!(step(&mut core, 12, started(1, 2)), [start(2, 2)]);
}

#[test]
fn one_for_all_stops_everyone() {
    let mut core = up(policy(Strategy::OneForAll), RestartMode::Permanent);
    let effects = step(&mut core, 1, exited(1, 1, ExitReason::Panic));
    assert_eq!(effects, [restarting(1, ExitReason::Panic, 10, false), stop(2, 1)]);
    assert_eq!(step(&mut core, 2, exited(2, 1, ExitReason::Normal)), [stop(0, 1)]);
    assert_eq!(step(&mut core, 3, exited(0, 1, ExitReason::Normal)), []);
    assert_eq!(expire(&mut core, 11), [start(0, 2)]);
}

#[test]
fn stale_and_unknown_reports_are_ignored() {
    let mut core = up(policy(Strategy::OneForOne), RestartMode::Permanent);
    for stale in
        [exited(1, 0, ExitReason::Panic), exited(1, 2, ExitReason::Panic), exited(9, 1, ExitReason::Panic)]
    {
        assert_eq!(step(&mut core, 1, stale), []);
    }
    step(&mut core, 2, exited(1, 1, ExitReason::Panic));
    assert_eq!(step(&mut core, 3, exited(1, 1, ExitReason::Panic)), [], "a duplicate");
}

#[test]
fn lost_neighbours_come_back_at_once_and_do_not_count() {
    let mut core = up(policy(Strategy::OneForOne), RestartMode::Permanent);
    for life in 1..100 {
        let effects = step(&mut core, 1, exited(0, life, ExitReason::Abandoned));
        assert_eq!(effects, [restarting(0, ExitReason::Abandoned, 0, false), start(0, life + 1)]);
        step(&mut core, 1, started(0, life + 1));
    }
}

#[test]
fn too_many_restarts_escalate_once_everything_is_down() {
    let mut core = up(policy(Strategy::OneForOne), RestartMode::Permanent);
    for life in 1..=5 {
        step(&mut core, life, exited(1, life, ExitReason::Panic));
        let at = core.deadline().expect("a wait");
        let mut out = Vec::new();
        core.expire(at, &mut out);
        assert_eq!(out, [start(1, life + 1)]);
    }
    assert_eq!(step(&mut core, 500, exited(1, 6, ExitReason::Panic)), [stop(2, 1)]);
    assert_eq!(step(&mut core, 501, exited(2, 1, ExitReason::Normal)), [stop(0, 1)]);
    let last = step(&mut core, 502, exited(0, 1, ExitReason::Normal));
    assert_eq!(last, [SupervisorEffect::Escalate { child: ChildId(1) }]);
    assert_eq!(core.deadline(), None);
    assert_eq!(step(&mut core, 503, SupervisorInput::Start), []);
}

#[test]
fn too_many_restarts_wait_the_longest_when_told_to() {
    let mut policy = policy(Strategy::OneForOne);
    policy.intensity = Intensity { restarts: 1, when_exceeded: WhenExceeded::BackOff, ..policy.intensity };
    let mut core = up(policy, RestartMode::Permanent);
    step(&mut core, 0, exited(1, 1, ExitReason::Panic));
    expire(&mut core, 10);
    let effects = step(&mut core, 11, exited(1, 2, ExitReason::Panic));
    assert_eq!(effects, [restarting(1, ExitReason::Panic, 80, true)]);
    assert_eq!(expire(&mut core, 91), [start(1, 3)]);
}

#[test]
fn shutdown_goes_in_reverse_and_kills_after_the_grace() {
    let mut core = up(policy(Strategy::OneForOne), RestartMode::Permanent);
    step(&mut core, 0, exited(0, 1, ExitReason::Panic));
    assert_eq!(step(&mut core, 1, SupervisorInput::Shutdown), [stop(2, 1)]);
    let kill = SupervisorEffect::Kill { child: ChildId(2), incarnation: Incarnation(1) };
    assert_eq!(expire(&mut core, 101), [kill]);
    assert_eq!(step(&mut core, 102, exited(2, 1, ExitReason::Killed)), [stop(1, 1)]);
    let last = step(&mut core, 103, exited(1, 1, ExitReason::Normal));
    assert_eq!(last, [SupervisorEffect::Finished], "the one that waited for its restart is not started");
    assert_eq!(core.deadline(), None);
}

#[test]
fn modes_decide_who_comes_back() {
    let mut core = up(policy(Strategy::OneForOne), RestartMode::Transient);
    let finished = SupervisorEffect::ChildFinished { child: ChildId(1) };
    assert_eq!(step(&mut core, 1, exited(1, 1, ExitReason::Normal)), [finished]);
    assert_eq!(step(&mut core, 2, SupervisorInput::RestartChild { child: ChildId(1) }), [start(1, 2)]);
    let mut core = up(policy(Strategy::OneForOne), RestartMode::Temporary);
    let removed = SupervisorEffect::Removed { child: ChildId(1) };
    assert_eq!(step(&mut core, 1, exited(1, 1, ExitReason::Panic)), [removed]);
    assert_eq!(core.len(), 2);
}

#[test]
fn what_an_earlier_life_left_alive_is_stopped_first() {
    let mut core = SupervisorCore::new(policy(Strategy::OneForOne), 1);
    let own = ChildPolicy { restart: RestartMode::Transient, grace: GRACE, ..ChildPolicy::default() };
    let seen = Seen { last: Incarnation(4), alive: true, finished: false };
    step(&mut core, 0, SupervisorInput::AddChild { child: ChildId(0), policy: own, seen });
    assert_eq!(step(&mut core, 0, SupervisorInput::Start), [stop(0, 4)]);
    assert_eq!(step(&mut core, 1, exited(0, 4, ExitReason::Normal)), [start(0, 5)]);
}

#[test]
fn a_temporary_child_that_ended_with_the_earlier_life_is_forgotten() {
    let mut core = SupervisorCore::new(policy(Strategy::OneForOne), 1);
    let own = ChildPolicy { restart: RestartMode::Temporary, grace: GRACE, ..ChildPolicy::default() };
    let ended = Seen { last: Incarnation(1), ..Seen::default() };
    let removed = SupervisorEffect::Removed { child: ChildId(0) };
    let declared = SupervisorInput::AddChild { child: ChildId(0), policy: own, seen: ended };
    assert_eq!(step(&mut core, 0, declared), [removed]);
    let fresh = SupervisorInput::AddChild { child: ChildId(1), policy: own, seen: Seen::default() };
    assert_eq!(step(&mut core, 0, fresh), []);
    assert_eq!(step(&mut core, 0, SupervisorInput::Start), [start(1, 1)]);
}

#[test]
fn removal_waits_for_the_stop_and_late_repetitions_of_the_declaration_do_nothing() {
    let mut core = up(policy(Strategy::OneForAll), RestartMode::Permanent);
    assert_eq!(step(&mut core, 1, SupervisorInput::RemoveChild { child: ChildId(2) }), [stop(2, 1)]);
    let removed = SupervisorEffect::Removed { child: ChildId(2) };
    assert_eq!(step(&mut core, 2, exited(2, 1, ExitReason::Normal)), [removed]);
    let policy = ChildPolicy::default();
    let again = SupervisorInput::AddChild { child: ChildId(2), policy, seen: Seen::default() };
    assert_eq!(step(&mut core, 3, again), []);
    let fresh = SupervisorInput::AddChild { child: ChildId(3), policy, seen: Seen::default() };
    assert_eq!(step(&mut core, 3, fresh), [start(3, 1)]);
}

#[test]
fn pools_start_and_stop_together() {
    let mut together = policy(Strategy::OneForOne);
    together.shutdown_order = ShutdownOrder::Together;
    let mut core = SupervisorCore::new(together, 1);
    let own = ChildPolicy { grace: GRACE, ..ChildPolicy::default() };
    for child in 0..3 {
        let input = SupervisorInput::AddChild { child: ChildId(child), policy: own, seen: Seen::default() };
        step(&mut core, 0, input);
    }
    assert_eq!(step(&mut core, 0, SupervisorInput::Start), [start(0, 1), start(1, 1), start(2, 1)]);
    assert_eq!(step(&mut core, 1, SupervisorInput::Shutdown), [stop(2, 1), stop(1, 1), stop(0, 1)]);
    assert_eq!(step(&mut core, 2, exited(1, 1, ExitReason::Normal)), []);
    assert_eq!(step(&mut core, 3, exited(2, 1, ExitReason::Normal)), []);
    assert_eq!(step(&mut core, 4, exited(0, 1, ExitReason::Normal)), [SupervisorEffect::Finished]);
}
