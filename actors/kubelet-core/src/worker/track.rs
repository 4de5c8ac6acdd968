//! [`Track`]: what a pod worker remembers of one container by name.

use std::collections::BTreeMap;
use std::time::Duration;

use trireme_core::Tick;
use trireme_node::{ContainerId, ContainerState, ContainerStatus};

use super::input::Trouble;
use crate::backoff::BackOff;
use crate::probe::{ProbeKind, ProbeState};

/// First wait after a container could not be made.
const START_RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest wait after a container could not be made.
const START_RETRY_LONGEST: Duration = Duration::from_secs(10);

/// What is remembered of one container of the pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    /// Every instance the runtime has, by attempt.
    pub(super) instances: BTreeMap<u32, ContainerStatus>,
    /// Attempts below this one were made, even if the runtime has forgotten them.
    pub(super) next_attempt: u32,
    /// Why it does not run.
    pub(super) waiting: Option<Trouble>,
    /// Restarts.
    pub(super) crash: BackOff,
    /// The exit for which the back-off was told already.
    pub(super) crash_told: Option<u32>,
    /// Pulls of its image.
    pub(super) pull: BackOff,
    /// Why the last pull failed.
    pub(super) pull_error: Option<Trouble>,
    /// The image for the next start, once it is here.
    pub(super) image: Option<String>,
    /// No start before this moment.
    pub(super) retry_at: Option<Tick>,
    retry_delay: Duration,
    /// Probes of the running instance.
    pub(super) probed: Option<ContainerId>,
    /// By kind; absent ones are not specified.
    pub(super) probes: BTreeMap<ProbeKind, ProbeState>,
    /// Limits that were applied to an instance, as JSON.
    pub(super) applied: Option<(ContainerId, String)>,
}

impl Track {
    /// The newest instance.
    pub(super) fn latest(&self) -> Option<&ContainerStatus> {
        self.instances.values().next_back()
    }

    /// The newest instance that ended, other than the newest of all when that one lives.
    pub(super) fn last_exited(&self) -> Option<&ContainerStatus> {
        self.instances.values().rev().find(|status| has_ended(status))
    }

    /// The instance that lives.
    pub(super) fn running(&self) -> Option<&ContainerStatus> {
        self.instances.values().rev().find(|status| status.state == ContainerState::Running)
    }

    /// Takes in what the runtime says of an instance; a state never goes back.
    pub(super) fn merge(&mut self, status: ContainerStatus) {
        let attempt = status.config.attempt;
        if status.state != ContainerState::Created {
            self.next_attempt = self.next_attempt.max(attempt + 1);
        }
        match self.instances.get(&attempt) {
            Some(known) if known.id == status.id && rank(known.state) > rank(status.state) => {}
            _ => drop(self.instances.insert(attempt, status)),
        }
    }

    /// The next start must wait.
    pub(super) fn defer(&mut self, now: Tick) {
        self.retry_delay = (self.retry_delay * 2).clamp(START_RETRY_FIRST, START_RETRY_LONGEST);
        self.retry_at = Some(now + self.retry_delay);
    }

    /// It started: what hindered it is over.
    pub(super) fn started(&mut self) {
        self.waiting = None;
        self.retry_at = None;
        self.retry_delay = Duration::ZERO;
        self.image = None;
        self.pull_error = None;
    }

    /// Its startup probe succeeded, or it has none.
    pub(super) fn is_started(&self) -> bool {
        let running = self.running().is_some_and(|status| self.probed.as_ref() == Some(&status.id));
        running && self.probes.get(&ProbeKind::Startup).is_none_or(|probe| probe.healthy == Some(true))
    }

    /// It takes traffic.
    pub(super) fn is_ready(&self) -> bool {
        self.is_started()
            && self.probes.get(&ProbeKind::Readiness).is_none_or(|probe| probe.healthy == Some(true))
    }
}

/// The instance is over (or nobody knows).
pub(super) fn has_ended(status: &ContainerStatus) -> bool {
    matches!(status.state, ContainerState::Exited | ContainerState::Unknown)
}

fn rank(state: ContainerState) -> u8 {
    match state {
        ContainerState::Created => 0,
        ContainerState::Running => 1,
        ContainerState::Unknown => 2,
        ContainerState::Exited => 3,
    }
}
