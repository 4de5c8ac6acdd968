//! Amounts by resource name: sums, and what a pod needs as a whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trireme_schema::Quantity;
use trireme_schema::view::View;

/// Amounts by name. Texts that are no quantities are left out; validation reports them.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// Reads a resource list.
pub(crate) fn amounts(list: &Value) -> Amounts {
    let entries = list.as_object().into_iter().flatten();
    entries.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.parse().ok()?))).collect()
}

/// The list as JSON.
pub(crate) fn to_json(list: &Amounts) -> Value {
    Value::Object(
        list.iter().map(|(name, amount)| (name.clone(), amount.canonical().into())).collect::<Map<_, _>>(),
    )
}

/// Adds `more` to `sum`, name by name.
pub(crate) fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let total = sum.get(name).map_or(*amount, |own| own.plus(amount));
        sum.insert(name.clone(), total);
    }
}

/// Raises `most` to `other`, name by name.
pub(crate) fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if most.get(name).is_none_or(|own| own < amount) {
            most.insert(name.clone(), *amount);
        }
    }
}

/// The entries whose names are among `names`.
pub(crate) fn only<S: AsRef<str>>(list: &Amounts, names: &[S]) -> Amounts {
    let wanted = |name: &str| names.iter().any(|other| other.as_ref() == name);
    list.iter().filter(|(name, _)| wanted(name)).map(|(name, amount)| (name.clone(), *amount)).collect()
}

/// `a=1,b=2`
pub(crate) fn text(list: &Amounts) -> String {
    list.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(",")
}

/// Whether a name is one of the cluster's own, such as `cpu` or `kubernetes.io/x`.
pub(crate) fn is_native(name: &str) -> bool {
    name.split_once('/')
        .is_none_or(|(domain, _)| domain == "kubernetes.io" || domain.ends_with(".kubernetes.io"))
}

/// Whether a name is of a special resource that nodes advertise, such as `example.com/gpu`.
pub(crate) fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.")
}

/// Which of a container's two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// `resources.requests`
    Requests,
    /// `resources.limits`
    Limits,
}

impl Side {
    fn field(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
        }
    }
}

/// What a pod needs: the containers together, or the init phase where that is more; pod-level values instead of
/// either; overhead on top. A pod that was resized counts with what it still holds.
pub(crate) fn of_pod(pod: &Value, side: Side) -> Amounts {
    let spec = pod.at("spec");
    let mut all = Amounts::new();
    for container in spec.list("containers") {
        add(&mut all, &of_container(pod, container, side));
    }
    let mut sidecars = Amounts::new();
    let mut most = Amounts::new();
    for container in spec.list("initContainers") {
        let mut phase = of_container(pod, container, side);
        if container.text("restartPolicy") == "Always" {
            add(&mut all, &phase);
            add(&mut sidecars, &phase);
            phase = sidecars.clone();
        } else {
            add(&mut phase, &sidecars);
        }
        raise(&mut most, &phase);
    }
    raise(&mut all, &most);
    for (name, amount) in amounts(spec.at("resources").at(side.field())) {
        if name == "cpu" || name == "memory" || name.starts_with("hugepages-") {
            all.insert(name, amount);
        }
    }
    let overhead = amounts(spec.at("overhead"));
    match side {
        Side::Requests => add(&mut all, &overhead),
        Side::Limits => {
            let limited: Vec<String> =
                all.iter().filter(|(_, amount)| !amount.is_zero()).map(|(name, _)| name.clone()).collect();
            add(&mut all, &only(&overhead, &limited));
        }
    }
    all
}

fn of_container(pod: &Value, container: &Value, side: Side) -> Amounts {
    let mut own = amounts(container.at("resources").at(side.field()));
    let status = pod.at("status");
    let name = container.text("name");
    let statuses = status.list("containerStatuses").iter().chain(status.list("initContainerStatuses"));
    for held in statuses.filter(|held| held.text("name") == name) {
        raise(&mut own, &amounts(held.at("resources").at(side.field())));
        if side == Side::Requests {
            raise(&mut own, &amounts(held.at("allocatedResources")));
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn init_phase_sidecars_overhead_and_pod_level() {
        let container = |cpu: &str| json!({"name": cpu, "resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = container("300m");
        sidecar["restartPolicy"] = "Always".into();
        let pod = json!({"spec": {
            "containers": [container("100m"), container("200m")],
            "initContainers": [container("250m"), sidecar, container("500m")],
        }});
        // The second plain init container runs beside the sidecar: 800m, more than 300m + 300m.
        assert_eq!(text(&of_pod(&pod, Side::Requests)), "cpu=800m");
        let mut pod = pod;
        pod["spec"]["overhead"] = json!({"cpu": "50m", "memory": "1Mi"});
        assert_eq!(text(&of_pod(&pod, Side::Requests)), "cpu=850m,memory=1Mi");
        assert_eq!(text(&of_pod(&pod, Side::Limits)), "");
        pod["spec"]["resources"] = json!({"requests": {"cpu": "2"}});
        assert_eq!(text(&of_pod(&pod, Side::Requests)), "cpu=2050m,memory=1Mi");
    }

    #[test]
    fn a_pod_that_shrinks_counts_until_it_has_shrunk() {
        let pod = json!({
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
            "status": {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "2"}}]},
        });
        assert_eq!(text(&of_pod(&pod, Side::Requests)), "cpu=2");
    }
}
