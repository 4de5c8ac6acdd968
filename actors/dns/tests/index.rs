//! Names as the specification of Kubernetes' DNS has them.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use trireme_dns::Index;

fn service(name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": "default", "name": name}, "spec": spec})
}

fn slice(name: &str, service: &str, endpoints: Value) -> Value {
    json!({
        "metadata": {"namespace": "default", "name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}],
    })
}

fn index() -> Index {
    let mut index = Index::new(vec!["10.96.0.10".parse().unwrap()]);
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    index.set_service(&service(
        "web",
        json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd96::1"], "ports": ports}),
    ));
    index.set_service(&service("db", json!({"clusterIP": "None", "ports": ports})));
    index.set_service(&service(
        "early",
        json!({"clusterIP": "None", "publishNotReadyAddresses": true, "ports": ports}),
    ));
    index.set_service(&service("away", json!({"type": "ExternalName", "externalName": "Example.org."})));
    let endpoints = json!([
        {"addresses": ["10.1.0.1"], "hostname": "db-0", "conditions": {"ready": true}},
        {"addresses": ["10.1.0.2"], "conditions": {}},
        {"addresses": ["10.1.0.3"], "hostname": "db-2", "conditions": {"ready": false}},
    ]);
    index.set_slice(&slice("db-1", "db", endpoints.clone()));
    index.set_slice(&slice("early-1", "early", endpoints.clone()));
    index.set_slice(&slice("web-1", "web", endpoints));
    index
}

fn addresses(index: &Index, name: &str) -> Option<Vec<String>> {
    let labels: Vec<&str> = name.split('.').collect();
    let record = index.look_up(&labels)?;
    Some(record.addresses.iter().map(ToString::to_string).collect())
}

#[test]
fn services_with_an_address() {
    let index = index();
    assert_eq!(addresses(&index, "web.default.svc").unwrap(), ["10.96.0.1", "fd96::1"]);
    let srv = index.look_up(&["_http", "_tcp", "web", "default", "svc"]).unwrap().services;
    assert_eq!((srv[0].port, srv[0].weight, srv[0].target.as_str()), (80, 100, "web.default.svc"));
    assert_eq!(srv.len(), 1);
    assert!(index.look_up(&["_http", "_udp", "web", "default", "svc"]).is_none());
    assert!(index.look_up(&["_tcp", "web", "default", "svc"]).unwrap().services.is_empty());
    assert_eq!(index.look_up_address("10.96.0.1".parse().unwrap()), ["web.default.svc"]);
    assert!(addresses(&index, "none.default.svc").is_none());
    assert!(addresses(&index, "web.other.svc").is_none());
}

#[test]
fn headless_services_are_their_endpoints() {
    let mut index = index();
    assert_eq!(addresses(&index, "db.default.svc").unwrap(), ["10.1.0.1", "10.1.0.2"], "ready ones");
    assert_eq!(addresses(&index, "early.default.svc").unwrap().len(), 3, "publishNotReadyAddresses");
    assert_eq!(addresses(&index, "db-0.db.default.svc").unwrap(), ["10.1.0.1"]);
    assert_eq!(addresses(&index, "10-1-0-2.db.default.svc").unwrap(), ["10.1.0.2"]);
    assert!(addresses(&index, "db-2.db.default.svc").is_none());
    let srv = index.look_up(&["_http", "_tcp", "db", "default", "svc"]).unwrap().services;
    let targets: Vec<&str> = srv.iter().map(|srv| srv.target.as_str()).collect();
    assert_eq!(targets, ["10-1-0-2.db.default.svc", "db-0.db.default.svc"]);
    assert_eq!((srv[0].port, srv[0].weight), (8080, 50));
    let reverse = index.look_up_address("10.1.0.1".parse().unwrap());
    assert_eq!(reverse, ["db-0.db.default.svc", "db-0.early.default.svc"], "headless ones only");
    index.set_slice(&slice("db-1", "db", json!([])));
    assert!(addresses(&index, "db.default.svc").is_none(), "nobody there yet");
    assert_eq!(index.look_up_address("10.1.0.1".parse().unwrap()), ["db-0.early.default.svc"]);
}

#[test]
fn other_names() {
    let mut index = index();
    assert_eq!(index.look_up(&["away", "default", "svc"]).unwrap().alias.unwrap(), "Example.org");
    assert_eq!(index.look_up(&["dns-version"]).unwrap().text.unwrap(), "1.1.0");
    assert_eq!(addresses(&index, "ns.dns").unwrap(), ["10.96.0.10"]);
    assert_eq!(addresses(&index, "10-1-2-3.default.pod").unwrap(), ["10.1.2.3"]);
    assert_eq!(addresses(&index, "fd00--5.default.pod").unwrap(), ["fd00::5"]);
    assert!(addresses(&index, "nonsense.default.pod").is_none());
    for empty in ["svc", "pod", "default.svc", "default.pod"] {
        assert!(addresses(&index, empty).unwrap().is_empty(), "{empty} exists and has nothing");
    }
    assert!(index.look_up(&[]).is_some());
    assert!(addresses(&index, "google.com").is_none());
    assert!(addresses(&index, "a.b.c.d.e.svc").is_none());
    index.keep_services(&[("default".to_owned(), "web".to_owned())].into());
    assert!(addresses(&index, "db.default.svc").is_none());
    index.keep_services(&[].into());
    assert!(addresses(&index, "default.svc").is_none(), "a namespace without Services");
    assert!(index.look_up_address("10.96.0.1".parse().unwrap()).is_empty());
}
