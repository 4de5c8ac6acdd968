//! [`Fleet`]: what the pods of all nodes do next. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use trireme_core::{Core, Rng, Tick};
use trireme_schema::time::Moment;

use crate::behaviour::{Behaviour, Rules};
use crate::nodes::NodePlan;
use crate::pod::{PodKey, PodView};
use crate::status::{Tells, finished, running};

/// Hosts of a node's range that pods may have.
const HOSTS: std::ops::RangeInclusive<u32> = 2..=254;
/// Wait after a write that failed.
const RETRY: Duration = Duration::from_millis(500);

/// What the fleet learns.
#[derive(Clone, Debug)]
pub enum FleetInput {
    /// A pod is there, as it is now.
    Pod(Box<PodView>),
    /// A pod is gone.
    Gone(PodKey),
    /// Every pod that is there was told since the list began: others are gone.
    Listed(BTreeSet<PodKey>),
    /// A write was carried out, or not.
    Written(PodKey, bool),
}

/// What the fleet wants done. The outcome of each comes back as [`FleetInput::Written`].
#[derive(Clone, Debug, PartialEq)]
pub enum FleetEffect {
    /// Patch the pod's status (strategic merge; the patch names the uid).
    Status(PodKey, Value),
    /// Delete the pod of this uid without grace.
    Delete(PodKey, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Bound; its containers are not started.
    Bound,
    /// Its containers run.
    Running,
    /// They run and are ready.
    Ready,
    /// They have ended for good.
    Ended,
    /// It was told to leave.
    Leaving,
}

struct Pod {
    view: PodView,
    behaviour: Behaviour,
    stage: Stage,
    /// When its containers were started.
    started: (Tick, String),
    restarts: u64,
    host: u32,
    due: Option<Tick>,
    writing: bool,
    /// The API has taken its delete: what is left is to hear that it is gone.
    deleted: bool,
}

/// See the module. Memory: one entry for each pod of its nodes.
pub struct Fleet {
    plan: NodePlan,
    rules: Rules,
    rng: Rng,
    /// The moment of [`Tick::ZERO`].
    epoch: Moment,
    pods: BTreeMap<PodKey, Pod>,
    due: BTreeSet<(Tick, PodKey)>,
    /// Hosts in use, by node.
    hosts: BTreeMap<u32, BTreeSet<u32>>,
}

impl Fleet {
    /// No pods yet. `epoch` is the moment of [`Tick::ZERO`].
    pub fn new(plan: NodePlan, rules: Rules, epoch: Moment, seed: u64) -> Self {
        let (pods, due, hosts) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { plan, rules, rng: Rng::new(seed), epoch, pods, due, hosts }
    }

    /// Pods on its nodes.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether there are no pods.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    fn time(&self, at: Tick) -> String {
        let seconds = i64::try_from(at.as_nanos() / 1_000_000_000).unwrap_or(i64::MAX);
        Moment::from_unix(self.epoch.unix_seconds().saturating_add(seconds), 0).to_time()
    }

    fn arm(&mut self, key: &PodKey, at: Option<Tick>) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        if let Some(before) = std::mem::replace(&mut pod.due, at) {
            self.due.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.due.insert((at, key.clone()));
        }
    }

    fn pod(&mut self, now: Tick, view: PodView) {
        let key = view.key();
        let Some(node) = self.plan.number(&view.spec.node_name) else { return };
        let same = self.pods.get(&key).is_some_and(|pod| pod.view.metadata.uid == view.metadata.uid);
        if !same {
            self.gone(&key);
            self.admit(now, key.clone(), node, view);
        } else if let Some(pod) = self.pods.get_mut(&key) {
            let changed = pod.view.metadata.annotations != view.metadata.annotations;
            pod.view = view;
            if changed {
                pod.behaviour = Behaviour::of(&pod.view, &self.rules, &mut self.rng);
                // A write on its way arms what comes next.
                if !pod.writing && matches!(pod.stage, Stage::Running | Stage::Ready) {
                    let next = pod.next().map(|next| next.max(now));
                    self.arm(&key, next);
                }
            }
        }
        self.leave_if_told(now, &key);
    }

    fn admit(&mut self, now: Tick, key: PodKey, node: u32, view: PodView) {
        let behaviour = Behaviour::of(&view, &self.rules, &mut self.rng);
        let used = self.hosts.entry(node).or_default();
        // A pod that runs already keeps its address: this process was started anew.
        let kept = view.status.pod_ip.rsplit('.').next().and_then(|host| host.parse().ok());
        let free = HOSTS.clone().find(|host| !used.contains(host)).unwrap_or(*HOSTS.end());
        let host = kept.filter(|_| !view.spec.host_network).unwrap_or(free);
        used.insert(host);
        let stage = match view.status.phase.as_str() {
            "Succeeded" | "Failed" => Stage::Ended,
            "Running" => Stage::Running,
            _ => Stage::Bound,
        };
        let start = match stage {
            Stage::Bound => Some(now + behaviour.start),
            Stage::Running => Some(now + behaviour.ready.unwrap_or_default()),
            _ => None,
        };
        let started = (now, self.time(now));
        let pod = Pod {
            view,
            behaviour,
            stage,
            started,
            restarts: 0,
            host,
            due: None,
            writing: false,
            deleted: false,
        };
        self.pods.insert(key.clone(), pod);
        self.arm(&key, start);
    }

    fn leave_if_told(&mut self, now: Tick, key: &PodKey) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        if pod.view.metadata.deletion_timestamp.is_none() || pod.stage == Stage::Leaving {
            return;
        }
        pod.stage = Stage::Leaving;
        let grace = Duration::from_secs(pod.view.metadata.deletion_grace_period_seconds.unwrap_or(0));
        let due = now + pod.behaviour.leave.min(grace);
        self.arm(key, Some(due));
    }

    fn gone(&mut self, key: &PodKey) {
        self.arm(key, None);
        let Some(pod) = self.pods.remove(key) else { return };
        let node = self.plan.number(&pod.view.spec.node_name);
        if let Some(used) = node.and_then(|node| self.hosts.get_mut(&node)) {
            used.remove(&pod.host);
        }
    }

    /// The next step of a pod that is due.
    fn advance(&mut self, now: Tick, key: &PodKey, out: &mut Vec<FleetEffect>) {
        let text = self.time(now);
        self.arm(key, None);
        let Some(pod) = self.pods.get_mut(key) else { return };
        if pod.writing {
            return;
        }
        let Some(node) = self.plan.number(&pod.view.spec.node_name) else { return };
        let host_ip = self.plan.address(node);
        let pod_ip =
            if pod.view.spec.host_network { host_ip.clone() } else { self.plan.pod_address(node, pod.host) };
        let tells = |pod: &Pod, patch: &dyn Fn(&PodView, Tells<'_>) -> Value| {
            let (started, restarts) = (&pod.started.1, pod.restarts);
            patch(&pod.view, Tells { now: &text, started, host_ip: &host_ip, pod_ip: &pod_ip, restarts })
        };
        let effect = match pod.stage {
            Stage::Bound => {
                pod.started = (now, text.clone());
                let ready = pod.behaviour.ready == Some(Duration::ZERO);
                pod.stage = if ready { Stage::Ready } else { Stage::Running };
                FleetEffect::Status(key.clone(), tells(pod, &|view, tells| running(view, ready, tells)))
            }
            Stage::Running if !pod.ends(now) => {
                pod.stage = Stage::Ready;
                FleetEffect::Status(key.clone(), tells(pod, &|view, tells| running(view, true, tells)))
            }
            Stage::Running | Stage::Ready => {
                let code = pod.behaviour.code;
                let again = match pod.view.spec.restart_policy.as_str() {
                    "Never" => false,
                    "OnFailure" => code != 0,
                    _ => true,
                };
                if again {
                    pod.restarts += 1;
                    pod.started = (now, text.clone());
                    pod.stage = Stage::Running;
                    FleetEffect::Status(key.clone(), tells(pod, &|view, tells| running(view, false, tells)))
                } else {
                    pod.stage = Stage::Ended;
                    FleetEffect::Status(key.clone(), tells(pod, &|view, tells| finished(view, code, tells)))
                }
            }
            Stage::Leaving => {
                pod.deleted = true;
                FleetEffect::Delete(key.clone(), pod.view.metadata.uid.clone())
            }
            Stage::Ended => return,
        };
        pod.writing = true;
        out.push(effect);
    }

    fn written(&mut self, now: Tick, key: &PodKey, done: bool) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.writing = false;
        if !done && pod.stage != Stage::Leaving {
            // It is told anew, from the stage before.
            pod.stage = match pod.stage {
                Stage::Ended => Stage::Ready,
                _ => Stage::Bound,
            };
        }
        let next = match pod.stage {
            _ if !done => Some(now + RETRY),
            Stage::Running | Stage::Ready => pod.next(),
            Stage::Leaving if pod.deleted => None,
            // Its grace is not over, or it was told to leave while another write was on its way.
            Stage::Leaving => Some(pod.due.unwrap_or(now)),
            Stage::Bound | Stage::Ended => None,
        };
        self.arm(key, next.map(|next| next.max(now)));
    }
}

impl Pod {
    /// When the containers of a pod that runs do something next.
    fn next(&self) -> Option<Tick> {
        let exit = self.behaviour.exit;
        let due = match self.behaviour.ready.filter(|_| self.stage == Stage::Running) {
            Some(ready) => Some(exit.map_or(ready, |exit| exit.min(ready))),
            None => exit,
        };
        due.map(|due| self.started.0 + due)
    }

    /// It has run for as long as it was to.
    fn ends(&self, now: Tick) -> bool {
        let ends = |exit: Duration| self.started.0 + exit <= now;
        self.behaviour.exit.is_some_and(ends) || self.behaviour.ready.is_none()
    }
}

impl Core for Fleet {
    type Input = FleetInput;
    type Effect = FleetEffect;

    fn step(&mut self, now: Tick, input: FleetInput, out: &mut Vec<FleetEffect>) {
        match input {
            FleetInput::Pod(view) => self.pod(now, *view),
            FleetInput::Gone(key) => self.gone(&key),
            FleetInput::Listed(there) => {
                let gone: Vec<PodKey> =
                    self.pods.keys().filter(|key| !there.contains(*key)).cloned().collect();
                for key in gone {
                    self.gone(&key);
                }
            }
            FleetInput::Written(key, done) => self.written(now, &key, done),
        }
        self.expire(now, out);
    }

    fn deadline(&self) -> Option<Tick> {
        self.due.first().map(|(due, _)| *due)
    }

    fn expire(&mut self, now: Tick, out: &mut Vec<FleetEffect>) {
        while let Some((due, key)) = self.due.first().cloned()
            && due <= now
        {
            self.advance(now, &key, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fleet() -> Fleet {
        let rules = Rules { leave: Duration::from_millis(50), ..Rules::default() };
        Fleet::new(NodePlan::new(2), rules, Moment::from_unix(1_000, 0), 1)
    }

    fn pod(name: &str, more: &Value) -> PodView {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "d", "uid": format!("uid-{name}")},
            "spec": {"nodeName": "hollow-1", "containers": [{"name": "c", "image": "i"}]}, "status": {"phase": "Pending"},
        });
        for (part, fields) in more.as_object().unwrap() {
            pod[part].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        }
        serde_json::from_value(pod).unwrap()
    }

    fn key(name: &str) -> PodKey {
        ("d".to_owned(), name.to_owned())
    }

    /// Takes an input and answers every write, until `until`.
    fn run(fleet: &mut Fleet, now: &mut Tick, input: Option<FleetInput>, until: Tick) -> Vec<FleetEffect> {
        let mut all = Vec::new();
        let mut out = Vec::new();
        if let Some(input) = input {
            fleet.step(*now, input, &mut out);
        }
        loop {
            while let Some(effect) = out.pop() {
                let (FleetEffect::Status(key, _) | FleetEffect::Delete(key, _)) = &effect;
                let written = FleetInput::Written(key.clone(), true);
                all.push(effect);
                fleet.step(*now, written, &mut out);
            }
            match fleet.deadline().filter(|due| *due <= until) {
                Some(due) => {
                    *now = due;
                    fleet.expire(due, &mut out);
                }
                None => {
                    *now = until;
                    return all;
                }
            }
        }
    }

    fn phase(effect: &FleetEffect) -> &str {
        match effect {
            FleetEffect::Status(_, patch) => patch["status"]["phase"].as_str().unwrap(),
            FleetEffect::Delete(..) => "deleted",
        }
    }

    #[test]
    fn a_pod_becomes_ready_and_leaves_when_told() {
        let (mut fleet, mut now) = (fleet(), Tick::from_millis(10));
        let input = FleetInput::Pod(Box::new(pod("a", &json!({}))));
        let came = run(&mut fleet, &mut now, Some(input), Tick::from_millis(500));
        assert_eq!(came.len(), 1);
        let FleetEffect::Status(_, patch) = &came[0] else { panic!("{came:?}") };
        assert_eq!(
            (patch["status"]["podIP"].as_str(), patch["metadata"]["uid"].as_str()),
            (Some("10.64.1.2"), Some("uid-a"))
        );
        assert_eq!(
            patch["status"]["conditions"][2],
            json!({"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": "1970-01-01T00:16:40Z"})
        );
        let told = json!({"metadata": {"deletionTimestamp": "x", "deletionGracePeriodSeconds": 30}});
        let input = FleetInput::Pod(Box::new(pod("a", &told)));
        let went = run(&mut fleet, &mut now, Some(input), Tick::from_millis(549));
        assert!(went.is_empty());
        assert_eq!(
            run(&mut fleet, &mut now, None, Tick::from_millis(550)),
            [FleetEffect::Delete(key("a"), "uid-a".to_owned())]
        );
        run(&mut fleet, &mut now, Some(FleetInput::Gone(key("a"))), Tick::from_millis(560));
        assert!(fleet.is_empty() && fleet.hosts[&1].is_empty() && fleet.deadline().is_none());
    }

    #[test]
    fn jobs_end_and_crashing_containers_start_again() {
        let (mut fleet, mut now) = (fleet(), Tick::from_millis(10));
        let job = pod("j", &json!({"spec": {"restartPolicy": "Never"}}));
        let input = FleetInput::Pod(Box::new(job));
        let phases = run(&mut fleet, &mut now, Some(input), Tick::from_millis(5_000));
        assert_eq!(phases.iter().map(phase).collect::<Vec<_>>(), ["Running", "Succeeded"]);
        let annotations = json!({"hollow.trireme.io/exit-after": "1s", "hollow.trireme.io/exit-code": "2"});
        let crashing = pod("c", &json!({"metadata": {"annotations": annotations}}));
        let input = FleetInput::Pod(Box::new(crashing));
        let told = run(&mut fleet, &mut now, Some(input), Tick::from_millis(7_500));
        let restarts: Vec<_> = told
            .iter()
            .map(|effect| match effect {
                FleetEffect::Status(_, patch) => {
                    patch["status"]["containerStatuses"][0]["restartCount"].clone()
                }
                FleetEffect::Delete(..) => json!("deleted"),
            })
            .collect();
        assert_eq!(restarts, [0, 1, 1, 2, 2]);
    }

    #[test]
    fn what_is_said_while_a_pod_runs_counts_from_then_on() {
        let (mut fleet, mut now) = (fleet(), Tick::from_millis(10));
        let said = |after: &str| {
            let annotations = json!({"annotations": {"hollow.trireme.io/exit-after": after}});
            let pod = pod("j", &json!({"metadata": annotations, "spec": {"restartPolicy": "Never"}}));
            Some(FleetInput::Pod(Box::new(pod)))
        };
        let told = run(&mut fleet, &mut now, said("10m"), Tick::from_millis(5_000));
        assert_eq!(told.iter().map(phase).collect::<Vec<_>>(), ["Running"]);
        let told = run(&mut fleet, &mut now, said("0s"), Tick::from_millis(5_001));
        assert_eq!(told.iter().map(phase).collect::<Vec<_>>(), ["Succeeded"]);
    }

    #[test]
    fn never_ready_stays_so_other_nodes_are_left_alone_and_a_failed_write_is_repeated() {
        let (mut fleet, mut now) = (fleet(), Tick::from_millis(10));
        let never =
            pod("n", &json!({"metadata": {"annotations": {"hollow.trireme.io/never-ready": "true"}}}));
        let told =
            run(&mut fleet, &mut now, Some(FleetInput::Pod(Box::new(never))), Tick::from_millis(9_000));
        assert_eq!(told.len(), 1);
        let strange = pod("s", &json!({"spec": {"nodeName": "real-1"}}));
        let mut out = Vec::new();
        fleet.step(now, FleetInput::Pod(Box::new(strange)), &mut out);
        assert!(out.is_empty() && fleet.len() == 1);
        fleet.step(now, FleetInput::Pod(Box::new(pod("a", &json!({})))), &mut out);
        assert_eq!(out.len(), 1);
        out.clear();
        fleet.step(now, FleetInput::Written(key("a"), false), &mut out);
        assert_eq!((out.len(), fleet.deadline()), (0, Some(now + RETRY)));
        fleet.expire(now + RETRY, &mut out);
        assert_eq!(phase(&out[0]), "Running");
    }
}
