//! Random histories: the sum of deltas is the rules, and the rules do not depend on the way there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use trireme_proxy_core::{Compiler, Delta, NodeView, Rules, Service, ServiceKey, Slice, Target};

#[derive(Clone, Debug)]
enum Step {
    Service { name: u8, ports: u8, local: bool, external: bool, affinity: bool, ranges: bool },
    NoService(u8),
    Slice { name: u8, service: u8, endpoints: Vec<(u8, u8)> },
    NoSlice(u8),
    Zone(bool),
    Compile,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flag = any::<bool>;
    let step = prop_oneof![
        (0..4_u8, 1..3_u8, flag(), flag(), flag(), flag()).prop_map(
            |(name, ports, local, external, affinity, ranges)| Step::Service {
                name,
                ports,
                local,
                external,
                affinity,
                ranges
            }
        ),
        (0..4_u8).prop_map(Step::NoService),
        (0..6_u8, 0..4_u8, prop::collection::vec((0..12_u8, 0..16_u8), 0..8))
            .prop_map(|(name, service, endpoints)| Step::Slice { name, service, endpoints }),
        (0..6_u8).prop_map(Step::NoSlice),
        flag().prop_map(Step::Zone),
        Just(Step::Compile),
    ];
    prop::collection::vec(step, 1..40)
}

fn service(step: &Step) -> Value {
    let Step::Service { name, ports, local, external, affinity, ranges } = step else { unreachable!() };
    let ports: Vec<Value> = (0..*ports)
        .map(|n| {
            let mut port = json!({"name": format!("p{n}"), "port": 80 + u16::from(n), "protocol": "TCP"});
            if *external {
                port["nodePort"] = json!(30_000 + u16::from(name * 4 + n));
            }
            port
        })
        .collect();
    let mut spec = json!({"clusterIP": format!("10.96.0.{name}"), "ports": ports});
    if *external {
        spec["type"] = json!("LoadBalancer");
        spec["externalIPs"] = json!(["198.51.100.1"]);
    }
    if *local {
        spec["externalTrafficPolicy"] = json!("Local");
        spec["internalTrafficPolicy"] = json!("Local");
    }
    if *affinity {
        spec["sessionAffinity"] = json!("ClientIP");
    }
    if *ranges {
        spec["loadBalancerSourceRanges"] = json!(["203.0.113.0/24"]);
    }
    let status = json!({"loadBalancer": {"ingress": [{"ip": format!("198.51.100.{}", 10 + name)}]}});
    json!({"metadata": {"namespace": "d", "name": format!("s{name}")}, "spec": spec, "status": status})
}

fn slice(step: &Step) -> Value {
    let Step::Slice { name, service, endpoints } = step else { unreachable!() };
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(address, state)| {
            let mut endpoint = json!({
                "addresses": [format!("10.1.0.{address}")],
                "nodeName": format!("n{}", state % 2),
                "conditions": {"ready": state & 2 == 0, "serving": state & 4 == 0, "terminating": state & 2 != 0},
            });
            if state & 8 != 0 {
                endpoint["hints"] = json!({"forZones": [{"name": if state % 2 == 0 { "a" } else { "b" }}]});
            }
            endpoint
        })
        .collect();
    json!({
        "metadata": {"namespace": "d", "name": format!("e{name}"),
            "labels": {"kubernetes.io/service-name": format!("s{service}")}},
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{"name": "p0", "port": 8080}, {"name": "p1", "port": 8081}],
    })
}

fn take(compiler: &mut Compiler, step: &Step) {
    match step {
        Step::Service { .. } => {
            let object = service(step);
            compiler.set_service(&ServiceKey::of(&object), Service::read(&object));
        }
        Step::NoService(name) => {
            compiler.set_service(&ServiceKey { namespace: "d".to_owned(), name: format!("s{name}") }, None);
        }
        Step::Slice { name, .. } => compiler.set_slice("d", &format!("e{name}"), Slice::read(&slice(step))),
        Step::NoSlice(name) => compiler.set_slice("d", &format!("e{name}"), None),
        Step::Zone(on) => compiler.set_node(node(*on)),
        Step::Compile => {}
    }
}

fn node(zone: bool) -> NodeView {
    let zone = if zone { "a" } else { "" };
    NodeView { name: "n1".to_owned(), zone: zone.to_owned(), ..NodeView::default() }
}

/// What the rules mean, with numbers and places taken out.
fn meaning(rules: &Rules) -> BTreeMap<String, String> {
    let pool = |number: u32| {
        let pool = &rules.pools[&number];
        let mut backends = pool.backends.clone();
        backends.sort();
        format!("{} {:?} {backends:?}", pool.comment, pool.affinity_s)
    };
    let target = |target: Target| match target {
        Target::Pool(number) => pool(number),
        Target::Gate(number) => {
            let gate = &rules.gates[&number];
            format!(
                "{} {} {:?} {:?}",
                gate.comment,
                gate.local_only,
                gate.cluster.map(pool),
                gate.local.map(pool)
            )
        }
        other => format!("{other:?}"),
    };
    let fronts = rules.fronts.iter().map(|(front, to)| (format!("{front:?}"), target(*to)));
    let nodes = rules.node_fronts.iter().map(|(front, to)| (format!("{front:?}"), target(*to)));
    let walls = rules
        .guarded
        .iter()
        .map(|(front, wall)| (format!("wall {front:?}"), format!("{:?}", rules.walls[wall])));
    let sets = [("addresses", format!("{:?}", rules.addresses)), ("selves", format!("{:?}", rules.selves))];
    let sets = sets.into_iter().map(|(name, all)| (name.to_owned(), all));
    fronts.chain(nodes).chain(walls).chain(sets).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn deltas_sum_up_and_the_way_does_not_matter(steps in steps()) {
        let (mut careful, mut lazy) = (Compiler::new(node(false)), Compiler::new(node(false)));
        let mut applied = Rules::default();
        for step in &steps {
            take(&mut careful, step);
            take(&mut lazy, step);
            let delta = careful.compile();
            for change in &delta.pools {
                prop_assert!(change.before.as_ref() == applied.pools.get(&change.key), "a change says what was");
            }
            for change in &delta.fronts {
                prop_assert!(change.before.as_ref() == applied.fronts.get(&change.key), "a change says what was");
            }
            delta.apply(&mut applied);
            prop_assert_eq!(&applied, careful.rules());
            if matches!(step, Step::Compile) {
                lazy.compile();
            }
        }
        lazy.compile();
        prop_assert_eq!(meaning(careful.rules()), meaning(lazy.rules()));
        for pool in careful.rules().pools.values() {
            prop_assert!(!pool.backends.is_empty());
        }
        for gate in careful.rules().gates.values() {
            for number in gate.cluster.iter().chain(&gate.local) {
                prop_assert!(careful.rules().pools.contains_key(number));
            }
        }
    }

    #[test]
    fn what_a_diff_says_makes_one_the_other(one in steps(), two in steps()) {
        let rules = |steps: &[Step]| {
            let mut compiler = Compiler::new(node(false));
            steps.iter().for_each(|step| take(&mut compiler, step));
            compiler.compile();
            compiler.rules().clone()
        };
        let (mut a, b) = (rules(&one), rules(&two));
        Delta::between(&a, &b).apply(&mut a);
        prop_assert_eq!(a, b);
    }
}
