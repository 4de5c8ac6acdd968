use serde::{Deserialize, Serialize};
use trireme_core::Tick;

use crate::ActorPath;

/// How many of the last inputs a report names.
pub const LAST_INPUTS: usize = 8;

/// What an actor is, in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// Starts, stops and restarts others.
    Supervisor,
    /// Everything else.
    Actor,
}

/// Everything an actor can be asked about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorReport {
    /// Its path.
    pub path: ActorPath,
    /// Supervisor or not.
    pub kind: ActorKind,
    /// Whether an incarnation is alive.
    pub alive: bool,
    /// The state it says it is in; `down` between incarnations, `starting` while one starts.
    pub state: String,
    /// How long it has been in that state, in milliseconds.
    pub since_ms: u64,
    /// The last incarnation started; 0 before the first.
    pub incarnation: u64,
    /// Incarnations started after the first.
    pub restarts: u64,
    /// Inputs waiting.
    pub mailbox_depth: u64,
    /// Most inputs that may wait.
    pub mailbox_capacity: u64,
    /// Most inputs that ever waited.
    pub mailbox_high_water: u64,
    /// Inputs taken since the slot exists.
    pub handled: u64,
    /// I/O tasks running for it.
    pub io_in_flight: u64,
    /// Why its last failed incarnation ended.
    pub last_error: Option<String>,
    /// Its last inputs, oldest first, at most [`LAST_INPUTS`].
    pub last_inputs: Vec<LastInput>,
}

/// An input an actor has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastInput {
    /// Its label.
    pub label: String,
    /// When it was taken, on the kernel's clock.
    pub at: Tick,
}

/// What a kernel holds in all, to show that nothing leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelReport {
    /// Incarnations alive.
    pub live: u64,
    /// I/O tasks that exist, also of incarnations that ended.
    pub io_tasks: u64,
    /// Timers armed, also of incarnations that ended.
    pub timers: u64,
    /// Arbiters in service.
    pub arbiters: u64,
    /// Arbiters given up to a stuck actor since the start.
    pub arbiters_abandoned: u64,
    /// Times the watchdog woke up since the start.
    pub watchdog_wakes: u64,
}
