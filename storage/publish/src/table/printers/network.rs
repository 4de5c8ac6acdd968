//! Services, endpoints, ingresses, policies and addresses.

use std::collections::BTreeSet;

use serde_json::Value;
use trireme_schema::view::View;

use super::text::{labels, or, selector, shortened, texts, whole};
use super::{Scene, name};

pub(super) fn service(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    let cluster_ip = texts(spec, "clusterIPs").first().copied().unwrap_or("<none>").to_owned();
    let ports: Vec<String> = spec.list("ports").iter().map(port).collect();
    vec![
        name(object),
        spec.text("type").into(),
        cluster_ip.into(),
        external_ip(object).into(),
        or(&ports.join(","), "<none>").into(),
        scene.age(object),
        labels(spec.map("selector")).into(),
    ]
}

fn port(port: &Value) -> String {
    let (number, protocol) = (whole(port, "port"), port.text("protocol"));
    match whole(port, "nodePort") {
        node_port @ 1.. => format!("{number}:{node_port}/{protocol}"),
        _ => format!("{number}/{protocol}"),
    }
}

fn external_ip(service: &Value) -> String {
    let spec = service.at("spec");
    let fixed = texts(spec, "externalIPs").join(",");
    match spec.text("type") {
        "ClusterIP" | "NodePort" => or(&fixed, "<none>").to_owned(),
        "LoadBalancer" => {
            let balancer = load_balancer(service);
            let all: Vec<&str> = [balancer.as_str(), &fixed].into_iter().filter(|t| !t.is_empty()).collect();
            or(&all.join(","), "<pending>").to_owned()
        }
        "ExternalName" => spec.text("externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// Addresses or host names of the load balancer, sorted.
fn load_balancer(object: &Value) -> String {
    let points = object.at("status").at("loadBalancer").list("ingress");
    let sorted: BTreeSet<&str> =
        points.iter().map(|p| or(p.text("ip"), p.text("hostname"))).filter(|t| !t.is_empty()).collect();
    sorted.into_iter().collect::<Vec<_>>().join(",")
}

pub(super) fn endpoints(object: &Value, scene: &Scene) -> Vec<Value> {
    let mut entries = Vec::new();
    for subset in object.list("subsets") {
        let addresses = || subset.list("addresses").iter().map(|a| a.text("ip"));
        if subset.list("ports").is_empty() {
            entries.extend(addresses().map(str::to_owned));
        }
        for port in subset.list("ports") {
            entries.extend(addresses().map(|ip| match ip.contains(':') {
                true => format!("[{ip}]:{}", whole(port, "port")),
                false => format!("{ip}:{}", whole(port, "port")),
            }));
        }
    }
    let empty = if object.list("subsets").is_empty() { "<none>" } else { "" };
    vec![name(object), shortened(&entries, empty).into(), scene.age(object)]
}

pub(super) fn endpoint_slice(object: &Value, scene: &Scene) -> Vec<Value> {
    let ports: Vec<String> = object
        .list("ports")
        .iter()
        .map(|p| {
            p.int("port").map_or_else(|| p.at("name").as_str().unwrap_or("*").to_owned(), |n| n.to_string())
        })
        .collect();
    let addresses: Vec<String> =
        object.list("endpoints").iter().flat_map(|e| texts(e, "addresses")).map(str::to_owned).collect();
    vec![
        name(object),
        object.text("addressType").into(),
        shortened(&ports, "<unset>").into(),
        shortened(&addresses, "<unset>").into(),
        scene.age(object),
    ]
}

pub(super) fn ingress(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    let ports = if spec.list("tls").is_empty() { "80" } else { "80, 443" };
    vec![
        name(object),
        spec.at("ingressClassName").as_str().unwrap_or("<none>").into(),
        hosts(spec.list("rules")).into(),
        load_balancer(object).into(),
        ports.into(),
        scene.age(object),
    ]
}

/// Rules without a host are not shown, but count among the further ones.
fn hosts(rules: &[Value]) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<&str> = Vec::new();
    for rule in rules {
        if shown.len() == SHOWN {
            return format!("{} + {} more...", shown.join(","), rules.len() - SHOWN);
        }
        shown.extend(Some(rule.text("host")).filter(|h| !h.is_empty()));
    }
    or(&shown.join(","), "*").to_owned()
}

pub(super) fn ingress_class(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    let parameters = match spec.at("parameters") {
        Value::Null => "<none>".to_owned(),
        reference => {
            let group = reference.at("apiGroup").as_str().map_or_else(String::new, |g| format!(".{g}"));
            format!("{}{group}/{}", reference.text("kind"), reference.text("name"))
        }
    };
    vec![name(object), spec.text("controller").into(), parameters.into(), scene.age(object)]
}

pub(super) fn network_policy(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), selector(object.at("spec").at("podSelector")).into(), scene.age(object)]
}

pub(super) fn service_cidr(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), texts(object.at("spec"), "cidrs").join(",").into(), scene.age(object)]
}

pub(super) fn ip_address(object: &Value, _: &Scene) -> Vec<Value> {
    let parent = match object.at("spec").at("parentRef") {
        Value::Null => "<none>".to_owned(),
        reference => {
            let dot = if reference.text("group").is_empty() { "" } else { "." };
            let resource = format!("{}{dot}{}", reference.text("resource"), reference.text("group"));
            let mut parts = vec![resource.to_lowercase()];
            parts.extend(Some(reference.text("namespace").to_owned()).filter(|n| !n.is_empty()));
            parts.push(reference.text("name").to_owned());
            parts.join("/")
        }
    };
    vec![name(object), parent.into()]
}
