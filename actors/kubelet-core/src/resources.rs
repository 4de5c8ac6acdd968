//! Amounts: what pods ask for, and the cgroup values that follow from it.

use std::collections::BTreeMap;

use serde_json::Value;
use trireme_node::Resources;
use trireme_schema::view::View;

use crate::pod::{self, ContainerKind, qos_class, read_quantity};

/// Period of CPU quotas, microseconds.
const QUOTA_PERIOD_US: u64 = 100_000;
/// Shares of 1 CPU.
const SHARES_PER_CPU: i64 = 1_024;
/// Least shares the kernel takes.
const SHARES_MIN: i64 = 2;
/// Most shares the kernel takes.
const SHARES_MAX: i64 = 262_144;
/// Least quota the kernel takes, microseconds.
const QUOTA_MIN_US: i64 = 1_000;

/// What a pod asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a CPU.
    pub cpu_milli: i64,
    /// Bytes.
    pub memory_bytes: i64,
    /// Bytes.
    pub ephemeral_bytes: i64,
}

impl Amounts {
    fn of(amounts: &Value) -> Self {
        let whole = |name: &str| read_quantity(amounts.at(name)).map_or(0, |amount| amount.value());
        Self {
            cpu_milli: pod::quantity(amounts, "cpu").unwrap_or(0),
            memory_bytes: whole("memory"),
            ephemeral_bytes: whole("ephemeral-storage"),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            ephemeral_bytes: self.ephemeral_bytes.saturating_add(other.ephemeral_bytes),
        }
    }

    fn or_more(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            ephemeral_bytes: self.ephemeral_bytes.max(other.ephemeral_bytes),
        }
    }
}

/// Requests of the whole pod: regular containers and sidecars together, or the largest moment of initialisation; and
/// the pod's overhead.
pub fn pod_requests(pod: &Value) -> Amounts {
    pod_amounts(pod, "requests")
}

/// Limits of the whole pod, counted alike.
pub fn pod_limits(pod: &Value) -> Amounts {
    pod_amounts(pod, "limits")
}

fn pod_amounts(pod: &Value, list: &str) -> Amounts {
    let (mut regular, mut sidecars, mut init) = (Amounts::default(), Amounts::default(), Amounts::default());
    for container in pod::containers(pod) {
        let own = Amounts::of(container.spec.at("resources").at(list));
        match container.kind {
            ContainerKind::Regular => regular = regular.plus(own),
            ContainerKind::Sidecar => {
                sidecars = sidecars.plus(own);
                init = init.or_more(sidecars);
            }
            ContainerKind::Init => init = init.or_more(sidecars.plus(own)),
            ContainerKind::Ephemeral => {}
        }
    }
    let mut all = regular.plus(sidecars).or_more(init);
    let stated = pod.at("spec").at("resources").at(list);
    if stated.has("cpu") {
        all.cpu_milli = pod::quantity(stated, "cpu").unwrap_or(0);
    }
    if stated.has("memory") {
        all.memory_bytes = Amounts::of(stated).memory_bytes;
    }
    all.plus(Amounts::of(pod.at("spec").at("overhead")))
}

/// Shares for a CPU request.
pub fn shares(cpu_milli: i64) -> u64 {
    let shares = (cpu_milli.saturating_mul(SHARES_PER_CPU) / 1_000).clamp(SHARES_MIN, SHARES_MAX);
    u64::try_from(shares).expect("clamped to a positive range in the line above")
}

/// Quota in microseconds per period for a CPU limit; `None` for no limit.
pub fn quota(cpu_milli: i64) -> Option<i64> {
    let period = i64::try_from(QUOTA_PERIOD_US).expect("a constant that fits");
    (cpu_milli > 0).then(|| (cpu_milli.saturating_mul(period) / 1_000).max(QUOTA_MIN_US))
}

/// The adjustment of a container by the pod's class of service, as upstream's `GetContainerOOMScoreAdjust`.
pub fn oom_score_adj(pod: &Value, container: &Value, node_memory_bytes: i64) -> i32 {
    let critical = pod.at("spec").int("priority").is_some_and(|priority| priority >= 2_000_000_000);
    if critical || qos_class(pod) == "Guaranteed" {
        return -997;
    }
    if qos_class(pod) == "BestEffort" {
        return 1000;
    }
    let request = Amounts::of(container.at("resources").at("requests")).memory_bytes;
    let adjusted = 1000 - 1000 * i128::from(request) / i128::from(node_memory_bytes.max(1));
    let name = container.text("name");
    let sidecar = pod::container(pod, name).is_some_and(|own| own.kind == ContainerKind::Sidecar);
    let mut adjusted = i32::try_from(adjusted).unwrap_or(2).clamp(3, 999);
    if sidecar {
        let least = pod.at("spec").list("containers").iter().map(|own| {
            let request = Amounts::of(own.at("resources").at("requests")).memory_bytes;
            1000 - 1000 * i128::from(request) / i128::from(node_memory_bytes.max(1))
        });
        let least = least.min().and_then(|least| i32::try_from(least).ok()).unwrap_or(999);
        adjusted = adjusted.min(least.clamp(3, 999));
    }
    adjusted
}

/// Limits of one container.
pub fn container_resources(pod: &Value, container: &Value, node_memory_bytes: i64) -> Resources {
    let resources = container.at("resources");
    let (requests, limits) = (resources.at("requests"), resources.at("limits"));
    let limit_cpu = pod::quantity(limits, "cpu");
    let request_cpu = pod::quantity(requests, "cpu").or(limit_cpu).unwrap_or(0);
    let memory = Amounts::of(limits).memory_bytes;
    let hugepages = limits.as_object().into_iter().flatten().filter_map(|(name, amount)| {
        let size = name.strip_prefix("hugepages-")?;
        let amount = u64::try_from(read_quantity(amount)?.value()).ok()?;
        Some((format!("{}B", size.trim_end_matches('i')), amount))
    });
    Resources {
        cpu_shares: Some(shares(request_cpu)),
        cpu_quota: limit_cpu.and_then(quota),
        cpu_period: limit_cpu.and_then(quota).map(|_| QUOTA_PERIOD_US),
        memory_limit: (memory > 0).then_some(memory),
        oom_score_adj: Some(oom_score_adj(pod, container, node_memory_bytes)),
        hugepages: hugepages.collect::<BTreeMap<_, _>>(),
        ..Resources::default()
    }
}

/// Limits of the whole pod: a CPU or memory limit holds only where every container has one.
pub fn pod_resources(pod: &Value, pids_limit: Option<i64>) -> Resources {
    let requests = pod_requests(pod);
    let limits = pod_limits(pod);
    let all_limited = |name: &str| {
        pod.at("spec").at("resources").at("limits").has(name)
            || pod::containers(pod)
                .iter()
                .filter(|container| container.kind != ContainerKind::Ephemeral)
                .all(|container| container.spec.at("resources").at("limits").has(name))
    };
    let cpu = Some(limits.cpu_milli).filter(|_| all_limited("cpu")).and_then(quota);
    let request = if requests.cpu_milli == 0 { limits.cpu_milli } else { requests.cpu_milli };
    Resources {
        cpu_shares: Some(shares(if qos_class(pod) == "BestEffort" { 0 } else { request })),
        cpu_quota: cpu,
        cpu_period: cpu.map(|_| QUOTA_PERIOD_US),
        memory_limit: Some(limits.memory_bytes).filter(|bytes| *bytes > 0 && all_limited("memory")),
        pids_limit,
        ..Resources::default()
    }
}

/// The pod's cgroup below the runtime's root.
pub fn cgroup_parent(pod: &Value) -> String {
    let class = match qos_class(pod) {
        "Guaranteed" => "kubepods".to_owned(),
        class => format!("kubepods/{}", class.to_lowercase()),
    };
    format!("{class}/pod{}", pod::uid(pod))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_become_cgroup_values() {
        let pod = json!({"metadata": {"uid": "u"}, "spec": {"containers": [{"name": "a", "resources": {
            "requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}}]}});
        let container = &pod["spec"]["containers"][0];
        let own = container_resources(&pod, container, 1 << 30);
        assert_eq!((own.cpu_shares, own.cpu_quota, own.cpu_period), (Some(256), Some(50_000), Some(100_000)));
        assert_eq!((own.memory_limit, own.oom_score_adj), (Some(128 << 20), Some(938)));
        assert_eq!(cgroup_parent(&pod), "kubepods/burstable/podu");
        let whole = pod_resources(&pod, None);
        assert_eq!((whole.cpu_shares, whole.memory_limit), (Some(256), Some(128 << 20)));
    }

    #[test]
    fn initialisation_counts_at_its_largest_moment() {
        let container =
            |name: &str, cpu: &str| json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = container("side", "100m");
        sidecar["restartPolicy"] = json!("Always");
        let pod = json!({"spec": {"initContainers": [sidecar, container("init", "2")],
            "containers": [container("a", "500m")], "overhead": {"cpu": "50m"}}});
        assert_eq!(pod_requests(&pod).cpu_milli, 2_150);
    }
}
