//! How the scheduler is set up: upstream's `KubeSchedulerConfiguration` (`kubescheduler.config.k8s.io/v1`) and what it
//! comes to.

mod arguments;
mod error;
mod merge;
mod resolve;
mod wire;

#[cfg(test)]
mod config_test;

use std::time::Duration;

pub use error::ConfigError;
pub use resolve::SchedulerConfig;
pub use wire::Extender;

use crate::labels::{NodeSelector, NodeTerm};
use crate::names::Sym;
use crate::plugins::Plugin;
use crate::pod::Spread;

/// How NodeResourcesFit scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FitStrategy {
    Least,
    Most,
    Ratio(Vec<ShapePoint>),
}

/// A point of the line from use in percent to score, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShapePoint {
    pub(crate) utilization: i64,
    pub(crate) score: i64,
}

/// Arguments of NodeResourcesFit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) strategy: FitStrategy,
    /// With weights.
    pub(crate) resources: Vec<(Sym, i64)>,
}

/// A profile, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) gates: bool,
    pub(crate) filters: Vec<Plugin>,
    /// With weights.
    pub(crate) scores: Vec<(Plugin, i64)>,
    pub(crate) preempts: bool,
    pub(crate) fit: Fit,
    pub(crate) balanced: Vec<(Sym, i64)>,
    pub(crate) hard_affinity_weight: i64,
    pub(crate) ignore_others_preferences: bool,
    pub(crate) spreads: Vec<Spread>,
    pub(crate) system_defaults: bool,
    pub(crate) added_affinity: Option<NodeSelector>,
    pub(crate) added_preferred: Vec<(NodeTerm, i64)>,
    /// Percent of the nodes that must be found fit before the search ends; 0 adapts.
    pub(crate) percentage: i64,
    pub(crate) candidates_percent: i64,
    pub(crate) candidates_least: i64,
}

/// Everything, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) profiles: Vec<Profile>,
    pub(crate) extenders: Vec<Extender>,
    pub(crate) back_off_first: Duration,
    pub(crate) back_off_most: Duration,
}
