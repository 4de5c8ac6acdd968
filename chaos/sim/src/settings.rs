//! What the world is like when nothing is broken.

use std::time::Duration;

use crate::{LinkSettings, PlanSettings};

/// The settings of a simulation; the same ones belong to a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many peers there are.
    pub peers: u32,
    /// Virtual time after which the run ends.
    pub length: Duration,
    /// Events after which a run is stopped as one that does not come to rest.
    pub step_limit: u64,
    /// Every link.
    pub link: LinkSettings,
    /// Every disk.
    pub disk: DiskSettings,
    /// How far peers' clocks are apart at the start, at most.
    pub clock_offset: Duration,
    /// How much faster or slower a peer's clock runs, at most, in parts per million.
    pub clock_drift_ppm: u32,
    /// The faults.
    pub plan: PlanSettings,
}

/// What a disk is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// Shortest sync.
    pub sync_min: Duration,
    /// Longest sync.
    pub sync_max: Duration,
    /// Bytes that all files together may take.
    pub capacity_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            peers: 3,
            length: Duration::from_secs(20),
            step_limit: 2_000_000,
            link: LinkSettings::default(),
            disk: DiskSettings {
                sync_min: Duration::from_micros(200),
                sync_max: Duration::from_millis(8),
                capacity_bytes: 64 << 20,
            },
            clock_offset: Duration::from_millis(50),
            clock_drift_ppm: 200,
            plan: PlanSettings::default(),
        }
    }
}
