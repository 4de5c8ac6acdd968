//! What must hold of every run, as checkers over recorded histories.
//!
//! Role: a run of the cluster (real processes under faults, or virtual time) leaves a history: client operations
//! with call and return times, what watchers saw, what members applied. Each law here reads such a history and
//! answers with a [`Verdict`]: the law held, it was broken (a plain sentence and a minimal failing history), or
//! it could not be decided within the limits. Undecided is never reported as success.
//!
//! Place in the supervision tree: none. This crate is pure; it knows neither the store nor its wire formats, so a
//! bug in the product cannot hide in the judge.
//!
//! Invariants:
//! - No false alarm: a violation is reported only if no legal execution explains the history as recorded.
//! - Operations with an unknown outcome may take effect at any time after their call, or never.
//! - Two operations are ordered by real time only if one returned strictly before the other was called.
//! - A reported failing history fails the same law when it is checked again on its own.
//!
//! Deliberate absences: no clock, no randomness beyond given seeds, no I/O. Reading and writing lines of a
//! history works on strings; files are the caller's.
//!
//! | law | file |
//! |---|---|
//! | a register per key is linearizable | [`register`] |
//! | appends to lists are strictly serializable | [`list_append`] |
//! | a set never loses an acknowledged element | [`set`] |
//! | revisions follow real time and are unique | [`revisions`] |
//! | watches are ordered, unique, atomic, reliable, resumable, bookmarkable | [`watch`] |
//! | writes of an old term are refused | [`fencing`] |
//! | equal state at equal applied index | [`state_hash`] |
//! | members agree once faults are healed | [`convergence`] |

pub mod convergence;
pub mod fencing;
pub mod generate;
pub mod list_append;
pub mod register;
pub mod revisions;
pub mod set;
pub mod state_hash;
pub mod watch;

mod judge;
mod law;
mod limits;
mod operation;
mod record;
mod shrink;
mod verdict;

pub use judge::{Finding, judge};
pub use law::Law;
pub use limits::Limits;
pub use operation::{Action, Answer, Guard, Operation, Outcome, Step};
pub use record::{History, HistoryError, LINE_LIMIT_BYTES, Record};
pub use shrink::minimize;
pub use verdict::{Verdict, Violation};
