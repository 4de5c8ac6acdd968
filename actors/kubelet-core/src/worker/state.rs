//! [`PodWorker`]'s state and its inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_core::{Core, OpId, OpTable, Tick};
use trireme_node::{ContainerId, SandboxId, SandboxState, SandboxStatus};
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::OPS_IN_FLIGHT_LIMIT;
use super::effect::{Op, PodEffect};
use super::input::{Ending, Observation, OpOutcome, PodInput, StartOutcome, Trouble};
use super::track::Track;
use crate::backoff::BackOffLimits;
use crate::pod;

/// What a pod worker must know of its node.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Prefix of `containerID`, such as `trireme`.
    pub runtime_scheme: String,
    /// The node's addresses, the primary one first.
    pub host_ips: Vec<String>,
    /// Delays of restarts.
    pub crash: BackOffLimits,
    /// Delays of image pulls.
    pub pull: BackOffLimits,
    /// How often volumes are brought up to date.
    pub volume_refresh: Duration,
    /// How often the runtime is asked without an event.
    pub relist: Duration,
    /// CPU (thousandths) and memory (bytes) for pods: a resize beyond it is infeasible.
    pub allocatable: (i64, i64),
}

/// Where the pod is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Its containers are to run.
    Syncing,
    /// Its containers are to end.
    Terminating {
        /// When the grace is over.
        deadline: Tick,
    },
    /// Nothing of it runs and nothing will.
    Terminated,
    /// Nothing of it is left.
    Gone,
}

/// A final phase that does not come from exit codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) disruption: bool,
}

/// A delay that doubles while one thing fails.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retry {
    pub(super) at: Option<Tick>,
    delay: Duration,
}

impl Retry {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(20);

    pub(super) fn failed(&mut self, now: Tick) {
        self.delay = (self.delay * 2).clamp(Self::FIRST, Self::LONGEST);
        self.at = Some(now + self.delay);
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_due(&self, now: Tick) -> bool {
        self.at.is_none_or(|at| at <= now)
    }
}

/// One pod on this node; see the module.
#[derive(Debug)]
pub struct PodWorker {
    pub(super) config: WorkerConfig,
    pub(super) pod: Arc<Value>,
    pub(super) removed: bool,
    pub(super) mode: Mode,
    pub(super) sentence: Option<Sentence>,
    pub(super) rejected: bool,
    pub(super) ops: OpTable<Op>,
    pub(super) observed: bool,
    pub(super) observe_stale: bool,
    pub(super) observe_dirty: bool,
    pub(super) observe_retry: Retry,
    pub(super) next_relist: Tick,
    pub(super) sandboxes: BTreeMap<SandboxId, SandboxStatus>,
    pub(super) next_sandbox: u32,
    pub(super) sandbox_retry: Retry,
    pub(super) sandbox_told: BTreeSet<SandboxId>,
    pub(super) tracks: BTreeMap<String, Track>,
    /// Stops that were asked for, and when their grace is over.
    pub(super) stopping: BTreeMap<ContainerId, (OpId, Tick)>,
    pub(super) volumes_ready: bool,
    pub(super) volumes_due: Tick,
    pub(super) volumes_retry: Retry,
    pub(super) volumes_released: bool,
    pub(super) folders_removed: bool,
    pub(super) deleted: bool,
    /// Its containers are being removed: what the runtime shows is the status no more.
    pub(super) cleaning: bool,
    pub(super) cleanup_retry: Retry,
    pub(super) start_time: Option<Tick>,
    /// What was last written and taken, and what the API had before that.
    pub(super) written: Option<Value>,
    /// The pod's version in the API for which the status was written last.
    pub(super) righted: Option<String>,
    pub(super) status_retry: Retry,
    /// What is known differs from what was written.
    pub(super) status_dirty: bool,
    /// Resizes: container to (wanted resources as JSON, why it is not done).
    pub(super) resizes: BTreeMap<String, (String, Trouble)>,
    /// Conditions as they were last decided: type to (status, since).
    pub(super) conditions: BTreeMap<&'static str, (String, String)>,
    pub(super) phase: &'static str,
    pub(super) recovered: Value,
    pub(super) wake: Option<Tick>,
}

impl PodWorker {
    /// A worker for a pod as the API (or a file) has it. Nothing is asked of the runtime before the first input.
    pub fn new(config: WorkerConfig, pod: Arc<Value>) -> Self {
        let status = pod.at("status").clone();
        let start_time = Moment::parse_time(status.text("startTime")).ok().map(|at| {
            Tick::from_nanos(u64::try_from(at.unix_seconds()).unwrap_or(0).saturating_mul(1_000_000_000))
        });
        let mut worker = Self {
            config,
            pod,
            removed: false,
            mode: Mode::Syncing,
            sentence: None,
            rejected: false,
            ops: OpTable::new(OPS_IN_FLIGHT_LIMIT),
            observed: false,
            observe_stale: false,
            observe_dirty: true,
            observe_retry: Retry::default(),
            next_relist: Tick::ZERO,
            sandboxes: BTreeMap::new(),
            next_sandbox: 0,
            sandbox_retry: Retry::default(),
            sandbox_told: BTreeSet::new(),
            tracks: BTreeMap::new(),
            stopping: BTreeMap::new(),
            volumes_ready: false,
            volumes_due: Tick::ZERO,
            volumes_retry: Retry::default(),
            volumes_released: false,
            folders_removed: false,
            deleted: false,
            cleaning: false,
            cleanup_retry: Retry::default(),
            start_time,
            written: None,
            righted: None,
            status_retry: Retry::default(),
            status_dirty: true,
            resizes: BTreeMap::new(),
            conditions: BTreeMap::new(),
            phase: "Pending",
            recovered: status,
            wake: None,
        };
        worker.recover();
        worker
    }

    /// What the API's status says of earlier lives of this worker.
    fn recover(&mut self) {
        let status = self.recovered.clone();
        match status.text("phase") {
            "Running" => self.phase = "Running",
            "Succeeded" => self.phase = "Succeeded",
            "Failed" => {
                self.phase = "Failed";
                let (reason, message) = (status.text("reason"), status.text("message"));
                if !reason.is_empty() {
                    self.sentence = Some(Sentence {
                        reason: reason.to_owned(),
                        message: message.to_owned(),
                        disruption: false,
                    });
                }
            }
            _ => {}
        }
        for list in ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] {
            for container in status.list(list) {
                if container.text("containerID").is_empty() {
                    continue;
                }
                let count = container.int("restartCount").and_then(|count| u32::try_from(count).ok());
                let track = self.tracks.entry(container.text("name").to_owned()).or_default();
                track.next_attempt = count.unwrap_or(0) + 1;
            }
        }
    }

    /// The pod as it is wanted.
    pub fn pod(&self) -> &Arc<Value> {
        &self.pod
    }

    /// The state's name, for introspection.
    pub fn state_name(&self) -> &'static str {
        match self.mode {
            Mode::Syncing => "syncing",
            Mode::Terminating { .. } => "terminating",
            Mode::Terminated => "terminated",
            Mode::Gone => "gone",
        }
    }

    /// `Pending`, `Running`, `Succeeded` or `Failed`, as last decided.
    pub fn phase(&self) -> &'static str {
        self.phase
    }

    /// The sandbox in use, if one is ready.
    pub fn ready_sandbox(&self) -> Option<&SandboxStatus> {
        self.current_sandbox().filter(|sandbox| sandbox.state == SandboxState::Ready)
    }

    pub(super) fn current_sandbox(&self) -> Option<&SandboxStatus> {
        self.sandboxes.values().max_by_key(|sandbox| (sandbox.config.attempt, sandbox.created_at))
    }

    fn desired(&mut self, pod: Arc<Value>) {
        if pod::uid(&pod) == pod::uid(&self.pod) {
            self.pod = pod;
        }
    }

    fn op_done(&mut self, now: Tick, id: OpId, outcome: OpOutcome, out: &mut Vec<PodEffect>) {
        let Some(op) = self.ops.finish(id) else { return };
        if !matches!(op, Op::Observe | Op::Probe { .. } | Op::WriteStatus(_)) {
            // A list that was taken meanwhile may not know of it.
            self.observe_stale = true;
        }
        match (op, outcome) {
            (Op::Observe, OpOutcome::Observed(result)) => self.saw(now, result),
            (Op::PrepareVolumes, OpOutcome::Done(result)) => self.volumes_done(now, result),
            (Op::RunSandbox { attempt }, OpOutcome::Sandbox(result)) => {
                self.sandbox_done(now, attempt, result, out);
            }
            (Op::EnsureImage { container }, OpOutcome::Image(result)) => {
                self.image_done(now, &container, result, out);
            }
            (Op::StartContainer { container, .. }, OpOutcome::Start(outcome)) => {
                self.start_done(now, &container, outcome);
            }
            (Op::StopContainer { container, id, .. }, OpOutcome::Stopped(result)) => {
                self.stopping.remove(&id);
                self.stop_done(now, &container, &id, result);
            }
            (Op::RemoveContainer { id }, OpOutcome::Done(result)) => match result {
                Ok(()) => {
                    self.tracks.values_mut().for_each(|track| track.instances.retain(|_, own| own.id != id))
                }
                Err(_) => self.cleanup_retry.failed(now),
            },
            (Op::StopSandbox { id }, OpOutcome::Done(result)) => match result {
                Ok(()) => self.sandbox_stopped(now, &id),
                Err(_) => self.cleanup_retry.failed(now),
            },
            (Op::RemoveSandbox { id }, OpOutcome::Done(result)) => match result {
                Ok(()) => self.sandbox_removed(&id),
                Err(_) => self.cleanup_retry.failed(now),
            },
            (Op::Resize { container, id }, OpOutcome::Done(result)) => {
                self.resize_done(now, &container, &id, result, out);
            }
            (Op::Probe { container, id, kind }, OpOutcome::Probe(outcome)) => {
                self.probe_done(now, &container, &id, kind, outcome, out);
            }
            (Op::WriteStatus(status), OpOutcome::Done(result)) => match result {
                Ok(()) => {
                    self.written = Some(*status);
                    self.status_retry.succeeded();
                }
                Err(_) => self.status_retry.failed(now),
            },
            (op, OpOutcome::Done(result)) => self.cleanup_done(now, &op, result),
            // The shell answers in kind; anything else would be a fault of the shell, and observing again mends it.
            _ => self.observe_dirty = true,
        }
    }

    fn saw(&mut self, now: Tick, result: Result<Observation, String>) {
        let observation = match result {
            Ok(observation) => observation,
            Err(_) => {
                self.observe_dirty = true;
                return self.observe_retry.failed(now);
            }
        };
        self.observe_retry.succeeded();
        self.next_relist = now + self.config.relist;
        if !self.observe_stale {
            let sandboxes: BTreeSet<_> = observation.sandboxes.iter().map(|own| own.id.clone()).collect();
            self.sandboxes.retain(|id, _| sandboxes.contains(id));
            let containers: BTreeSet<_> = observation.containers.iter().map(|own| own.id.clone()).collect();
            for track in self.tracks.values_mut() {
                track.instances.retain(|_, own| containers.contains(&own.id));
            }
        }
        for sandbox in observation.sandboxes {
            self.next_sandbox = self.next_sandbox.max(sandbox.config.attempt + 1);
            let known = self.sandboxes.get(&sandbox.id).map(|known| known.state);
            if known != Some(SandboxState::NotReady) {
                self.sandboxes.insert(sandbox.id.clone(), sandbox);
            }
        }
        for container in observation.containers {
            self.tracks.entry(container.config.name.clone()).or_default().merge(container);
        }
        self.observed = true;
    }

    fn volumes_done(&mut self, now: Tick, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.volumes_ready = true;
                self.volumes_due = now + self.config.volume_refresh;
                self.volumes_retry.succeeded();
            }
            Err(_) => self.volumes_retry.failed(now),
        }
    }

    fn image_done(
        &mut self,
        now: Tick,
        container: &str,
        result: Result<String, Trouble>,
        out: &mut Vec<PodEffect>,
    ) {
        let limits = self.config.pull;
        let field_path = pod::container(&self.pod, container).map(|container| container.field_path());
        let track = self.tracks.entry(container.to_owned()).or_default();
        match result {
            Ok(image) => {
                track.image = Some(image);
                track.pull_error = None;
            }
            Err(trouble) => {
                track.pull.advance(limits, now);
                let message = format!("Error: {}", trouble.reason);
                out.push(PodEffect::Event { warning: true, reason: "Failed", message, field_path });
                track.pull_error = Some(trouble.clone());
                track.waiting = Some(trouble);
            }
        }
    }

    fn start_done(&mut self, now: Tick, container: &str, outcome: StartOutcome) {
        let track = self.tracks.entry(container.to_owned()).or_default();
        match outcome {
            StartOutcome::Started(status) => {
                track.started();
                track.merge(*status);
            }
            StartOutcome::Failed(trouble, status) => {
                track.waiting = Some(trouble);
                match status {
                    Some(status) => {
                        track.image = None;
                        track.merge(*status);
                    }
                    None => track.defer(now),
                }
            }
        }
        self.observe_dirty = true;
    }
}

impl Core for PodWorker {
    type Input = PodInput;
    type Effect = PodEffect;

    fn step(&mut self, now: Tick, input: PodInput, out: &mut Vec<PodEffect>) {
        if self.mode == Mode::Gone {
            return;
        }
        match input {
            PodInput::Desired(pod) => self.desired(pod),
            PodInput::Removed => self.removed = true,
            PodInput::Reject { reason, message } => {
                self.rejected = true;
                self.sentence.get_or_insert(Sentence { reason, message, disruption: false });
            }
            PodInput::End(ending) => self.end(now, ending),
            PodInput::Changed => self.observe_dirty = true,
            PodInput::RefreshVolumes => self.volumes_due = now,
            PodInput::StatusLost => self.written = None,
            PodInput::OpDone(id, outcome) => self.op_done(now, id, outcome, out),
        }
        self.drive(now, out);
    }

    fn deadline(&self) -> Option<Tick> {
        self.wake
    }

    fn expire(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        if self.mode != Mode::Gone {
            self.drive(now, out);
        }
    }
}

impl PodWorker {
    fn end(&mut self, now: Tick, ending: Ending) {
        if matches!(self.mode, Mode::Terminated | Mode::Gone) || pod::is_terminal_phase(self.phase) {
            return;
        }
        let Ending { reason, message, grace, disruption } = ending;
        self.sentence.get_or_insert(Sentence { reason, message, disruption });
        let grace = grace.unwrap_or_else(|| pod::grace(&self.pod));
        self.begin_termination(now, grace);
    }
}
