//! Upstream's `scheduler_perf` workloads on 5,000 nodes: the core alone, from the creation of the pods to the
//! confirmation of their bindings, reading each object included.
//!
//! `cargo bench -p trireme-scheduler` runs all; names as arguments choose; `--check` fails below the floors.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use trireme_core::{Core, Tick};
use trireme_scheduler::{Effect, Input, Scheduler, SchedulerConfig, Watched};

const NODES: usize = 5_000;

/// Drives a scheduler as its shell does.
struct Driver {
    scheduler: Scheduler,
    started: Instant,
    /// Objects of pods that are not bound, by name.
    pods: std::collections::BTreeMap<String, Arc<Value>>,
    bound: usize,
    evicted: usize,
    patches: usize,
}

impl Driver {
    fn new() -> Self {
        let scheduler =
            Scheduler::new(&SchedulerConfig::default(), 1).expect("the default configuration is valid");
        let started = Instant::now();
        Self { scheduler, started, pods: Default::default(), bound: 0, evicted: 0, patches: 0 }
    }

    fn now(&self) -> Tick {
        Tick::from_nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn put(&mut self, resource: Watched, object: Arc<Value>) {
        let mut out = Vec::new();
        self.scheduler.step(self.now(), Input::Put { resource, object }, &mut out);
        assert!(out.is_empty());
    }

    fn create(&mut self, pod: &Arc<Value>) {
        let name = format!("{}/{}", text(pod, "namespace"), text(pod, "name"));
        self.pods.insert(name, pod.clone());
        self.put(Watched::Pods, pod.clone());
    }

    /// Until nothing is due now.
    fn run(&mut self) {
        let mut out = Vec::new();
        while self.scheduler.deadline().is_some_and(|due| due <= self.now()) {
            self.scheduler.expire(self.now(), &mut out);
            let mut effects: VecDeque<Effect> = out.drain(..).collect();
            while let Some(effect) = effects.pop_front() {
                self.carry_out(effect, &mut out);
                effects.extend(out.drain(..));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, out: &mut Vec<Effect>) {
        let now = self.now();
        match effect {
            Effect::Bind { op, pod, node } => {
                self.bound += 1;
                let key = format!("{}/{}", pod.namespace, pod.name);
                let object = self.pods.remove(&key).expect("a pod that was created is bound");
                let mut object = (*object).clone();
                object["spec"]["nodeName"] = json!(&*node);
                let put = Input::Put { resource: Watched::Pods, object: Arc::new(object) };
                self.scheduler.step(now, put, out);
                self.scheduler.step(now, Input::Bound { op, outcome: Ok(()) }, out);
            }
            Effect::Evict { op, pod, .. } => {
                self.evicted += 1;
                let (namespace, name) = (pod.namespace.to_string(), pod.name.to_string());
                self.scheduler.step(now, Input::Gone { resource: Watched::Pods, namespace, name }, out);
                self.scheduler.step(now, Input::Evicted { op, failed: false }, out);
            }
            Effect::Patch { .. } => self.patches += 1,
            Effect::Record { .. } => {}
            Effect::Extend { .. } => unreachable!("no extender is set up"),
        }
    }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or("")
}

fn node(at: usize, zone: &str) -> Arc<Value> {
    let name = format!("node-{at:05}");
    let mut labels = json!({"kubernetes.io/hostname": name});
    if !zone.is_empty() {
        labels["topology.kubernetes.io/zone"] = json!(zone);
    }
    let room = json!({"pods": "110", "cpu": "4", "memory": "32Gi"});
    Arc::new(json!({
        "metadata": {"name": name, "labels": labels}, "spec": {},
        "status": {"capacity": room, "allocatable": room},
    }))
}

fn pod(namespace: &str, at: usize, labels: Value, more: Value) -> Arc<Value> {
    let name = format!("pod-{at:06}");
    let mut spec = json!({
        "schedulerName": "default-scheduler",
        "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10",
            "ports": [{"containerPort": 80}],
            "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}}}],
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    Arc::new(json!({
        "metadata": {"namespace": namespace, "name": name, "uid": format!("{namespace}-{at}"), "labels": labels},
        "spec": spec, "status": {"phase": "Pending"},
    }))
}

fn plain(namespace: &str, from: usize, count: usize) -> Vec<Arc<Value>> {
    (from..from + count).map(|at| pod(namespace, at, json!({}), json!({}))).collect()
}

fn cluster(driver: &mut Driver, zones: &[&str]) {
    for at in 0..NODES {
        let zone = zones.get(at % zones.len().max(1)).copied().unwrap_or("");
        driver.put(Watched::Nodes, node(at, zone));
    }
    driver.scheduler.step(Tick::ZERO, Input::Synced, &mut Vec::new());
}

fn namespaces(driver: &mut Driver, names: &[String], labels: &Value) {
    for name in names {
        let object = json!({"metadata": {"name": name, "labels": labels}});
        driver.put(Watched::Namespaces, Arc::new(object));
    }
}

/// Creates and binds `first` beforehand, then times `measured`. Pods per second.
fn measure(driver: &mut Driver, first: &[Arc<Value>], measured: &[Arc<Value>]) -> f64 {
    first.iter().for_each(|pod| driver.create(pod));
    driver.run();
    let before = driver.bound;
    let started = Instant::now();
    measured.iter().for_each(|pod| driver.create(pod));
    driver.run();
    let took = started.elapsed().as_secs_f64();
    let bound = driver.bound - before;
    assert!(bound >= measured.len(), "{bound} of {} pods were bound", measured.len());
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    return bound as f64 / took;
}

fn basic() -> f64 {
    let mut driver = Driver::new();
    cluster(&mut driver, &[]);
    measure(&mut driver, &plain("a", 0, 1_000), &plain("b", 0, 10_000))
}

fn affinity() -> f64 {
    let mut driver = Driver::new();
    cluster(&mut driver, &["zone1"]);
    let spec = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "labelSelector": {"matchLabels": {"color": "blue"}},
        "topologyKey": "topology.kubernetes.io/zone", "namespaces": ["sched-1", "sched-0"]}]}}});
    let pods = |namespace: &str| -> Vec<_> {
        (0..5_000).map(|at| pod(namespace, at, json!({"color": "blue"}), spec.clone())).collect()
    };
    measure(&mut driver, &pods("sched-0"), &pods("sched-1"))
}

fn preferred_affinity() -> f64 {
    let mut driver = Driver::new();
    cluster(&mut driver, &[]);
    let spec = json!({"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1,
        "podAffinityTerm": {"labelSelector": {"matchLabels": {"color": "red"}},
        "topologyKey": "kubernetes.io/hostname", "namespaces": ["sched-1", "sched-0"]}}]}}});
    let pods = |namespace: &str| -> Vec<_> {
        (0..5_000).map(|at| pod(namespace, at, json!({"color": "red"}), spec.clone())).collect()
    };
    measure(&mut driver, &pods("sched-0"), &pods("sched-1"))
}

fn anti_affinity() -> f64 {
    let mut driver = Driver::new();
    cluster(&mut driver, &[]);
    let team = json!({"team": "devops"});
    let names: Vec<String> =
        (0..100).map(|at| format!("init-ns-{at}")).chain(["measure-ns-0".to_owned()]).collect();
    namespaces(&mut driver, &names, &team);
    let spec = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "labelSelector": {"matchLabels": {"color": "green"}}, "topologyKey": "kubernetes.io/hostname",
        "namespaceSelector": {"matchLabels": team}}]}}});
    let pods = |namespace: &str, count: usize| -> Vec<_> {
        (0..count).map(|at| pod(namespace, at, json!({"color": "green"}), spec.clone())).collect()
    };
    let first: Vec<_> = names[..100].iter().flat_map(|name| pods(name, 40)).collect();
    measure(&mut driver, &first, &pods("measure-ns-0", 1_000))
}

fn spread(policy: &str) -> f64 {
    let mut driver = Driver::new();
    cluster(&mut driver, &["moon-1", "moon-2", "moon-3"]);
    let spec = json!({"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": policy, "labelSelector": {"matchLabels": {"color": "blue"}}}]});
    let pods: Vec<_> = (0..5_000).map(|at| pod("b", at, json!({"color": "blue"}), spec.clone())).collect();
    measure(&mut driver, &plain("a", 0, 5_000), &pods)
}

fn preemption() -> f64 {
    let mut driver = Driver::new();
    cluster(&mut driver, &[]);
    let room = |cpu: &str, priority: i64| {
        json!({"priority": priority, "containers": [{"name": "pause", "image": "pause",
            "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}}}]})
    };
    let low: Vec<_> = (0..20_000).map(|at| pod("a", at, json!({}), room("900m", 0))).collect();
    let high: Vec<_> = (0..1_000).map(|at| pod("b", at, json!({}), room("3000m", 10))).collect();
    low.iter().for_each(|pod| driver.create(pod));
    driver.run();
    assert_eq!(driver.bound, 20_000);
    let started = Instant::now();
    high.iter().for_each(|pod| driver.create(pod));
    while driver.bound < 21_000 {
        assert!(started.elapsed().as_secs() < 300, "{} high pods were bound", driver.bound - 20_000);
        driver.run();
        // Refused pods pause for a second; the clock of the measurement jumps over it.
        let pause = driver
            .scheduler
            .deadline()
            .map_or(0, |due| due.as_nanos().saturating_sub(driver.now().as_nanos()));
        driver.started -= std::time::Duration::from_nanos(pause);
    }
    1_000.0 / started.elapsed().as_secs_f64()
}

fn churn() -> f64 {
    let mut driver = Driver::new();
    cluster(&mut driver, &[]);
    let measured = plain("b", 0, 10_000);
    let started = Instant::now();
    for (turn, chunk) in measured.chunks(100).enumerate() {
        // A node, a pod that fits nowhere, and a service come and go.
        let (namespace, name) = (String::new(), format!("node-{:05}", NODES + turn));
        driver.put(Watched::Nodes, node(NODES + turn, ""));
        let large = json!({"priority": 10, "containers": [{"name": "pause", "image": "pause",
            "resources": {"requests": {"cpu": "9"}}}]});
        driver.create(&pod("churn", turn, json!({}), large));
        let service =
            json!({"metadata": {"namespace": "churn", "name": "s"}, "spec": {"selector": {"foo": "bar"}}});
        driver.put(Watched::Services, Arc::new(service));
        chunk.iter().for_each(|pod| driver.create(pod));
        driver.run();
        let gone = Input::Gone { resource: Watched::Nodes, namespace, name };
        driver.scheduler.step(driver.now(), gone, &mut Vec::new());
        let (namespace, name) = ("churn".to_owned(), format!("pod-{turn:06}"));
        let gone = Input::Gone { resource: Watched::Pods, namespace, name };
        driver.scheduler.step(driver.now(), gone, &mut Vec::new());
    }
    assert_eq!(driver.bound, 10_000);
    10_000.0 / started.elapsed().as_secs_f64()
}

fn gated() -> f64 {
    let mut driver = Driver::new();
    cluster(&mut driver, &[]);
    let gates = json!({"schedulingGates": [{"name": "test.k8s.io/hold"}]});
    for at in 0..10_000 {
        driver.create(&pod("gated", at, json!({}), gates.clone()));
    }
    measure(&mut driver, &[], &plain("b", 0, 10_000))
}

fn daemonset() -> f64 {
    let mut driver = Driver::new();
    cluster(&mut driver, &[]);
    let pods: Vec<_> = (0..2 * NODES)
        .map(|at| {
            let name = format!("node-{:05}", at % NODES);
            let terms =
                json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]);
            let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": terms}}});
            pod("b", at, json!({}), json!({"affinity": affinity}))
        })
        .collect();
    measure(&mut driver, &[], &pods)
}

/// Name, floor in pods per second, workload.
type Row = (&'static str, f64, fn() -> f64);

const ROWS: [Row; 10] = [
    ("basic", 10_000.0, basic),
    ("pod-affinity", 3_000.0, affinity),
    ("preferred-pod-affinity", 0.0, preferred_affinity),
    ("anti-affinity-ns-selector", 3_000.0, anti_affinity),
    ("topology-spread", 5_000.0, || spread("DoNotSchedule")),
    ("preferred-topology-spread", 5_000.0, || spread("ScheduleAnyway")),
    ("preemption", 0.0, preemption),
    ("mixed-churn", 0.0, churn),
    ("gated", 0.0, gated),
    ("daemonset", 0.0, daemonset),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let check = wanted.iter().any(|argument| argument == "--check");
    let wanted: Vec<&String> = wanted.iter().filter(|argument| !argument.starts_with("--")).collect();
    let mut low = Vec::new();
    for (name, floor, run) in ROWS {
        if !wanted.is_empty() && !wanted.iter().any(|one| *one == name) {
            continue;
        }
        let rate = run();
        writeln!(std::io::stdout(), "{name:28} {rate:10.0} pods/s   floor {floor:7.0}")
            .expect("the report can be written");
        if rate < floor {
            low.push(name);
        }
    }
    assert!(!check || low.is_empty(), "below the floor: {low:?}");
}
