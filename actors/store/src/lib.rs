//! The store of a server: the Raft member of the process, and everything that stands around it.
//!
//! **Place in the supervision tree.** `/server/<name>/store` ([`StoreActor`], permanent) owns the member's life and
//! answers calls; `/server/<name>/store/leader` ([`LeaderScope`], permanent) starts `/cluster` where the leader is,
//! with `/cluster/clock` ([`ClusterClock`]), `/cluster/compactor` ([`ClusterCompactor`]) and `/cluster/auditor`
//! ([`ClusterAuditor`]) in it. The member itself is no actor: it lives in the process's slot
//! ([`StoreHost`]), runs on the I/O runtime, and is adopted by the next incarnation of the actor.
//!
//! **Laws.** Nothing acknowledged depends on an actor: all of them may be killed at any moment. Raft's messages pass
//! no mailbox, and are taken from servers only. Snapshots never stand in front of appends. What a leader-scope actor
//! writes carries its term. A server that lost its database does not come back under its old id.
//!
//! **Deliberately absent.** Kubernetes kinds, sockets, retries of proposals without a request id.

mod actor;
mod admin_calls;
mod backup;
mod bus_transport;
pub mod calls;
mod client;
mod clock_fault;
mod data_calls;
mod disk_faults;
mod hashes;
mod host;
mod host_error;
mod inbox;
mod joining;
mod member;
mod member_file;
mod membership;
mod read;
pub mod scope;
mod service;
mod watch_lanes;
mod watch_memo;
mod watch_serve;
mod watch_wire;
mod write;

pub use actor::{StoreActor, StoreInput};
pub use client::{StoreClient, WatchBroken, WatchStream};
pub use host::{HostParts, StoreHost, store_path};
pub use member::Member;
pub use scope::{ClusterAuditor, ClusterClock, ClusterCompactor, LeaderScope, Reign, ScopeChildren};
pub use service::{StorePublishers, StoreService};
pub use watch_wire::{WatchEnd, WatchEvent, WatchFilter, WatchMessage, WatchTopic};
