//! Every bound of the state machine, by name and unit.
//!
//! Constants are part of the format: changing one changes what `apply` decides, so all members must run the
//! same build. What an operator may tune is [`Limits`], which lives in the log (a `Configure` entry), because a
//! member with other limits than its peers would come to another state.

use serde::{Deserialize, Serialize};

use crate::outcome::Refusal;

/// Longest key accepted, in bytes. The longest Kubernetes path (group, resource, namespace, name) is near 700.
pub const KEY_BYTES_MAX: usize = 1024;
/// Largest value accepted, in bytes; the request limit of the upstream API server.
pub const VALUE_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most operations in one transaction.
pub const OPERATIONS_MAX: usize = 1024;
/// Most guards in one transaction.
pub const GUARDS_MAX: usize = 1024;
/// Keys and values of one transaction together, in bytes.
pub const TRANSACTION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most leases alive at once.
pub const LEASES_MAX: usize = 65_536;
/// Most keys attached to one lease; bounds the deletes of one revoke.
pub const LEASE_KEYS_MAX: usize = 4096;
/// Shortest and longest time to live of a lease, in milliseconds of log time.
pub const LEASE_TTL_MS_MIN: u64 = 1;
/// Longest time to live of a lease: ten years in milliseconds.
pub const LEASE_TTL_MS_MAX: u64 = 10 * 365 * 24 * 3600 * 1000;
/// Deletes after which one `Tick` stops expiring leases; the rest waits for the next tick. The last lease is
/// finished, so that a tick deletes fewer than this plus [`LEASE_KEYS_MAX`] keys.
pub const EXPIRY_DELETES_PER_TICK: usize = 4096;
/// Outcomes kept for repeated proposals, all clients together.
pub const SESSION_OUTCOMES_MAX: usize = 65_536;
/// Outcomes kept for one client: the most proposals it may have in flight and still repeat all of them.
pub const SESSION_WINDOW_MAX: usize = 4096;
/// Fixed part charged for one live object beside key and value, in bytes (measured; see `examples/memory.rs`).
pub const OBJECT_OVERHEAD_BYTES: u64 = 256;
/// Fixed part charged for one change in the history, in bytes.
pub const CHANGE_OVERHEAD_BYTES: u64 = 160;
/// Deepest directory level that the history indexes for prefix watches; deeper prefixes filter their ancestor.
pub const TOPIC_DEPTH_MAX: usize = 6;
/// Payload of a snapshot chunk, smallest and largest, in bytes.
pub const SNAPSHOT_CHUNK_BYTES_MIN: usize = 1024;
/// Largest payload of a snapshot chunk, in bytes.
pub const SNAPSHOT_CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest record of a snapshot or of the state database, in bytes.
pub const RECORD_BYTES_MAX: usize = VALUE_BYTES_MAX + KEY_BYTES_MAX + 4096;

/// What an operator may tune; replicated by a `Configure` entry so that all members decide alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of live objects (keys, values, fixed part) above which growing transactions are refused.
    pub space_bytes: u64,
    /// Bytes above `space_bytes` open to transactions marked [`crate::Room::Reserved`].
    pub reserve_bytes: u64,
    /// Most changes in the history. A watcher that lags by more has to list again, so that thousands are wise.
    pub history_changes: u64,
    /// Bytes of the history: superseded values and the fixed part of each change.
    pub history_bytes: u64,
}

/// Fewest changes that a history may be limited to: below, every watcher would have to list again and again.
pub const HISTORY_CHANGES_MIN: u64 = 1_000;
/// Fewest bytes that a history may be limited to: one change of the largest size has room.
pub const HISTORY_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Fewest bytes that live objects may be limited to.
pub const SPACE_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Smallest reserve, in bytes: what deletes and leader-scope writers need when the space is used up.
pub const RESERVE_BYTES_MIN: u64 = 1024 * 1024;

impl Limits {
    /// Refuses limits under which a cluster could not do its work. For whoever takes limits from outside: the state
    /// machine itself carries out what the log says.
    ///
    /// # Errors
    /// The first limit that is too small.
    pub fn check(&self) -> Result<(), Refusal> {
        let least = [
            ("history_changes", self.history_changes, HISTORY_CHANGES_MIN),
            ("history_bytes", self.history_bytes, HISTORY_BYTES_MIN),
            ("space_bytes", self.space_bytes, SPACE_BYTES_MIN),
            ("reserve_bytes", self.reserve_bytes, RESERVE_BYTES_MIN),
        ];
        match least.into_iter().find(|(_, value, least)| value < least) {
            Some((limit, value, least)) => {
                Err(Refusal::LimitTooSmall { limit: limit.to_owned(), value, least })
            }
            None => Ok(()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            space_bytes: 4 * 1024 * 1024 * 1024,
            reserve_bytes: 256 * 1024 * 1024,
            history_changes: 200_000,
            history_bytes: 64 * 1024 * 1024,
        }
    }
}
