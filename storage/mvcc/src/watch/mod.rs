//! Watches: cursors over the history, pulled by their readers.
//!
//! Six guarantees, each a property test in `tests/watch.rs`:
//! - ordered: events come in revision order;
//! - unique: no event comes twice;
//! - reliable: no event between two that came is missing; a cursor that cannot keep this is told `Compacted`;
//! - atomic: no batch ends within a transaction, whatever its limits;
//! - resumable: a new cursor after any delivered `through` continues without gap or repeat;
//! - bookmarkable: a bookmark at `r` says that every event up to `r` was delivered.
//!
//! No queue per watcher: a slow reader costs nothing but its own lag. No clock: when to send a bookmark is the
//! shell's affair. Not replicated, not hashed: every member has its own watches.

mod cursor;
mod watches;

pub use cursor::{Batch, Cursor, Filter, ReadLimits, WatchError, WatchRequest};
pub use watches::{CursorId, WATCHES_MAX, Watches};
