//! Supervision: policies as data, and the supervisor's decision as a pure core.
//!
//! A supervisor actor hosts one [`SupervisorCore`]; the kernel's origin hosts one more, whose only child is
//! the root supervisor. The core never starts or stops anything itself: it says so by effects and learns what
//! happened by inputs that name the child and the incarnation.
//!
//! Laws it keeps:
//! - at most one incarnation of a child is alive, as far as the core was told;
//! - what names another incarnation than the child's current one is ignored;
//! - stops go in reverse start order, each awaited, and turn into a kill after the child's grace;
//! - starts go in order; after a failed start the dependents wait (rest-for-one, one-for-all);
//! - more restarts than [`Intensity`] allows bring its stated reaction, nothing else;
//! - an incarnation lost with an abandoned arbiter is started again at once and counts for nothing;
//! - after [`SupervisorEffect::Finished`] or [`SupervisorEffect::Escalate`] no child is alive and no timer runs.
//!
//! [`SupervisorCore`] decides by its `Children` (the states of single ones), its `Pass` (work on several, in
//! order) and its `Failures` (how many were counted within the window).
//!
//! Deliberately absent: knowledge of what a child is, of paths, mailboxes and threads.

mod child;
mod children;
mod effect;
mod failures;
mod input;
mod pass;
mod policy;
mod supervisor_core;
#[cfg(test)]
mod supervisor_core_test;
mod timers;

pub use effect::SupervisorEffect;
pub use input::{ChildId, ExitReason, Incarnation, Seen, SupervisorInput};
pub use policy::{
    BackOff, ChildPolicy, Intensity, RestartMode, ShutdownOrder, Strategy, SupervisorPolicy, WhenExceeded,
};
pub use supervisor_core::SupervisorCore;
