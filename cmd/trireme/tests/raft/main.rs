//! The replicated store over real processes on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what it measured, and a helper that fails fails its test"
)]

mod actors_killed;
mod audit;
mod backup;
mod bad_input;
mod disk;
mod failover;
mod history;
mod kit;
mod lost_data;
mod measure;
mod membership;
mod scope;
mod watches;
mod writer;
