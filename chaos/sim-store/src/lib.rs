//! The replicated store on virtual time, by seed: the product's own code, from openraft to the bytes of the log,
//! with everything around it made up.
//!
//! Role: runs a cluster of 3 or 5 members in one thread. Links delay, lose, reorder and cut; disks are slow, fail,
//! and forget what was not synced; machines lose power, stand still, and disagree about the time; members join and
//! leave; leaders hand over. Clients work meanwhile, and `trireme-laws` judges what they saw. Everything that is
//! left to chance comes from the seed, so a failing run can be run again and told line by line.
//!
//! Place in the supervision tree: none. [`run`] is one seed; [`explore`] is many, on several threads, and takes
//! faults away from a failing one as long as it still fails.
//!
//! Invariants:
//! - The same seed and code give the same [`Run::trace_hash`] and [`Run::state_hash`].
//! - What a sync has confirmed survives every power cut; what it has not may be there, gone, or torn.
//! - A member dies between any two steps of its tasks, and none of them takes another.
//! - The links keep what the store's transport promises, and nothing more.
//!
//! Deliberate absences: no wall clock, no threads below a run. Not pure, unlike `trireme-sim`, since what it hosts
//! awaits. sled and the bus are not here: sled brings files and threads of its own (a stand-in keeps its promises),
//! the bus has tests of its own. That is what the siege is for, with real processes.

mod cluster;
mod explore;
mod links;
mod nemesis;
mod operator;
mod recorder;
mod run;
mod scribe;
mod settings;
mod settle;
mod steward;
mod storage;
mod workload;
mod world;

pub use explore::{Exploration, Failed, explore};
pub use run::{Failure, Run, run, run_with};
pub use settings::Settings;
