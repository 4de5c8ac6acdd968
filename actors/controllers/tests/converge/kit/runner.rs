//! [`Runner`]: controllers on one cluster, each with a view that lags, in an order drawn from a seed.

use std::time::Duration;

use serde_json::{Value, json};
use trireme_controllers::{
    Change, Controller, Key, Limits, Look, Outcome, Plan, Refused, WorkQueue, Write, resources,
};
use trireme_core::{Rng, Tick};
use trireme_schema::time::Moment;

use super::cluster::{Cluster, Snapshot};

/// When the story begins, in seconds since 1970.
const BEGIN: i64 = 1_767_225_600;
/// Steps in which all must have come to rest once nobody disturbs it.
const REST_STEPS: usize = 200_000;

struct Running {
    key: Key,
    plan: Plan,
    next: usize,
}

/// One controller with its own view of the cluster.
struct Host {
    controller: Box<dyn Controller>,
    queue: WorkQueue,
    view: Snapshot,
    /// Its view must hold this revision before it looks again: its own last write.
    must_see: u64,
    running: Option<Running>,
    refused: Option<(Key, Refused)>,
}

impl Host {
    fn new(controller: Box<dyn Controller>) -> Self {
        let queue = WorkQueue::new(Limits::default());
        Self { controller, queue, view: Snapshot::default(), must_see: 0, running: None, refused: None }
    }

    /// As after a crash or a change of leader: nothing is remembered, everything is looked at.
    fn restart(&mut self, now: Tick, cluster: &Cluster) {
        self.queue = WorkQueue::new(Limits::default());
        self.view = cluster.state.clone();
        (self.running, self.refused) = (None, None);
        let (all, watched) = (self.controller.begins_with_everything(), self.controller.resources());
        for (resource, object) in self.view.everything() {
            if all || watched.contains(&resource) {
                let change = Change { resource, old: None, new: Some(object) };
                for key in self.controller.keys(&change, &self.view) {
                    self.queue.changed(now, &key);
                }
            }
        }
    }

    fn see_one(&mut self, now: Tick, cluster: &Cluster) -> bool {
        let Some(change) = usize::try_from(self.view.revision).ok().and_then(|at| cluster.log.get(at)) else {
            return false;
        };
        self.view.take(change);
        if self.controller.concerns(&change.resource) {
            for key in self.controller.keys(change, &self.view) {
                self.queue.changed(now, &key);
            }
        }
        true
    }

    fn begin(&mut self, now: Tick, moment: Moment) -> bool {
        if self.running.is_some() || self.view.revision < self.must_see {
            return false;
        }
        let Some(attempt) = self.queue.poll_attempt(now) else { return false };
        let refused = self.refused.take().filter(|(key, _)| *key == attempt.key);
        let look = Look {
            now: moment,
            key: &attempt.key,
            world: &self.view,
            refused: refused.as_ref().map(|(_, refused)| refused),
        };
        let plan = self.controller.reconcile(&look);
        self.running = Some(Running { key: attempt.key, plan, next: 0 });
        true
    }

    fn carry_on(&mut self, now: Tick, moment: Moment, cluster: &mut Cluster) -> bool {
        let Some(running) = &mut self.running else { return false };
        let outcome = match running.plan.writes.get(running.next) {
            Some(write) => {
                running.next += 1;
                match cluster.write(write, moment) {
                    Ok(()) => {
                        if !matches!(write, Write::Event { .. }) {
                            self.must_see = cluster.state.revision;
                        }
                        return true;
                    }
                    Err(refused) if matches!(refused.reason.as_str(), "Conflict" | "NotFound") => {
                        Outcome::Stale
                    }
                    Err(refused) => {
                        let message = refused.message.clone();
                        self.refused = Some((running.key.clone(), refused));
                        Outcome::Failed(message)
                    }
                }
            }
            None => running.plan.again_after.map_or(Outcome::Settled, Outcome::Again),
        };
        if outcome == Outcome::Stale {
            // What refused the write is newer than the view.
            self.must_see = cluster.state.revision;
        }
        let key = running.key.clone();
        self.running = None;
        self.queue.done(now, &key, outcome);
        true
    }
}

/// A judge of the cluster; panics when it breaks a law.
pub(crate) type Law = Box<dyn FnMut(&Cluster)>;

/// See the module.
pub(crate) struct Runner {
    pub(crate) cluster: Cluster,
    pub(crate) rng: Rng,
    hosts: Vec<Host>,
    now: Tick,
    /// Judges the cluster after every step.
    pub(crate) laws: Vec<Law>,
    /// The kit collects garbage by itself.
    pub(crate) collects_garbage: bool,
    /// How pods end that do not run for ever; 0 if the story does not say.
    pub(crate) exit_code: Option<ExitCode>,
}

/// The exit code of a pod that ends.
pub(crate) type ExitCode = Box<dyn FnMut(&Value, &mut Rng) -> i64>;

/// A pod that is meant to end.
fn ends(pod: &Value) -> bool {
    pod["spec"]["restartPolicy"] == "Never"
}

fn is_finished(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
}

/// The only node that a pod may be on.
fn pinned(pod: &Value) -> Option<&str> {
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0].as_str()
}

impl Runner {
    pub(crate) fn new(seed: u64, controllers: Vec<Box<dyn Controller>>) -> Self {
        let hosts = controllers.into_iter().map(Host::new).collect();
        let (cluster, rng, now) = (Cluster::default(), Rng::new(seed), Tick::from_millis(1));
        let laws = Vec::new();
        Self { cluster, rng, hosts, now, laws, collects_garbage: true, exit_code: None }
    }

    pub(crate) fn moment(&self) -> Moment {
        let nanos = self.now.as_nanos();
        let seconds = i64::try_from(nanos / 1_000_000_000).expect("a story lasts hours");
        Moment::from_unix(BEGIN + seconds, u32::try_from(nanos % 1_000_000_000).expect("below a second"))
    }

    /// One step of one party, drawn from the seed. `faults` allows kills, failing pods and lost nodes.
    pub(crate) fn step(&mut self, faults: bool) {
        self.now += Duration::from_micros(self.rng.between(1, 40_000));
        let moment = self.moment();
        let host = self.rng.index(self.hosts.len()).expect("there is a controller");
        let host = &mut self.hosts[host];
        match self.rng.below(20) {
            0 if faults && self.rng.chance(1, 10) => host.restart(self.now, &self.cluster),
            0..=5 => {
                for _ in 0..self.rng.between(1, 6) {
                    host.see_one(self.now, &self.cluster);
                }
            }
            6..=8 => {
                host.begin(self.now, moment);
            }
            9..=14 => {
                host.carry_on(self.now, moment, &mut self.cluster);
            }
            15..=18 => self.run_a_pod(faults),
            _ if self.collects_garbage => {
                self.cluster.collect_garbage(moment);
            }
            _ => {}
        }
        self.judge();
    }

    fn judge(&mut self) {
        for law in &mut self.laws {
            law(&self.cluster);
        }
    }

    /// What scheduler and kubelet do to one pod.
    fn run_a_pod(&mut self, faults: bool) {
        let moment = self.moment();
        let pods = self.cluster.state.all(&resources::PODS);
        let Some(index) = self.rng.index(pods.len()) else { return };
        let pod = &pods[index];
        let mut new = (**pod).clone();
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            let held = pod["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
            if !held {
                return self.cluster.vanish(&resources::PODS, pod);
            }
            if !is_finished(pod) {
                new["status"]["phase"] = json!("Failed");
                self.cluster.update(&resources::PODS, "status", &new).expect("the kit sees the latest");
            }
            return;
        }
        let ready = |status: &str| json!([{"type": "Ready", "status": status, "lastTransitionTime": moment.to_time()}]);
        let is_ready = pod["status"]["conditions"][0]["status"] == "True";
        if pod["spec"]["nodeName"].is_null() {
            new["spec"]["nodeName"] = match pinned(pod) {
                Some(node) if self.cluster.find(&resources::NODES, "", node).is_none() => return,
                Some(node) => json!(node),
                None => json!(format!("n{}", self.rng.below(3))),
            };
            self.cluster.update(&resources::PODS, "", &new).expect("the kit sees the latest");
            return;
        }
        match pod["status"]["phase"].as_str() {
            Some("Pending") => new["status"] = json!({"phase": "Running", "conditions": ready("False")}),
            Some("Running") if !is_ready => new["status"]["conditions"] = ready("True"),
            Some("Running") if faults && self.rng.chance(1, 30) => {
                new["status"]["conditions"] = ready("False")
            }
            Some("Running") if faults && self.rng.chance(1, 40) => {
                new["status"] = json!({"phase": "Failed", "conditions": ready("False")});
            }
            Some("Running") if ends(pod) => {
                let code = self.exit_code.as_mut().map_or(0, |code| code(pod, &mut self.rng));
                let ended = json!({"terminated": {"exitCode": code, "finishedAt": moment.to_time()}});
                new["status"] = json!({
                    "phase": if code == 0 { "Succeeded" } else { "Failed" },
                    "conditions": ready("False"),
                    "containerStatuses": [{"name": "c", "state": ended}],
                });
            }
            _ => return,
        }
        self.cluster.update(&resources::PODS, "status", &new).expect("the kit sees the latest");
    }

    /// The controllers work until none has anything to do now; nobody runs pods.
    pub(crate) fn settle(&mut self) {
        for _ in 0..REST_STEPS {
            self.now += Duration::from_millis(1);
            let moment = self.moment();
            let mut busy = false;
            for host in &mut self.hosts {
                while host.see_one(self.now, &self.cluster) {
                    busy = true;
                }
                busy |= host.begin(self.now, moment);
                while host.carry_on(self.now, moment, &mut self.cluster) {
                    busy = true;
                }
            }
            self.judge();
            if !busy {
                return;
            }
        }
        panic!("not settled after {REST_STEPS} rounds");
    }

    /// Lets time pass for everybody.
    pub(crate) fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    /// Everybody works until nobody has anything to do.
    pub(crate) fn rest(&mut self) {
        for _ in 0..REST_STEPS {
            if self.work_a_round() {
                continue;
            }
            let due = self.hosts.iter().filter_map(|host| host.queue.deadline()).min();
            match due {
                // A wait for something that does not come by itself (a quota) is rest as well.
                Some(due) if due.since(self.now) < Duration::from_secs(100) => self.now = self.now.max(due),
                _ => return,
            }
        }
        panic!("no rest after {REST_STEPS} rounds");
    }

    fn work_a_round(&mut self) -> bool {
        self.now += Duration::from_millis(1);
        let moment = self.moment();
        let mut busy = false;
        for host in &mut self.hosts {
            while host.see_one(self.now, &self.cluster) {
                busy = true;
            }
            busy |= host.begin(self.now, moment);
            while host.carry_on(self.now, moment, &mut self.cluster) {
                busy = true;
            }
        }
        busy |= self.collects_garbage && self.cluster.collect_garbage(moment);
        let before = self.cluster.state.revision;
        for _ in 0..4 {
            self.run_a_pod(false);
        }
        let restless = self.cluster.state.all(&resources::PODS).iter().any(|pod| {
            let ready = pod["status"]["conditions"][0]["status"] == "True";
            let done = is_finished(pod) || (ready && !ends(pod));
            !done || !pod["metadata"]["deletionTimestamp"].is_null()
        });
        self.judge();
        busy || restless || self.cluster.state.revision > before
    }
}
