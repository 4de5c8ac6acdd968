//! Eviction: which resource is short, and which pod goes.

use serde_json::Value;
use trireme_schema::quantity::Quantity;
use trireme_schema::view::View;

use crate::pod;
use crate::resources::pod_requests;

/// What a node can run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// `memory.available`
    Memory,
    /// `nodefs.available`
    NodeDisk,
    /// `nodefs.inodesFree`
    NodeInodes,
    /// `imagefs.available`
    ImageDisk,
    /// `pid.available`
    Pids,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Memory, Self::NodeDisk, Self::NodeInodes, Self::ImageDisk, Self::Pids];

    /// Its name in thresholds and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory.available",
            Self::NodeDisk => "nodefs.available",
            Self::NodeInodes => "nodefs.inodesFree",
            Self::ImageDisk => "imagefs.available",
            Self::Pids => "pid.available",
        }
    }

    /// The node condition that tells of it.
    pub fn condition(self) -> &'static str {
        match self {
            Self::Memory => "MemoryPressure",
            Self::NodeDisk | Self::NodeInodes | Self::ImageDisk => "DiskPressure",
            Self::Pids => "PIDPressure",
        }
    }

    /// The resource as messages name it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::NodeDisk | Self::ImageDisk => "ephemeral-storage",
            Self::NodeInodes => "inodes",
            Self::Pids => "pids",
        }
    }
}

/// A bound below which pods are evicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Bytes, inodes or processes.
    Amount(u64),
    /// A part of the capacity, such as 0.1.
    Part(f64),
}

impl Bound {
    /// The bound for a capacity.
    pub fn of(self, capacity: u64) -> u64 {
        match self {
            Self::Amount(amount) => amount,
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            Self::Part(part) => (capacity as f64 * part.clamp(0.0, 1.0)) as u64,
        }
    }
}

/// Reads thresholds as upstream's `--eviction-hard` has them: `memory.available<100Mi,nodefs.available<10%`.
///
/// # Errors
/// Names the part that makes no sense.
pub fn read_thresholds(text: &str) -> Result<Vec<(Signal, Bound)>, String> {
    let one = |part: &str| {
        let (name, bound) = part.split_once('<').ok_or_else(|| format!("{part:?} is not SIGNAL<BOUND"))?;
        let signal = Signal::ALL.into_iter().find(|signal| signal.name() == name);
        let signal = signal.ok_or_else(|| {
            let known: Vec<&str> = Signal::ALL.iter().map(|signal| signal.name()).collect();
            format!("{name:?} is no signal; there are {}", known.join(", "))
        })?;
        let part_of_it = bound.strip_suffix('%').map(|percent| percent.parse::<f64>().ok());
        let bound = match part_of_it {
            Some(percent) => percent.filter(|p| (0.0..100.0).contains(p)).map(|p| Bound::Part(p / 100.0)),
            None => {
                let amount =
                    bound.parse::<Quantity>().ok().and_then(|amount| u64::try_from(amount.value()).ok());
                amount.map(Bound::Amount)
            }
        };
        bound
            .map(|bound| (signal, bound))
            .ok_or_else(|| format!("{part:?}: the bound is no quantity and no percentage"))
    };
    text.split(',').filter(|part| !part.is_empty()).map(one).collect()
}

/// Upstream's hard thresholds.
pub const DEFAULT_THRESHOLDS: [(Signal, Bound); 4] = [
    (Signal::Memory, Bound::Amount(100 << 20)),
    (Signal::NodeDisk, Bound::Part(0.10)),
    (Signal::NodeInodes, Bound::Part(0.05)),
    (Signal::ImageDisk, Bound::Part(0.15)),
];

/// How much of something there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Of what.
    pub signal: Signal,
    /// Left.
    pub available: u64,
    /// Altogether.
    pub capacity: u64,
}

/// Readings below their thresholds, worst kind first (memory before disk).
pub fn short(readings: &[Reading], thresholds: &[(Signal, Bound)]) -> Vec<Reading> {
    let below = |reading: &&Reading| {
        let bounds = thresholds.iter().filter(|(signal, _)| *signal == reading.signal);
        bounds.into_iter().any(|(_, bound)| reading.available < bound.of(reading.capacity))
    };
    let mut short: Vec<_> = readings.iter().filter(below).copied().collect();
    short.sort_by_key(|reading| reading.signal);
    short
}

/// What a pod uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodUse {
    /// Working set, bytes.
    pub memory_bytes: u64,
    /// Writable layers, logs and emptyDirs, bytes.
    pub disk_bytes: u64,
    /// Processes.
    pub pids: u64,
}

/// The pods in the order in which they go: those above their request first, then by priority, then by how far above.
pub fn rank<'a>(signal: Signal, pods: &[(&'a Value, PodUse)]) -> Vec<&'a Value> {
    let key = |pod: &Value, used: &PodUse| {
        let requests = pod_requests(pod);
        let (used, request) = match signal {
            Signal::Memory => (used.memory_bytes, requests.memory_bytes),
            Signal::NodeDisk | Signal::NodeInodes | Signal::ImageDisk => {
                (used.disk_bytes, requests.ephemeral_bytes)
            }
            Signal::Pids => (used.pids, 0),
        };
        let over = i128::from(used) - i128::from(request);
        let priority = pod.at("spec").int("priority").unwrap_or(0);
        (over <= 0, priority, -over, pod::uid(pod).to_owned())
    };
    let mut ranked: Vec<_> =
        pods.iter().filter(|(pod, _)| is_evictable(pod)).map(|(pod, used)| (key(pod, used), *pod)).collect();
    ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
    ranked.into_iter().map(|(_, pod)| pod).collect()
}

/// Critical and static pods stay.
pub fn is_evictable(pod: &Value) -> bool {
    let critical = pod.at("spec").int("priority").is_some_and(|priority| priority >= 2_000_000_000);
    !critical && !pod::is_static(pod)
}

/// The message of an evicted pod.
pub fn message(reading: &Reading, threshold: u64, pod: &Value, used: &PodUse) -> String {
    let resource = reading.signal.resource();
    let mut text = format!(
        "The node was low on resource: {resource}. Threshold quantity: {threshold}, available: {}. ",
        quantity(reading.signal, reading.available)
    );
    if reading.signal == Signal::Memory {
        let request = pod_requests(pod).memory_bytes;
        let used_text = quantity(reading.signal, used.memory_bytes);
        let request_text = quantity(reading.signal, u64::try_from(request).unwrap_or(0));
        let above = i128::from(used.memory_bytes) > i128::from(request);
        if above {
            let name = pod::containers(pod).first().map(|own| own.name().to_owned()).unwrap_or_default();
            text.push_str(&format!(
                "Container {name} was using {used_text}, request is {request_text}, has larger consumption of {resource}. "
            ));
        }
    }
    text
}

fn quantity(signal: Signal, amount: u64) -> String {
    match signal {
        Signal::Memory | Signal::NodeDisk | Signal::ImageDisk => format!("{}Ki", amount / 1024),
        _ => amount.to_string(),
    }
}

/// What local storage a pod or container uses beyond its limits: the eviction's message.
pub fn over_local_limit(
    pod: &Value,
    empty_dirs: &[(String, u64)],
    containers: &[(String, u64)],
) -> Option<String> {
    for (name, used) in empty_dirs {
        let volume = pod.at("spec").list("volumes").iter().find(|volume| volume.text("name") == name)?;
        let limit = pod::read_quantity(volume.at("emptyDir").at("sizeLimit"));
        if let Some(limit) =
            limit.filter(|limit| i128::from(*used) > i128::from(limit.value()) && !limit.is_zero())
        {
            return Some(format!(
                "Usage of EmptyDir volume {name:?} exceeds the limit {:?}. ",
                limit.canonical()
            ));
        }
    }
    let total: u64 = empty_dirs.iter().chain(containers).map(|(_, used)| used).sum();
    let limits = pod::containers(pod)
        .into_iter()
        .filter_map(|own| pod::read_quantity(own.spec.at("resources").at("limits").at("ephemeral-storage")));
    let mut sum: Option<trireme_schema::Quantity> = None;
    for limit in limits {
        sum = Some(sum.map_or(limit, |sum| sum.plus(&limit)));
    }
    if let Some(limit) = sum.filter(|limit| i128::from(total) > i128::from(limit.value())) {
        return Some(format!(
            "Pod ephemeral local storage usage exceeds the total limit of containers {}. ",
            limit.canonical()
        ));
    }
    for (name, used) in containers {
        let own = pod::container(pod, name);
        let limit = own.and_then(|own| {
            pod::read_quantity(own.spec.at("resources").at("limits").at("ephemeral-storage"))
        });
        if let Some(limit) = limit.filter(|limit| i128::from(*used) > i128::from(limit.value())) {
            return Some(format!(
                "Container {name} exceeded its local ephemeral storage limit {:?}. ",
                limit.canonical()
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_above_their_request_go_first_then_by_priority() {
        let pod = |name: &str, priority: i64, request: &str| {
            json!({"metadata": {"uid": name}, "spec": {"priority": priority,
                "containers": [{"name": "c", "resources": {"requests": {"memory": request}}}]}})
        };
        let (modest, greedy, important) =
            (pod("modest", 0, "1Gi"), pod("greedy", 0, "1Mi"), pod("important", 9, "1Mi"));
        let used = PodUse { memory_bytes: 100 << 20, ..PodUse::default() };
        let ranked = rank(Signal::Memory, &[(&modest, used), (&important, used), (&greedy, used)]);
        let names: Vec<_> = ranked.iter().map(|pod| pod::uid(pod)).collect();
        assert_eq!(names, ["greedy", "important", "modest"]);
    }

    #[test]
    fn thresholds_are_amounts_or_parts() {
        let reading = |signal, available, capacity| Reading { signal, available, capacity };
        let readings = [
            reading(Signal::NodeDisk, 9, 100),
            reading(Signal::Memory, 50 << 20, 1 << 30),
            reading(Signal::ImageDisk, 20, 100),
        ];
        let short = short(&readings, &DEFAULT_THRESHOLDS);
        assert_eq!(
            short.iter().map(|own| own.signal).collect::<Vec<_>>(),
            [Signal::Memory, Signal::NodeDisk]
        );
    }

    #[test]
    fn thresholds_are_read() {
        let read = read_thresholds("memory.available<100Mi,nodefs.available<5%").unwrap();
        assert_eq!(read, [(Signal::Memory, Bound::Amount(100 << 20)), (Signal::NodeDisk, Bound::Part(0.05))]);
        assert_eq!(read_thresholds(""), Ok(Vec::new()));
        for wrong in ["memory", "ram<1", "memory.available<lots", "nodefs.available<200%"] {
            assert!(read_thresholds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn local_storage_limits() {
        let pod = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Ki"}}],
            "containers": [{"name": "c", "resources": {"limits": {"ephemeral-storage": "4Ki"}}}]}});
        assert_eq!(over_local_limit(&pod, &[("v".into(), 1000)], &[]), None);
        let over = over_local_limit(&pod, &[("v".into(), 2000)], &[]).unwrap();
        assert_eq!(over, "Usage of EmptyDir volume \"v\" exceeds the limit \"1Ki\". ");
        let over = over_local_limit(&pod, &[("v".into(), 1000)], &[("c".into(), 4000)]).unwrap();
        assert!(over.contains("exceeds the total limit of containers 4Ki"), "{over}");
    }
}
