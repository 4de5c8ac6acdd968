//! The supervision core under many seeds: random trees of supervisors, simulated with their own event heap,
//! suffering restart storms, nested failures, escalation, removals, late and duplicate reports, and shutdown
//! in the middle of it. What must hold is checked at every effect, see [`shadow`], and at the end, see
//! [`world`].
//!
//! `TRIREME_SEEDS` sets how many seeds run (100,000 unless set); `TRIREME_SEED` runs a single one.

mod shadow;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

const SEEDS: u64 = 100_000;
/// Every so many seeds one is run twice and must leave the same trace.
const REPLAY_EVERY: u64 = 8;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("the variable holds a number"))
}

#[test]
fn holds_over_many_seeds() {
    if let Some(seed) = number("TRIREME_SEED") {
        World::new(seed, true).run();
        return;
    }
    let seeds = number("TRIREME_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let totals = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&next, seeds))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a seed failed, see above"))
            .fold(world::Tally::default(), |sum, tally| sum + tally)
    });
    println!("{seeds} seeds: {totals:?}");
    // The schedule must in fact contain what the test claims to cover.
    assert!(totals.restarts > seeds, "{totals:?}");
    assert!(totals.escalations > seeds / 50, "{totals:?}");
    assert!(totals.exceeded_back_offs > seeds / 50, "{totals:?}");
    assert!(totals.shutdowns_in_restart > seeds / 50, "{totals:?}");
    assert!(totals.kills_after_grace > seeds / 50, "{totals:?}");
    assert!(totals.stale_reports > seeds, "{totals:?}");
    assert!(totals.leftovers > seeds / 50, "{totals:?}");
}

fn work(next: &AtomicU64, seeds: u64) -> world::Tally {
    let mut tally = world::Tally::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds {
            return tally;
        }
        let (trace, seen) = std::panic::catch_unwind(|| World::new(seed, false).run()).unwrap_or_else(|_| {
            panic!("seed {seed} failed; run it alone with TRIREME_SEED={seed}");
        });
        if seed.is_multiple_of(REPLAY_EVERY) {
            let (again, _) = World::new(seed, false).run();
            assert_eq!(trace, again, "seed {seed} left two different traces");
        }
        tally = tally + seen;
    }
}
