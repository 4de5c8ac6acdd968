//! What pods ask for and nodes offer.

use serde_json::Value;
use trireme_schema::Quantity;
use trireme_schema::view::View;

use crate::names::{Names, Sym};

/// CPU that a container without a request counts with when nodes are scored: 0.1 core, in thousandths.
const DEFAULT_CPU_MILLI: i64 = 100;
/// Memory that a container without a request counts with when nodes are scored, in bytes.
const DEFAULT_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// Amounts of resources. CPU in thousandths of a core, the rest in whole units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) cpu: i64,
    pub(crate) memory: i64,
    pub(crate) ephemeral: i64,
    /// Extended resources, huge pages, attachable volumes; sorted, none is zero.
    pub(crate) scalars: Vec<(Sym, i64)>,
}

impl Resources {
    /// From a map of quantities; what is no quantity counts as nothing (the API lets none pass).
    pub(crate) fn read(names: &mut Names, map: &Value) -> Self {
        let mut read = Self::default();
        for (name, value) in map.as_object().into_iter().flatten() {
            let amount = quantity(value);
            match name.as_str() {
                "cpu" => read.cpu = amount.milli_value(),
                "memory" => read.memory = amount.value(),
                "ephemeral-storage" => read.ephemeral = amount.value(),
                "pods" => {}
                other => read.scalars.push((names.of(other), amount.value())),
            }
        }
        read.scalars.retain(|(_, amount)| *amount != 0);
        read.scalars.sort_unstable();
        read
    }

    /// The amount of a scalar.
    pub(crate) fn scalar(&self, name: Sym) -> i64 {
        self.scalars.iter().find(|(own, _)| *own == name).map_or(0, |(_, amount)| *amount)
    }

    /// Adds `other` `times` times, which may be negative.
    pub(crate) fn add(&mut self, other: &Self, times: i64) {
        self.cpu = self.cpu.saturating_add(other.cpu.saturating_mul(times));
        self.memory = self.memory.saturating_add(other.memory.saturating_mul(times));
        self.ephemeral = self.ephemeral.saturating_add(other.ephemeral.saturating_mul(times));
        for (name, amount) in &other.scalars {
            self.scalar_mut(*name, |own| own.saturating_add(amount.saturating_mul(times)));
        }
    }

    /// Raises each amount to that of `other`.
    fn raise(&mut self, other: &Self) {
        self.cpu = self.cpu.max(other.cpu);
        self.memory = self.memory.max(other.memory);
        self.ephemeral = self.ephemeral.max(other.ephemeral);
        for (name, amount) in &other.scalars {
            self.scalar_mut(*name, |own| own.max(*amount));
        }
    }

    fn scalar_mut(&mut self, name: Sym, change: impl FnOnce(i64) -> i64) {
        match self.scalars.binary_search_by_key(&name, |(own, _)| *own) {
            Ok(at) => {
                self.scalars[at].1 = change(self.scalars[at].1);
                if self.scalars[at].1 == 0 {
                    self.scalars.remove(at);
                }
            }
            Err(at) => {
                let amount = change(0);
                if amount != 0 {
                    self.scalars.insert(at, (name, amount));
                }
            }
        }
    }

    /// Asks for nothing.
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// What a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// What the node must have free.
    pub(crate) all: Resources,
    /// CPU and memory as scores count them: containers without requests count with a default.
    pub(crate) scored: (i64, i64),
}

/// Reads a quantity; zero when it is none.
pub(crate) fn quantity(value: &Value) -> Quantity {
    match value {
        Value::String(text) => text.parse().unwrap_or(Quantity::ZERO),
        Value::Number(number) => number.to_string().parse().unwrap_or(Quantity::ZERO),
        _ => Quantity::ZERO,
    }
}

/// The requests of a pod: its containers together, or the largest step of its initialisation, whichever is more per
/// resource (containers that start first and go on running count with both); then what the pod as a whole asks for
/// (KEP-2837), then its overhead (KEP-688). A container that is being resized counts with the most of what is asked,
/// allocated and in use (KEP-1287).
pub(crate) fn read_requests(names: &mut Names, pod: &Value) -> Requests {
    let (spec, status) = (pod.at("spec"), pod.at("status"));
    let resize = Resize::read(status);
    let mut one = |container: &Value, statuses: &str| {
        let all = resize.container(names, container, status.list(statuses));
        let mut scored = all.clone();
        if !container.below(&["resources", "requests"]).has("cpu") {
            scored.cpu = scored.cpu.max(DEFAULT_CPU_MILLI);
        }
        if !container.below(&["resources", "requests"]).has("memory") {
            scored.memory = scored.memory.max(DEFAULT_MEMORY_BYTES);
        }
        (all, scored)
    };
    let (mut all, mut scored) = (Resources::default(), Resources::default());
    for container in spec.list("containers") {
        let (own, own_scored) = one(container, "containerStatuses");
        all.add(&own, 1);
        scored.add(&own_scored, 1);
    }
    let (mut stays, mut stays_scored) = (Resources::default(), Resources::default());
    let (mut most, mut most_scored) = (Resources::default(), Resources::default());
    for container in spec.list("initContainers") {
        let (own, own_scored) = one(container, "initContainerStatuses");
        let (mut step, mut step_scored) = (stays.clone(), stays_scored.clone());
        step.add(&own, 1);
        step_scored.add(&own_scored, 1);
        if container.text("restartPolicy") == "Always" {
            all.add(&own, 1);
            scored.add(&own_scored, 1);
            (stays, stays_scored) = (step.clone(), step_scored.clone());
        }
        most.raise(&step);
        most_scored.raise(&step_scored);
    }
    all.raise(&most);
    scored.raise(&most_scored);
    let whole = spec.below(&["resources", "requests"]);
    if whole.is_object() {
        pod_level(names, whole, &mut all);
        pod_level(names, whole, &mut scored);
    }
    let overhead = Resources::read(names, spec.at("overhead"));
    all.add(&overhead, 1);
    scored.add(&overhead, 1);
    Requests { all, scored: (scored.cpu, scored.memory) }
}

/// The resources that a pod may ask for as a whole replace the sum of its containers'.
fn pod_level(names: &mut Names, whole: &Value, sum: &mut Resources) {
    let asked = Resources::read(names, whole);
    if whole.has("cpu") {
        sum.cpu = asked.cpu;
    }
    if whole.has("memory") {
        sum.memory = asked.memory;
    }
    for (name, amount) in asked.scalars {
        if names.text(name).starts_with("hugepages-") {
            sum.scalar_mut(name, |_| amount);
        }
    }
}

/// Whether a resize was found impossible: then what is asked for does not count.
struct Resize {
    infeasible: bool,
}

impl Resize {
    fn read(status: &Value) -> Self {
        let infeasible = status.list("conditions").iter().any(|condition| {
            condition.text("type") == "PodResizePending" && condition.text("reason") == "Infeasible"
        });
        Self { infeasible }
    }

    fn container(&self, names: &mut Names, container: &Value, statuses: &[Value]) -> Resources {
        let asked = container.below(&["resources", "requests"]);
        let status = statuses.iter().find(|status| status.text("name") == container.text("name"));
        let Some(status) = status else { return Resources::read(names, asked) };
        let mut held = Resources::read(names, status.below(&["resources", "requests"]));
        held.raise(&Resources::read(names, status.at("allocatedResources")));
        if held.is_zero() || !self.infeasible {
            held.raise(&Resources::read(names, asked));
        }
        held
    }
}
