//! The worker against a scripted runtime: single steps, and whole lives by seed with kills, failures and restarts of the
//! worker itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_core::{Core, OpId, Rng, Tick};
use trireme_node::{
    ContainerConfig, ContainerId, ContainerState, ContainerStatus, PodAddresses, SandboxConfig, SandboxId,
    SandboxState, SandboxStatus,
};
use trireme_schema::view::View;

use super::*;
use crate::backoff::BackOffLimits;
use crate::pod;
use crate::probe::ProbeOutcome;

const START: u64 = 1_700_000_000_000_000_000;
/// Events a life may take before it counts as stuck.
const EVENTS_LIMIT: usize = 20_000;

fn config() -> WorkerConfig {
    WorkerConfig {
        runtime_scheme: "trireme".into(),
        host_ips: vec!["10.0.0.1".into()],
        crash: BackOffLimits::UPSTREAM,
        pull: BackOffLimits::UPSTREAM,
        volume_refresh: Duration::from_secs(60),
        relist: Duration::from_secs(10),
        allocatable: (4_000, 8 << 30),
    }
}

/// What a container's program does.
#[derive(Clone, Copy)]
enum Program {
    Runs,
    Exits(i32, u64),
}

/// A runtime and an API in memory, and the worker under test.
struct World {
    now: Tick,
    rng: Rng,
    worker: PodWorker,
    pod: Value,
    removed: bool,
    sandboxes: BTreeMap<SandboxId, SandboxStatus>,
    containers: BTreeMap<ContainerId, ContainerStatus>,
    ends: BTreeMap<ContainerId, (Tick, i32)>,
    starts: BTreeMap<String, u32>,
    pending: Vec<(Tick, OpId, Op)>,
    programs: BTreeMap<String, Program>,
    fail_percent: u64,
    finished: bool,
    phases: Vec<String>,
    events: Vec<(String, String)>,
    image_error: Option<&'static str>,
    probe: ProbeOutcome,
}

impl World {
    fn new(seed: u64, spec: Value) -> Self {
        let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u", "generation": 1},
            "spec": spec, "status": {"phase": "Pending"}});
        Self {
            now: Tick::from_nanos(START),
            rng: Rng::new(seed),
            worker: PodWorker::new(config(), Arc::new(pod.clone())),
            pod,
            removed: false,
            sandboxes: BTreeMap::new(),
            containers: BTreeMap::new(),
            ends: BTreeMap::new(),
            starts: BTreeMap::new(),
            pending: Vec::new(),
            programs: BTreeMap::new(),
            fail_percent: 0,
            finished: false,
            phases: Vec::new(),
            events: Vec::new(),
            image_error: None,
            probe: ProbeOutcome::Success,
        }
    }

    fn input(&mut self, input: PodInput) {
        let mut out = Vec::new();
        self.worker.step(self.now, input, &mut out);
        self.take(out);
    }

    fn sync(&mut self) {
        let pod = Arc::new(self.pod.clone());
        self.input(PodInput::Desired(pod));
    }

    fn take(&mut self, effects: Vec<PodEffect>) {
        for effect in effects {
            match effect {
                PodEffect::Start(id, op) => {
                    let delay = Duration::from_millis(1 + self.rng.next_u64() % 200);
                    self.pending.push((self.now + delay, id, op));
                }
                PodEffect::Abort(id) => self.pending.retain(|(_, own, _)| *own != id),
                PodEffect::Event { reason, message, .. } => self.events.push((reason.to_owned(), message)),
                PodEffect::Finished => self.finished = true,
            }
        }
    }

    /// The next thing that happens: an operation's end, a program's end, the worker's timer.
    fn advance(&mut self) {
        let op = self.pending.iter().map(|(at, ..)| *at).min();
        let end = self.ends.values().map(|(at, _)| *at).min();
        let next = [op, end, self.worker.deadline()].into_iter().flatten().min();
        let Some(next) = next else { panic!("nothing will ever happen again: {:?}", self.worker) };
        self.now = self.now.max(next);
        if end == Some(next) {
            self.end_programs();
            self.input(PodInput::Changed);
        } else if op == Some(next) {
            let at = self.pending.iter().position(|(at, ..)| *at == next).expect("it is the earliest");
            let (_, id, op) = self.pending.remove(at);
            if let Some(outcome) = self.carry_out(op) {
                self.input(PodInput::OpDone(id, outcome));
            }
        } else {
            let mut out = Vec::new();
            self.worker.expire(self.now, &mut out);
            self.take(out);
        }
        self.check();
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..EVENTS_LIMIT {
            if done(self) {
                return;
            }
            self.advance();
        }
        panic!("not reached: {what}; status {}; {:?}", self.pod["status"], self.worker);
    }

    fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        self.run_until("time passes", |world| world.now >= until);
    }

    fn end_programs(&mut self) {
        let over: Vec<_> = self
            .ends
            .iter()
            .filter(|(_, (at, _))| *at <= self.now)
            .map(|(id, (_, code))| (id.clone(), *code))
            .collect();
        for (id, code) in over {
            self.end(&id, code);
        }
    }

    fn end(&mut self, id: &ContainerId, code: i32) {
        self.ends.remove(id);
        if let Some(status) = self.containers.get_mut(id).filter(|own| own.state == ContainerState::Running) {
            status.state = ContainerState::Exited;
            status.exit_code = code;
            status.finished_at = self.now.as_nanos();
        }
    }

    fn running(&self) -> Vec<ContainerId> {
        let live = self.containers.values().filter(|own| own.state == ContainerState::Running);
        live.map(|own| own.id.clone()).collect()
    }

    fn check(&mut self) {
        let mut names: Vec<_> = self
            .containers
            .values()
            .filter(|own| own.state == ContainerState::Running)
            .map(|own| own.config.name.clone())
            .collect();
        let count = names.len();
        names.dedup();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "a container runs twice: {names:?}");
    }

    fn carry_out(&mut self, op: Op) -> Option<OpOutcome> {
        let fails = self.rng.next_u64() % 100 < self.fail_percent;
        let injected = "injected".to_owned();
        Some(match op {
            Op::Observe if fails => OpOutcome::Observed(Err(injected)),
            Op::Observe => OpOutcome::Observed(Ok(Observation {
                sandboxes: self.sandboxes.values().cloned().collect(),
                containers: self.containers.values().cloned().collect(),
            })),
            Op::RunSandbox { .. } if fails => OpOutcome::Sandbox(Err(injected)),
            Op::RunSandbox { attempt } => OpOutcome::Sandbox(Ok(Box::new(self.run_sandbox(attempt)))),
            Op::EnsureImage { .. } => match self.image_error {
                Some(reason) => OpOutcome::Image(Err(Trouble { reason, message: "no such image".into() })),
                None => OpOutcome::Image(Ok("sha256:1".into())),
            },
            Op::StartContainer { container, attempt, sandbox, .. } => {
                OpOutcome::Start(self.start(&container, attempt, &sandbox, fails))
            }
            Op::StopContainer { id, .. } if !fails => {
                self.end(&id, 0);
                OpOutcome::Stopped(Ok(self.containers.get(&id).cloned().map(Box::new)))
            }
            Op::StopContainer { .. } => OpOutcome::Stopped(Err(injected)),
            Op::Probe { .. } => OpOutcome::Probe(self.probe.clone()),
            _ if fails => OpOutcome::Done(Err(injected)),
            op => {
                self.change(op);
                OpOutcome::Done(Ok(()))
            }
        })
    }

    fn change(&mut self, op: Op) {
        match op {
            Op::RemoveContainer { id } => drop(self.containers.remove(&id)),
            Op::StopSandbox { id } => {
                let inside: Vec<_> = self
                    .containers
                    .values()
                    .filter(|own| own.sandbox == id)
                    .map(|own| own.id.clone())
                    .collect();
                inside.iter().for_each(|id| self.end(id, 137));
                if let Some(sandbox) = self.sandboxes.get_mut(&id) {
                    sandbox.state = SandboxState::NotReady;
                }
            }
            Op::RemoveSandbox { id } => {
                self.sandboxes.remove(&id);
                self.containers.retain(|_, own| own.sandbox != id);
            }
            Op::WriteStatus(patch) => self.write(&patch),
            Op::DeletePod => {
                self.removed = true;
                self.input(PodInput::Removed);
            }
            _ => {}
        }
    }

    fn write(&mut self, patch: &Value) {
        let phase = patch.text("phase").to_owned();
        let rank = |phase: &str| ["Pending", "Running"].iter().position(|own| *own == phase).unwrap_or(2);
        if let Some(last) = self.phases.last() {
            assert!(rank(&phase) >= rank(last), "phase went from {last} to {phase}");
            assert!(rank(last) < 2 || *last == phase, "a final phase changed: {last} to {phase}");
        }
        for status in patch.list("containerStatuses") {
            let before = self.pod["status"].list("containerStatuses").iter();
            let before = before
                .filter(|own| own.text("name") == status.text("name"))
                .find_map(|own| own.int("restartCount"));
            let count = status.int("restartCount");
            assert!(count >= before, "restarts of {} went from {before:?} to {count:?}", status.text("name"));
        }
        self.phases.push(phase);
        let map = patch.as_object().expect("a status is an object");
        for (key, value) in map {
            self.pod["status"][key] = value.clone();
        }
    }

    fn run_sandbox(&mut self, attempt: u32) -> SandboxStatus {
        let id = SandboxId(format!("s{attempt}"));
        let made = SandboxStatus {
            id: id.clone(),
            state: SandboxState::Ready,
            created_at: self.now.as_nanos(),
            addresses: PodAddresses { addresses: vec!["10.1.0.5".parse().expect("an address")] },
            pause_pid: 1,
            config: SandboxConfig { uid: "u".into(), attempt, ..SandboxConfig::default() },
        };
        self.sandboxes.entry(id).or_insert(made).clone()
    }

    fn start(&mut self, name: &str, attempt: u32, sandbox: &SandboxId, fails: bool) -> StartOutcome {
        let id = ContainerId(format!("{name}-{attempt}"));
        let ready = self.sandboxes.get(sandbox).is_some_and(|own| own.state == SandboxState::Ready);
        if !ready {
            let trouble = Trouble { reason: "CreateContainerError", message: "no sandbox".into() };
            return StartOutcome::Failed(trouble, None);
        }
        if let Some(known) = self.containers.get(&id).filter(|known| known.state != ContainerState::Created) {
            return StartOutcome::Started(Box::new(known.clone()));
        }
        let pod = self.pod.clone();
        let container = pod::container(&pod, name).expect("it is in the pod");
        let annotations = [
            (IDENTITY_ANNOTATION.to_owned(), container.identity()),
            (RESOURCES_ANNOTATION.to_owned(), container.spec.at("resources").to_string()),
        ];
        let mut status = ContainerStatus {
            id: id.clone(),
            sandbox: sandbox.clone(),
            state: ContainerState::Created,
            created_at: self.now.as_nanos(),
            started_at: 0,
            finished_at: 0,
            exit_code: 0,
            signal: 0,
            reason: String::new(),
            message: String::new(),
            image_ref: "sha256:1".into(),
            pid: 1,
            log_path: String::new(),
            user: None,
            config: ContainerConfig {
                name: name.into(),
                attempt,
                annotations: annotations.into_iter().collect(),
                ..ContainerConfig::default()
            },
        };
        if fails {
            self.containers.insert(id, status);
            let trouble = Trouble { reason: "CreateContainerError", message: "injected".into() };
            return StartOutcome::Failed(trouble, None);
        }
        let count = self.starts.entry(name.to_owned()).or_insert(0);
        assert_eq!(attempt, *count, "start number {count} of {name} says attempt {attempt}");
        *count += 1;
        status.state = ContainerState::Running;
        status.started_at = self.now.as_nanos();
        if let Some(Program::Exits(code, after)) = self.programs.get(name) {
            self.ends.insert(id.clone(), (self.now + Duration::from_millis(*after), *code));
        }
        self.containers.insert(id, status.clone());
        StartOutcome::Started(Box::new(status))
    }

    /// The worker dies; what it had asked for happens or not, and nobody is told.
    fn kill_worker(&mut self) {
        for (_, _, op) in std::mem::take(&mut self.pending) {
            if self.rng.next_u64().is_multiple_of(2) {
                self.fail_percent = 0;
                drop(self.carry_out(op));
            }
        }
        self.worker = PodWorker::new(config(), Arc::new(self.pod.clone()));
        if self.removed {
            self.input(PodInput::Removed);
        } else {
            self.sync();
        }
    }

    fn delete(&mut self, grace: i64) {
        self.pod["metadata"]["deletionTimestamp"] = json!("2023-11-14T22:13:20Z");
        self.pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        self.sync();
    }

    fn container(&self, name: &str) -> Value {
        let lists = ["initContainerStatuses", "containerStatuses"];
        let status = &self.pod["status"];
        let found = lists.iter().flat_map(|list| status.list(list)).find(|own| own.text("name") == name);
        found.cloned().unwrap_or_default()
    }

    fn condition(&self, kind: &str) -> String {
        let conditions = self.pod["status"].list("conditions").iter();
        conditions.filter(|own| own.text("type") == kind).map(|own| own.text("status").to_owned()).collect()
    }
}

fn simple() -> Value {
    json!({"containers": [{"name": "app", "image": "app:1"}]})
}

#[test]
fn a_pod_runs_is_ready_and_ends_when_deleted() {
    let mut world = World::new(1, simple());
    world.sync();
    world.run_until("ready", |world| world.condition("Ready") == "True");
    assert_eq!(world.pod["status"]["phase"], "Running");
    assert_eq!(world.pod["status"]["podIP"], "10.1.0.5");
    assert_eq!(world.container("app")["containerID"], "trireme://app-0");
    assert_eq!(world.container("app")["started"], true);
    world.delete(30);
    world.run_until("gone", |world| world.finished);
    assert_eq!(world.pod["status"]["phase"], "Succeeded");
    assert!(world.sandboxes.is_empty() && world.containers.is_empty());
    assert!(world.events.contains(&("Killing".into(), "Stopping container app".into())));
}

#[test]
fn readiness_that_another_wrote_is_put_right() {
    let mut world = World::new(1, simple());
    world.sync();
    world.run_until("ready", |world| world.condition("Ready") == "True");
    let conditions = world.pod["status"]["conditions"].as_array_mut().expect("conditions");
    let ready = conditions.iter_mut().find(|condition| condition["type"] == "Ready").expect("one");
    ready["status"] = "False".into();
    world.pod["metadata"]["resourceVersion"] = "7".into();
    assert_eq!(world.condition("Ready"), "False");
    world.sync();
    world.run_until("ready again", |world| world.condition("Ready") == "True");
}

#[test]
fn init_containers_run_in_order_and_sidecars_stay() {
    let mut world = World::new(
        2,
        json!({"initContainers": [
            {"name": "one", "image": "i"}, {"name": "side", "image": "i", "restartPolicy": "Always"}, {"name": "two", "image": "i"}],
        "containers": [{"name": "app", "image": "i"}], "restartPolicy": "Never"}),
    );
    for (name, program) in
        [("one", Program::Exits(0, 500)), ("two", Program::Exits(0, 500)), ("app", Program::Exits(0, 900))]
    {
        world.programs.insert(name.into(), program);
    }
    world.sync();
    world.run_until("one runs", |world| world.starts.contains_key("one"));
    assert!(!world.starts.contains_key("side"));
    world.run_until("two runs", |world| world.starts.contains_key("two"));
    assert!(world.starts.contains_key("side") && !world.starts.contains_key("app"));
    assert_eq!(world.condition("Initialized"), "False");
    world.run_until("app runs", |world| world.starts.contains_key("app"));
    assert!(world.running().contains(&ContainerId("side-0".into())));
    world.run_until("finished", |world| world.pod["status"]["phase"] == "Succeeded");
    assert!(world.running().is_empty(), "the sidecar ends with the pod");
    assert_eq!(world.container("one")["state"]["terminated"]["reason"], "Completed");
    assert_eq!(world.starts["one"], 1);
}

#[test]
fn a_crashing_container_waits_longer_each_time() {
    let mut world = World::new(3, simple());
    world.programs.insert("app".into(), Program::Exits(1, 100));
    world.sync();
    world.run_until("the second crash", |world| {
        world.container("app").below(&["state", "waiting"]).text("reason") == "CrashLoopBackOff"
    });
    let status = world.container("app");
    assert_eq!(status["restartCount"], 1);
    assert_eq!(
        status["state"]["waiting"]["message"],
        "back-off 10s restarting failed container=app pod=p_n(u)"
    );
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(world.pod["status"]["phase"], "Running");
    let begin = world.now;
    world.run_until("four starts", |world| world.starts["app"] == 4);
    let waited = world.now.since(begin);
    assert!((Duration::from_secs(28)..Duration::from_secs(34)).contains(&waited), "{waited:?}");
    assert!(world.containers.len() <= 3, "old instances are removed");
}

#[test]
fn a_failing_pull_backs_off_and_is_told() {
    let mut world = World::new(4, simple());
    world.image_error = Some("ErrImagePull");
    world.sync();
    let reason =
        |world: &World| world.container("app").below(&["state", "waiting"]).text("reason").to_owned();
    world.run_until("pull failed", |world| reason(world) == "ErrImagePull");
    world.run_until("backing off", |world| reason(world) == "ImagePullBackOff");
    assert_eq!(
        world.container("app")["state"]["waiting"]["message"],
        "Back-off pulling image \"app:1\": ErrImagePull: no such image"
    );
    assert_eq!(world.pod["status"]["phase"], "Pending");
    world.image_error = None;
    world.run_until("ready", |world| world.condition("Ready") == "True");
    assert_eq!(world.container("app")["restartCount"], 0);
}

#[test]
fn probes_hold_back_readiness_and_restart() {
    let probe = json!({"periodSeconds": 1, "failureThreshold": 2, "exec": {"command": ["x"]}});
    let mut world = World::new(
        5,
        json!({"containers": [{"name": "app", "image": "i", "startupProbe": probe,
        "readinessProbe": probe, "livenessProbe": probe}], "terminationGracePeriodSeconds": 5}),
    );
    world.probe = ProbeOutcome::Failure("no".into());
    world.sync();
    world.run_until("running", |world| world.container("app").at("state").has("running"));
    assert_eq!(world.container("app")["started"], false);
    assert_eq!(world.condition("Ready"), "False");
    world.run_until("restart", |world| world.starts.get("app") == Some(&2));
    assert!(
        world.events.iter().any(|(_, text)| text == "Container app failed startup probe, will be restarted")
    );
    world.probe = ProbeOutcome::Success;
    world.run_until("ready", |world| world.condition("Ready") == "True");
    world.kill_worker();
    world.run_for(Duration::from_millis(300));
    assert_eq!(world.condition("Ready"), "True", "a restart of the worker does not take readiness away");
    world.probe = ProbeOutcome::Failure("gone".into());
    world.run_until("unready", |world| world.condition("Ready") == "False");
    assert!(world.events.iter().any(|(_, text)| text == "Readiness probe failed: gone"));
}

#[test]
fn a_dead_sandbox_is_replaced_and_restarts_count() {
    let mut world = World::new(6, simple());
    world.sync();
    world.run_until("ready", |world| world.condition("Ready") == "True");
    world.change(Op::StopSandbox { id: SandboxId("s0".into()) });
    world.input(PodInput::Changed);
    world.run_until("second sandbox", |world| world.starts["app"] == 2);
    assert!(world.events.iter().any(|(reason, _)| reason == "SandboxChanged"));
    world.run_until("ready again", |world| world.condition("Ready") == "True");
    assert_eq!(world.container("app")["restartCount"], 1);
}

#[test]
fn deadlines_rejections_and_evictions_fail_the_pod() {
    let mut spec = simple();
    spec["activeDeadlineSeconds"] = json!(5);
    let mut world = World::new(7, spec);
    world.sync();
    world.run_until("deadline", |world| world.pod["status"]["phase"] == "Failed");
    assert_eq!(world.pod["status"]["reason"], "DeadlineExceeded");

    let mut world = World::new(8, simple());
    world.input(PodInput::Reject { reason: "OutOfcpu".into(), message: "full".into() });
    world.run_until("rejected", |world| world.pod["status"]["phase"] == "Failed");
    assert_eq!(world.pod["status"]["reason"], "OutOfcpu");
    assert!(world.starts.is_empty());

    let mut world = World::new(9, simple());
    world.sync();
    world.run_until("ready", |world| world.condition("Ready") == "True");
    let ending = Ending { reason: "Evicted".into(), message: "low".into(), grace: None, disruption: true };
    world.input(PodInput::End(ending));
    world.run_until("evicted", |world| world.pod["status"]["phase"] == "Failed");
    assert_eq!(world.pod["status"]["reason"], "Evicted");
    assert_eq!(world.condition("DisruptionTarget"), "True");
}

#[test]
fn a_grace_that_shrinks_stops_sooner() {
    let mut world = World::new(10, simple());
    world.sync();
    world.run_until("ready", |world| world.condition("Ready") == "True");
    world.delete(600);
    let grace = |world: &World| {
        world.pending.iter().find_map(|(_, _, op)| match op {
            Op::StopContainer { grace, .. } => Some(grace.as_secs()),
            _ => None,
        })
    };
    assert_eq!(grace(&world), Some(600));
    world.delete(5);
    assert_eq!(grace(&world), Some(5));
    world.delete(900);
    assert_eq!(grace(&world), Some(5), "a grace never grows");
}

#[test]
fn a_resize_changes_what_runs_without_a_restart() {
    let mut world = World::new(
        11,
        json!({"containers": [{"name": "app", "image": "i",
        "resources": {"requests": {"cpu": "100m"}}}]}),
    );
    world.sync();
    world.run_until("ready", |world| world.condition("Ready") == "True");
    world.pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "200m"}});
    world.sync();
    world.run_until("resized", |world| world.container("app")["resources"]["requests"]["cpu"] == "200m");
    assert_eq!(world.starts["app"], 1);
    world.pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "64"}});
    world.sync();
    world.run_until("refused", |world| world.condition("PodResizePending") == "True");
}

/// Whole lives: programs end and are killed, operations fail, the sandbox dies, the worker is killed at any step.
#[test]
fn lives_by_seed_keep_the_laws() {
    for seed in 0..80 {
        let mut world = World::new(
            seed,
            json!({
            "initContainers": [{"name": "init", "image": "i"}, {"name": "side", "image": "i", "restartPolicy": "Always"}],
            "containers": [{"name": "app", "image": "i"}, {"name": "other", "image": "i"}]}),
        );
        world.programs.insert("init".into(), Program::Exits(0, 300));
        world
            .programs
            .insert("other".into(), if seed % 3 == 0 { Program::Exits(2, 4_000) } else { Program::Runs });
        world.sync();
        for step in 0..400 {
            world.fail_percent = if step < 250 { 10 } else { 0 };
            match world.rng.next_u64() % 40 {
                0 => world.kill_worker(),
                1 => {
                    let live = world.running();
                    if let Some(id) = live.first() {
                        world.end(&id.clone(), 137);
                        world.input(PodInput::Changed);
                    }
                }
                2 if step % 5 == 0 => {
                    let id = world.sandboxes.keys().next_back().cloned();
                    if let Some(id) = id {
                        world.change(Op::StopSandbox { id });
                        world.input(PodInput::Changed);
                    }
                }
                _ => world.advance(),
            }
            world.check();
        }
        world.fail_percent = 0;
        world.run_until("all run", |world| {
            ["side", "app"].iter().all(|name| {
                let status = world.container(name);
                let told = Some(i64::from(world.starts.get(*name).copied().unwrap_or(0)) - 1);
                status.at("state").has("running") && status.int("restartCount") == told
            })
        });
        for name in ["app", "side"] {
            assert_eq!(
                world.container(name).int("restartCount"),
                Some(i64::from(world.starts[name]) - 1),
                "seed {seed}"
            );
        }
        world.delete(i64::try_from(seed % 5).expect("small"));
        for _ in 0..20 {
            if !world.finished {
                world.advance();
                if world.rng.next_u64().is_multiple_of(6) {
                    world.kill_worker();
                }
            }
        }
        world.run_until("gone", |world| world.finished);
        assert!(world.running().is_empty(), "seed {seed}: something still runs");
        assert!(world.sandboxes.is_empty() && world.containers.is_empty(), "seed {seed}: something is left");
    }
}
