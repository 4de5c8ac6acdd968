//! [`NodePlan`]: the nodes of a fleet: names, addresses, and what they tell of themselves.

use serde_json::{Value, json};

/// Nodes by number. Addresses are made up of 10.64.0.0/10 for pods and 172.16.0.0/12 for nodes.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Names are this and a number.
    pub prefix: String,
    /// How many.
    pub count: u32,
    /// Zones that they are spread over; 0 for nodes without one.
    pub zones: u32,
    /// Processors of each.
    pub cpus: u32,
    /// Memory of each, in GiB.
    pub memory_gib: u32,
    /// Pods of each at most; no more than 253 addresses are there.
    pub pods: u32,
}

/// Most nodes that have addresses.
pub(crate) const NODES_MAX: u32 = 16_384;

impl NodePlan {
    /// So many nodes called `hollow-0` and so on.
    pub fn new(count: u32) -> Self {
        Self { prefix: "hollow-".to_owned(), count, zones: 0, cpus: 16, memory_gib: 64, pods: 110 }
    }

    /// A node's name.
    pub fn name(&self, number: u32) -> String {
        format!("{}{number}", self.prefix)
    }

    /// The number of a node of this plan.
    pub fn number(&self, name: &str) -> Option<u32> {
        let number: u32 = name.strip_prefix(&self.prefix)?.parse().ok()?;
        (number < self.count && self.name(number) == name).then_some(number)
    }

    /// The node's own address.
    pub fn address(&self, number: u32) -> String {
        format!("172.{}.{}.{}", 16 + number / 65_536, number / 256 % 256, number % 256)
    }

    /// The address of the `host`th pod of a node.
    pub fn pod_address(&self, number: u32, host: u32) -> String {
        format!("10.{}.{}.{host}", 64 + number / 256, number % 256)
    }

    /// The Node object.
    pub fn node(&self, number: u32, now: &str) -> Value {
        let name = self.name(number);
        let mut labels = json!({
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64", "type": "hollow",
        });
        if self.zones > 0 {
            labels["topology.kubernetes.io/zone"] = format!("zone-{}", number % self.zones).into();
            labels["topology.kubernetes.io/region"] = "hollow".into();
        }
        let cidr = self.pod_address(number, 0) + "/24";
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}, "status": self.status(number, now),
        })
    }

    fn status(&self, number: u32, now: &str) -> Value {
        let resources = json!({
            "cpu": self.cpus.to_string(), "memory": format!("{}Gi", self.memory_gib),
            "ephemeral-storage": "100Gi", "pods": self.pods.to_string(),
        });
        let fine = |kind: &str, reason: &str, message: &str| {
            json!({
                "type": kind, "status": "False", "reason": reason, "message": message,
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            })
        };
        let mut ready = fine("Ready", "KubeletReady", "kubelet is posting ready status");
        ready["status"] = "True".into();
        json!({
            "capacity": resources, "allocatable": resources,
            "addresses": [
                {"type": "InternalIP", "address": self.address(number)},
                {"type": "Hostname", "address": self.name(number)},
            ],
            "conditions": [
                fine("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                fine("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                fine("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                ready,
            ],
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": "v1.35.0",
                "kubeProxyVersion": "", "containerRuntimeVersion": "hollow://1", "osImage": "hollow",
                "kernelVersion": "hollow", "machineID": "", "systemUUID": "", "bootID": "",
            },
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_and_addresses() {
        let plan = NodePlan { zones: 2, ..NodePlan::new(1000) };
        assert_eq!(plan.number("hollow-999"), Some(999));
        assert!(
            plan.number("hollow-1000").is_none()
                && plan.number("hollow-07").is_none()
                && plan.number("x").is_none()
        );
        assert_eq!(
            (plan.address(300), plan.pod_address(300, 7)),
            ("172.16.1.44".to_owned(), "10.65.44.7".to_owned())
        );
        assert_eq!(plan.node(3, "t")["metadata"]["labels"]["topology.kubernetes.io/zone"], "zone-1");
    }
}
