//! [`ProbeState`]: when a probe runs next and what its results mean.

use std::time::Duration;

use serde_json::Value;
use trireme_core::Tick;
use trireme_schema::view::View;

use crate::pod::seconds;

/// The three probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Holds the other two back until it succeeded once.
    Startup,
    /// Says whether traffic may come.
    Readiness,
    /// Says whether the container must be restarted.
    Liveness,
}

impl ProbeKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Readiness, Self::Liveness];

    /// Its field in a container.
    pub fn field(self) -> &'static str {
        match self {
            Self::Startup => "startupProbe",
            Self::Readiness => "readinessProbe",
            Self::Liveness => "livenessProbe",
        }
    }

    /// As events write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// What one run of a probe said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// Healthy.
    Success,
    /// Unhealthy, and why.
    Failure(String),
    /// It could not be run; counts as nothing.
    Unknown(String),
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Same,
    /// It became (or stays, at a threshold) healthy.
    Healthy,
    /// The failure threshold was reached.
    Unhealthy,
}

/// One probe of one running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeState {
    period: Duration,
    success_threshold: u32,
    failure_threshold: u32,
    due: Tick,
    last: Option<bool>,
    streak: u32,
    /// Healthy, as far as is known: readiness starts false, liveness true, startup unknown.
    pub healthy: Option<bool>,
    /// A run is in flight.
    pub in_flight: bool,
}

impl ProbeState {
    /// A probe of a container started at `started`; `healthy` is what is known of it already.
    pub fn new(spec: &Value, started: Tick, now: Tick, healthy: Option<bool>) -> Self {
        let number = |name: &str, default: u32| {
            spec.int(name)
                .and_then(|value| u32::try_from(value).ok())
                .filter(|value| *value > 0)
                .unwrap_or(default)
        };
        let delay = spec.int("initialDelaySeconds").map_or(Duration::ZERO, seconds);
        Self {
            period: Duration::from_secs(u64::from(number("periodSeconds", 10))),
            success_threshold: number("successThreshold", 1),
            failure_threshold: number("failureThreshold", 3),
            due: (started + delay).max(now),
            last: None,
            streak: 0,
            healthy,
            in_flight: false,
        }
    }

    /// When it must run next; `None` while a run is in flight.
    pub fn due(&self) -> Option<Tick> {
        (!self.in_flight).then_some(self.due)
    }

    /// It starts now.
    pub fn begin(&mut self, now: Tick) {
        self.in_flight = true;
        self.due = now + self.period;
    }

    /// It ended.
    pub fn finish(&mut self, now: Tick, outcome: &ProbeOutcome) -> Verdict {
        self.in_flight = false;
        self.due = self.due.max(now);
        let good = match outcome {
            ProbeOutcome::Success => true,
            ProbeOutcome::Failure(_) => false,
            ProbeOutcome::Unknown(_) => return Verdict::Same,
        };
        self.streak = if self.last == Some(good) { self.streak.saturating_add(1) } else { 1 };
        self.last = Some(good);
        let threshold = if good { self.success_threshold } else { self.failure_threshold };
        if self.streak < threshold {
            return Verdict::Same;
        }
        self.healthy = Some(good);
        if good { Verdict::Healthy } else { Verdict::Unhealthy }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thresholds_count_consecutive_results() {
        let spec = json!({"periodSeconds": 2, "failureThreshold": 2, "successThreshold": 2, "initialDelaySeconds": 5});
        let started = Tick::from_millis(1_000);
        let mut probe = ProbeState::new(&spec, started, started, Some(false));
        assert_eq!(probe.due(), Some(Tick::from_millis(6_000)));
        let now = Tick::from_millis(6_000);
        let mut run = |outcome: &ProbeOutcome| {
            probe.begin(now);
            assert_eq!(probe.due(), None);
            (probe.finish(now, outcome), probe.due())
        };
        let failure = ProbeOutcome::Failure("no".into());
        assert_eq!(run(&ProbeOutcome::Success), (Verdict::Same, Some(Tick::from_millis(8_000))));
        assert_eq!(run(&failure).0, Verdict::Same);
        assert_eq!(run(&ProbeOutcome::Unknown("lost".into())).0, Verdict::Same);
        assert_eq!(run(&failure).0, Verdict::Unhealthy);
        assert_eq!(run(&ProbeOutcome::Success).0, Verdict::Same);
        assert_eq!(run(&ProbeOutcome::Success).0, Verdict::Healthy);
    }
}
