//! A schedule by seed.

use serde::{Deserialize, Serialize};
use trireme_core::Rng;

use super::fault::{Cut, DiskHarm, Fault, FaultKind, LinkHarm, Target};

/// Quiet time before the first fault, so that every workload has begun, in milliseconds.
const QUIET_FIRST_MS: u64 = 2_000;
/// Shortest and longest fault, in milliseconds. The longest is beyond every time-out of the store.
const LASTS_MS: (u64, u64) = (400, 6_000);
/// Shortest and longest quiet time behind a fault, in milliseconds.
const QUIET_MS: (u64, u64) = (300, 4_000);
/// Longest jump of a clock, in seconds: twelve hours, beyond every backdating of a certificate.
const CLOCK_JUMP_S: u64 = 12 * 3600;
/// One in this many faults begins while the one before still lasts.
const OVERLAP_ONE_IN: u64 = 4;

/// One fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, in milliseconds from the start of the faults.
    pub at_ms: u64,
    /// How long it lasts, in milliseconds.
    pub lasts_ms: u64,
    /// What happens.
    pub fault: Fault,
}

/// All faults of a run, by time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The faults.
    pub steps: Vec<Step>,
}

impl Schedule {
    /// Plans faults of these kinds for so many members and so many seconds. Every kind comes up in turn, in an order
    /// that the seed decides.
    #[must_use]
    pub fn plan(seed: u64, members: usize, seconds: u64, kinds: &[FaultKind]) -> Self {
        let mut rng = Rng::new(seed);
        let mut steps = Vec::new();
        let end_ms = seconds.saturating_mul(1_000);
        let mut at_ms = QUIET_FIRST_MS;
        let mut turn: Vec<FaultKind> = Vec::new();
        while let Some(kind) = next_kind(&mut rng, &mut turn, kinds) {
            let lasts_ms = rng.between(LASTS_MS.0, LASTS_MS.1);
            if at_ms + lasts_ms > end_ms {
                break;
            }
            steps.push(Step { at_ms, lasts_ms, fault: fault(&mut rng, kind, members) });
            let quiet_ms = rng.between(QUIET_MS.0, QUIET_MS.1);
            at_ms += match rng.chance(1, OVERLAP_ONE_IN) {
                true => lasts_ms / 2,
                false => lasts_ms + quiet_ms,
            };
        }
        Self { steps }
    }
}

/// Deals the kinds like cards: all once, then again in another order.
fn next_kind(rng: &mut Rng, turn: &mut Vec<FaultKind>, kinds: &[FaultKind]) -> Option<FaultKind> {
    if turn.is_empty() {
        turn.extend(kinds);
        for last in (1..turn.len()).rev() {
            turn.swap(last, pick(rng, last + 1));
        }
    }
    turn.pop()
}

/// A number below `count`, which is not zero.
fn pick(rng: &mut Rng, count: usize) -> usize {
    rng.index(count).expect("something to choose from")
}

fn fault(rng: &mut Rng, kind: FaultKind, members: usize) -> Fault {
    let member = pick(rng, members);
    let one = Target::Member(member);
    let some = match rng.chance(1, 3) {
        true => Target::Leader,
        false => one,
    };
    let per_mille = u16::try_from(rng.between(20, 400)).expect("at most 400");
    let links = |harm, per_mille| Fault::Links { target: some, harm, per_mille };
    match kind {
        FaultKind::Kill => Fault::Kill(one),
        FaultKind::KillLeader => Fault::Kill(Target::Leader),
        FaultKind::KillAll => Fault::Kill(Target::All),
        FaultKind::Freeze => Fault::Freeze(one),
        FaultKind::FreezeLeader => Fault::Freeze(Target::Leader),
        FaultKind::Minority => Fault::Cut(Cut::Off(one)),
        FaultKind::Majority => Fault::Cut(Cut::Off(Target::Leader)),
        FaultKind::Ring => Fault::Cut(Cut::Ring),
        FaultKind::OneWay if rng.chance(1, 2) => Fault::Cut(Cut::SilentOf(some)),
        FaultKind::OneWay => Fault::Cut(Cut::DeafOf(some)),
        FaultKind::Slow => links(LinkHarm::Delayed(rng.between(5, 200)), 1_000),
        FaultKind::Lossy => links(LinkHarm::Lost, per_mille),
        FaultKind::Duplicate => links(LinkHarm::Doubled, per_mille),
        FaultKind::Reorder => links(LinkHarm::Swapped, per_mille),
        FaultKind::Transfer => Fault::Transfer(member),
        FaultKind::Churn => Fault::Churn(member),
        FaultKind::KillActor => Fault::KillActor(some),
        FaultKind::SlowDisk => Fault::Disk(some, DiskHarm::Slow(rng.between(20, 2_000))),
        FaultKind::FailingDisk => Fault::Disk(one, DiskHarm::Failing),
        FaultKind::NoRoom => Fault::Disk(some, DiskHarm::NoRoom),
        FaultKind::FullDisk => Fault::FullDisk(member),
        FaultKind::TornTail => Fault::TornTail { member, seed: rng.next_u64() },
        FaultKind::Clock => {
            let seconds = i64::try_from(rng.between(1, CLOCK_JUMP_S)).expect("far below the limit");
            Fault::Clock(some, if rng.chance(1, 2) { seconds } else { -seconds })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_plans_the_same_faults_and_another_seed_others() {
        for seed in 0..50 {
            let plan = |seed| Schedule::plan(seed, 5, 120, &FaultKind::ALL);
            assert_eq!(plan(seed), plan(seed));
            assert_ne!(plan(seed), plan(seed + 1));
        }
    }

    #[test]
    fn every_kind_comes_up_before_any_comes_again() {
        let plan = Schedule::plan(3, 3, 600, &FaultKind::ALL);
        assert!(plan.steps.len() > 2 * FaultKind::ALL.len(), "{}", plan.steps.len());
        let first = &plan.steps[..FaultKind::ALL.len()];
        let distinct: BTreeSet<u8> = first.iter().map(|step| discriminant(step.fault)).collect();
        assert_eq!(distinct.len(), 11, "every shape of fault: {first:?}");
    }

    fn discriminant(fault: Fault) -> u8 {
        match fault {
            Fault::Kill(_) => 0,
            Fault::Freeze(_) => 1,
            Fault::Cut(_) => 2,
            Fault::Links { .. } => 3,
            Fault::Transfer(_) => 4,
            Fault::Churn(_) => 5,
            Fault::KillActor(_) => 6,
            Fault::FullDisk(_) => 7,
            Fault::Disk(..) => 8,
            Fault::TornTail { .. } => 9,
            Fault::Clock(..) => 10,
        }
    }

    #[test]
    fn faults_stay_within_their_time_and_members_within_their_number() {
        for seed in 0..200 {
            let plan = Schedule::plan(seed, 3, 30, &FaultKind::ALL);
            let mut before = 0;
            for Step { at_ms, lasts_ms, fault } in plan.steps {
                assert!(at_ms >= before && at_ms + lasts_ms <= 30_000, "seed {seed}");
                before = at_ms;
                if let Fault::Kill(Target::Member(index)) | Fault::Transfer(index) | Fault::Churn(index) =
                    fault
                {
                    assert!(index < 3);
                }
            }
        }
    }

    #[test]
    fn no_kinds_plan_no_faults() {
        assert!(Schedule::plan(1, 3, 60, &[]).steps.is_empty());
    }
}
