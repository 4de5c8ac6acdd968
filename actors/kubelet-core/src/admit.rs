//! Whether this node takes a pod: upstream's checks, reasons and messages.

use serde_json::Value;
use thiserror::Error;
use trireme_schema::view::View;

use crate::pod::{self, ContainerKind};
use crate::resources::pod_requests;

/// Kernel parameters that only reach the pod's own namespaces.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Why the node does not take a pod: `status.reason` and `status.message`. Final: another pod must be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}: {message}")]
pub struct Rejection {
    /// `OutOfcpu`, `NodeAffinity`, ...
    pub reason: String,
    /// Text.
    pub message: String,
}

impl Rejection {
    fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }
}

/// What the node offers.
#[derive(Clone, Copy, Debug)]
pub struct AdmitNode<'a> {
    /// The Node object.
    pub node: &'a Value,
    /// Sysctls allowed beyond the safe ones: names, or prefixes ending in `*`.
    pub unsafe_sysctls: &'a [String],
    /// Conditions under pressure: pods of class BestEffort (memory) or all (disk, pids) are refused.
    pub pressure: &'a [&'static str],
}

/// Judges `pod` beside the pods that are on the node already (those that have not ended).
///
/// # Errors
/// [`Rejection`] with the first check that fails.
pub fn admit(pod: &Value, others: &[&Value], node: AdmitNode<'_>) -> Result<(), Rejection> {
    check_pressure(pod, node.pressure)?;
    check_sysctls(pod, node.unsafe_sysctls)?;
    check_apparmor(pod)?;
    check_resources(pod, others, node.node)?;
    check_affinity(pod, node.node)?;
    check_ports(pod, others)
}

fn check_pressure(pod: &Value, pressure: &[&str]) -> Result<(), Rejection> {
    let critical = pod.at("spec").int("priority").is_some_and(|priority| priority >= 2_000_000_000);
    if pressure.is_empty() || critical || pod::is_static(pod) {
        return Ok(());
    }
    let tolerated = pressure == ["MemoryPressure"]
        && (pod::qos_class(pod) != "BestEffort" || tolerates(pod, "node.kubernetes.io/memory-pressure"));
    if tolerated {
        return Ok(());
    }
    let message = format!("The node had condition: [{}]. ", pressure.join(" "));
    Err(Rejection::new("Evicted", message))
}

fn tolerates(pod: &Value, key: &str) -> bool {
    pod.at("spec").list("tolerations").iter().any(|toleration| {
        let fits = matches!(toleration.text("effect"), "" | "NoSchedule");
        fits && (toleration.text("key") == key
            || (toleration.text("key").is_empty() && toleration.text("operator") == "Exists"))
    })
}

fn check_sysctls(pod: &Value, allowed: &[String]) -> Result<(), Rejection> {
    for sysctl in pod.at("spec").at("securityContext").list("sysctls") {
        let name = sysctl.text("name").replace('/', ".");
        let listed = SAFE_SYSCTLS.contains(&name.as_str())
            || allowed.iter().any(|own| match own.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => *own == name,
            });
        if !listed {
            let message = format!("forbidden sysctl: {:?} not allowlisted", sysctl.text("name"));
            return Err(Rejection::new("SysctlForbidden", message));
        }
        let network = name.starts_with("net.");
        if network && pod.at("spec").is_true("hostNetwork") {
            let message = format!("forbidden sysctl: {name:?} not allowed with host net enabled");
            return Err(Rejection::new("SysctlForbidden", message));
        }
    }
    Ok(())
}

fn check_apparmor(pod: &Value) -> Result<(), Rejection> {
    let of = |holder: &Value| {
        let kind = holder.at("securityContext").at("appArmorProfile").text("type").to_owned();
        matches!(kind.as_str(), "Localhost" | "RuntimeDefault")
    };
    let asked = of(pod.at("spec")) || pod::containers(pod).iter().any(|container| of(container.spec));
    match asked {
        true => {
            Err(Rejection::new("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"))
        }
        false => Ok(()),
    }
}

fn check_resources(pod: &Value, others: &[&Value], node: &Value) -> Result<(), Rejection> {
    let allocatable = node.at("status").at("allocatable");
    if let Some(room) = pod::read_quantity(allocatable.at("pods")).map(|amount| amount.value()) {
        let used = i64::try_from(others.len()).unwrap_or(i64::MAX);
        if used + 1 > room {
            let message = format!(
                "Node didn't have enough resource: pods, requested: 1, used: {used}, capacity: {room}"
            );
            return Err(Rejection::new("OutOfpods", message));
        }
    }
    let asked = pod_requests(pod);
    let used: Vec<_> = others.iter().map(|other| pod_requests(other)).collect();
    let cpu = pod::quantity(allocatable, "cpu");
    let whole = |name: &str| pod::read_quantity(allocatable.at(name)).map(|amount| amount.value());
    let checks = [
        ("cpu", asked.cpu_milli, used.iter().map(|own| own.cpu_milli).sum::<i64>(), cpu),
        ("memory", asked.memory_bytes, used.iter().map(|own| own.memory_bytes).sum(), whole("memory")),
        (
            "ephemeral-storage",
            asked.ephemeral_bytes,
            used.iter().map(|own| own.ephemeral_bytes).sum(),
            whole("ephemeral-storage"),
        ),
    ];
    for (name, asked, used, capacity) in checks {
        if let Some(capacity) =
            capacity.filter(|capacity| asked > 0 && asked.saturating_add(used) > *capacity)
        {
            let message = format!(
                "Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {capacity}"
            );
            return Err(Rejection::new(&format!("OutOf{name}"), message));
        }
    }
    for container in pod::containers(pod) {
        for (name, amount) in container.spec.at("resources").at("requests").as_object().into_iter().flatten()
        {
            let extended = !matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
            let asked = pod::read_quantity(amount).map_or(0, |amount| amount.value());
            if extended && asked > 0 && whole(name).unwrap_or(0) < asked {
                let capacity = whole(name).unwrap_or(0);
                let message = format!(
                    "Node didn't have enough resource: {name}, requested: {asked}, used: 0, capacity: {capacity}"
                );
                return Err(Rejection::new(&format!("OutOf{name}"), message));
            }
        }
    }
    Ok(())
}

fn check_affinity(pod: &Value, node: &Value) -> Result<(), Rejection> {
    let labels = node.at("metadata").at("labels");
    let selector = pod.at("spec").at("nodeSelector").as_object();
    let selected = selector.into_iter().flatten().all(|(key, value)| labels.at(key) == value);
    let required =
        pod.at("spec").below(&["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    let terms = required.list("nodeSelectorTerms");
    let matched = required.is_null() || terms.iter().any(|term| term_matches(term, labels, node));
    match selected && matched {
        true => Ok(()),
        false => Err(Rejection::new(
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        )),
    }
}

fn term_matches(term: &Value, labels: &Value, node: &Value) -> bool {
    let expressions = term.list("matchExpressions");
    let fields = term.list("matchFields");
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.iter().all(|own| requirement_holds(own, labels.at(own.text("key")).as_str()))
        && fields.iter().all(|own| {
            let value = (own.text("key") == "metadata.name").then(|| node.at("metadata").text("name"));
            requirement_holds(own, value)
        })
}

fn requirement_holds(requirement: &Value, value: Option<&str>) -> bool {
    let listed = || requirement.list("values").iter().any(|own| own.as_str() == value && value.is_some());
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let bound = || number(requirement.list("values").first().and_then(Value::as_str));
    match requirement.text("operator") {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number(value).zip(bound()).is_some_and(|(value, bound)| value > bound),
        "Lt" => number(value).zip(bound()).is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

fn check_ports(pod: &Value, others: &[&Value]) -> Result<(), Rejection> {
    let ports = |pod: &Value| -> Vec<(String, String, i64)> {
        let listed = pod::containers(pod).into_iter().filter(|own| own.kind != ContainerKind::Ephemeral);
        let all = listed.flat_map(|container| {
            container
                .spec
                .list("ports")
                .iter()
                .map(|port| {
                    let or = |text: &str, default: &str| {
                        if text.is_empty() { default.to_owned() } else { text.to_owned() }
                    };
                    let number = port.int("hostPort").unwrap_or(0);
                    (or(port.text("protocol"), "TCP"), or(port.text("hostIP"), "0.0.0.0"), number)
                })
                .collect::<Vec<_>>()
        });
        all.filter(|(.., port)| *port > 0).collect()
    };
    let used: Vec<_> = others.iter().flat_map(|other| ports(other)).collect();
    let clash = ports(pod).into_iter().any(|(protocol, ip, port)| {
        used.iter().any(|(other_protocol, other_ip, other_port)| {
            let all = |ip: &str| ip == "0.0.0.0" || ip == "::";
            protocol == *other_protocol
                && port == *other_port
                && (ip == *other_ip || all(&ip) || all(other_ip))
        })
    });
    let message = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
    if clash { Err(Rejection::new("NodePorts", message)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(spec: Value, others: &[&Value]) -> Result<(), String> {
        let node = json!({"metadata": {"name": "n1", "labels": {"zone": "a"}},
            "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "3"}}});
        let pod = json!({"metadata": {"name": "p"}, "spec": spec});
        let offer = AdmitNode { node: &node, unsafe_sysctls: &[], pressure: &[] };
        admit(&pod, others, offer).map_err(|rejection| rejection.reason)
    }

    #[test]
    fn reasons_are_upstreams() {
        let cpu =
            |amount: &str| json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": amount}}}]});
        let other = json!({"spec": cpu("1500m")});
        assert_eq!(judge(cpu("1"), &[]), Ok(()));
        assert_eq!(judge(cpu("1"), &[&other]), Err("OutOfcpu".into()));
        assert_eq!(judge(json!({}), &[&json!({}), &json!({}), &json!({})]), Err("OutOfpods".into()));
        assert_eq!(judge(json!({"nodeSelector": {"zone": "b"}}), &[]), Err("NodeAffinity".into()));
        let affinity = |value: &str| {
            json!({"affinity": {"nodeAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": [value]}]}]}}}})
        };
        assert_eq!(judge(affinity("a"), &[]), Ok(()));
        assert_eq!(judge(affinity("b"), &[]), Err("NodeAffinity".into()));
        let port = json!({"containers": [{"name": "c", "ports": [{"hostPort": 80, "containerPort": 80}]}]});
        assert_eq!(judge(port.clone(), &[&json!({"spec": port})]), Err("NodePorts".into()));
        let sysctl = json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}});
        assert_eq!(judge(sysctl, &[]), Err("SysctlForbidden".into()));
    }
}
