//! Many seeds, one seed again, and the fewest faults that still fail.

use std::fmt;
use std::ops::Range;

use trireme_core::Tick;
use trireme_laws::minimize;

use crate::{Adapter, Plan, Run, Settings, Simulation, Stopped};

/// Runs that shrinking may try for one failure.
const SHRINK_RUNS: u32 = 300;

/// What trying a range of seeds brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exploration {
    /// How many seeds were run, the failing one included.
    pub seeds: u64,
    /// Events over all of them.
    pub steps: u64,
    /// The trace hashes of all runs, taken together: the same for the same seeds and code.
    pub trace_hash: u64,
    /// The first failure.
    pub failure: Option<Failure>,
}

/// A failing seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The run as the seed gives it.
    pub run: Run,
    /// The same seed with the fewest faults that still fail in the same way.
    pub smallest: Run,
}

/// Runs every seed until one fails; that one's plan is then shrunk.
pub fn explore<A: Adapter>(seeds: Range<u64>, settings: &Settings, make: impl Fn(u64) -> A) -> Exploration {
    let mut exploration = Exploration { seeds: 0, steps: 0, trace_hash: 0, failure: None };
    let mut trace = crate::TraceHash::default();
    for seed in seeds {
        let (run, _) = Simulation::new(seed, settings.clone(), make(seed)).run();
        exploration.seeds += 1;
        exploration.steps += run.steps;
        trace.add(run.trace_hash);
        if run.result.is_err() {
            let smallest = shrink(&run, settings, &make);
            exploration.failure = Some(Failure { run, smallest });
            break;
        }
    }
    exploration.trace_hash = trace.value();
    exploration
}

/// Runs one seed once more, with its own plan or a given one; the adapter comes back with its history.
pub fn replay<A: Adapter>(seed: u64, plan: Option<Plan>, settings: &Settings, adapter: A) -> (Run, A) {
    match plan {
        Some(plan) => Simulation::with_plan(seed, settings.clone(), plan, adapter).run(),
        None => Simulation::new(seed, settings.clone(), adapter).run(),
    }
}

fn shrink<A: Adapter>(run: &Run, settings: &Settings, make: &impl Fn(u64) -> A) -> Run {
    let again = |episodes: &[crate::Episode]| {
        let plan = Plan { episodes: episodes.to_vec() };
        Simulation::with_plan(run.seed, settings.clone(), plan, make(run.seed)).run().0
    };
    let mut smallest = run.clone();
    let mut runs = SHRINK_RUNS;
    minimize(run.plan.episodes.clone(), &mut runs, |episodes| {
        let shorter = again(episodes);
        let fails = same_kind(&shorter.result, &run.result);
        if fails {
            smallest = shorter;
        }
        fails
    });
    smallest
}

/// Whether two runs ended in failures of one kind; the words may differ.
fn same_kind(one: &Result<(), Stopped>, other: &Result<(), Stopped>) -> bool {
    match (one, other) {
        (Err(one), Err(other)) => std::mem::discriminant(one) == std::mem::discriminant(other),
        _ => false,
    }
}

impl Failure {
    /// When the smallest run failed.
    pub fn at(&self) -> Tick {
        match &self.smallest.result {
            Err(Stopped::Wrong { at, .. } | Stopped::NoStart { at, .. } | Stopped::StepLimit { at, .. }) => {
                *at
            }
            Ok(()) => Tick::MAX,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { run, smallest } = self;
        let (all, few) = (run.plan.episodes.len(), smallest.plan.episodes.len());
        writeln!(f, "seed {} fails, trace {:016x}", run.seed, run.trace_hash)?;
        if let Err(stopped) = &smallest.result {
            writeln!(f, "{stopped}")?;
        }
        write!(f, "{few} of its {all} faults suffice:\n{}", smallest.plan)
    }
}
