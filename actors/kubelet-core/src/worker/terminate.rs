//! Ending a pod: regular containers, then sidecars in reverse order, then the sandbox, then what it leaves behind.

use std::sync::Arc;
use std::time::Duration;

use trireme_core::{OpId, Tick};
use trireme_node::{ContainerId, ContainerState, ContainerStatus};

use super::effect::{Op, PodEffect};
use super::state::{Mode, PodWorker};
use crate::pod::{self, ContainerKind};

/// No container is given less to end by itself (upstream's `minimumGracePeriodInSeconds`).
const GRACE_MIN: Duration = Duration::from_secs(2);
/// How often the runtime is asked while something is being started that must end.
const HURRY: Duration = Duration::from_millis(500);

impl PodWorker {
    /// From now on the pod ends; an end that has begun only gets nearer.
    pub(super) fn begin_termination(&mut self, now: Tick, grace: Duration) {
        let deadline = now + grace;
        match &mut self.mode {
            Mode::Syncing => self.mode = Mode::Terminating { deadline },
            Mode::Terminating { deadline: known } => *known = (*known).min(deadline),
            Mode::Terminated | Mode::Gone => {}
        }
    }

    pub(super) fn drive_terminating(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        let Mode::Terminating { deadline } = self.mode else { return };
        self.give_up_starts(out);
        let pod = Arc::clone(&self.pod);
        pod::containers(&pod).iter().for_each(|container| self.arm_probes(now, container));
        self.drive_probes(now, out);
        let starting = self.has_op(|op| matches!(op, Op::StartContainer { .. } | Op::RunSandbox { .. }));
        if starting {
            self.next_relist = self.next_relist.min(now + HURRY);
        }
        let any_live = self.stop_in_order(now, deadline, out);
        if any_live || starting {
            return;
        }
        if !self.cleanup_retry.is_due(now) {
            return self.wake_at(self.cleanup_retry.at);
        }
        let open: Vec<_> =
            self.sandboxes.keys().filter(|id| !self.sandbox_told.contains(*id)).cloned().collect();
        for id in &open {
            if !self.has_op(|op| matches!(op, Op::StopSandbox { id: open } if open == id)) {
                self.issue(Op::StopSandbox { id: id.clone() }, out);
            }
        }
        let settled =
            !self.observe_dirty && !self.observe_stale && !self.has_op(|op| matches!(op, Op::Observe));
        if open.is_empty() && settled {
            self.mode = Mode::Terminated;
        } else if open.is_empty() && self.observe_stale {
            self.observe_dirty = true;
        }
    }

    /// Pulls are of no use any more; neither is a hook of a container that already runs.
    fn give_up_starts(&mut self, out: &mut Vec<PodEffect>) {
        let running = |name: &str| self.tracks.get(name).is_some_and(|track| track.running().is_some());
        let useless: Vec<OpId> = self
            .ops
            .iter()
            .filter(|(_, op)| match op {
                Op::EnsureImage { .. } | Op::PrepareVolumes | Op::Resize { .. } => true,
                Op::StartContainer { container, .. } => running(container),
                _ => false,
            })
            .map(|(id, _)| id)
            .collect();
        for id in useless {
            self.ops.finish(id);
            self.observe_dirty = true;
            out.push(PodEffect::Abort(id));
        }
    }

    /// Stops what may be stopped now. True while anything lives.
    fn stop_in_order(&mut self, now: Tick, deadline: Tick, out: &mut Vec<PodEffect>) -> bool {
        let pod = Arc::clone(&self.pod);
        let known = pod::containers(&pod);
        let mut live: Vec<(usize, ContainerKind, String, ContainerStatus)> = Vec::new();
        for (name, track) in &self.tracks {
            let at = known.iter().position(|container| container.name() == name);
            let kind = at.map_or(ContainerKind::Regular, |at| known[at].kind);
            for status in track.instances.values().filter(|status| status.state == ContainerState::Running) {
                live.push((at.unwrap_or(0), kind, name.clone(), status.clone()));
            }
        }
        let others = live.iter().any(|(_, kind, ..)| *kind != ContainerKind::Sidecar);
        let last_sidecar =
            live.iter().filter(|(_, kind, ..)| *kind == ContainerKind::Sidecar).map(|own| own.0).max();
        for (at, kind, name, status) in &live {
            let waits = *kind == ContainerKind::Sidecar && (others || Some(*at) != last_sidecar);
            if waits && now < deadline {
                self.wake_at(Some(deadline));
                continue;
            }
            let grace = deadline.since(now).max(GRACE_MIN);
            if !self.stopping.contains_key(&status.id) && self.cleanup_retry.is_due(now) {
                let message = format!("Stopping container {name}");
                let field_path = known.get(*at).map(pod::Container::field_path);
                out.push(PodEffect::Event { warning: false, reason: "Killing", message, field_path });
            }
            self.stop(now, name, status.id.clone(), grace, out);
        }
        !live.is_empty()
    }

    /// Stops a container; a stop in flight is only replaced by one that ends at least a second earlier.
    pub(super) fn stop(
        &mut self,
        now: Tick,
        name: &str,
        id: ContainerId,
        grace: Duration,
        out: &mut Vec<PodEffect>,
    ) {
        let until = now + grace;
        if let Some((op, known)) = self.stopping.get(&id).copied() {
            if until + Duration::from_secs(1) > known {
                return;
            }
            self.ops.finish(op);
            out.push(PodEffect::Abort(op));
        } else if !self.cleanup_retry.is_due(now) {
            return self.wake_at(self.cleanup_retry.at);
        }
        let op = Op::StopContainer { container: name.to_owned(), id: id.clone(), grace };
        if let Some(op) = self.issue_with_id(op, out) {
            self.stopping.insert(id, (op, until));
        }
    }

    pub(super) fn stop_done(
        &mut self,
        now: Tick,
        name: &str,
        id: &ContainerId,
        result: Result<Option<Box<ContainerStatus>>, String>,
    ) {
        match result {
            Ok(Some(status)) => {
                self.cleanup_retry.succeeded();
                self.tracks.entry(name.to_owned()).or_default().merge(*status);
            }
            Ok(None) => {
                if let Some(track) = self.tracks.get_mut(name) {
                    track.instances.retain(|_, own| own.id != *id);
                }
            }
            Err(_) => self.cleanup_retry.failed(now),
        }
        self.observe_dirty = true;
    }

    /// What an ended pod leaves behind goes in this order: volumes; and once the pod itself is to go, its containers, its
    /// folders, its object.
    pub(super) fn drive_terminated(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        if !self.cleanup_retry.is_due(now) {
            return self.wake_at(self.cleanup_retry.at);
        }
        let busy = self.has_op(|op| {
            matches!(op, Op::ReleaseVolumes | Op::RemoveFolders | Op::RemoveSandbox { .. } | Op::DeletePod)
        });
        if busy {
            return;
        }
        if !self.volumes_released {
            return self.issue(Op::ReleaseVolumes, out);
        }
        let leaves = self.removed || pod::is_deleted(&self.pod);
        let untold =
            !self.removed && (self.status_dirty || self.has_op(|op| matches!(op, Op::WriteStatus(_))));
        if !leaves || untold {
            return;
        }
        self.cleaning = true;
        if let Some(id) = self.sandboxes.keys().next().cloned() {
            return self.issue(Op::RemoveSandbox { id }, out);
        }
        if !self.folders_removed {
            return self.issue(Op::RemoveFolders, out);
        }
        if self.removed {
            self.mode = Mode::Gone;
            out.push(PodEffect::Finished);
        } else if !self.deleted {
            self.issue(Op::DeletePod, out);
        }
    }

    pub(super) fn cleanup_done(&mut self, now: Tick, op: &Op, result: Result<(), String>) {
        if result.is_err() {
            return self.cleanup_retry.failed(now);
        }
        self.cleanup_retry.succeeded();
        match op {
            Op::ReleaseVolumes => self.volumes_released = true,
            Op::RemoveFolders => self.folders_removed = true,
            Op::DeletePod => self.deleted = true,
            _ => {}
        }
    }
}
