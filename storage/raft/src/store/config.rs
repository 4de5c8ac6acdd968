//! [`StoreConfig`]: the settings of one member.

use openraft::{Config, SnapshotPolicy};

use super::error::StoreError;
use crate::identity::ClusterId;

/// Settings of one member. All members of a cluster should have the same.
///
/// The times decide how long writers wait when a leader dies, and how much silence is borne before a living one is
/// replaced:
/// - A follower calls for an election when it heard nothing for `election_ms.1` (the lease it grants) plus a random
///   time within `election_ms`: 295 to 400 ms by default. That leaves
///   100 ms of the target of 500 ms to the votes and the first entry of the new leader (three round trips, two syncs).
///   etcd's default is 1000 ms (heartbeat 100 ms): it bears more silence, and its writers wait longer.
/// - Being slow is not being silent: a leader is replaced only if a majority has heard nothing for `election_ms.1`,
///   since the others refuse the pre-vote. One stalled follower deposes nobody.
/// - By default the shortest silence spans four heartbeats: three in a row may get lost.
/// - The range of the random part is several times the time of a vote; of two members that want to lead at the same
///   moment one gives way (`pre_votes.rs`).
/// - A heartbeat is given up after `heartbeat_ms`, a vote after `election_ms.0` (openraft derives both). A late
///   heartbeat still counts at the follower; it only does not renew the leader's lease or confirm a read.
/// - An append is not bound to these: its follower syncs first, so it has a limit of its own, longer than a slow sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Milliseconds between two heartbeats.
    pub heartbeat_ms: u64,
    /// Bounds of the randomized part of the election timeout, in milliseconds. The upper one is also the lease.
    pub election_ms: (u64, u64),
    /// Entries after which a snapshot is taken and the log before it can be purged, once the log has grown by as much
    /// as the state holds; at the latest after eight times as many.
    pub snapshot_entries: u64,
    /// Entries kept in the log behind a snapshot, for followers that are a little late.
    pub kept_entries: u64,
    /// Milliseconds for one part of a snapshot to be sent and stored.
    pub snapshot_part_ms: u64,
    /// Serve linearizable reads from the leader's lease while it is valid. Needs clocks whose rates agree.
    pub lease_reads: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 70,
            election_ms: (95, 200),
            snapshot_entries: 50_000,
            kept_entries: 10_000,
            snapshot_part_ms: 10_000,
            lease_reads: false,
        }
    }
}

impl StoreConfig {
    /// The same for openraft.
    ///
    /// # Errors
    /// The times contradict each other.
    pub(super) fn for_raft(&self, cluster: ClusterId) -> Result<Config, StoreError> {
        let raft = Config {
            cluster_name: cluster.to_string(),
            heartbeat_interval: self.heartbeat_ms,
            election_timeout_min: self.election_ms.0,
            election_timeout_max: self.election_ms.1,
            enable_pre_vote: Some(true),
            // `pulse.rs` keeps the time.
            enable_tick: false,
            // Entries go to followers before they are on the leader's own disk. One that restarted without them and
            // went on leading in the same term would give their indexes to others: two entries with one name.
            enable_leader_restore: Some(false),
            // `snapshot_rhythm.rs` decides.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: self.kept_entries,
            replication_lag_threshold: self.snapshot_entries.saturating_mul(2),
            install_snapshot_timeout: self.snapshot_part_ms,
            ..Config::default()
        };
        raft.validate().map_err(|e| StoreError::Stopped { why: format!("the timing does not fit: {e}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_keep_what_the_documentation_promises() {
        let config = StoreConfig::default();
        let (lower, upper) = config.election_ms;
        assert_eq!((upper + lower, upper + upper), (295, 400));
        assert!(upper + lower > 4 * config.heartbeat_ms, "three heartbeats in a row may get lost");
        assert!(upper + upper < 500, "nothing of the 500 ms is left to the votes");
        assert!(lower > config.heartbeat_ms, "a vote needs a sync: it has more time than a heartbeat");
    }

    #[test]
    fn times_that_contradict_each_other_are_refused() {
        let config = StoreConfig { heartbeat_ms: 200, election_ms: (150, 300), ..StoreConfig::default() };
        let refused = config.for_raft(ClusterId(1)).unwrap_err();
        assert!(refused.to_string().contains("the timing does not fit"), "{refused}");
    }
}
