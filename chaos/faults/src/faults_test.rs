//! The handle: its idle flag, its dead-man limit on the lookup path, and use from many threads.

use super::*;
use crate::rule::{BusAction, BusRule, FaultPoint, MailboxAction, MailboxRule};
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

fn at(ms: u64) -> Tick {
    Tick::from_nanos(ms * 1_000_000)
}

fn drop_inputs(id: &str, dead_man_ms: u64) -> FaultRule {
    let rule = MailboxRule { path_glob: "/server/**".into(), action: MailboxAction::Drop };
    FaultRule::new(id, FaultPoint::Mailbox(rule), Duration::from_millis(dead_man_ms))
}

fn cut(id: &str, dead_man_ms: u64) -> FaultRule {
    let rule = BusRule {
        peer_glob: "s2".into(),
        class: None,
        direction: Direction::Both,
        action: BusAction::Partition,
    };
    FaultRule::new(id, FaultPoint::Bus(rule), Duration::from_millis(dead_man_ms))
}

#[test]
fn a_fresh_handle_is_idle_and_clones_share_rules() {
    let faults = Faults::new();
    let clone = faults.clone();
    assert!(faults.is_idle());
    faults.arm(drop_inputs("m", 100), at(0)).unwrap();
    assert!(!clone.is_idle());
    assert_eq!(clone.mailbox("/server/s1/echo", at(1)), Some(MailboxFault::Drop));
    assert_eq!(clone.heal(&"m".into()), Ok(()));
    assert!(faults.is_idle());
    assert_eq!(faults.mailbox("/server/s1/echo", at(1)), None);
}

#[test]
fn handles_are_independent_of_each_other() {
    let (one, other) = (Faults::new(), Faults::new());
    one.arm(cut("p", 100), at(0)).unwrap();
    assert_eq!(one.bus("s2", "raft", Direction::Out, at(1)), Some(BusFault::Partition));
    assert_eq!(other.bus("s2", "raft", Direction::Out, at(1)), None);
}

#[test]
fn a_handle_without_injection_refuses_every_rule() {
    for faults in [Faults::none(), Faults::default()] {
        assert_eq!(faults.arm(drop_inputs("m", 100), at(0)), Err(ArmError::Disabled));
        assert!(faults.is_idle());
        assert_eq!(faults.mailbox("/server/s1/echo", at(1)), None);
    }
}

#[test]
fn a_lookup_past_the_dead_man_limit_never_acts_and_clears_the_idle_flag() {
    let faults = Faults::new();
    faults.arm(drop_inputs("m", 100), at(0)).unwrap();
    assert_eq!(faults.mailbox("/server/s1/echo", at(99)), Some(MailboxFault::Drop));
    assert_eq!(faults.mailbox("/server/s1/echo", at(100)), None);
    assert!(faults.is_idle());

    faults.arm(cut("p", 50), at(200)).unwrap();
    assert_eq!(faults.bus("s2", "bulk", Direction::In, at(249)), Some(BusFault::Partition));
    assert_eq!(faults.bus("s2", "bulk", Direction::In, at(250)), None);
    assert!(faults.is_idle());
}

#[test]
fn a_question_to_one_point_retires_overdue_rules_of_another() {
    let faults = Faults::new();
    faults.arm(cut("p", 50), at(0)).unwrap();
    assert_eq!(faults.mailbox("/server/s1/echo", at(60)), None);
    assert!(faults.is_idle());
}

#[test]
fn the_timer_heals_without_any_lookup() {
    let faults = Faults::new();
    faults.arm(drop_inputs("late", 300), at(0)).unwrap();
    faults.arm(cut("soon", 100), at(0)).unwrap();
    assert_eq!(faults.next_expiry(), Some(at(100)));
    assert_eq!(faults.expire(at(100)), vec!["soon".into()]);
    assert!(!faults.is_idle());
    assert_eq!(faults.next_expiry(), Some(at(300)));
    assert_eq!(faults.expire(at(300)), vec!["late".into()]);
    assert!(faults.is_idle());
    assert_eq!(faults.next_expiry(), None);
}

#[test]
fn a_spent_rule_leaves_the_handle_idle_but_listed() {
    let faults = Faults::new();
    faults.arm(FaultRule { max_hits: Some(1), ..drop_inputs("m", 100) }, at(0)).unwrap();
    assert!(faults.mailbox("/server/s1/echo", at(1)).is_some());
    assert!(faults.is_idle());
    let listed = faults.list(at(1));
    assert_eq!((listed.len(), listed[0].hits, listed[0].spent, listed[0].remaining_ms), (1, 1, true, 99));
    assert_eq!(faults.heal_all(), 1);
    assert!(faults.list(at(1)).is_empty());
}

#[test]
fn a_refused_rule_leaves_the_handle_idle() {
    let faults = Faults::new();
    assert!(matches!(faults.arm(drop_inputs("m", 0), at(0)), Err(ArmError::Invalid(_))));
    assert!(faults.is_idle());
}

#[test]
fn hits_are_counted_exactly_from_many_threads() {
    const THREADS: usize = 8;
    const ASKS: usize = 5_000;
    const MAX_HITS: usize = 10_000;
    let faults = Faults::new();
    let limit = u64::try_from(MAX_HITS).unwrap();
    faults.arm(FaultRule { max_hits: Some(limit), ..drop_inputs("m", 1_000) }, at(0)).unwrap();
    let hits = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ASKS {
                    if faults.mailbox("/server/s1/echo", at(1)).is_some() {
                        hits.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(hits.into_inner(), MAX_HITS);
    assert!(faults.is_idle());
    assert_eq!(faults.list(at(1))[0].hits, limit);
}

#[test]
fn arming_healing_and_asking_at_once_ends_idle() {
    const ROUNDS: u64 = 2_000;
    let faults = Faults::new();
    std::thread::scope(|scope| {
        for name in ["a", "b"] {
            let faults = &faults;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    faults.arm(drop_inputs(name, 600_000), at(round)).unwrap();
                    faults.heal(&name.into()).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for round in 0..ROUNDS {
                let _ = faults.mailbox("/server/s1/echo", at(round));
                let _ = faults.expire(at(round));
            }
        });
    });
    assert!(faults.is_idle());
    assert!(faults.list(at(0)).is_empty());
}
