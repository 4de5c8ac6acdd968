//! The simulator on a toy: a correct core passes under all faults, each planted bug is found, replayed and shrunk.

mod adapter;
mod core;

use std::time::Duration;

use adapter::Toy;
use core::Bug;
use trireme_sim::{Fault, PlanSettings, Settings, explore, replay};

fn settings() -> Settings {
    let plan = PlanSettings {
        episodes: 10,
        longest: Duration::from_millis(1_200),
        calm: Duration::from_millis(2_500),
        ..PlanSettings::default()
    };
    Settings { length: Duration::from_secs(6), plan, ..Settings::default() }
}

#[test]
fn a_correct_core_passes_under_all_faults() {
    let started = std::time::Instant::now();
    let exploration = explore(0..SEEDS, &settings(), |_| Toy::new(Bug::None, 3));
    if let Some(failure) = &exploration.failure {
        panic!("{failure}");
    }
    assert_eq!(exploration.seeds, SEEDS);
    println!("{SEEDS} seeds, {} events in {:?}", exploration.steps, started.elapsed());
}

/// A sample; a longer run is a matter of the number.
const SEEDS: u64 = 150;

#[test]
fn a_correct_core_passes_on_bad_disks() {
    let exploration = explore(0..80, &disk_settings(), |_| Toy::new(Bug::None, 3));
    assert!(exploration.failure.is_none(), "{}", exploration.failure.expect("a failure"));
}

#[test]
fn five_peers_pass_too() {
    let settings = Settings { peers: 5, ..settings() };
    let exploration = explore(0..40, &settings, |_| Toy::new(Bug::None, 5));
    assert!(exploration.failure.is_none(), "{}", exploration.failure.expect("a failure"));
}

#[test]
fn the_same_seed_gives_the_same_trace_and_history() {
    for seed in 0..20 {
        let (run, toy) = replay(seed, None, &settings(), Toy::new(Bug::None, 3));
        let (again, same) = replay(seed, None, &settings(), Toy::new(Bug::None, 3));
        assert_eq!(run, again);
        assert_eq!(toy.history, same.history);
        let (other, _) = replay(seed + 1_000, None, &settings(), Toy::new(Bug::None, 3));
        assert_ne!(run.trace_hash, other.trace_hash);
    }
}

/// Short, many faults of peers and disks: what is wrong with durable state shows only if a majority forgets.
fn disk_settings() -> Settings {
    let plan = PlanSettings {
        episodes: 40,
        longest: Duration::from_millis(500),
        down: 10,
        failing_sync: 6,
        cut: 4,
        paused: 0,
        lossy: 0,
        clock_jump: 0,
        ..settings().plan
    };
    Settings { plan, ..settings() }
}

/// Looks for a bug, replays its smallest run, and gives its faults back.
fn found(bug: Bug, settings: &Settings) -> Vec<Fault> {
    let exploration = explore(0..600, settings, |_| Toy::new(bug, 3));
    let failure = exploration.failure.unwrap_or_else(|| panic!("{bug:?} was not found"));
    let smallest = &failure.smallest;
    let (again, _) = replay(smallest.seed, Some(smallest.plan.clone()), settings, Toy::new(bug, 3));
    assert_eq!(&again, smallest, "the smallest run does not repeat");
    let (whole, _) = replay(failure.run.seed, None, settings, Toy::new(bug, 3));
    assert_eq!(whole, failure.run, "the run does not repeat");
    assert!(smallest.plan.episodes.len() <= 8, "{failure}");
    smallest.plan.episodes.iter().map(|episode| episode.fault.clone()).collect()
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    let faults = found(Bug::AckBeforeSync, &disk_settings());
    assert!(
        faults.iter().any(|fault| matches!(fault, Fault::Down { .. })),
        "only a crash shows it: {faults:?}"
    );
}

#[test]
fn an_ignored_sync_failure_is_found() {
    let faults = found(Bug::IgnoresFailedSync, &disk_settings());
    assert!(faults.iter().any(|fault| matches!(fault, Fault::FailingSync { .. })), "{faults:?}");
}

#[test]
fn a_read_without_write_back_is_found() {
    found(Bug::NoWriteBack, &settings());
}

#[test]
fn a_quorum_of_half_is_found() {
    found(Bug::SmallQuorum, &settings());
}

#[test]
fn a_record_overwritten_in_place_is_found() {
    let faults = found(Bug::OneSlot, &disk_settings());
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Down { .. })), "{faults:?}");
}
