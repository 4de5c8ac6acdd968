//! What every deciding part of Trireme is made of, free of clocks, threads and I/O.
//!
//! A [`Core`] turns an input into effects; a shell (the actor kernel in production, the simulator in tests)
//! carries the effects out and says what time it is. [`supervision`] is the first such core: the decision
//! what to start, stop and restart when a child of a supervisor ends.
//!
//! Deliberately absent: any clock, OS randomness, hash-ordered iteration, thread or I/O. Time comes in as a
//! [`Tick`], randomness as a seeded [`Rng`].

mod op_table;
mod rng;
pub mod supervision;
mod tick;

pub use op_table::{OpId, OpTable};
pub use rng::Rng;
pub use tick::Tick;

/// A deciding part: a state machine without side effects.
///
/// The same core runs in an actor, in a unit test and in the simulator. For one sequence of calls with the
/// same arguments it must produce the same effects.
pub trait Core {
    /// What it receives.
    type Input;
    /// What it asks its shell to do.
    type Effect;

    /// Handles one input at moment `now`, appending effects to `out` in the order they must be carried out.
    fn step(&mut self, now: Tick, input: Self::Input, out: &mut Vec<Self::Effect>);

    /// The earliest moment at which [`Core::expire`] wants to run, if any.
    ///
    /// A shell reads it after every `step` and `expire` and keeps exactly one timer for it.
    fn deadline(&self) -> Option<Tick> {
        None
    }

    /// Called once `now` has reached [`Core::deadline`]; must move the deadline past `now` or clear it.
    fn expire(&mut self, now: Tick, out: &mut Vec<Self::Effect>) {
        let _ = (now, out);
    }
}
