//! The pod's status: phase, conditions and container statuses as upstream words them.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use trireme_core::Tick;
use trireme_node::{ContainerState, ContainerStatus, SandboxState};
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::driver::exit_code;
use super::effect::{Op, PodEffect};
use super::resize::applied;
use super::state::{Mode, PodWorker};
use super::track::{Track, has_ended};
use crate::pod::{self, Container, ContainerKind, is_terminal_phase};

const LOST: &str = "The container could not be located when the pod was terminated";

impl PodWorker {
    /// Writes the status when it differs from what was written; one write is in flight, the latest wins.
    pub(super) fn drive_status(&mut self, now: Tick, out: &mut Vec<PodEffect>) {
        if self.cleaning || self.removed {
            return;
        }
        self.start_time.get_or_insert(now);
        let status = self.status(now);
        // Once for each form that the API shows: after a write it shows the old one for a while.
        let version = self.pod.at("metadata").text("resourceVersion");
        let overwritten = self.is_overwritten() && self.righted.as_deref() != Some(version);
        self.status_dirty = overwritten || self.written.as_ref() != Some(&status);
        if !self.status_dirty || self.has_op(|op| matches!(op, Op::WriteStatus(_))) {
            return;
        }
        if !self.status_retry.is_due(now) {
            return self.wake_at(self.status_retry.at);
        }
        self.righted = Some(self.pod.at("metadata").text("resourceVersion").to_owned());
        self.issue(Op::WriteStatus(Box::new(status)), out);
    }

    /// Somebody else says whether the pod is ready, as the node lifecycle does while the node is silent. Here it is known.
    fn is_overwritten(&self) -> bool {
        let ready = |status: &Value| {
            let mut conditions = status.list("conditions").iter();
            let ready = conditions.find(|condition| condition.text("type") == "Ready");
            ready.map(|condition| condition.text("status").to_owned())
        };
        let said = ready(self.pod.at("status"));
        said.is_some() && self.written.as_ref().is_some_and(|written| ready(written) != said)
    }

    /// How the pod ended by its containers: `Some` once nothing will be started any more.
    pub(super) fn outcome(&self) -> Option<&'static str> {
        let current = self.current_sandbox().map(|sandbox| &sandbox.id);
        let mut any = false;
        let mut failed = false;
        let mut open = false;
        let mut initializing = true;
        for container in pod::containers(&self.pod) {
            if container.kind == ContainerKind::Regular {
                initializing &=
                    self.tracks.get(container.name()).is_none_or(|track| track.latest().is_none());
            }
        }
        for container in pod::containers(&self.pod) {
            let latest = self.tracks.get(container.name()).and_then(Track::latest);
            let ended = latest.filter(|status| has_ended(status)).map(exit_code);
            match (container.kind, ended) {
                (ContainerKind::Init, Some(code)) if initializing => {
                    let here = latest.is_some_and(|status| Some(&status.sandbox) == current);
                    if code != 0 && here && !container.restarts(&self.pod, code) {
                        return Some("Failed");
                    }
                }
                (ContainerKind::Regular, Some(code)) if !container.restarts(&self.pod, code) => {
                    any = true;
                    failed |= code != 0;
                }
                (ContainerKind::Regular, _) => open = true,
                _ => {}
            }
        }
        (any && !open).then_some(if failed { "Failed" } else { "Succeeded" })
    }

    fn decide_phase(&self) -> &'static str {
        if is_terminal_phase(self.phase) {
            return self.phase;
        }
        if self.mode == Mode::Terminated {
            if self.sentence.is_some() {
                return "Failed";
            }
            return self.outcome_at_end();
        }
        if self.rejected {
            return "Failed";
        }
        let ran = pod::containers(&self.pod)
            .iter()
            .filter(|container| container.kind == ContainerKind::Regular)
            .all(|container| {
                let latest = self.tracks.get(container.name()).and_then(Track::latest);
                latest.is_some_and(|status| status.state != ContainerState::Created)
                    || self.tracks.get(container.name()).is_some_and(|track| track.next_attempt > 0)
            });
        if ran || self.phase == "Running" { "Running" } else { "Pending" }
    }

    /// All containers have ended because the pod was ended: what never ran or failed makes it `Failed`.
    fn outcome_at_end(&self) -> &'static str {
        let good = pod::containers(&self.pod)
            .iter()
            .filter(|container| container.kind == ContainerKind::Regular)
            .all(|container| {
                let latest = self.tracks.get(container.name()).and_then(Track::latest);
                match latest {
                    Some(status) => exit_code(status) == 0 && has_ended(status),
                    None => self.recovered_exit(container.name()) == Some(0),
                }
            });
        if good { "Succeeded" } else { "Failed" }
    }

    fn recovered_status(&self, name: &str) -> Option<&Value> {
        let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
        lists.iter().flat_map(|list| self.recovered.list(list)).find(|status| status.text("name") == name)
    }

    fn recovered_exit(&self, name: &str) -> Option<i64> {
        self.recovered_status(name)?.at("state").at("terminated").int("exitCode")
    }

    /// The status as a strategic merge patch of the status subresource.
    fn status(&mut self, now: Tick) -> Value {
        self.phase = self.decide_phase();
        let pod = Arc::clone(&self.pod);
        let mut lists: [(ContainerKind, Vec<Value>); 3] = [
            (ContainerKind::Init, Vec::new()),
            (ContainerKind::Regular, Vec::new()),
            (ContainerKind::Ephemeral, Vec::new()),
        ];
        for container in pod::containers(&pod) {
            let kind = match container.kind {
                ContainerKind::Sidecar => ContainerKind::Init,
                kind => kind,
            };
            if kind == ContainerKind::Ephemeral && self.phase == "Pending" && self.tracks.is_empty() {
                continue;
            }
            let status = self.container_status(&container);
            lists.iter_mut().filter(|(own, _)| *own == kind).for_each(|(_, list)| list.push(status.clone()));
        }
        let [(_, init), (_, regular), (_, ephemeral)] = lists;
        let mut status = Map::new();
        let conditions = self.conditions(now, &init, &regular);
        status.insert("conditions".into(), conditions.into());
        status.insert("phase".into(), self.phase.into());
        if let Some(generation) = pod.at("metadata").int("generation") {
            status.insert("observedGeneration".into(), generation.into());
        }
        let sentence = self.sentence.as_ref().filter(|_| self.phase == "Failed");
        for (name, text) in [
            ("reason", sentence.map(|own| own.reason.clone())),
            ("message", sentence.map(|own| own.message.clone())),
        ] {
            status.insert(name.into(), text.filter(|text| !text.is_empty()).map_or(Value::Null, Value::from));
        }
        self.put_addresses(&mut status);
        if let Some(start) = self.start_time {
            status.insert("startTime".into(), time(start).into());
        }
        status.insert("qosClass".into(), pod::qos_class(&pod).into());
        let rejected = self.rejected && self.tracks.is_empty();
        for (name, list) in [
            ("initContainerStatuses", init),
            ("containerStatuses", regular),
            ("ephemeralContainerStatuses", ephemeral),
        ] {
            if !list.is_empty() && !rejected {
                status.insert(name.into(), list.into());
            }
        }
        Value::Object(status)
    }

    fn put_addresses(&self, status: &mut Map<String, Value>) {
        let host: Vec<Value> = self.config.host_ips.iter().map(|ip| json!({"ip": ip})).collect();
        if let Some(first) = self.config.host_ips.first() {
            status.insert("hostIP".into(), first.clone().into());
            status.insert("hostIPs".into(), host.clone().into());
        }
        let Some(sandbox) = self.ready_sandbox() else { return };
        let own = sandbox.addresses.addresses.iter().map(|ip| json!({"ip": ip.to_string()}));
        let all: Vec<Value> = match self.pod.at("spec").is_true("hostNetwork") {
            true => host,
            false => own.collect(),
        };
        if let Some(first) = all.first() {
            status.insert("podIP".into(), first.at("ip").clone());
            status.insert("podIPs".into(), all.into());
        }
    }

    // ---- containers ----

    fn container_status(&self, container: &Container<'_>) -> Value {
        let name = container.name();
        let empty = Track::default();
        let track = self.tracks.get(name).unwrap_or(&empty);
        let mut made =
            track.instances.values().rev().filter(|status| status.state != ContainerState::Created);
        let shown = made.next();
        let before = made.find(|status| has_ended(status));
        let recovered = self.recovered_status(name);
        if shown.is_none()
            && (is_terminal_phase(self.phase) || self.mode != Mode::Syncing)
            && let Some(known) = recovered.filter(|known| known.at("state").has("terminated"))
        {
            return known.clone();
        }
        let (state, mut last) = self.states(container, track, shown, before);
        if last.as_object().is_some_and(Map::is_empty)
            && let Some(known) = recovered.filter(|_| before.is_none())
        {
            let old = known.at("state").at("terminated");
            let old = if old.is_null() { known.at("lastState").at("terminated") } else { old };
            let shown_id = shown.map(|status| self.container_id(status)).unwrap_or_default();
            if !old.is_null() && old.text("containerID") != shown_id {
                last = json!({"terminated": old});
            }
        }
        let running = state.has("running");
        let ready = match container.kind {
            ContainerKind::Init => state.at("terminated").int("exitCode") == Some(0),
            ContainerKind::Ephemeral => false,
            _ => running && track.is_ready(),
        };
        let started = match container.kind {
            ContainerKind::Regular | ContainerKind::Sidecar => running && track.is_started(),
            _ => running,
        };
        let count = shown.map_or(track.next_attempt.saturating_sub(1), |status| status.config.attempt);
        let mut status = json!({
            "name": name,
            "state": state,
            "lastState": last,
            "ready": ready,
            "restartCount": count,
            "image": shown.map_or(container.spec.text("image"), |status| status.config.user_image.as_str()),
            "imageID": shown.map_or("", |status| status.image_ref.as_str()),
        });
        if let Some(shown) = shown {
            status["containerID"] = self.container_id(shown).into();
            if let Some((uid, gid, groups)) = &shown.user {
                status["user"] = json!({"linux": {"uid": uid, "gid": gid, "supplementalGroups": groups}});
            }
        }
        if container.kind != ContainerKind::Ephemeral {
            status["started"] = started.into();
            put_resources(&mut status, container, track);
        }
        put_mounts(&mut status, container);
        status
    }

    /// `state` and `lastState`.
    fn states(
        &self,
        container: &Container<'_>,
        track: &Track,
        shown: Option<&ContainerStatus>,
        before: Option<&ContainerStatus>,
    ) -> (Value, Value) {
        let name = container.name();
        let last = before.map_or_else(|| json!({}), |own| json!({"terminated": self.terminated(own)}));
        let starting =
            self.has_op(|op| matches!(op, Op::StartContainer { container, .. } if container == name));
        let waiting = || match &track.waiting {
            Some(trouble) => json!({"waiting": {"reason": trouble.reason, "message": trouble.message}}),
            None => {
                let has_init = !self.pod.at("spec").list("initContainers").is_empty();
                let reason =
                    match has_init && !self.pod_initialized() || container.kind == ContainerKind::Init {
                        true => "PodInitializing",
                        false => "ContainerCreating",
                    };
                json!({"waiting": {"reason": reason}})
            }
        };
        let over = is_terminal_phase(self.phase) || self.mode == Mode::Terminated;
        match shown {
            None if over && self.rejected => (waiting(), last),
            None if over && container.kind != ContainerKind::Ephemeral => {
                let lost = json!({"exitCode": 137, "reason": "ContainerStatusUnknown", "message": LOST,
                    "startedAt": Value::Null, "finishedAt": Value::Null});
                (json!({"terminated": lost}), last)
            }
            None => (waiting(), last),
            Some(own) if own.state == ContainerState::Running && starting => (waiting(), last),
            Some(own) if own.state == ContainerState::Running => {
                (json!({"running": {"startedAt": time(Tick::from_nanos(own.started_at))}}), last)
            }
            Some(own) => {
                let comes_back = self.mode == Mode::Syncing && container.restarts(&self.pod, exit_code(own));
                let ended = json!({"terminated": self.terminated(own)});
                match comes_back && track.waiting.is_some() {
                    true => (waiting(), ended),
                    false => (ended, last),
                }
            }
        }
    }

    fn pod_initialized(&self) -> bool {
        pod::containers(&self.pod).iter().all(|container| {
            let track = self.tracks.get(container.name());
            match container.kind {
                ContainerKind::Init => {
                    let latest = track.and_then(Track::latest);
                    latest.is_some_and(|status| has_ended(status) && exit_code(status) == 0)
                }
                ContainerKind::Sidecar => track.is_some_and(Track::is_started),
                _ => true,
            }
        })
    }

    fn container_id(&self, status: &ContainerStatus) -> String {
        format!("{}://{}", self.config.runtime_scheme, status.id.0)
    }

    fn terminated(&self, status: &ContainerStatus) -> Value {
        let unknown = status.state == ContainerState::Unknown;
        let reason = match (unknown, status.reason.as_str(), status.exit_code) {
            (true, ..) => "ContainerStatusUnknown",
            (_, "", 0) => "Completed",
            (_, "", _) => "Error",
            (_, reason, _) => reason,
        };
        let mut ended = json!({
            "exitCode": exit_code(status),
            "reason": reason,
            "startedAt": time(Tick::from_nanos(status.started_at)),
            "finishedAt": time(Tick::from_nanos(status.finished_at)),
            "containerID": self.container_id(status),
        });
        if status.signal != 0 {
            ended["signal"] = status.signal.into();
        }
        if !status.message.is_empty() {
            ended["message"] = status.message.clone().into();
        }
        ended
    }

    // ---- conditions ----

    fn conditions(&mut self, now: Tick, init: &[Value], regular: &[Value]) -> Vec<Value> {
        let no = |reason: &str, message: String| ("False".to_owned(), reason.to_owned(), message);
        let yes = || ("True".to_owned(), String::new(), String::new());
        let sandbox = self.current_sandbox().is_some_and(|sandbox| sandbox.state == SandboxState::Ready);
        let containers_ready = self.containers_ready(init, regular);
        let ready = if containers_ready.0 == "True" { self.gates() } else { containers_ready.clone() };
        let mut list = vec![
            ("PodReadyToStartContainers", if sandbox { yes() } else { no("", String::new()) }),
            ("Initialized", self.initialized(init, regular)),
            ("Ready", ready),
            ("ContainersReady", containers_ready),
            ("PodScheduled", yes()),
        ];
        if let Some(sentence) = self.sentence.as_ref().filter(|own| own.disruption) {
            let told = ("True".to_owned(), "TerminationByKubelet".to_owned(), sentence.message.clone());
            list.push(("DisruptionTarget", told));
        }
        if let Some((_, trouble)) = self.resizes.values().next() {
            let kind =
                if trouble.reason == "Infeasible" { "PodResizePending" } else { "PodResizeInProgress" };
            list.push((kind, ("True".to_owned(), trouble.reason.to_owned(), trouble.message.clone())));
        }
        let mut conditions: Vec<Value> =
            list.into_iter().map(|(kind, own)| self.condition(now, kind, own)).collect();
        for kind in ["PodResizePending", "PodResizeInProgress"] {
            let stale = self.pod.at("status").list("conditions").iter().any(|own| own.text("type") == kind);
            if stale && !conditions.iter().any(|own| own.text("type") == kind) {
                conditions.push(json!({"type": kind, "$patch": "delete"}));
            }
        }
        conditions
    }

    fn condition(&mut self, now: Tick, kind: &'static str, own: (String, String, String)) -> Value {
        let (status, reason, message) = own;
        let api = self.pod.at("status").list("conditions").iter().find(|own| own.text("type") == kind);
        let since = match (self.conditions.get(kind), api) {
            (Some((known, since)), _) if *known == status => since.clone(),
            (None, Some(known)) if known.text("status") == status => {
                known.text("lastTransitionTime").to_owned()
            }
            _ => time(now),
        };
        let known = self.conditions.insert(kind, (status.clone(), since.clone())).is_some() || api.is_some();
        let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since});
        for (name, text) in [("reason", reason), ("message", message)] {
            if !text.is_empty() {
                condition[name] = text.into();
            } else if known {
                // A patch takes away what it names as null.
                condition[name] = Value::Null;
            }
        }
        if let Some(generation) = self.pod.at("metadata").int("generation") {
            condition["observedGeneration"] = generation.into();
        }
        condition
    }

    fn containers_ready(&self, init: &[Value], regular: &[Value]) -> (String, String, String) {
        let no = |reason: &str, message: String| ("False".to_owned(), reason.to_owned(), message);
        match self.phase {
            "Succeeded" => return no("PodCompleted", String::new()),
            "Failed" => return no("PodFailed", String::new()),
            _ => {}
        }
        let sidecars = pod::containers(&self.pod);
        let is_sidecar =
            |name: &str| sidecars.iter().any(|own| own.name() == name && own.kind == ContainerKind::Sidecar);
        let counted = init.iter().filter(|status| is_sidecar(status.text("name"))).chain(regular);
        let unready: Vec<&str> =
            counted.filter(|status| !status.is_true("ready")).map(|status| status.text("name")).collect();
        match unready.is_empty() {
            true => ("True".to_owned(), String::new(), String::new()),
            false => {
                no("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))
            }
        }
    }

    fn gates(&self) -> (String, String, String) {
        let conditions = self.pod.at("status").list("conditions");
        let unmet = self.pod.at("spec").list("readinessGates").iter().filter_map(|gate| {
            let kind = gate.text("conditionType");
            match conditions.iter().find(|condition| condition.text("type") == kind) {
                None => {
                    Some(format!("corresponding condition of pod readiness gate {kind:?} does not exist."))
                }
                Some(own) if own.text("status") != "True" => Some(format!(
                    "the status of pod readiness gate {kind:?} is not \"True\", but {}",
                    own.text("status")
                )),
                Some(_) => None,
            }
        });
        let unmet: Vec<String> = unmet.collect();
        match unmet.is_empty() {
            true => ("True".to_owned(), String::new(), String::new()),
            false => ("False".to_owned(), "ReadinessGatesNotReady".to_owned(), unmet.join(", ")),
        }
    }

    fn initialized(&self, init: &[Value], regular: &[Value]) -> (String, String, String) {
        let yes = |reason: &str| ("True".to_owned(), reason.to_owned(), String::new());
        if self.phase == "Succeeded" {
            return yes("PodCompleted");
        }
        let ran = regular.iter().any(|status| status.has("containerID"));
        let incomplete: Vec<&str> = pod::containers(&self.pod)
            .iter()
            .filter(|own| matches!(own.kind, ContainerKind::Init | ContainerKind::Sidecar))
            .filter(|own| {
                let status = init.iter().find(|status| status.text("name") == own.name());
                let field = if own.kind == ContainerKind::Sidecar { "started" } else { "ready" };
                !status.is_some_and(|status| status.is_true(field))
            })
            .map(Container::name)
            .collect();
        if ran || incomplete.is_empty() {
            return yes("");
        }
        let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
        ("False".to_owned(), "ContainersNotInitialized".to_owned(), message)
    }
}

/// `resources` as they are applied, `allocatedResources` as they are reserved.
fn put_resources(status: &mut Value, container: &Container<'_>, track: &Track) {
    let wanted = container.spec.at("resources");
    let live = applied(track).and_then(|(_, text)| serde_json::from_str::<Value>(&text).ok());
    let Some(live) = live.filter(|live| live.as_object().is_some_and(|map| !map.is_empty())) else { return };
    status["resources"] = live;
    if wanted.has("requests") {
        status["allocatedResources"] = wanted.at("requests").clone();
    }
}

/// `volumeMounts` with what became of `recursiveReadOnly`.
fn put_mounts(status: &mut Value, container: &Container<'_>) {
    let mounts: Vec<Value> = container
        .spec
        .list("volumeMounts")
        .iter()
        .map(|mount| {
            let mut told = json!({"name": mount.text("name"), "mountPath": mount.text("mountPath")});
            if mount.is_true("readOnly") {
                told["readOnly"] = true.into();
                let asked = match mount.text("recursiveReadOnly") {
                    "" | "Disabled" => "Disabled",
                    _ => "Enabled",
                };
                told["recursiveReadOnly"] = asked.into();
            }
            told
        })
        .collect();
    if !mounts.is_empty() {
        status["volumeMounts"] = mounts.into();
    }
}

/// A moment as the API writes it.
pub(super) fn time(at: Tick) -> String {
    let seconds =
        i64::try_from(at.as_nanos() / 1_000_000_000).expect("64 bits of nanoseconds are fewer seconds");
    Moment::from_unix(seconds, 0).to_time()
}
