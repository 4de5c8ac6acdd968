//! A scheduler that is told objects and whose effects are carried out at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use trireme_core::{Core, Tick};
use trireme_scheduler::{BindFailure, Effect, Input, Scheduler, SchedulerConfig, Watched};

/// See the module.
pub(crate) struct Kit {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Tick,
    pods: BTreeMap<String, Value>,
    /// Node by `namespace/name`.
    pub(crate) bound: BTreeMap<String, String>,
    /// Last message of the condition by `namespace/name`.
    pub(crate) conditions: BTreeMap<String, (String, String)>,
    /// Promised nodes as told.
    pub(crate) nominated: BTreeMap<String, String>,
    /// Reason, message, of which pod.
    pub(crate) events: Vec<(String, String, String)>,
    pub(crate) evicted: Vec<String>,
    /// Questions to extenders that wait.
    pub(crate) asked: Vec<Effect>,
    /// Bindings that fail with this reason.
    pub(crate) fail_binds: Option<BindFailure>,
}

impl Kit {
    pub(crate) fn new() -> Self {
        Self::configured(&SchedulerConfig::default())
    }

    pub(crate) fn configured(config: &SchedulerConfig) -> Self {
        let mut scheduler = Scheduler::new(config, 7).unwrap();
        scheduler.step(Tick::ZERO, Input::Synced, &mut Vec::new());
        Self {
            scheduler,
            now: Tick::from_millis(1),
            pods: BTreeMap::new(),
            bound: BTreeMap::new(),
            conditions: BTreeMap::new(),
            nominated: BTreeMap::new(),
            events: Vec::new(),
            evicted: Vec::new(),
            asked: Vec::new(),
            fail_binds: None,
        }
    }

    pub(crate) fn put(&mut self, resource: Watched, object: Value) {
        let mut out = Vec::new();
        if resource == Watched::Pods {
            self.pods.insert(key(&object), object.clone());
        }
        self.scheduler.step(self.now, Input::Put { resource, object: Arc::new(object) }, &mut out);
        self.carry_out(out);
    }

    pub(crate) fn gone(&mut self, resource: Watched, namespace: &str, name: &str) {
        let mut out = Vec::new();
        self.pods.remove(&format!("{namespace}/{name}"));
        let input = Input::Gone { resource, namespace: namespace.into(), name: name.into() };
        self.scheduler.step(self.now, input, &mut out);
        self.carry_out(out);
    }

    pub(crate) fn answer(&mut self, answer: Result<Value, String>) {
        let Effect::Extend { op, .. } = self.asked.remove(0) else { panic!("a question") };
        let mut out = Vec::new();
        self.scheduler.step(self.now, Input::Extended { op, answer }, &mut out);
        self.carry_out(out);
        self.run();
    }

    /// Until nothing is due now.
    pub(crate) fn run(&mut self) {
        while self.scheduler.deadline().is_some_and(|due| due <= self.now) {
            let mut out = Vec::new();
            self.scheduler.expire(self.now, &mut out);
            self.carry_out(out);
        }
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.scheduler.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.run();
        }
        self.now = end;
    }

    fn carry_out(&mut self, mut effects: Vec<Effect>) {
        while !effects.is_empty() {
            let mut more = Vec::new();
            for effect in effects {
                self.one(effect, &mut more);
            }
            effects = more;
        }
    }

    fn one(&mut self, effect: Effect, out: &mut Vec<Effect>) {
        match effect {
            Effect::Bind { op, pod, node } => {
                let outcome = match self.fail_binds.clone() {
                    Some(failure) => Err(failure),
                    None => {
                        let key = format!("{}/{}", pod.namespace, pod.name);
                        let object = self.pods.get_mut(&key).expect("the pod is there");
                        object["spec"]["nodeName"] = json!(&*node);
                        let object = Arc::new(object.clone());
                        assert_eq!(self.bound.insert(key, node.to_string()), None, "bound twice");
                        self.scheduler.step(self.now, Input::Put { resource: Watched::Pods, object }, out);
                        Ok(())
                    }
                };
                self.scheduler.step(self.now, Input::Bound { op, outcome }, out);
            }
            Effect::Patch { pod, condition, nominated, .. } => {
                let key = format!("{}/{}", pod.namespace, pod.name);
                if let Some((reason, message)) = condition {
                    self.conditions.insert(key.clone(), (reason.to_owned(), message));
                }
                if let Some(node) = nominated {
                    self.nominated.insert(key, node.to_string());
                }
            }
            Effect::Evict { op, pod, .. } => {
                let key = format!("{}/{}", pod.namespace, pod.name);
                self.pods.remove(&key);
                self.bound.remove(&key);
                self.evicted.push(key);
                let (namespace, name) = (pod.namespace.to_string(), pod.name.to_string());
                self.scheduler.step(self.now, Input::Gone { resource: Watched::Pods, namespace, name }, out);
                self.scheduler.step(self.now, Input::Evicted { op, failed: false }, out);
            }
            Effect::Record { about, reason, message, .. } => {
                self.events.push((reason.to_owned(), message, about.name.to_string()));
            }
            effect @ Effect::Extend { .. } => self.asked.push(effect),
        }
    }

    /// Where a pod of namespace `d` is.
    pub(crate) fn at(&self, name: &str) -> Option<&str> {
        self.bound.get(&format!("d/{name}")).map(String::as_str)
    }

    /// The message of a pod of namespace `d`.
    pub(crate) fn message(&self, name: &str) -> &str {
        self.conditions.get(&format!("d/{name}")).map_or("", |(_, message)| message)
    }

    /// Tries a pod and gives its message, empty when it is bound.
    pub(crate) fn try_pod(&mut self, pod: Value) -> String {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        self.put(Watched::Pods, pod);
        self.run();
        assert_eq!(
            self.at(&name).is_some(),
            self.message(&name).is_empty(),
            "{name} is bound or has a message"
        );
        self.message(&name).to_owned()
    }
}

fn key(object: &Value) -> String {
    let metadata = &object["metadata"];
    format!("{}/{}", metadata["namespace"].as_str().unwrap_or(""), metadata["name"].as_str().unwrap_or(""))
}

/// A node with room for 4 cores, 8 GiB and 10 pods; `more` is merged into it.
pub(crate) fn node(name: &str, more: Value) -> Value {
    let room = json!({"cpu": "4", "memory": "8Gi", "pods": "10", "ephemeral-storage": "100Gi"});
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {},
        "status": {"allocatable": room},
    });
    merge(&mut node, more);
    node
}

/// A pod of namespace `d` that asks for one core; `spec` is merged into its specification.
pub(crate) fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({
        "metadata": {"namespace": "d", "name": name, "uid": format!("uid-{name}"), "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]},
        "status": {"phase": "Pending"},
    });
    merge(&mut pod, json!({"spec": spec}));
    pod
}

/// Merges objects; lists and values are replaced.
pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
