//! Resize in place: limits of a running container follow the pod's specification.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_core::Tick;
use trireme_node::ContainerId;
use trireme_schema::view::View;

use super::RESOURCES_ANNOTATION;
use super::effect::{Op, PodEffect};
use super::input::Trouble;
use super::state::PodWorker;
use super::track::Track;
use crate::pod::{self, Container, ContainerKind};

/// Wait before a resize that failed is tried again.
const RESIZE_RETRY: Duration = Duration::from_secs(5);

impl PodWorker {
    /// Resizes what runs with other CPU or memory than the pod now says.
    pub(super) fn drive_resize(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        let pod = Arc::clone(&self.pod);
        for container in pod::containers(&pod) {
            let name = container.name();
            let wanted = container.spec.at("resources").to_string();
            let Some((id, applied)) = self.tracks.get(name).and_then(applied) else { continue };
            if applied == wanted || self.is_busy(name) || container.kind == ContainerKind::Ephemeral {
                if applied == wanted {
                    self.resizes.remove(name);
                }
                continue;
            }
            if let Some((known, trouble)) = self.resizes.get(name)
                && *known == wanted
                && (trouble.reason == "Infeasible" || self.tracks[name].retry_at.is_some_and(|at| at > now))
            {
                self.wake_at(self.tracks[name].retry_at.filter(|at| *at > now));
                continue;
            }
            if let Some(message) = self.infeasible(&pod) {
                let trouble = Trouble { reason: "Infeasible", message };
                self.resizes.insert(name.to_owned(), (wanted, trouble));
                continue;
            }
            if must_restart(&container, &applied) {
                let message = format!("Container {name} resize requires restart");
                let field_path = Some(container.field_path());
                out.push(PodEffect::Event { warning: false, reason: "Killing", message, field_path });
                self.stop(now, name, id, pod::grace(&pod), out);
            } else {
                self.issue(Op::Resize { container: name.to_owned(), id }, out);
            }
        }
    }

    fn infeasible(&self, pod: &Value) -> Option<String> {
        let (cpu, memory) = self.config.allocatable;
        let requests = crate::resources::pod_requests(pod);
        let checks = [("cpu", requests.cpu_milli, cpu), ("memory", requests.memory_bytes, memory)];
        let over = checks.into_iter().find(|(_, asked, capacity)| asked > capacity)?;
        let (name, asked, capacity) = over;
        Some(format!("Node didn't have enough capacity: {name}, requested: {asked}, capacity: {capacity}"))
    }

    pub(super) fn resize_done(
        &mut self,
        now: Tick,
        name: &str,
        id: &ContainerId,
        result: Result<(), String>,
        out: &mut Vec<PodEffect>,
    ) {
        let pod = Arc::clone(&self.pod);
        let Some(container) = pod::container(&pod, name) else { return };
        let wanted = container.spec.at("resources").to_string();
        let Some(track) = self.tracks.get_mut(name) else { return };
        match result {
            Ok(()) => {
                track.applied = Some((id.clone(), wanted));
                self.resizes.remove(name);
            }
            Err(message) => {
                track.retry_at = Some(now + RESIZE_RETRY);
                let field_path = Some(container.field_path());
                let told = format!("Failed to resize container {name}: {message}");
                out.push(PodEffect::Event {
                    warning: true,
                    reason: "ResizeError",
                    message: told,
                    field_path,
                });
                self.resizes.insert(name.to_owned(), (wanted, Trouble { reason: "Error", message }));
            }
        }
    }
}

/// The running instance and the resources it runs with.
pub(super) fn applied(track: &Track) -> Option<(ContainerId, String)> {
    let running = track.running()?;
    if let Some((id, resources)) = &track.applied
        && *id == running.id
    {
        return Some((id.clone(), resources.clone()));
    }
    Some((running.id.clone(), running.config.annotations.get(RESOURCES_ANNOTATION)?.clone()))
}

/// A resource whose `resizePolicy` is `RestartContainer` differs.
fn must_restart(container: &Container<'_>, applied: &str) -> bool {
    let Ok(old) = serde_json::from_str::<Value>(applied) else { return false };
    let new = container.spec.at("resources");
    container.spec.list("resizePolicy").iter().any(|policy| {
        let name = policy.text("resourceName");
        policy.text("restartPolicy") == "RestartContainer"
            && ["requests", "limits"]
                .iter()
                .any(|list| pod::quantity(old.at(list), name) != pod::quantity(new.at(list), name))
    })
}
