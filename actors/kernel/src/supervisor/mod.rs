//! Supervisors: actors that host a [`SupervisorCore`](trireme_core::supervision::SupervisorCore) and start, stop
//! and restart slots as it says.
//!
//! What a supervisor supervises is declared in [`SupervisorShared`], which lives with its slot: children
//! survive the supervisor's own restart. When a supervisor ends in any other way than by an orderly stop, its
//! slot kills what is alive below; its next incarnation waits for that and starts everything again.
//!
//! [`SupervisorRef`] is the way in for users, [`Declare`] turns specs into slots, and the shell carries out
//! what the core decides.

mod child_error;
mod declare;
mod shell;
mod supervisor_ref;
mod supervisor_shared;

pub use child_error::ChildError;
pub(crate) use declare::{Declare, supervisor_slot};
pub use supervisor_ref::SupervisorRef;
pub(crate) use supervisor_shared::{SupervisorShared, close_slot};

/// Most children a supervisor may have.
pub const MAX_CHILDREN: usize = 200_000;
