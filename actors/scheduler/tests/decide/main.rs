//! Decisions one by one: which node, and upstream's words when none.

#![allow(clippy::unwrap_used, reason = "a test that meets what it did not make may panic")]

mod extenders;
mod filters;
mod kit;
mod preemption;
mod queue;
mod scores;
