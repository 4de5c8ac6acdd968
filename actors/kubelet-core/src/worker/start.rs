//! Bringing one container up: back-off, image, start.

use std::time::Duration;

use trireme_core::Tick;
use trireme_node::{ContainerState, SandboxId};

use super::driver::exit_code;
use super::effect::{Op, PodEffect};
use super::input::Trouble;
use super::state::PodWorker;
use super::track::{Track, has_ended};
use crate::pod::{self, Container, go_seconds};

/// How long `ErrImagePull` stands before it reads `ImagePullBackOff`.
const FAILURE_SHOWN: Duration = Duration::from_secs(1);

impl PodWorker {
    /// The next step towards a running container. Does nothing while a step is in flight.
    pub(super) fn bring_up(
        &mut self,
        now: Tick,
        container: &Container<'_>,
        sandbox: &SandboxId,
        out: &mut Vec<PodEffect>,
    ) {
        let name = container.name();
        if self.is_busy(name) || self.remove_unstarted(now, name, out) {
            return;
        }
        let ended = self.tracks.get(name).and_then(Track::latest).filter(|status| has_ended(status));
        let ended = ended.map(|status| (status.config.attempt, status.finished_at, exit_code(status)));
        let in_old = ended.is_some() && self.instance(name, sandbox).is_none();
        if let Some((.., code)) = ended
            && !in_old
            && !container.restarts(&self.pod, code)
        {
            return;
        }
        self.tracks.entry(name.to_owned()).or_default();
        if self.must_wait(now, container, ended, out) {
            return;
        }
        let limits = self.config.crash;
        let Some(track) = self.tracks.get_mut(name) else { return };
        let Some(image) = track.image.clone() else {
            return self.issue(Op::EnsureImage { container: name.to_owned() }, out);
        };
        if ended.is_some() {
            track.crash.advance(limits, now);
        }
        let attempt = track.next_attempt;
        let (container, sandbox) = (name.to_owned(), sandbox.clone());
        self.issue(Op::StartContainer { container, attempt, sandbox, image }, out);
    }

    /// A container that was made but never started (its maker died) goes before another is made.
    fn remove_unstarted(&mut self, now: Tick, name: &str, out: &mut Vec<PodEffect>) -> bool {
        let latest = self.tracks.get(name).and_then(Track::latest);
        let Some(id) = latest.filter(|own| own.state == ContainerState::Created).map(|own| own.id.clone())
        else {
            return false;
        };
        if self.has_op(|op| matches!(op, Op::RemoveContainer { id: open } if *open == id)) {
            return true;
        }
        match self.cleanup_retry.is_due(now) {
            true => self.issue(Op::RemoveContainer { id }, out),
            false => self.wake_at(self.cleanup_retry.at),
        }
        true
    }

    /// Back-offs of restarts, pulls and failed starts.
    fn must_wait(
        &mut self,
        now: Tick,
        container: &Container<'_>,
        ended: Option<(u32, u64, i32)>,
        out: &mut Vec<PodEffect>,
    ) -> bool {
        let (crash, pull) = (self.config.crash, self.config.pull);
        let pod_name = pod::display(&self.pod);
        let name = container.name();
        let Some(track) = self.tracks.get_mut(name) else { return false };
        let field_path = Some(container.field_path());
        let mut until = track.retry_at.filter(|at| *at > now);
        if let Some((attempt, finished_at, _)) = ended
            && let Some(at) = track.crash.until(crash, Tick::from_nanos(finished_at), now)
        {
            let delay = go_seconds(track.crash.delay());
            let message = format!("back-off {delay} restarting failed container={name} pod={pod_name}");
            track.waiting = Some(Trouble { reason: "CrashLoopBackOff", message });
            if track.crash_told != Some(attempt) {
                track.crash_told = Some(attempt);
                let message = format!("Back-off restarting failed container {name} in pod {pod_name}");
                let field_path = field_path.clone();
                out.push(PodEffect::Event { warning: true, reason: "BackOff", message, field_path });
            }
            until = Some(at);
        } else if let (None, Some(since), Some(error)) =
            (&track.image, track.pull.updated(), &track.pull_error)
            && let Some(at) = track.pull.until(pull, since, now)
        {
            let image = container.spec.get("image").and_then(|image| image.as_str()).unwrap_or_default();
            let shown = since + FAILURE_SHOWN;
            if now < shown && track.waiting.as_ref().is_some_and(|waiting| waiting.reason == error.reason) {
                until = Some(shown);
                self.wake_at(until);
                return true;
            }
            if error.reason == "ErrImagePull" {
                let message = format!("Back-off pulling image {image:?}: ErrImagePull: {}", error.message);
                if track.waiting.as_ref().is_none_or(|waiting| waiting.reason != "ImagePullBackOff") {
                    let message = format!("Back-off pulling image {image:?}");
                    let path = field_path.clone();
                    out.push(PodEffect::Event {
                        warning: false,
                        reason: "BackOff",
                        message,
                        field_path: path,
                    });
                    let message = "Error: ImagePullBackOff".to_owned();
                    out.push(PodEffect::Event { warning: true, reason: "Failed", message, field_path });
                }
                track.waiting = Some(Trouble { reason: "ImagePullBackOff", message });
            }
            until = Some(at);
        }
        self.wake_at(until);
        until.is_some()
    }
}
