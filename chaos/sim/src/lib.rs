//! Peers, links, disks and clocks on virtual time, by seed.
//!
//! Role: runs the same cores as production, without threads, sockets or waiting. Everything that is left to chance
//! in the world (how long a message takes, whether it is lost, what survives a crash, which fault strikes when) is
//! drawn from the seed, so a run that fails can be run again, watched, and its faults taken away one by one until
//! only those remain that matter.
//!
//! Place in the supervision tree: none. An [`Adapter`] says how a core's effects act on the simulated world and
//! plays the clients; [`Simulation`] is the world; [`explore`] tries seeds, [`replay`] repeats one, and
//! [`explore`]'s failure carries a shrunk plan of faults.
//!
//! Invariants:
//! - The same seed, settings and plan give the same [`Run::trace_hash`].
//! - Events happen in order of time, and at equal times in order of scheduling.
//! - What a sync has confirmed survives every crash; what it has not may be there, gone, or torn.
//! - A timer or the end of a sync never reaches an incarnation other than the one that asked for it; a message may
//!   (the network does not know incarnations).
//!
//! Deliberate absences: no sockets, threads, wall clock or OS randomness; no sleeping; no byte-level model of a
//! network protocol, only messages.

mod adapter;
mod clock;
mod disk;
mod network;
mod plan;
mod runner;
mod settings;
mod simulation;
mod trace;

pub use adapter::{Adapter, Outside, Peers, Shell};
pub use clock::PeerClock;
pub use disk::{Disk, DiskError};
pub use network::LinkSettings;
pub use plan::{Episode, Fault, Plan, PlanSettings};
pub use runner::{Exploration, Failure, explore, replay};
pub use settings::{DiskSettings, Settings};
pub use simulation::{Run, Simulation, Stopped};
pub use trace::TraceHash;

/// A simulated machine, numbered from 0.
pub type PeerId = u32;
