//! What a run leaves behind.

use thiserror::Error;
use trireme_core::Tick;

use crate::{PeerId, Plan};

/// A finished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// The faults that struck.
    pub plan: Plan,
    /// The fingerprint of everything that happened.
    pub trace_hash: u64,
    /// How many events there were.
    pub steps: u64,
    /// Whether it was as it should be.
    pub result: Result<(), Stopped>,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stopped {
    /// Something is wrong: the adapter said so, during the run or at its end.
    #[error("at {at}: {reason}")]
    Wrong {
        /// When, in world time.
        at: Tick,
        /// What.
        reason: String,
    },
    /// A peer could not be started from what its disk held.
    #[error("at {at}: peer {peer} could not start: {reason}")]
    NoStart {
        /// When, in world time.
        at: Tick,
        /// Which.
        peer: PeerId,
        /// What its adapter said.
        reason: String,
    },
    /// The run had too many events.
    #[error("at {at}: more than {limit} events; a timer or message loop does not come to rest")]
    StepLimit {
        /// When, in world time.
        at: Tick,
        /// The limit that was reached.
        limit: u64,
    },
}
