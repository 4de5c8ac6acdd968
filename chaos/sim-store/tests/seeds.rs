//! The replicated store under all faults, seed after seed.
//!
//! - `TRIREME_SIM_SEEDS=50000` runs more seeds than the usual number, `TRIREME_SIM_FROM` begins elsewhere,
//!   `TRIREME_SIM_THREADS` uses more threads.
//! - `TRIREME_SIM_SEED=17 cargo test -p trireme-sim-store --test seeds replay -- --ignored --nocapture` runs one seed
//!   and tells what happened; `TRIREME_SIM_KIND=1` is a cluster of slow disks, `2` one without other faults.

use std::time::Instant;

use trireme_sim_store::{Settings, explore, run, run_with};

/// Seeds of the usual run.
const SEEDS: u64 = 2_000;
/// Seeds of the short run, which planted bugs have to fail.
const FEW: u64 = 200;
/// Seeds of clusters with slow disks only.
const SLOW: u64 = 40;
/// Seeds of clusters with slow disks and nothing else amiss.
const STEADY: u64 = 60;
/// Seeds that are run twice.
const TWICE: u64 = 12;

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..TWICE {
        let (one, other) = (run(seed, None, false), run(seed, None, true));
        assert_eq!(one.result, Ok(()), "seed {seed}");
        assert_eq!(
            (one.trace_hash, one.state_hash, one.steps),
            (other.trace_hash, other.state_hash, other.steps)
        );
        assert!(!other.story.is_empty());
    }
    for seed in 0..TWICE / 4 {
        let trace = || run_with(Settings::draw_steady, seed, None, false).trace_hash;
        assert_eq!(trace(), trace(), "seed {seed} of those with slow disks");
    }
    let (one, other) = (run(1, None, false), run(2, None, false));
    assert_ne!((one.trace_hash, one.state_hash), (other.trace_hash, other.state_hash));
}

#[test]
fn a_few_seeds_keep_the_laws() {
    keep_the_laws(0, FEW);
}

/// Of a majority whose syncs take as long as an election time-out, somebody is elected all the same.
#[test]
fn members_with_slow_disks_elect_a_leader() {
    for seed in 0..number("TRIREME_SIM_SLOW_SEEDS", SLOW) {
        let run = run_with(Settings::draw_slow_disks, seed, None, false);
        assert_eq!(run.result.map_err(|failure| failure.to_string()), Ok(()), "seed {seed}");
        assert!(run.acknowledged > 0, "seed {seed}");
    }
}

/// Of members some or all of whose disks are slow, a leader stays until it is asked to go, and goes where it is asked.
#[test]
fn slow_disks_do_not_move_leadership() {
    for seed in 0..number("TRIREME_SIM_STEADY_SEEDS", STEADY) {
        let run = run_with(Settings::draw_steady, seed, None, false);
        assert_eq!(run.result.map_err(|failure| failure.to_string()), Ok(()), "seed {seed}");
        assert!(run.acknowledged > 0, "seed {seed}");
    }
}

#[test]
fn every_seed_keeps_the_laws() {
    keep_the_laws(number("TRIREME_SIM_FROM", FEW), number("TRIREME_SIM_SEEDS", SEEDS));
}

#[test]
#[ignore = "for people: tells what happens under TRIREME_SIM_SEED"]
#[allow(clippy::print_stdout)]
fn replay() {
    let draw = match number("TRIREME_SIM_KIND", 0) {
        0 => Settings::draw,
        1 => Settings::draw_slow_disks,
        _ => Settings::draw_steady,
    };
    let run = run_with(draw, number("TRIREME_SIM_SEED", 0), None, true);
    for line in &run.story {
        println!("{line}");
    }
    println!("faults:\n{}", run.plan);
    println!("trace {:016x}, state {:016x}, {} steps", run.trace_hash, run.state_hash, run.steps);
    assert_eq!(run.result.map_err(|failure| failure.to_string()), Ok(()));
}

// Numbers for people; a failure carries its own.
#[allow(clippy::print_stdout)]
fn keep_the_laws(from: u64, seeds: u64) {
    let threads = usize::try_from(number("TRIREME_SIM_THREADS", 2)).expect("a few threads");
    let started = Instant::now();
    let explored = explore(from..from + seeds, threads);
    let per_second = explored.seeds as f64 / started.elapsed().as_secs_f64();
    println!(
        "{} seeds, {per_second:.1}/s, {} steps, {} acknowledged operations, {} terms, hash {:016x}",
        explored.seeds, explored.steps, explored.acknowledged, explored.terms, explored.hash
    );
    if let Some(failed) = explored.failure {
        panic!(
            "{failed}\n\nTell what happened:\nTRIREME_SIM_SEED={} cargo test -p trireme-sim-store --test seeds replay -- \
             --ignored --nocapture",
            failed.run.seed
        );
    }
    assert_eq!(explored.seeds, seeds);
    assert!(explored.acknowledged > seeds * 20, "the runs do too little to show anything");
    assert!(explored.terms > seeds, "leaders hardly ever change");
}

fn number(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")),
        Err(_) => usual,
    }
}
