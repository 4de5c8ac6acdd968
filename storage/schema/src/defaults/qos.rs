//! The quality-of-service class of a pod, by its resources.

use serde_json::Value;

use crate::Quantity;
use crate::view::View;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn qos_class(pod: &Value) -> &'static str {
    let spec = pod.at("spec");
    let containers = || spec.list("containers").iter().chain(spec.list("initContainers"));
    let amount = |container: &Value, list: &str, name: &str| -> Option<Quantity> {
        container.below(&["resources", list, name]).as_str()?.parse().ok().filter(|q: &Quantity| !q.is_zero())
    };
    let mut any = false;
    let mut guaranteed = true;
    for container in containers() {
        for name in ["cpu", "memory"] {
            let (request, limit) = (amount(container, "requests", name), amount(container, "limits", name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|r| Some(r) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes() {
        let pod = |resources: Value| json!({"spec":{"containers":[{"resources":resources}]}});
        assert_eq!(qos_class(&pod(json!({}))), "BestEffort");
        assert_eq!(qos_class(&pod(json!({"requests":{"cpu":"1"}}))), "Burstable");
        let both = json!({"cpu":"1","memory":"1Gi"});
        assert_eq!(qos_class(&pod(json!({"limits":both,"requests":both}))), "Guaranteed");
        assert_eq!(qos_class(&pod(json!({"limits":both}))), "Guaranteed");
    }
}
