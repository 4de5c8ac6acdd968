//! [`StoreConfig`]: the settings of one member.

use openraft::{Config, SnapshotPolicy};

use super::error::StoreError;
use crate::identity::ClusterId;

/// Settings of one member. All members of a cluster should have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Milliseconds between two heartbeats.
    pub heartbeat_ms: u64,
    /// Bounds of the randomized election timeout, in milliseconds.
    pub election_ms: (u64, u64),
    /// Entries after which a snapshot is taken and the log before it can be purged.
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
            heartbeat_ms: 50,
            election_ms: (150, 300),
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
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_entries),
            max_in_snapshot_log_to_keep: self.kept_entries,
            replication_lag_threshold: self.snapshot_entries.saturating_mul(2),
            install_snapshot_timeout: self.snapshot_part_ms,
            ..Config::default()
        };
        raft.validate().map_err(|e| StoreError::Stopped { why: format!("the timing does not fit: {e}") })
    }
}
