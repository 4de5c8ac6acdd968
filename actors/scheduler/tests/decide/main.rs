//! Decisions one by one: which node, and upstream's words when none.

mod extenders;
mod filters;
mod kit;
mod preemption;
mod queue;
mod scores;
