//! The replicated state machine: keys, revisions, history, leases, watches.
//!
//! Pure: what happens here is a function of the log alone. No clock (log time comes in `Tick` entries), no
//! randomness, no I/O, no threads, no hash-ordered iteration; `clippy.toml` beside this crate bans them. The shell
//! around it (`storage/raft`) hands in committed entries and writes out [`Delta`]s.
//!
//! Laws
//! - Every put and every effective delete has its own [`Revision`], one higher than the one before.
//! - A refused proposal changes nothing but the applied index (and the outcome kept for its repetition).
//! - A proposal with a [`RequestId`] is carried out at most once.
//! - What is decided under a term below the highest seen is refused.
//! - Deletes and compaction always pass, however full the store is.
//! - A watch loses nothing in silence: it gets every change, or `Compacted`.
//! - Equal logs give equal [`StateHash`]es, across restarts, snapshots and any batching.
//!
//! Rooms: [`State`] applies ([`Proposal`] in, [`Outcome`] out) and reads; `keyspace` and `history` hold what is
//! and what was; [`Loader`], [`Snapshot`] and [`Restore`] carry the state over; [`Watches`] follow it.
//!
//! Deliberate absences: nothing is known of Kubernetes kinds (values are opaque), of the Raft library, or of who
//! leads. There is no "latest" read of a half-applied entry: readers see the state between two `apply` calls.

mod apply;
mod change;
mod chunk;
mod codec;
mod delta;
mod history;
mod key;
mod keyspace;
mod leases;
pub mod limits;
mod load;
mod object;
mod outcome;
mod proposal;
mod read;
mod record;
mod restore;
mod revision;
mod sessions;
mod snapshot;
mod state;
mod state_hash;
mod topics;
pub mod watch;

pub use change::Change;
pub use codec::CodecError;
pub use delta::Delta;
pub use key::{Key, KeyRange};
pub use leases::Lease;
pub use limits::Limits;
pub use load::{LoadError, Loader};
pub use object::Object;
pub use outcome::{Answer, ApplyError, Outcome, Refusal, Retry};
pub use proposal::{ClientId, Entry, Guard, Operation, Proposal, RequestId, Room, Transaction};
pub use read::{At, ListRequest, Page, ReadError};
pub use record::{Meta, RecordError, RecordKey, SCHEMA_VERSION, decode_meta};
pub use restore::{Restore, SnapshotError};
pub use revision::{LeaseId, Revision};
pub use sessions::{Client, Recorded};
pub use snapshot::{Chunks, Snapshot};
pub use state::{CHECKPOINT_ENTRIES, CHECKPOINTS_MAX, Sizes, State};
pub use state_hash::StateHash;
pub use watch::{Batch, Cursor, CursorId, Filter, ReadLimits, WatchError, WatchRequest, Watches};

#[cfg(test)]
mod apply_test;
#[cfg(test)]
mod sessions_test;
