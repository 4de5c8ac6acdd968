//! Fault points of a process: rules that make mailboxes and the bus misbehave on purpose.
//!
//! **Role.** The kernel asks [`Faults::mailbox`] before it hands an input to an actor, the bus asks
//! [`Faults::bus`] before it sends or accepts a frame; both do what the answer says. The points are compiled
//! into every build. While no rule is live a question costs one relaxed atomic load.
//!
//! **Place in the supervision tree.** None of its own: the crate has no actor and no thread. The actor that
//! serves the authorised admin call arms rules, then keeps one timer at [`Faults::next_expiry`] and calls
//! [`Faults::expire`] when it fires.
//!
//! **Invariants.**
//! - Every rule has a dead-man limit. Past it the rule never acts again, whether or not the actor above, or the
//!   client that armed the rule, is still alive: each lookup retires overdue rules before it decides.
//! - Whether a rule acts is a pure function of its seed and of how often it matched before ([`decides`]), so a
//!   run with the same seed and the same order of questions misbehaves the same way.
//! - At most [`MAX_RULES`] rules are armed at a time.
//!
//! **Deliberate absences.** No clock (the caller passes a [`Tick`](trireme_core::Tick)), no globals (several
//! processes' worth of handles live in one test), no points for disk and clock yet: a rule can only name a point
//! that some shell asks about.

mod faults;
mod glob;
mod rule;
mod table;

pub use faults::Faults;
pub use rule::{
    BusAction, BusFault, BusRule, Direction, FaultId, FaultPoint, FaultRule, MAX_DEAD_MAN_MS, MAX_EFFECT_MS,
    MAX_GLOB_BYTES, MAX_ID_BYTES, MailboxAction, MailboxFault, MailboxRule, RuleError,
};
pub use table::{ArmError, ArmedFault, HealError, MAX_RULES, decides};
