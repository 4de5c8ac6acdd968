//! The store of a server as an actor: opens the database, hosts the Raft member, answers calls, serves watches,
//! carries Raft's messages over the bus, and runs the leader scope.

pub mod calls;
mod watch_wire;

pub use watch_wire::{WatchEnd, WatchEvent, WatchFilter, WatchMessage, WatchTopic};
