//! [`Store`]: the replicated store of one member, in front of openraft.
//!
//! Reading order: `member.rs` (what a caller gets), `at_leader.rs` (how the leader is found and asked), `log_store.rs` and `log_writer.rs` (the log: group commit on
//! a thread of its own), `machine.rs` and `persister.rs` (the state), `network.rs` and `service.rs` (both sides of
//! the wire), `transport.rs` (what a bus must provide).
//!
//! Laws: a proposal is answered only when it was applied; whatever may have been done is never reported as not
//! done; a member never acts on messages from or for a database that the membership does not know.

mod at_leader;
mod codec;
mod config;
mod error;
mod gate;
mod hand_over;
mod log_store;
mod log_writer;
mod machine;
mod member;
mod network;
mod persister;
mod pre_votes;
mod pulse;
mod read_index;
mod service;
mod shared;
mod slow_disk;
mod snapshot_file;
mod snapshot_rhythm;
mod status;
mod sync_watch;
mod tail;
pub mod transport;
mod types;
mod wire;

#[cfg(test)]
mod log_store_test;
#[cfg(test)]
mod persister_test;
#[cfg(test)]
mod suite_test;

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use trireme_mvcc::{Proposal, State, WatchError, WatchRequest};

use crate::identity::MemberId;

pub use config::StoreConfig;
pub use error::{StoreError, StoreRetry};
pub use member::RaftStore;
pub use shared::WatchCursor;
pub use status::{Leadership, MemberStatus, Role, Status};
pub use types::Peer;
pub use wire::{Committed, MembershipChange};

/// The replicated store as one member offers it. What a follower cannot do itself it forwards to the leader.
pub trait Store {
    /// Makes this member, which must be new, the only voter of a new cluster.
    fn bootstrap(&self, address: &str) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Puts a proposal through the log and answers with what came of it at apply. A proposal with a request id is
    /// repeated inside until the time is up; one without is never sent twice when its outcome is unknown.
    fn propose(&self, proposal: Proposal, timeout: Duration) -> BoxFuture<'_, Result<Committed, StoreError>>;
    /// Waits until this member's state includes every proposal that was answered before the call; reads after it
    /// are linearizable. Concurrent calls share a round to the quorum.
    fn read_index(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
    /// Waits until this member applied the entry at `index` (as in [`Committed::index`]).
    fn wait_applied(&self, index: u64) -> BoxFuture<'_, ()>;
    /// Reads the state of this member as it is now. Apply waits meanwhile: keep `work` short.
    fn read<T>(&self, work: impl FnOnce(&State) -> T) -> T
    where
        Self: Sized;
    /// Opens a watch over what this member applies.
    ///
    /// # Errors
    /// `Compacted` or `Future` when the state cannot continue from there.
    fn watch(&self, request: WatchRequest) -> Result<WatchCursor, WatchError>;
    /// Changes the membership and waits until the change is committed.
    fn change_membership(
        &self,
        change: MembershipChange,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Has the leader hand over to a voter, and waits until that one leads. The leader offers its place when the other
    /// one is ready, and leads on until it is taken: an offer that is lost costs nothing, and is made again as long as
    /// there is time.
    fn transfer_leader(&self, to: MemberId, timeout: Duration) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Who leads, and every change of it.
    fn leadership(&self) -> watch::Receiver<Leadership>;
    /// Numbers for operators.
    fn status(&self) -> Status;
    /// Starts taking a snapshot now.
    fn take_snapshot(&self) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Stops Raft on this member. What was acknowledged is durable with or without this.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}
