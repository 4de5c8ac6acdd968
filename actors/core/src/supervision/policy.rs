use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Rng;

/// When a child that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartMode {
    /// Always, however it ended.
    #[default]
    Permanent,
    /// Unless it ended normally.
    Transient,
    /// Never; its spec is dropped when it ends.
    Temporary,
}

/// Who is restarted with a child that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The child alone.
    #[default]
    OneForOne,
    /// The child and everything started after it.
    RestForOne,
    /// All children.
    OneForAll,
}

/// Whether children wait for one another when several are stopped or started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShutdownOrder {
    /// Stopped last to first and started first to last, each awaited before the next.
    #[default]
    Reverse,
    /// Told to stop, or started, in the same order but without waiting for one another; for pools of like
    /// children (one per peer, one per pod).
    Together,
}

/// What happens when children fail more often than [`Intensity`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenExceeded {
    /// Stop all children and fail towards the parent.
    Escalate,
    /// Go on, but wait the longest back-off before every further restart.
    BackOff,
}

/// How many counted restarts are normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intensity {
    /// Restarts tolerated within `window`; at most [`Intensity::MAX_RESTARTS`] are remembered.
    pub restarts: u32,
    /// How long a restart is remembered.
    pub window: Duration,
    /// The reaction to one more.
    pub when_exceeded: WhenExceeded,
}

impl Intensity {
    /// Upper limit of `restarts`; larger values act as this one (bounds the history kept).
    pub const MAX_RESTARTS: u32 = 1_000;
}

impl Default for Intensity {
    /// Five restarts in ten seconds, then escalate.
    fn default() -> Self {
        Self { restarts: 5, window: Duration::from_secs(10), when_exceeded: WhenExceeded::Escalate }
    }
}

/// How long to wait before a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackOff {
    /// The wait before the first restart; doubles with each further failure of the child until a whole
    /// intensity window passes without one. Zero stays zero.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Spread in percent (0-100) of the wait, up and down.
    pub jitter_percent: u8,
}

impl BackOff {
    /// The wait before restart number `streak` (1 for the first) of a run of failures.
    pub fn delay(&self, streak: u32, rng: &mut Rng) -> Duration {
        let factor = 1_u32.checked_shl(streak.saturating_sub(1)).unwrap_or(u32::MAX);
        let base = self.first.saturating_mul(factor).min(self.max);
        rng.jitter(base, self.jitter_percent)
    }

    /// The longest wait, spread.
    pub fn longest(&self, rng: &mut Rng) -> Duration {
        rng.jitter(self.max, self.jitter_percent)
    }
}

impl Default for BackOff {
    /// 5 ms doubling up to 5 s, 20 percent spread.
    fn default() -> Self {
        Self { first: Duration::from_millis(5), max: Duration::from_secs(5), jitter_percent: 20 }
    }
}

/// A supervisor's policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorPolicy {
    /// Who is restarted with a failed child.
    pub strategy: Strategy,
    /// How many restarts are normal.
    pub intensity: Intensity,
    /// How long to wait before a restart.
    pub back_off: BackOff,
    /// How all children are stopped.
    pub shutdown_order: ShutdownOrder,
}

/// A child's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildPolicy {
    /// When it is started again.
    pub restart: RestartMode,
    /// How long it may take to stop before it is killed; zero kills at once.
    pub grace: Duration,
    /// How long it may be busy with one input before it counts as stuck and is replaced. The core does not
    /// read it: it is a limit for the kernel's watchdog.
    pub progress_limit: Duration,
}

impl Default for ChildPolicy {
    /// Permanent, 2 s grace, 10 s progress limit.
    fn default() -> Self {
        Self {
            restart: RestartMode::Permanent,
            grace: Duration::from_secs(2),
            progress_limit: Duration::from_secs(10),
        }
    }
}
