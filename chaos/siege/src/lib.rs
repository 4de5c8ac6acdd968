//! Sieges: real server processes under faults, judged by recorded histories.
//!
//! Role: a siege starts three or five `trireme server` processes of its own in temporary folders on loopback, lets
//! clients work on the replicated store, lets a nemesis harm processes and links by a schedule that follows from a
//! seed, heals everything, waits, and hands what was recorded to `chaos/laws`. What it says is a table with one row
//! per law; a law that must have records and has none counts as a failure, like a violation.
//!
//! Place in the supervision tree: none. A siege is a command with tasks of its own; the processes it harms are its
//! children, known by pid, and nothing else is ever signalled.
//!
//! Invariants:
//! - One monotonic clock stamps every call and return; a call is stamped before it is sent, a return after its
//!   answer was decoded.
//! - What may have happened is recorded as unknown; only an answer that certainly means "nothing was done" is a
//!   failure. Values are never written twice.
//! - Every fault ends by itself: rules in the fault desk by their dead-man limit, stopped processes by the kernel
//!   when the siege dies (their process groups are orphaned), and all processes when their standard input closes.
//! - The log that watches are held against is checked for holes first, and against every acknowledgement.
//! - The same seed plans the same faults and the same mix of operations per client; real processes answer in their
//!   own time, so that a replay repeats the plan, not the history.
//!
//! Deliberate absences: of what a power cut may do only the torn end of the log (the simulator and the power-cut gate
//! have the rest: the page cache survives a killed process), jumps of the wall clock only (the monotonic one, which the
//! store reads, jumps ahead when a process is frozen, and cannot be set), no shell helpers.

mod checks;
mod clock;
mod command;
mod failover;
mod fleet;
mod link;
mod nemesis;
mod outcome;
mod percentiles;
mod recorder;
mod report;
mod run;
mod schedule;
mod settings;
mod settle;
mod truth;
mod workload;

pub use checks::{Check, Row, Standing, Table};
pub use command::{check_file, run};
pub use failover::{FailoverReport, Harm};
pub use fleet::FleetError;
pub use percentiles::Percentiles;
pub use report::Report;
pub use run::SiegeError;
pub use schedule::{Cut, DiskHarm, Fault, FaultKind, LinkHarm, Schedule, Step, Target, UnknownFault};
pub use settings::{Plan, Settings};
