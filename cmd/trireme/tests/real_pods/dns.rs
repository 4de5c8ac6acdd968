//! Names: row F35, asked by programs in pods and by a resolver of the test's own.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::machine::{Machine, with};

const OBJECTS: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: "tools:1", command: [sleep, "3600"]}]
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: db}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: front.default.svc.cluster.local}
"#;

#[test]
fn names_lead_to_services_and_pods() {
    with("dns", &[], |machine| {
        machine.apply(OBJECTS);
        machine.until_running(&["db-0", "db-1"]);
        f35_names_resolve_in_pods(machine);
        f35_ports_have_srv_records(machine);
        f35_names_that_are_not_there_are_told(machine);
    });
}

fn f35_names_resolve_in_pods(machine: &Machine) {
    let resolved = |name: &str| {
        let (_, out, _) = machine.kubectl(&["exec", "db-0", "--", "getent", "ahostsv4", name]);
        let mut addresses: Vec<String> =
            out.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    };
    let front = machine.get("service/front", "{.spec.clusterIP}");
    for name in ["front", "front.default", "front.default.svc", "front.default.svc.cluster.local", "alias"] {
        machine.until(name, || resolved(name) == [front.clone()]);
    }
    let ip = |pod: &str| machine.get(&format!("pod/{pod}"), "{.status.podIP}");
    let mut both = vec![ip("db-0"), ip("db-1")];
    both.sort();
    machine.until("the headless name", || resolved("db.default.svc.cluster.local") == both);
    assert_eq!(resolved("db-1.db"), [ip("db-1")]);
    // A pod that comes again has another address, and its name follows.
    let before = ip("db-1");
    machine.run_kubectl(&["delete", "pod", "db-1"]);
    machine.until("the pod again", || !ip("db-1").is_empty() && ip("db-1") != before);
    machine.until("the new address", || resolved("db-1.db") == [ip("db-1")]);
}

fn f35_ports_have_srv_records(machine: &Machine) {
    let dns = machine.get_in("kube-system", "service/kube-dns", "{.spec.clusterIP}");
    let answer = ask(&dns, "_sql._tcp.db.default.svc.cluster.local", 33);
    assert_eq!(answer.code, 0);
    // Priority, weight, port, then the name of each pod.
    let ports: Vec<u16> = answer.records.iter().map(|data| u16::from_be_bytes([data[4], data[5]])).collect();
    assert_eq!(ports, [5432, 5432]);
    let answer = ask(&dns, "_http._tcp.front.default.svc.cluster.local", 33);
    assert_eq!(answer.records.len(), 1);
    assert_eq!(answer.records[0][4..6], 80_u16.to_be_bytes());
    let front: Ipv4Addr = machine.get("service/front", "{.spec.clusterIP}").parse().expect("an address");
    assert_eq!(ask(&dns, "front.default.svc.cluster.local", 1).records, [front.octets().to_vec()]);
}

fn f35_names_that_are_not_there_are_told(machine: &Machine) {
    let dns = machine.get_in("kube-system", "service/kube-dns", "{.spec.clusterIP}");
    const NO_SUCH_NAME: u8 = 3;
    assert_eq!(ask(&dns, "nobody.default.svc.cluster.local", 1).code, NO_SUCH_NAME);
    machine.run_kubectl(&["delete", "service", "front"]);
    machine.until("the name's end", || ask(&dns, "front.default.svc.cluster.local", 1).code == NO_SUCH_NAME);
}

struct Answer {
    code: u8,
    /// The data of each record of the type that was asked for.
    records: Vec<Vec<u8>>,
}

/// One question over UDP.
fn ask(server: &str, name: &str, kind: u16) -> Answer {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).expect("a label is short"));
        query.extend_from_slice(label.as_bytes());
    }
    query.push(0);
    query.extend_from_slice(&kind.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    socket.send_to(&query, format!("{server}:53")).expect("sent");
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).expect("the cluster's DNS answers");
    let bytes = &bytes[..length];
    let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let mut at = query.len();
    let mut records = Vec::new();
    for _ in 0..number(6) {
        at = after_name(bytes, at);
        let (of, size) = (number(at), number(at + 8));
        if of == usize::from(kind) {
            records.push(bytes[at + 10..at + 10 + size].to_vec());
        }
        at += 10 + size;
    }
    Answer { code: bytes[3] & 15, records }
}

fn after_name(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes[at] {
            0 => return at + 1,
            pointer if pointer >= 0xc0 => return at + 2,
            label => at += 1 + usize::from(label),
        }
    }
}
