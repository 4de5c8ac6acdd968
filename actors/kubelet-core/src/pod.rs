//! A pod's object as the kubelet reads it: names, containers in their order, policies.

use std::time::Duration;

use serde_json::Value;
pub use trireme_schema::defaults::qos_class;
use trireme_schema::view::View;

/// Grace when the pod names none (upstream's default).
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// What part a container plays in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContainerKind {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container with `restartPolicy: Always`: it stays, the next one starts once it has started.
    Sidecar,
    /// A container of `spec.containers`.
    Regular,
    /// Added to a running pod; never restarted.
    Ephemeral,
}

/// One container of a pod.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    /// Its part.
    pub kind: ContainerKind,
    /// Its specification.
    pub spec: &'a Value,
}

impl<'a> Container<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        self.spec.text("name")
    }

    /// Where it stands in the pod, as events name it: `spec.containers{x}`.
    pub fn field_path(&self) -> String {
        let list = match self.kind {
            ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
            ContainerKind::Regular => "containers",
            ContainerKind::Ephemeral => "ephemeralContainers",
        };
        format!("spec.{list}{{{}}}", self.name())
    }

    /// A number that changes when the container must be replaced (its name or image changed).
    pub fn identity(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in self.name().bytes().chain([0]).chain(self.spec.text("image").bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        format!("{hash:016x}")
    }

    /// Whether it starts again after it ended with `exit_code`.
    pub fn restarts(&self, pod: &Value, exit_code: i32) -> bool {
        match self.kind {
            ContainerKind::Ephemeral => return false,
            ContainerKind::Sidecar => return true,
            ContainerKind::Init | ContainerKind::Regular => {}
        }
        for rule in self.spec.list("restartPolicyRules") {
            let codes = rule.at("exitCodes");
            let listed = codes.list("values").iter().any(|code| code.as_i64() == Some(i64::from(exit_code)));
            let matches = match codes.text("operator") {
                "In" => listed,
                "NotIn" => !listed,
                _ => false,
            };
            if matches && rule.text("action") == "Restart" {
                return true;
            }
        }
        let own = self.spec.text("restartPolicy");
        let policy = if own.is_empty() { restart_policy(pod) } else { own };
        match (policy, self.kind) {
            ("Never", _) => false,
            ("OnFailure", _) | (_, ContainerKind::Init) => exit_code != 0,
            _ => true,
        }
    }
}

/// All containers: init containers and sidecars in their order, regular ones, ephemeral ones.
pub fn containers(pod: &Value) -> Vec<Container<'_>> {
    let spec = pod.at("spec");
    let init = spec.list("initContainers").iter().map(|spec| {
        let kind = match spec.text("restartPolicy") {
            "Always" => ContainerKind::Sidecar,
            _ => ContainerKind::Init,
        };
        Container { kind, spec }
    });
    let regular = spec.list("containers").iter().map(|spec| Container { kind: ContainerKind::Regular, spec });
    let ephemeral = spec
        .list("ephemeralContainers")
        .iter()
        .map(|spec| Container { kind: ContainerKind::Ephemeral, spec });
    init.chain(regular).chain(ephemeral).collect()
}

/// One container by name.
pub fn container<'a>(pod: &'a Value, name: &str) -> Option<Container<'a>> {
    containers(pod).into_iter().find(|container| container.name() == name)
}

/// `name_namespace(uid)`, as messages name pods.
pub fn display(pod: &Value) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// Name.
pub fn name(pod: &Value) -> &str {
    pod.at("metadata").text("name")
}

/// Namespace.
pub fn namespace(pod: &Value) -> &str {
    pod.at("metadata").text("namespace")
}

/// Uid; for static pods the one their file gave them.
pub fn uid(pod: &Value) -> &str {
    pod.at("metadata").text("uid")
}

/// `Always` when the pod names none.
pub fn restart_policy(pod: &Value) -> &str {
    match pod.at("spec").text("restartPolicy") {
        "" => "Always",
        policy => policy,
    }
}

/// It was asked to go.
pub fn is_deleted(pod: &Value) -> bool {
    pod.at("metadata").has("deletionTimestamp")
}

/// A file of the node describes it; the API holds a mirror.
pub fn is_static(pod: &Value) -> bool {
    let source = pod.below(&["metadata", "annotations"]).text("kubernetes.io/config.source");
    matches!(source, "file" | "http")
}

/// `Succeeded` or `Failed`.
pub fn is_terminal_phase(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

/// The pod's own grace, or what its deletion asked for.
pub fn grace(pod: &Value) -> Duration {
    let asked = pod.at("metadata").int("deletionGracePeriodSeconds");
    let own = pod.at("spec").int("terminationGracePeriodSeconds");
    asked.or(own).map_or(DEFAULT_GRACE, seconds)
}

/// Seconds that may be negative, as a duration.
pub fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

/// An amount in thousandths, if it is there and readable.
pub fn quantity(amounts: &Value, name: &str) -> Option<i64> {
    read_quantity(amounts.at(name)).map(|quantity| quantity.milli_value())
}

/// A quantity from a text or a number.
pub fn read_quantity(value: &Value) -> Option<trireme_schema::Quantity> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// A duration as Go prints it with whole seconds: `10s`, `1m20s`, `5m0s`.
pub fn go_seconds(span: Duration) -> String {
    let total = span.as_secs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn qos_goes_by_requests_and_limits() {
        let pod = |resources: Value| json!({"spec": {"containers": [{"name": "a", "resources": resources}]}});
        assert_eq!(qos_class(&pod(json!({}))), "BestEffort");
        assert_eq!(qos_class(&pod(json!({"requests": {"cpu": "1"}}))), "Burstable");
        assert_eq!(qos_class(&pod(json!({"limits": {"cpu": "1", "memory": "1Gi"}}))), "Guaranteed");
        let uneven =
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}});
        assert_eq!(qos_class(&pod(uneven)), "Burstable");
    }

    #[test]
    fn a_containers_own_rules_come_before_the_pods_policy() {
        let pod = json!({"spec": {"restartPolicy": "Never", "containers": [
            {"name": "plain"},
            {"name": "own", "restartPolicy": "OnFailure"},
            {"name": "ruled", "restartPolicy": "Never",
             "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]}]}});
        let restarts = |name: &str, code: i32| container(&pod, name).unwrap().restarts(&pod, code);
        assert!(!restarts("plain", 1));
        assert!(restarts("own", 1) && !restarts("own", 0));
        assert!(restarts("ruled", 42) && !restarts("ruled", 1));
    }

    #[test]
    fn durations_read_as_in_go() {
        assert_eq!(go_seconds(Duration::from_secs(10)), "10s");
        assert_eq!(go_seconds(Duration::from_secs(80)), "1m20s");
        assert_eq!(go_seconds(Duration::from_secs(300)), "5m0s");
    }
}
