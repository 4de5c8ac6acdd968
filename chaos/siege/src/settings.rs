//! What a siege is told.

use std::path::PathBuf;

use crate::failover::Harm;
use crate::schedule::FaultKind;

/// What a siege does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// All workloads under scheduled faults of these kinds.
    Faults {
        /// How long faults happen, in seconds.
        seconds: u64,
        /// Which kinds; none leaves the cluster alone.
        kinds: Vec<FaultKind>,
    },
    /// Writers only; the leader is harmed again and again, and the writers' gaps are measured.
    Failover {
        /// What happens to the leader.
        harm: Harm,
        /// How often.
        rounds: u32,
    },
}

/// Everything a siege is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program whose `server` command is run.
    pub program: PathBuf,
    /// How many servers: 3 or 5.
    pub members: usize,
    /// Decides faults and operations.
    pub seed: u64,
    /// Clients per workload (registers, lists, sets), at least 1.
    pub clients: usize,
    /// Where histories and logs go; `None` is a temporary folder.
    pub folder: Option<PathBuf>,
    /// Leave the folder also when all went well.
    pub keep: bool,
    /// What to do.
    pub plan: Plan,
}
