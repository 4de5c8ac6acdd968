//! The compiler against kube-proxy's documented behaviour, Service by Service.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use trireme_proxy_core::{
    Compiler, Front, NodeFront, NodeView, Protocol, Rules, Service, ServiceKey, Slice, Target,
};

fn node() -> NodeView {
    NodeView { name: "n1".to_owned(), zone: "a".to_owned(), ..NodeView::default() }
}

fn put(compiler: &mut Compiler, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    match object["kind"].as_str().unwrap() {
        "Service" => compiler.set_service(&ServiceKey::of(object), Service::read(object)),
        _ => compiler.set_slice("default", name, Slice::read(object)),
    }
}

fn service(spec: Value) -> Value {
    let mut whole = json!({
        "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}],
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": whole})
}

/// Endpoints as "address node state hints", such as `10.1.0.1 n1 ready zone=a`.
fn slice(name: &str, endpoints: &[&str]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|line| {
            let mut words = line.split(' ');
            let (address, node, state) =
                (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let mut hints = serde_json::Map::new();
            for hint in words {
                let (kind, name) = hint.split_once('=').unwrap();
                let field = if kind == "zone" { "forZones" } else { "forNodes" };
                hints.insert(field.to_owned(), json!([{"name": name}]));
            }
            let conditions = match state {
                "ready" => json!({"ready": true, "serving": true, "terminating": false}),
                "leaving" => json!({"ready": false, "serving": true, "terminating": true}),
                "unknown" => json!({}),
                _ => json!({"ready": false, "serving": false, "terminating": false}),
            };
            json!({"addresses": [address], "nodeName": node, "conditions": conditions, "hints": hints})
        })
        .collect();
    json!({
        "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

fn compile(spec: Value, endpoints: &[&str]) -> Compiler {
    let mut compiler = Compiler::new(node());
    put(&mut compiler, &service(spec));
    put(&mut compiler, &slice("web-1", endpoints));
    let delta = compiler.compile();
    let mut rules = Rules::default();
    delta.apply(&mut rules);
    assert_eq!(&rules, compiler.rules());
    assert!(compiler.compile().is_empty(), "nothing changes without a change");
    compiler
}

fn cluster() -> Front {
    Front { address: "10.96.0.1".parse().unwrap(), protocol: Protocol::Tcp, port: 80 }
}

fn node_port() -> NodeFront {
    NodeFront { family: trireme_proxy_core::Family::V4, protocol: Protocol::Tcp, port: 30080 }
}

/// The backends that packets at the cluster address reach, sorted.
fn reached(rules: &Rules, target: Target) -> Vec<String> {
    let Target::Pool(number) = target else { return vec![format!("{target:?}")] };
    let mut found: Vec<String> = rules.pools[&number]
        .backends
        .iter()
        .map(|backend| format!("{}:{}", backend.address, backend.port))
        .collect();
    found.sort();
    found
}

fn inside(spec: Value, endpoints: &[&str]) -> Vec<String> {
    let compiler = compile(spec, endpoints);
    reached(compiler.rules(), compiler.rules().fronts[&cluster()])
}

#[test]
fn ready_endpoints_else_leaving_ones_else_nobody() {
    let both = ["10.1.0.1 n1 ready", "10.1.0.2 n2 leaving", "10.1.0.3 n2 unready", "10.1.0.4 n2 unknown"];
    assert_eq!(inside(json!({}), &both), ["10.1.0.1:8080", "10.1.0.4:8080"]);
    assert_eq!(inside(json!({}), &both[1..3]), ["10.1.0.2:8080"]);
    assert_eq!(inside(json!({}), &both[2..3]), ["Reject"]);
    assert_eq!(inside(json!({}), &[]), ["Reject"]);
}

#[test]
fn hints_narrow_only_when_all_have_them_and_one_is_ours() {
    let zones = ["10.1.0.1 n2 ready zone=a", "10.1.0.2 n3 ready zone=b"];
    assert_eq!(inside(json!({}), &zones), ["10.1.0.1:8080"]);
    assert_eq!(inside(json!({}), &["10.1.0.1 n2 ready zone=a", "10.1.0.2 n3 ready"]).len(), 2);
    assert_eq!(inside(json!({}), &["10.1.0.1 n2 ready zone=b", "10.1.0.2 n3 ready zone=c"]).len(), 2);
    let nodes = ["10.1.0.1 n1 ready zone=a node=n1", "10.1.0.2 n3 ready zone=a node=n3"];
    assert_eq!(inside(json!({}), &nodes), ["10.1.0.1:8080"]);
    let elsewhere = ["10.1.0.1 n2 ready zone=a node=n2", "10.1.0.2 n3 ready zone=b node=n3"];
    assert_eq!(inside(json!({}), &elsewhere), ["10.1.0.1:8080"], "no node is ours, then the zone counts");
}

#[test]
fn internal_policy_local_stays_on_the_node() {
    let local = json!({"internalTrafficPolicy": "Local"});
    assert_eq!(inside(local.clone(), &["10.1.0.1 n1 ready", "10.1.0.2 n2 ready"]), ["10.1.0.1:8080"]);
    assert_eq!(inside(local.clone(), &["10.1.0.2 n2 ready"]), ["Drop"], "others have some");
    assert_eq!(inside(local.clone(), &["10.1.0.1 n1 leaving", "10.1.0.2 n2 ready"]), ["10.1.0.1:8080"]);
    assert_eq!(inside(local, &[]), ["Reject"]);
}

#[test]
fn external_policy_local_has_two_ways_and_a_health_check() {
    let spec =
        json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000});
    let compiler = compile(spec, &["10.1.0.1 n1 ready", "10.1.0.2 n2 ready"]);
    let rules = compiler.rules();
    let Target::Gate(number) = rules.node_fronts[&node_port()] else { panic!("a gate") };
    let gate = &rules.gates[&number];
    assert!(gate.local_only);
    assert_eq!(reached(rules, Target::Pool(gate.local.unwrap())), ["10.1.0.1:8080"]);
    assert_eq!(reached(rules, Target::Pool(gate.cluster.unwrap())).len(), 2);
    assert_eq!(compiler.health_checks()[0].local_endpoints, 1);
    assert_eq!(compiler.health_checks()[0].port, 31000);
    assert_eq!(rules.selves.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.1.0.1"]);
}

#[test]
fn balancer_addresses_and_their_walls() {
    let mut object = service(json!({
        "type": "LoadBalancer", "externalIPs": ["198.51.100.7"],
        "loadBalancerSourceRanges": ["203.0.113.0/24", "2001:db8::/32"],
    }));
    object["status"] = json!({"loadBalancer": {"ingress": [
        {"ip": "198.51.100.8", "ipMode": "VIP"}, {"ip": "198.51.100.9", "ipMode": "Proxy"}, {"hostname": "x"}]}});
    let mut compiler = Compiler::new(node());
    put(&mut compiler, &object);
    put(&mut compiler, &slice("web-1", &["10.1.0.1 n2 ready"]));
    compiler.compile();
    let rules = compiler.rules();
    let at = |text: &str| Front { address: text.parse().unwrap(), ..cluster() };
    assert!(matches!(rules.fronts[&at("198.51.100.7")], Target::Gate(_)));
    assert!(matches!(rules.fronts[&at("198.51.100.8")], Target::Gate(_)));
    assert!(!rules.fronts.contains_key(&at("198.51.100.9")), "packets come through a proxy");
    assert_eq!(rules.guarded.len(), 1);
    assert_eq!(rules.walls.values().next().unwrap().allowed.len(), 1, "of the address's family");
    assert!(rules.selves.is_empty());
}

#[test]
fn an_endpoint_keeps_its_place_and_a_change_is_small() {
    let names: Vec<String> = (1..=10).map(|n| format!("10.1.0.{n} n2 ready")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut compiler = compile(json!({}), &all);
    let before = compiler.rules().pools.values().next().unwrap().backends.clone();
    let without: Vec<&str> = all.iter().filter(|line| !line.contains(".0.3 ")).copied().collect();
    put(&mut compiler, &slice("web-1", &without));
    let delta = compiler.compile();
    assert_eq!(delta.len(), 1, "one pool: {delta:?}");
    let after = compiler.rules().pools.values().next().unwrap().backends.clone();
    assert_eq!(after.len(), 9);
    let moved = before.iter().zip(&after).filter(|(was, is)| was != is).count();
    assert_eq!(moved, 1, "the last one fills the gap");
    assert!(delta.stale_udp().is_empty());
}

#[test]
fn slices_move_and_vanish() {
    let mut compiler = compile(json!({}), &["10.1.0.1 n2 ready"]);
    put(&mut compiler, &slice("web-2", &["10.1.0.1 n2 ready", "10.1.0.2 n2 ready"]));
    compiler.compile();
    let of = |compiler: &Compiler| reached(compiler.rules(), compiler.rules().fronts[&cluster()]).len();
    assert_eq!(of(&compiler), 2, "an endpoint in two slices counts once");
    compiler.set_slice("default", "web-1", None);
    assert!(compiler.compile().is_empty());
    let mut other = slice("web-2", &["10.1.0.1 n2 ready"]);
    other["metadata"]["labels"]["kubernetes.io/service-name"] = json!("else");
    put(&mut compiler, &other);
    compiler.compile();
    assert_eq!(compiler.rules().fronts[&cluster()], Target::Reject);
    compiler.set_service(&ServiceKey { namespace: "default".to_owned(), name: "web".to_owned() }, None);
    compiler.compile();
    assert_eq!(compiler.rules(), &Rules::default());
}

#[test]
fn of_two_claims_the_first_by_name_wins_and_the_other_inherits() {
    let mut compiler = Compiler::new(node());
    for (name, address) in [("b", "10.96.0.2"), ("a", "10.96.0.3")] {
        let mut object =
            service(json!({"clusterIP": address, "clusterIPs": [address], "externalIPs": ["198.51.100.7"]}));
        object["metadata"]["name"] = json!(name);
        object["spec"]["ports"][0].as_object_mut().unwrap().remove("nodePort");
        put(&mut compiler, &object);
        let mut slice = slice(name, &["10.1.0.1 n2 ready"]);
        slice["metadata"]["labels"]["kubernetes.io/service-name"] = json!(name);
        put(&mut compiler, &slice);
    }
    compiler.compile();
    let shared = Front { address: "198.51.100.7".parse().unwrap(), ..cluster() };
    let owner = |compiler: &Compiler| {
        let Target::Gate(number) = compiler.rules().fronts[&shared] else { panic!("a gate") };
        compiler.rules().gates[&number].comment.clone()
    };
    assert!(owner(&compiler).starts_with("default/a:"));
    compiler.set_service(&ServiceKey { namespace: "default".to_owned(), name: "a".to_owned() }, None);
    compiler.compile();
    assert!(owner(&compiler).starts_with("default/b:"));
}

#[test]
fn what_is_no_proxys_business() {
    for object in
        [service(json!({"clusterIP": "None"})), service(json!({"type": "ExternalName", "clusterIP": ""})), {
            let mut object = service(json!({}));
            object["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": "other"});
            object
        }]
    {
        assert_eq!(Service::read(&object), None);
    }
    let mut view = node();
    view.answered_here.insert("10.96.0.1".parse().unwrap());
    let mut compiler = Compiler::new(view);
    put(&mut compiler, &service(json!({})));
    compiler.compile();
    assert!(compiler.rules().fronts.is_empty(), "the node answers itself");
    assert!(compiler.rules().addresses.is_empty());
}

#[test]
fn udp_conversations_are_forgotten_when_their_end_goes_or_comes() {
    let udp = |object: &mut Value| object["spec"]["ports"][0]["protocol"] = json!("UDP");
    let mut object = service(json!({}));
    udp(&mut object);
    let mut endpoints = slice("web-1", &["10.1.0.1 n2 ready"]);
    endpoints["ports"][0]["protocol"] = json!("UDP");
    let mut compiler = Compiler::new(node());
    put(&mut compiler, &object);
    compiler.compile();
    put(&mut compiler, &endpoints);
    let stale = compiler.compile().stale_udp();
    assert_eq!((stale.woken.len(), stale.woken_nodes.len(), stale.gone.len()), (1, 1, 0));
    compiler.set_slice("default", "web-1", None);
    assert_eq!(compiler.compile().stale_udp().gone.len(), 1);
}
