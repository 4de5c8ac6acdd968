//! What a pod worker does next: called after every input and at every deadline, it compares what is wanted with what is.

use std::sync::Arc;
use std::time::Duration;

use trireme_core::{OpId, Tick};
use trireme_node::{ContainerId, ContainerState, SandboxId, SandboxState, SandboxStatus};
use trireme_schema::view::View;

use super::effect::{Op, PodEffect};
use super::state::{Mode, PodWorker, Sentence};
use super::track::{Track, has_ended};
use crate::pod::{self, Container, ContainerKind};
use crate::probe::{ProbeKind, ProbeOutcome, ProbeState, Verdict};

/// Wait before the runtime is asked again while it shows what must not be.
const SETTLE: Duration = Duration::from_millis(200);

impl PodWorker {
    pub(super) fn drive(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        self.wake = None;
        self.judge_lifetime(now);
        self.drive_observe(now, out);
        if !self.observed {
            return;
        }
        if self.mode == Mode::Syncing {
            self.drive_sync(now, out);
        }
        if matches!(self.mode, Mode::Terminating { .. }) {
            self.drive_terminating(now, out);
        }
        self.drive_status(now, out);
        if self.mode == Mode::Terminated {
            self.drive_terminated(now, out);
        }
        self.drive_observe(now, out);
    }

    /// Begins termination when the pod is to go, and shrinks its grace.
    fn judge_lifetime(&mut self, now: Tick) {
        if self.removed || pod::is_deleted(&self.pod) {
            self.begin_termination(now, pod::grace(&self.pod));
        } else if self.rejected {
            self.begin_termination(now, Duration::ZERO);
        } else if self.mode == Mode::Syncing && pod::is_terminal_phase(self.phase) {
            self.begin_termination(now, pod::grace(&self.pod));
        }
    }

    fn drive_observe(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        if self.mode == Mode::Gone || self.has_op(|op| matches!(op, Op::Observe)) {
            return;
        }
        if !self.observe_retry.is_due(now) {
            return self.wake_at(self.observe_retry.at);
        }
        if self.observe_dirty || self.next_relist <= now {
            self.observe_dirty = false;
            self.observe_stale = false;
            self.issue(Op::Observe, out);
        } else {
            self.wake_at(Some(self.next_relist));
        }
    }

    fn drive_sync(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        let start = *self.start_time.get_or_insert(now);
        if let Some(limit) = self.pod.at("spec").int("activeDeadlineSeconds") {
            let at = start + pod::seconds(limit);
            if at <= now {
                let reason = "DeadlineExceeded".to_owned();
                let message = "Pod was active on the node longer than the specified deadline".to_owned();
                self.sentence = Some(Sentence { reason, message, disruption: false });
                return self.begin_termination(now, pod::grace(&self.pod));
            }
            self.wake_at(Some(at));
        }
        if self.outcome().is_some() {
            return self.begin_termination(now, pod::grace(&self.pod));
        }
        self.drive_volumes(now, out);
        let ready = self.ready_sandbox().map(|sandbox| sandbox.id.clone());
        match ready {
            Some(sandbox) => {
                self.drive_containers(now, &sandbox, out);
                self.drive_probes(now, out);
                self.drive_resize(now, out);
                self.collect(now, out);
            }
            None if self.volumes_ready => self.drive_sandbox(now, out),
            None => {}
        }
    }

    fn drive_volumes(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        if self.has_op(|op| matches!(op, Op::PrepareVolumes)) {
            return;
        }
        if !self.volumes_retry.is_due(now) {
            return self.wake_at(self.volumes_retry.at);
        }
        if self.volumes_due <= now {
            self.issue(Op::PrepareVolumes, out);
        } else {
            self.wake_at(Some(self.volumes_due));
        }
    }

    /// Makes a sandbox where none is ready; what the old one holds is stopped first.
    fn drive_sandbox(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        if self.has_op(|op| matches!(op, Op::RunSandbox { .. } | Op::StopSandbox { .. })) {
            return;
        }
        let old = self.current_sandbox().map(|sandbox| sandbox.id.clone());
        if let Some(old) = old.filter(|old| !self.sandbox_told.contains(old)) {
            if !self.cleanup_retry.is_due(now) {
                return self.wake_at(self.cleanup_retry.at);
            }
            if self.cleanup_retry.at.is_none() {
                let message = "Pod sandbox changed, it will be killed and re-created.".to_owned();
                out.push(PodEffect::Event {
                    warning: false,
                    reason: "SandboxChanged",
                    message,
                    field_path: None,
                });
            }
            return self.issue(Op::StopSandbox { id: old }, out);
        }
        if self.tracks.values().any(|track| track.running().is_some()) {
            self.next_relist = self.next_relist.min(now + SETTLE);
            return;
        }
        if !self.sandbox_retry.is_due(now) {
            return self.wake_at(self.sandbox_retry.at);
        }
        self.issue(Op::RunSandbox { attempt: self.next_sandbox }, out);
    }

    pub(super) fn sandbox_done(
        &mut self,
        now: Tick,
        attempt: u32,
        result: Result<Box<SandboxStatus>, String>,
        out: &mut Vec<PodEffect>,
    ) {
        match result {
            Ok(status) => {
                self.next_sandbox = self.next_sandbox.max(attempt + 1);
                self.sandbox_retry.succeeded();
                self.sandboxes.insert(status.id.clone(), *status);
            }
            Err(error) => {
                self.sandbox_retry.failed(now);
                self.observe_dirty = true;
                let message = format!("Failed to create pod sandbox: {error}");
                let reason = "FailedCreatePodSandBox";
                out.push(PodEffect::Event { warning: true, reason, message, field_path: None });
            }
        }
    }

    pub(super) fn sandbox_stopped(&mut self, _now: Tick, id: &SandboxId) {
        self.cleanup_retry.succeeded();
        self.sandbox_told.insert(id.clone());
        if let Some(sandbox) = self.sandboxes.get_mut(id) {
            sandbox.state = SandboxState::NotReady;
        }
        self.observe_dirty = true;
    }

    pub(super) fn sandbox_removed(&mut self, id: &SandboxId) {
        self.cleanup_retry.succeeded();
        self.sandboxes.remove(id);
        for track in self.tracks.values_mut() {
            track.instances.retain(|_, own| own.sandbox != *id);
        }
    }

    fn drive_containers(&mut self, now: Tick, sandbox: &SandboxId, out: &mut Vec<PodEffect>) {
        let pod = Arc::clone(&self.pod);
        let all = pod::containers(&pod);
        for container in all.iter().filter(|own| own.kind == ContainerKind::Ephemeral) {
            if self.tracks.get(container.name()).is_none_or(|track| track.next_attempt == 0) {
                self.bring_up(now, container, sandbox, out);
            }
        }
        let initialized = all
            .iter()
            .filter(|own| own.kind == ContainerKind::Regular)
            .any(|own| self.instance(own.name(), sandbox).is_some());
        let init = all.iter().filter(|own| matches!(own.kind, ContainerKind::Init | ContainerKind::Sidecar));
        for container in init {
            let done = match container.kind {
                ContainerKind::Sidecar => self.keep_sidecar(now, container, sandbox, out),
                _ => initialized || self.advance_init(now, container, sandbox, out),
            };
            if !done && !initialized {
                return;
            }
        }
        for container in all.iter().filter(|own| own.kind == ContainerKind::Regular) {
            self.keep_regular(now, container, sandbox, out);
        }
    }

    /// True once the init container is done.
    fn advance_init(
        &mut self,
        now: Tick,
        container: &Container<'_>,
        sandbox: &SandboxId,
        out: &mut Vec<PodEffect>,
    ) -> bool {
        match self.instance(container.name(), sandbox) {
            Some((ContainerState::Exited, 0)) => return true,
            Some((ContainerState::Running, _)) => {}
            _ => self.bring_up(now, container, sandbox, out),
        }
        false
    }

    /// True once the sidecar has started.
    fn keep_sidecar(
        &mut self,
        now: Tick,
        container: &Container<'_>,
        sandbox: &SandboxId,
        out: &mut Vec<PodEffect>,
    ) -> bool {
        match self.instance(container.name(), sandbox) {
            Some((ContainerState::Running, _)) => {
                self.arm_probes(now, container);
                self.replace_changed(now, container, out);
                self.tracks.get(container.name()).is_some_and(Track::is_started)
                    && !self.is_busy(container.name())
            }
            _ => {
                self.bring_up(now, container, sandbox, out);
                false
            }
        }
    }

    fn keep_regular(
        &mut self,
        now: Tick,
        container: &Container<'_>,
        sandbox: &SandboxId,
        out: &mut Vec<PodEffect>,
    ) {
        let latest = self.tracks.get(container.name()).and_then(Track::latest);
        match latest {
            Some(status) if status.state == ContainerState::Running => {
                self.arm_probes(now, container);
                self.replace_changed(now, container, out);
            }
            Some(status) if has_ended(status) && !container.restarts(&self.pod, exit_code(status)) => {}
            _ => self.bring_up(now, container, sandbox, out),
        }
    }

    /// A running container whose image was changed in the pod is stopped; it comes back as a restart.
    fn replace_changed(&mut self, now: Tick, container: &Container<'_>, out: &mut Vec<PodEffect>) {
        let Some(running) = self.tracks.get(container.name()).and_then(Track::running) else { return };
        let made = running.config.annotations.get(super::IDENTITY_ANNOTATION);
        if made.is_none_or(|made| *made == container.identity()) || self.stopping.contains_key(&running.id) {
            return;
        }
        let id = running.id.clone();
        let message = format!("Container {} definition changed, will be restarted", container.name());
        let field_path = Some(container.field_path());
        out.push(PodEffect::Event { warning: false, reason: "Killing", message, field_path });
        self.stop(now, container.name(), id, pod::grace(&self.pod), out);
    }

    /// State and exit code of the newest instance in this sandbox.
    pub(super) fn instance(&self, name: &str, sandbox: &SandboxId) -> Option<(ContainerState, i32)> {
        let latest = self.tracks.get(name)?.latest().filter(|status| status.sandbox == *sandbox)?;
        let state = if has_ended(latest) { ContainerState::Exited } else { latest.state };
        Some((state, exit_code(latest)))
    }

    /// Removes instances and sandboxes that nobody asks for any more: the newest and the last ended ones stay.
    fn collect(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        if !self.cleanup_retry.is_due(now) {
            return self.wake_at(self.cleanup_retry.at);
        }
        let mut old = Vec::new();
        for track in self.tracks.values() {
            let newest = track.latest().map(|status| status.id.clone());
            let exited = track.last_exited().map(|status| status.id.clone());
            let spare = track.instances.values().filter(|status| {
                has_ended(status)
                    && Some(&status.id) != newest.as_ref()
                    && Some(&status.id) != exited.as_ref()
            });
            old.extend(spare.map(|status| status.id.clone()));
        }
        for id in old {
            if !self.has_op(|op| matches!(op, Op::RemoveContainer { id: open } if *open == id)) {
                self.issue(Op::RemoveContainer { id }, out);
            }
        }
        let current = self.current_sandbox().map(|sandbox| sandbox.id.clone());
        let used = |id: &SandboxId| {
            self.tracks.values().any(|track| track.instances.values().any(|status| status.sandbox == *id))
        };
        let unused: Vec<_> =
            self.sandboxes.keys().filter(|id| Some(*id) != current.as_ref() && !used(id)).cloned().collect();
        for id in unused {
            if !self.has_op(|op| matches!(op, Op::RemoveSandbox { id: open } if *open == id)) {
                self.issue(Op::RemoveSandbox { id }, out);
            }
        }
    }

    // ---- probes ----

    /// Probes belong to one instance; a new instance begins anew.
    pub(super) fn arm_probes(&mut self, now: Tick, container: &Container<'_>) {
        let known = self.known_health(container.name());
        let Some(track) = self.tracks.get_mut(container.name()) else { return };
        let Some((id, started)) =
            track.running().map(|own| (own.id.clone(), Tick::from_nanos(own.started_at)))
        else {
            return;
        };
        if track.probed.as_ref() == Some(&id) {
            return;
        }
        let known = known.filter(|(known, ..)| *known == id.0);
        track.probes.clear();
        for kind in ProbeKind::ALL.into_iter().filter(|kind| container.spec.has(kind.field())) {
            let healthy = match (kind, &known) {
                (ProbeKind::Startup, Some((_, true, _))) => Some(true),
                (ProbeKind::Startup, _) => None,
                (ProbeKind::Readiness, Some((_, _, ready))) => Some(*ready),
                (ProbeKind::Readiness, None) => Some(false),
                (ProbeKind::Liveness, _) => Some(true),
            };
            track
                .probes
                .insert(kind, ProbeState::new(container.spec.at(kind.field()), started, now, healthy));
        }
        track.probed = Some(id);
    }

    /// What the API knew of a container when this worker began: id, started, ready.
    fn known_health(&self, name: &str) -> Option<(String, bool, bool)> {
        let lists = ["initContainerStatuses", "containerStatuses"];
        let mut statuses = lists.iter().flat_map(|list| self.recovered.list(list));
        let status = statuses.find(|status| status.text("name") == name)?;
        let id = status.text("containerID").split_once("://")?.1.to_owned();
        Some((id, status.is_true("started"), status.is_true("ready")))
    }

    pub(super) fn drive_probes(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        let ending = self.mode != Mode::Syncing;
        let mut due = Vec::new();
        let mut next = None;
        for (name, track) in &mut self.tracks {
            let Some(id) = track.running().map(|status| status.id.clone()) else { continue };
            if track.probed.as_ref() != Some(&id) || self.stopping.contains_key(&id) && !ending {
                continue;
            }
            let started = track.is_started();
            for (kind, probe) in &mut track.probes {
                let wanted = match kind {
                    ProbeKind::Startup => !started && !ending,
                    ProbeKind::Readiness => started,
                    ProbeKind::Liveness => started && !ending,
                };
                match probe.due().filter(|_| wanted) {
                    Some(at) if at <= now => {
                        probe.begin(now);
                        due.push(Op::Probe { container: name.clone(), id: id.clone(), kind: *kind });
                    }
                    Some(at) => next = Some(next.map_or(at, |next: Tick| next.min(at))),
                    None => {}
                }
            }
        }
        self.wake_at(next);
        due.into_iter().for_each(|op| self.issue(op, out));
    }

    pub(super) fn probe_done(
        &mut self,
        now: Tick,
        name: &str,
        id: &ContainerId,
        kind: ProbeKind,
        outcome: ProbeOutcome,
        out: &mut Vec<PodEffect>,
    ) {
        let pod = Arc::clone(&self.pod);
        let Some(container) = pod::container(&pod, name) else { return };
        let Some(track) = self.tracks.get_mut(name).filter(|track| track.probed.as_ref() == Some(id)) else {
            return;
        };
        let Some(probe) = track.probes.get_mut(&kind) else { return };
        let verdict = probe.finish(now, &outcome);
        let told = match &outcome {
            ProbeOutcome::Success => None,
            ProbeOutcome::Failure(why) => Some(format!("{} probe failed: {why}", kind.word())),
            ProbeOutcome::Unknown(why) => {
                Some(format!("{} probe errored and resulted in unknown state: {why}", kind.word()))
            }
        };
        let alive = track.running().is_some_and(|status| status.id == *id);
        if let Some(message) = told.filter(|_| alive) {
            let field_path = Some(container.field_path());
            out.push(PodEffect::Event { warning: true, reason: "Unhealthy", message, field_path });
        }
        let kills = verdict == Verdict::Unhealthy && kind != ProbeKind::Readiness && alive;
        if kills && self.mode == Mode::Syncing && !self.stopping.contains_key(id) {
            let mut message = format!("Container {name} failed {} probe", kind.word().to_lowercase());
            if container.restarts(&pod, 137) {
                message.push_str(", will be restarted");
            }
            let field_path = Some(container.field_path());
            out.push(PodEffect::Event { warning: false, reason: "Killing", message, field_path });
            let own = container.spec.at(kind.field()).int("terminationGracePeriodSeconds").map(pod::seconds);
            self.stop(now, name, id.clone(), own.unwrap_or_else(|| pod::grace(&pod)), out);
        }
    }

    // ---- operations ----

    pub(super) fn issue(&mut self, op: Op, out: &mut Vec<PodEffect>) {
        self.issue_with_id(op, out);
    }

    pub(super) fn issue_with_id(&mut self, op: Op, out: &mut Vec<PodEffect>) -> Option<OpId> {
        // A full table waits for completions; each of them drives again.
        let id = self.ops.open(op.clone()).ok()?;
        out.push(PodEffect::Start(id, op));
        Some(id)
    }

    pub(super) fn has_op(&self, wanted: impl Fn(&Op) -> bool) -> bool {
        self.ops.iter().any(|(_, op)| wanted(op))
    }

    /// An operation of this container is in flight (probes aside).
    pub(super) fn is_busy(&self, name: &str) -> bool {
        self.has_op(|op| match op {
            Op::EnsureImage { container }
            | Op::StartContainer { container, .. }
            | Op::StopContainer { container, .. }
            | Op::Resize { container, .. } => container == name,
            _ => false,
        })
    }

    pub(super) fn wake_at(&mut self, at: Option<Tick>) {
        if let Some(at) = at {
            self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
        }
    }
}

/// The exit code; a container that nobody knows of counts as killed.
pub(super) fn exit_code(status: &trireme_node::ContainerStatus) -> i32 {
    match status.state {
        ContainerState::Unknown => 137,
        _ => status.exit_code,
    }
}
