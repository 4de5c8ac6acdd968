//! [`Settings`]: what a run is like; its seed decides.

use std::time::Duration;

use trireme_core::Rng;
use trireme_raft::store::StoreConfig;
use trireme_sim::{LinkSettings, PlanSettings};

/// The settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Members at the beginning.
    pub members: u64,
    /// Whether members are added and removed.
    pub churn: bool,
    /// How long clients work, in virtual time.
    pub length: Duration,
    /// The store's own settings.
    pub store: StoreConfig,
    /// Every link.
    pub link: LinkSettings,
    /// Shortest and longest sync of a healthy disk, in nanoseconds.
    pub sync_ns: (u64, u64),
    /// Members, from the first, whose disks are slower than that all the time.
    pub slow_members: u64,
    /// Shortest and longest sync of theirs, in nanoseconds.
    pub slow_sync_ns: (u64, u64),
    /// Nothing fails but what an operator does on purpose: then leadership may not move otherwise, and must soon be
    /// where it was asked to be.
    pub steady: bool,
    /// How far members' clocks are apart, at most.
    pub clock_offset: Duration,
    /// How much faster or slower a member's clock runs, at most, in parts per million.
    pub clock_drift_ppm: u32,
    /// The faults.
    pub plan: PlanSettings,
}

impl Settings {
    /// Draws settings: small and large clusters, calm and wild ones.
    pub fn draw(rng: &mut Rng) -> Self {
        let members = if rng.chance(1, 3) { 5 } else { 3 };
        let lease_reads = rng.chance(1, 4);
        let snapshot_entries = [25, 80, 100_000][rng.index(3).expect("three")];
        let store = StoreConfig {
            snapshot_entries,
            kept_entries: rng.between(1, 20),
            snapshot_part_ms: 400,
            lease_reads,
            ..StoreConfig::default()
        };
        let link = LinkSettings {
            latency_max: Duration::from_micros(rng.between(300, 8_000)),
            loss_per_mille: u16::try_from(rng.below(10)).expect("below 10"),
            duplicate_per_mille: 20,
            ..LinkSettings::default()
        };
        let plan = PlanSettings {
            episodes: u32::try_from(rng.between(0, 10)).expect("at most 10"),
            longest: Duration::from_millis(1_500),
            calm: Duration::from_millis(500),
            down: 6,
            paused: 3,
            cut: 3,
            split: 4,
            ring: if members > 3 { 3 } else { 0 },
            blackout: 3,
            lossy: 1,
            slow_sync: 2,
            failing_sync: 2,
            // Leases need clocks whose rates agree: the store says so.
            clock_jump: if lease_reads { 0 } else { 2 },
        };
        Self {
            members,
            churn: rng.chance(1, 2),
            length: Duration::from_millis(rng.between(2_000, 4_000)),
            store,
            link,
            sync_ns: (100_000, rng.between(200_000, 6_000_000)),
            slow_members: 0,
            slow_sync_ns: (0, 0),
            steady: false,
            clock_offset: Duration::from_secs(5),
            clock_drift_ppm: if lease_reads { 100 } else { 10_000 },
            plan,
        }
    }

    /// Draws settings of clusters without faults, some or all of whose disks need 60 to 150 ms for a sync.
    pub fn draw_steady(rng: &mut Rng) -> Self {
        let drawn = Self::draw(rng);
        let slow_members = [1, drawn.members / 2 + 1, drawn.members][rng.index(3).expect("three")];
        let fastest_ms = rng.between(60, 130);
        Self {
            churn: false,
            length: Duration::from_millis(rng.between(10_000, 20_000)),
            link: LinkSettings { loss_per_mille: 0, ..drawn.link },
            slow_members,
            slow_sync_ns: (fastest_ms * 1_000_000, (fastest_ms + 20) * 1_000_000),
            steady: true,
            plan: PlanSettings { episodes: 0, ..drawn.plan },
            ..drawn
        }
    }

    /// Draws settings of clusters all of whose disks are slow: a sync takes about as long as an election may.
    pub fn draw_slow_disks(rng: &mut Rng) -> Self {
        let drawn = Self::draw(rng);
        let fastest_ms = rng.between(60, 250);
        let plan = PlanSettings {
            episodes: u32::try_from(rng.between(1, 4)).expect("at most 4"),
            slow_sync: 0,
            failing_sync: 0,
            ..drawn.plan
        };
        Self {
            churn: false,
            length: Duration::from_millis(rng.between(8_000, 12_000)),
            sync_ns: (fastest_ms * 1_000_000, fastest_ms * 1_300_000),
            plan,
            ..drawn
        }
    }
}
