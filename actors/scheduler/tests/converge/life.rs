//! One life: a store, a late feed, a scheduler.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_core::{Core, OpId, Rng, Tick};
use trireme_scheduler::{BindFailure, Effect, Input, Scheduler, SchedulerConfig, Watched};

use super::make;
use super::rules::Sight;

/// Things that happen in one life.
const TURNS: u64 = 60;

struct Life {
    rng: Rng,
    now: Tick,
    scheduler: Scheduler,
    /// What is stored.
    truth: Sight,
    /// What the scheduler was told, with what it assumes.
    told: Sight,
    /// Changes that it was not told yet.
    feed: VecDeque<(Watched, String, Option<Value>)>,
    /// Answers that it has not got yet.
    answers: Vec<(OpId, Result<(), BindFailure>, String)>,
    made: u64,
    /// Something happened that wakes nobody, as upstream: only the flush after five minutes helps.
    silent: bool,
}

/// Lives a life; panics when a rule is broken.
pub(crate) fn live(seed: u64) {
    let mut rng = Rng::new(seed);
    let scheduler = fresh(&mut rng);
    let mut life = Life {
        rng,
        now: Tick::from_millis(1),
        scheduler,
        truth: Sight::default(),
        told: Sight::default(),
        feed: VecDeque::new(),
        answers: Vec::new(),
        made: 0,
        silent: false,
    };
    life.namespace("d", true);
    life.namespace("e", false);
    life.step(Input::Synced);
    for _ in 0..TURNS {
        life.turn();
    }
    life.settle();
}

fn fresh(rng: &mut Rng) -> Scheduler {
    Scheduler::new(&SchedulerConfig::default(), rng.next_u64()).unwrap()
}

fn full(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!("{}/{}", metadata["namespace"].as_str().unwrap_or(""), metadata["name"].as_str().unwrap_or(""))
}

impl Life {
    fn namespace(&mut self, name: &str, team: bool) {
        self.truth.teams.insert(name.into(), team);
        let labels = if team { json!({"team": "x"}) } else { json!({}) };
        self.change(Watched::Namespaces, json!({"metadata": {"name": name, "labels": labels}}));
    }

    fn change(&mut self, resource: Watched, object: Value) {
        let key = full(&object);
        match resource {
            Watched::Pods => drop(self.truth.pods.insert(key.clone(), object.clone())),
            Watched::Nodes => drop(self.truth.nodes.insert(key[1..].to_owned(), object.clone())),
            _ => {}
        }
        self.feed.push_back((resource, key, Some(object)));
    }

    fn delete(&mut self, resource: Watched, key: &str) {
        match resource {
            Watched::Pods => drop(self.truth.pods.remove(key)),
            _ => drop(self.truth.nodes.remove(&key[1..])),
        }
        self.feed.push_back((resource, key.to_owned(), None));
    }

    fn pick(&mut self, nodes: bool) -> Option<String> {
        let keys: Vec<String> = if nodes {
            self.truth.nodes.keys().map(|name| format!("/{name}")).collect()
        } else {
            self.truth.pods.keys().cloned().collect()
        };
        self.rng.index(keys.len()).map(|at| keys[at].clone())
    }

    fn turn(&mut self) {
        match self.rng.below(20) {
            0..=7 => {
                self.made += 1;
                let pod = make::pod(&mut self.rng, self.made);
                self.change(Watched::Pods, pod);
            }
            8..=10 => {
                self.made += 1;
                let node = make::node(&mut self.rng, self.made);
                self.change(Watched::Nodes, node);
            }
            11 => self.happens_to_a_node(),
            12 | 13 => {
                if let Some(key) = self.pick(false) {
                    self.delete(Watched::Pods, &key);
                }
            }
            14 => self.open_a_gate(),
            15 => {
                self.silent = true;
                let team = self.rng.chance(1, 2);
                let name = ["d", "e"][self.rng.index(2).unwrap()];
                self.namespace(name, team);
            }
            16 if self.rng.chance(1, 3) => self.crash(),
            _ => self.pass(Duration::from_millis(500)),
        }
        let deliveries = self.rng.below(6);
        (0..deliveries).for_each(|_| self.deliver());
        if self.rng.chance(1, 2) {
            self.answer_one();
        }
        self.decide();
    }

    fn happens_to_a_node(&mut self) {
        let Some(key) = self.pick(true) else { return };
        if self.rng.chance(1, 3) {
            self.silent = true;
            return self.delete(Watched::Nodes, &key);
        }
        let mut node = self.truth.nodes[&key[1..]].clone();
        match self.rng.below(3) {
            0 => node["spec"]["unschedulable"] = json!(self.rng.chance(1, 2)),
            1 => {
                node["metadata"]["labels"]["topology.kubernetes.io/zone"] =
                    json!(format!("z{}", self.rng.below(3)))
            }
            _ => node["status"]["allocatable"]["cpu"] = json!((1 + self.rng.below(5)).to_string()),
        }
        self.change(Watched::Nodes, node);
    }

    fn open_a_gate(&mut self) {
        let gated = |pod: &&Value| pod["spec"]["schedulingGates"].is_array();
        let Some(mut pod) = self.truth.pods.values().find(gated).cloned() else { return };
        pod["spec"].as_object_mut().unwrap().remove("schedulingGates");
        self.change(Watched::Pods, pod);
    }

    /// What is on its way arrives; then another scheduler is told what is stored.
    fn crash(&mut self) {
        self.answers.clear();
        self.feed.clear();
        self.scheduler = fresh(&mut self.rng);
        self.told = self.truth.clone();
        let nodes: Vec<Value> = self.truth.nodes.values().cloned().collect();
        let pods: Vec<Value> = self.truth.pods.values().cloned().collect();
        for (name, team) in self.truth.teams.clone() {
            let labels = if team { json!({"team": "x"}) } else { json!({}) };
            let object = Arc::new(json!({"metadata": {"name": name, "labels": labels}}));
            self.step(Input::Put { resource: Watched::Namespaces, object });
        }
        nodes
            .into_iter()
            .for_each(|one| self.step(Input::Put { resource: Watched::Nodes, object: Arc::new(one) }));
        pods.into_iter()
            .for_each(|one| self.step(Input::Put { resource: Watched::Pods, object: Arc::new(one) }));
        self.step(Input::Synced);
    }

    fn deliver(&mut self) {
        let Some((resource, key, object)) = self.feed.pop_front() else { return };
        let input = match object {
            Some(object) => {
                self.see(resource, &key, Some(&object));
                Input::Put { resource, object: Arc::new(object) }
            }
            None => {
                self.see(resource, &key, None);
                let (namespace, name) = key.split_once('/').unwrap();
                Input::Gone { resource, namespace: namespace.into(), name: name.into() }
            }
        };
        self.step(input);
    }

    fn see(&mut self, resource: Watched, key: &str, object: Option<&Value>) {
        match (resource, object) {
            (Watched::Pods, Some(object)) => {
                let mut object = object.clone();
                // A view from before the decision does not undo what is assumed.
                let assumed = self.answers.iter().any(|(_, outcome, pod)| pod == key && outcome.is_ok());
                let there = self.told.pods.get(key).map(|pod| pod["spec"]["nodeName"].clone());
                if let Some(node) =
                    there.filter(|node| node.is_string() && (assumed || object["spec"]["nodeName"].is_null()))
                {
                    object["spec"]["nodeName"] = node;
                }
                self.told.pods.insert(key.into(), object);
            }
            (Watched::Pods, None) => drop(self.told.pods.remove(key)),
            (Watched::Nodes, Some(object)) => drop(self.told.nodes.insert(key[1..].into(), object.clone())),
            (Watched::Nodes, None) => drop(self.told.nodes.remove(&key[1..])),
            (_, Some(object)) => {
                self.told.teams.insert(key[1..].into(), object["metadata"]["labels"]["team"] == "x");
            }
            (_, None) => {}
        }
    }

    fn answer_one(&mut self) {
        let Some(at) = self.rng.index(self.answers.len()) else { return };
        let (op, outcome, pod) = self.answers.remove(at);
        if outcome.is_err()
            && let Some(object) = self.told.pods.get_mut(&pod)
        {
            object["spec"].as_object_mut().unwrap().remove("nodeName");
        }
        self.step(Input::Bound { op, outcome });
    }

    fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.scheduler.step(self.now, input, &mut out);
        self.carry_out(out);
    }

    fn decide(&mut self) {
        while self.scheduler.deadline().is_some_and(|due| due <= self.now) {
            let mut out = Vec::new();
            self.scheduler.expire(self.now, &mut out);
            self.carry_out(out);
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.scheduler.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.decide();
        }
        self.now = end;
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut priorities: BTreeMap<String, i64> = BTreeMap::new();
        let mut evicted = Vec::new();
        for effect in effects {
            match effect {
                Effect::Bind { op, pod, node } => {
                    let key = format!("{}/{}", pod.namespace, pod.name);
                    self.bind(op, &key, &pod.uid, &node);
                }
                Effect::Evict { op, pod, .. } => {
                    let key = format!("{}/{}", pod.namespace, pod.name);
                    let priority = self.told.pods.get(&key).and_then(|pod| pod["spec"]["priority"].as_i64());
                    priorities.insert(pod.uid.to_string(), priority.expect("a victim is known"));
                    let same = |stored: &Value| stored["metadata"]["uid"].as_str() == Some(&*pod.uid);
                    if self.truth.pods.get(&key).is_some_and(same) {
                        self.delete(Watched::Pods, &key);
                    }
                    evicted.push(op);
                }
                Effect::Record { about, related: Some(by), reason: "Preempted", .. } => {
                    let by = &self.told.pods[&format!("{}/{}", by.namespace, by.name)];
                    let victim = priorities[&*about.uid];
                    assert!(
                        victim < by["spec"]["priority"].as_i64().unwrap(),
                        "a lower pod evicted a higher one"
                    );
                    assert_ne!(by["spec"]["preemptionPolicy"], "Never");
                }
                Effect::Record { .. } | Effect::Patch { .. } => {}
                Effect::Extend { .. } => unreachable!("there is no extender"),
            }
        }
        evicted.into_iter().for_each(|op| self.step(Input::Evicted { op, failed: false }));
    }

    fn bind(&mut self, op: OpId, key: &str, uid: &str, node: &str) {
        let pod = self.told.pods.get(key).cloned().expect("a pod that is bound is known");
        assert!(pod["spec"]["nodeName"].is_null(), "{key} is bound twice");
        assert!(pod["spec"]["schedulingGates"].is_null(), "{key} is bound behind its gate");
        assert!(self.told.nodes.contains_key(node), "{key} is bound to {node}, which is gone");
        if let Some(why) = self.told.forbids(&pod, node) {
            panic!("{key} is bound to {node} against the rules: {why}");
        }
        self.told.pods.get_mut(key).unwrap()["spec"]["nodeName"] = json!(node);
        let stored = self.truth.pods.get(key).cloned();
        let outcome = match stored {
            Some(mut stored) if stored["metadata"]["uid"] == uid && stored["spec"]["nodeName"].is_null() => {
                if self.rng.chance(1, 15) {
                    Err(BindFailure::Failed("no luck".into()))
                } else {
                    stored["spec"]["nodeName"] = json!(node);
                    self.change(Watched::Pods, stored);
                    Ok(())
                }
            }
            Some(_) => Err(BindFailure::Failed("another one".into())),
            None => Err(BindFailure::Gone),
        };
        self.answers.push((op, outcome, key.to_owned()));
    }

    /// Everything is told, time passes: what can be placed is placed.
    fn settle(&mut self) {
        for _ in 0..40 {
            while !self.feed.is_empty() || !self.answers.is_empty() {
                self.deliver();
                self.answer_one();
                self.decide();
            }
            self.pass(Duration::from_secs(2));
        }
        // Longer than the longest pause, shorter than the flush: what may help has woken everybody.
        if !self.silent {
            self.nobody_waits_in_vain();
        }
        self.pass(Duration::from_secs(400));
        while !self.feed.is_empty() || !self.answers.is_empty() {
            self.deliver();
            self.answer_one();
            self.pass(Duration::from_secs(20));
        }
        self.pass(Duration::from_secs(60));
        assert!(self.feed.is_empty(), "after a minute nothing changes any more");
        assert_eq!(self.scheduler.open(), 0, "every effect was answered");
        self.nobody_waits_in_vain();
    }

    fn nobody_waits_in_vain(&self) {
        for (key, pod) in &self.truth.pods {
            if pod["spec"]["nodeName"].is_string() || pod["spec"]["schedulingGates"].is_array() {
                continue;
            }
            let free = self.truth.nodes.keys().find(|node| self.truth.forbids(pod, node).is_none());
            assert_eq!(
                free,
                None,
                "{key} waits although a node would take it: {:?}",
                self.scheduler.explain(
                    pod["metadata"]["namespace"].as_str().unwrap(),
                    pod["metadata"]["name"].as_str().unwrap()
                )
            );
        }
    }
}
