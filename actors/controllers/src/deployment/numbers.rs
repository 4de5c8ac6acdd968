//! What a Deployment's strategy comes to in pods.

use serde_json::Value;
use trireme_schema::int_or_string::IntOrString;
use trireme_schema::view::View;

/// A Deployment's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Pods asked for.
    pub(super) replicas: i64,
    /// Pods that there may be beyond that.
    pub(super) max_surge: i64,
    /// Pods that may be unavailable.
    pub(super) max_unavailable: i64,
    /// Old pods go before new ones come.
    pub(super) recreate: bool,
}

impl Numbers {
    /// Reads a Deployment. Surge is rounded up and unavailability down; both zero would never move, so that then one pod
    /// may be unavailable.
    pub(super) fn of(deployment: &Value) -> Self {
        let spec = deployment.at("spec");
        let replicas = spec.int("replicas").unwrap_or(1);
        let recreate = spec.at("strategy").text("type") == "Recreate";
        if recreate {
            return Self { replicas, max_surge: 0, max_unavailable: 0, recreate };
        }
        let rolling = spec.at("strategy").at("rollingUpdate");
        let scaled = |name: &str, up: bool| {
            IntOrString::of(rolling.at(name)).and_then(|value| value.scaled(replicas, up)).unwrap_or(0)
        };
        let max_surge = scaled("maxSurge", true);
        let mut max_unavailable = scaled("maxUnavailable", false);
        if max_surge == 0 && max_unavailable == 0 {
            max_unavailable = 1;
        }
        Self { replicas, max_surge, max_unavailable: max_unavailable.min(replicas), recreate }
    }

    /// Most pods of all sets together.
    pub(super) fn most(self) -> i64 {
        self.replicas + self.max_surge
    }

    /// Fewest available pods that a roll-out leaves.
    pub(super) fn fewest_available(self) -> i64 {
        self.replicas - self.max_unavailable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn percentages_round_towards_progress_and_safety() {
        let rolling = |surge: Value, unavailable: Value| {
            let strategy = json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}});
            let numbers = Numbers::of(&json!({"spec": {"replicas": 10, "strategy": strategy}}));
            (numbers.max_surge, numbers.max_unavailable)
        };
        assert_eq!(rolling(json!("25%"), json!("25%")), (3, 2));
        assert_eq!(rolling(json!(0), json!("5%")), (0, 1));
        assert_eq!(rolling(json!(0), json!(50)), (0, 10));
    }
}
