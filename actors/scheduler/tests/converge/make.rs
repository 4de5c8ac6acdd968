//! Objects drawn from a seed.

use serde_json::{Value, json};
use trireme_core::Rng;

/// A node; `turn` makes its name.
pub(crate) fn node(rng: &mut Rng, turn: u64) -> Value {
    let name = format!("n{turn}");
    let mut labels = json!({"kubernetes.io/hostname": name});
    if !rng.chance(1, 6) {
        labels["topology.kubernetes.io/zone"] = json!(format!("z{}", rng.below(3)));
    }
    if rng.chance(1, 3) {
        labels["disk"] = json!("ssd");
    }
    let mut spec = json!({});
    if rng.chance(1, 6) {
        let effect = ["NoSchedule", "PreferNoSchedule", "NoExecute"][index(rng, 3)];
        spec["taints"] = json!([{"key": "k", "value": "v", "effect": effect}]);
    }
    if rng.chance(1, 10) {
        spec["unschedulable"] = json!(true);
    }
    let cpu = 1 + rng.below(4);
    json!({
        "metadata": {"name": name, "labels": labels}, "spec": spec,
        "status": {"allocatable": {"cpu": cpu.to_string(), "memory": "8Gi", "pods": (3 + rng.below(4)).to_string()}},
    })
}

fn index(rng: &mut Rng, len: usize) -> usize {
    rng.index(len).expect("the list is not empty")
}

fn term(rng: &mut Rng) -> Value {
    let key = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"][index(rng, 2)];
    let app = format!("a{}", rng.below(3));
    let mut term = json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}});
    if rng.chance(1, 4) {
        term["namespaceSelector"] = json!({"matchLabels": {"team": "x"}});
    }
    term
}

/// A pod; `turn` makes its name.
pub(crate) fn pod(rng: &mut Rng, turn: u64) -> Value {
    let namespace = ["d", "e"][index(rng, 2)];
    let name = format!("p{turn}");
    let mut container = json!({"name": "c", "image": "i",
        "resources": {"requests": {"cpu": format!("{}m", 100 * (1 + rng.below(15)))}}});
    if rng.chance(1, 8) {
        container["ports"] = json!([{"containerPort": 1, "hostPort": 80 + rng.below(2), "protocol": "TCP"}]);
    }
    let mut spec = json!({"containers": [container], "priority": rng.below(4) * 10});
    if rng.chance(1, 5) {
        spec["nodeSelector"] = json!({"disk": "ssd"});
    }
    if rng.chance(1, 3) {
        spec["tolerations"] = json!([{"key": "k", "operator": "Exists"}]);
    }
    if rng.chance(1, 10) {
        spec["preemptionPolicy"] = json!("Never");
    }
    let required = |rng: &mut Rng| json!({"requiredDuringSchedulingIgnoredDuringExecution": [term(rng)]});
    match rng.below(6) {
        0 => spec["affinity"] = json!({"podAffinity": required(rng)}),
        1 | 2 => spec["affinity"] = json!({"podAntiAffinity": required(rng)}),
        _ => {}
    }
    if rng.chance(1, 4) {
        let mut spread = term(rng);
        spread["namespaceSelector"].take();
        spread.as_object_mut().unwrap().remove("namespaceSelector");
        spread["maxSkew"] = json!(1 + rng.below(2));
        spread["whenUnsatisfiable"] =
            json!(if rng.chance(3, 4) { "DoNotSchedule" } else { "ScheduleAnyway" });
        if rng.chance(1, 3) {
            spread["nodeTaintsPolicy"] = json!("Honor");
        }
        if rng.chance(1, 4) {
            spread["nodeAffinityPolicy"] = json!("Ignore");
        }
        spec["topologySpreadConstraints"] = json!([spread]);
    }
    if rng.chance(1, 8) {
        spec["schedulingGates"] = json!([{"name": "x/gate"}]);
    }
    json!({
        "metadata": {"namespace": namespace, "name": name, "uid": format!("u{turn}"),
            "labels": {"app": format!("a{}", rng.below(3))}},
        "spec": spec, "status": {"phase": "Pending"},
    })
}
