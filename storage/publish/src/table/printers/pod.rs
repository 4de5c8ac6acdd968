//! Pods: what `STATUS` says is read off the container statuses, the later ones first.

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::super::duration::{human_duration, moment};
use super::text::{condition, holds, or, whole};
use super::{Scene, name};

/// Counts over the container statuses.
#[derive(Default)]
struct Tally {
    reason: String,
    restarts: i64,
    last_restart: Option<Moment>,
    sidecar_restarts: i64,
    last_sidecar_restart: Option<Moment>,
    ready: usize,
}

pub(super) fn pod(pod: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (pod.at("spec"), pod.at("status"));
    let mut tally = Tally { reason: initial_reason(status), ..Tally::default() };
    let initializing = tally.count_init_containers(spec, status);
    if !initializing || holds(status.list("conditions"), "Initialized") {
        tally.count_containers(status);
    }
    if pod.at("metadata").has("deletionTimestamp") {
        if status.text("reason") == "NodeLost" {
            tally.reason = "Unknown".to_owned();
        } else if !matches!(status.text("phase"), "Succeeded" | "Failed") {
            tally.reason = "Terminating".to_owned();
        }
    }
    let sidecars = spec.list("initContainers").iter().filter(|c| is_sidecar(c)).count();
    let total = spec.list("containers").len() + sidecars;
    // A status that knows only the one address has it in the older field.
    let ip = status.list("podIPs").first().map_or(status.text("podIP"), |ip| ip.text("ip"));
    vec![
        name(pod),
        format!("{}/{total}", tally.ready).into(),
        tally.reason.clone().into(),
        tally.restarts_text(scene.now).into(),
        scene.age(pod),
        or(ip, "<none>").into(),
        or(spec.text("nodeName"), "<none>").into(),
        or(status.text("nominatedNodeName"), "<none>").into(),
        readiness_gates(spec, status).into(),
    ]
}

/// Conditions of a pod's row: kubectl leaves finished pods out where it shows running ones.
pub(in super::super) fn row_conditions(object: &Value) -> Option<Value> {
    if object.text("kind") != "Pod" {
        return None;
    }
    let (reason, message) = match object.at("status").text("phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{ "type": "Completed", "status": "True", "reason": reason, "message": message }]))
}

fn initial_reason(status: &Value) -> String {
    let scheduled = condition(status.list("conditions"), "PodScheduled");
    if scheduled.is_some_and(|c| c.text("reason") == "SchedulingGated") {
        return "SchedulingGated".to_owned();
    }
    or(status.text("reason"), status.text("phase")).to_owned()
}

/// An init container that keeps running beside the others (KEP-753).
fn is_sidecar(container: &Value) -> bool {
    container.text("restartPolicy") == "Always"
}

fn readiness_gates(spec: &Value, status: &Value) -> String {
    let gates = spec.list("readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = gates.iter().filter(|g| holds(status.list("conditions"), g.text("conditionType"))).count();
    format!("{open}/{}", gates.len())
}

impl Tally {
    /// True when an init container is not done yet; its state is then the pod's.
    fn count_init_containers(&mut self, spec: &Value, status: &Value) -> bool {
        let declared = spec.list("initContainers");
        for (at, container) in status.list("initContainerStatuses").iter().enumerate() {
            let sidecar = declared.iter().any(|c| c.text("name") == container.text("name") && is_sidecar(c));
            self.count_restarts(container, sidecar);
            let (state, started) = (container.at("state"), container.is_true("started"));
            let terminated = state.at("terminated");
            if state.has("terminated") && whole(terminated, "exitCode") == 0 {
                continue;
            }
            if sidecar && started {
                self.ready += usize::from(container.is_true("ready"));
                continue;
            }
            let waiting = state.at("waiting").text("reason");
            self.reason = if state.has("terminated") {
                format!("Init:{}", end_reason(terminated))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{at}/{}", declared.len())
            };
            return true;
        }
        false
    }

    fn count_containers(&mut self, status: &Value) {
        self.restarts = self.sidecar_restarts;
        self.last_restart = self.last_sidecar_restart;
        let mut running = false;
        for container in status.list("containerStatuses").iter().rev() {
            self.count_restarts(container, false);
            let state = container.at("state");
            let waiting = state.at("waiting").text("reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if state.has("terminated") {
                self.reason = end_reason(state.at("terminated"));
            } else if container.is_true("ready") && state.has("running") {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let ready = holds(status.list("conditions"), "Ready");
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn count_restarts(&mut self, container: &Value, sidecar: bool) {
        let count = whole(container, "restartCount");
        let finished = moment(container.below(&["lastState", "terminated", "finishedAt"]));
        self.restarts += count;
        self.last_restart = self.last_restart.max(finished);
        if sidecar {
            self.sidecar_restarts += count;
            self.last_sidecar_restart = self.last_sidecar_restart.max(finished);
        }
    }

    /// `3 (5m ago)`, or the bare count when no restart has a time.
    fn restarts_text(&self, now: Moment) -> String {
        match (self.restarts, self.last_restart) {
            (count @ 1.., Some(then)) => {
                let ago = human_duration(now.unix_seconds() - then.unix_seconds());
                format!("{count} ({ago} ago)")
            }
            (count, _) => count.to_string(),
        }
    }
}

/// Why a container ended.
fn end_reason(terminated: &Value) -> String {
    match (terminated.text("reason"), whole(terminated, "signal")) {
        ("", 0) => format!("ExitCode:{}", whole(terminated, "exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
