//! Many seeds on several threads, and the fewest faults that still fail.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use trireme_laws::minimize;
use trireme_sim::{Plan, TraceHash};

use crate::run::{Run, run};

/// Runs that shrinking may try for one failure.
const SHRINK_RUNS: u32 = 40;

/// What a range of seeds brought.
#[derive(Debug, Default)]
pub struct Exploration {
    /// Seeds that were run.
    pub seeds: u64,
    /// Task steps over all of them.
    pub steps: u64,
    /// Acknowledged operations over all of them.
    pub acknowledged: u64,
    /// The highest terms of all of them, summed up.
    pub terms: u64,
    /// The hashes of all runs, by seed: the same for the same seeds and code.
    pub hash: u64,
    /// The lowest failing seed.
    pub failure: Option<Failed>,
}

/// A failing seed.
#[derive(Debug)]
pub struct Failed {
    /// The run as the seed gives it.
    pub run: Run,
    /// The same seed with the fewest faults that still fail.
    pub smallest: Plan,
}

#[derive(Default)]
struct Found {
    sum: Exploration,
    /// Seeds and their traces, as they came.
    hashes: Vec<(u64, u64)>,
    failed: Option<Run>,
}

/// Runs every seed on so many threads; stops soon after a failure, whose plan is then shrunk.
pub fn explore(seeds: Range<u64>, threads: usize) -> Exploration {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicU64::new(u64::MAX));
    let found: Mutex<Found> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end || seed > stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let run = run(seed, None, false);
                    let Found { sum, hashes, failed } = &mut *found.lock();
                    sum.seeds += 1;
                    sum.steps += run.steps;
                    sum.acknowledged += run.acknowledged;
                    sum.terms += run.terms;
                    hashes.push((seed, run.trace_hash));
                    if run.result.is_err() && failed.as_ref().is_none_or(|other| seed < other.seed) {
                        stop.fetch_min(seed, Ordering::SeqCst);
                        *failed = Some(run);
                    }
                }
            });
        }
    });
    let Found { sum: mut exploration, mut hashes, failed } = found.into_inner();
    hashes.sort_unstable();
    let mut trace = TraceHash::default();
    hashes.iter().for_each(|(_, hash)| trace.add(*hash));
    exploration.hash = trace.value();
    exploration.failure = failed.map(|run| Failed { smallest: shrink(&run), run });
    exploration
}

fn shrink(failed: &Run) -> Plan {
    let mut runs = SHRINK_RUNS;
    let episodes = minimize(failed.plan.episodes.clone(), &mut runs, |episodes| {
        let plan = Plan { episodes: episodes.to_vec() };
        run(failed.seed, Some(plan), false).result.is_err()
    });
    Plan { episodes }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, few) = (self.run.plan.episodes.len(), self.smallest.episodes.len());
        writeln!(f, "seed {} fails, trace {:016x}", self.run.seed, self.run.trace_hash)?;
        if let Err(failure) = &self.run.result {
            writeln!(f, "{failure}")?;
        }
        write!(f, "{few} of its {all} faults suffice:\n{}", self.smallest)
    }
}
