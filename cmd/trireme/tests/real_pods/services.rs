//! Services, with real connections: rows F1, F2, F4, F11, F12, F28, F29, F30, F32.
//!
//! Other nodes are hollow: their pods are endpoints that nothing answers at, which is how a connection that should not
//! go there is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::machine::{ADDRESS, Machine, http, http_at, with};
use crate::stranger::{STRANGER, Stranger};

#[test]
fn services_lead_to_their_endpoints() {
    with("services", &[], |machine| {
        let mut hollow = machine.trireme();
        hollow
            .args(["hollow", "--nodes=3", "--name-prefix=far-", "--kubeconfig"])
            .arg(machine.path("kubeconfig"));
        let mut hollow = hollow.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("trireme starts");
        let stranger = Stranger::arrive();
        prepare(machine);
        f1_a_cluster_address_leads_to_ready_endpoints(machine);
        f2_a_node_port_leads_there_from_outside(machine, &stranger);
        f4_a_service_leads_outside(machine, &stranger);
        f11_a_local_service_shows_who_asks(machine, &stranger);
        f12_load_balancers_can_ask_who_has_endpoints(machine);
        f28_slices_drive_the_proxy(machine);
        f29_slices_hold_a_hundred_endpoints(machine);
        f30_slices_say_where_endpoints_are(machine);
        f32_traffic_stays_close(machine);
        hollow.kill().expect("our own child");
        hollow.wait().expect("our own child");
    });
}

fn prepare(machine: &Machine) {
    machine.until("hollow nodes", || machine.kubectl(&["get", "node", "far-2"]).0 == Some(0));
    machine.run_kubectl(&[
        "label",
        "node",
        "far-0",
        "far-1",
        "far-2",
        "role=far",
        "topology.kubernetes.io/zone=far",
    ]);
    machine.run_kubectl(&["label", "node", &machine.node, "topology.kubernetes.io/zone=near"]);
    machine.apply(include_str!("services.yaml"));
    machine.run_kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    machine.until_running(&["unready", "client", "away"]);
}

fn cluster_ip(machine: &Machine, name: &str) -> String {
    machine.get(&format!("service/{name}"), "{.spec.clusterIP}")
}

/// Who answers: `hello from WHO to WHOM`.
fn who(text: &str) -> String {
    text.split_whitespace().nth(2).unwrap_or_default().to_owned()
}

fn whom(text: &str) -> String {
    text.split_whitespace().last().unwrap_or_default().to_owned()
}

/// What the API shows of the pods and their slices.
fn seen(machine: &Machine) -> String {
    let slices = "-o=jsonpath={range .items[*]}{.metadata.name}: {.endpoints[*]}{\"\\n\"}{end}";
    let slices = machine.kubectl(&["get", "endpointslices", "-l=kubernetes.io/service-name=web", slices]).1;
    format!("{slices}{}", machine.kubectl(&["get", "pods", "-l=app=web", "-o=wide"]).1)
}

fn ready_pods(machine: &Machine) -> BTreeSet<String> {
    machine.all("pods", "app=web,pod-template-hash", "{.metadata.name}").into_iter().collect()
}

fn f1_a_cluster_address_leads_to_ready_endpoints(machine: &Machine) {
    let address = cluster_ip(machine, "web");
    machine.until("the Service", || http(&address, 80).is_ok());
    let ask = |_| who(&http(&address, 80).unwrap_or_else(|error| panic!("{error}: {}", seen(machine))));
    let from_node: BTreeSet<String> = (0..64).map(ask).collect();
    assert_eq!(from_node, ready_pods(machine), "every ready endpoint and no other");
    let script = "i=0; while [ $i -lt 24 ]; do /bin/trireme hello --ask http://web/; i=$((i+1)); done";
    let text = machine.exec("client", script);
    let from_pod: BTreeSet<String> = text.lines().map(who).collect();
    assert_eq!(from_pod, ready_pods(machine));
}

fn f2_a_node_port_leads_there_from_outside(machine: &Machine, stranger: &Stranger) {
    let port = machine.get("service/web", "{.spec.ports[0].nodePort}");
    let number: u16 = port.parse().expect("a port");
    assert!((30_000..=32_767).contains(&number));
    assert!(ready_pods(machine).contains(&who(&stranger.http(ADDRESS, number).expect("it answers outside"))));
    let twin = format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: twin}}, spec: {{type: NodePort, ports: [{{port: 80, nodePort: {port}}}]}}}}"
    );
    let (code, _, err) = machine.kubectl_with(&["apply", "-f", "-"], &twin);
    assert!(code == Some(1) && err.contains("provided port is already allocated"), "{err}");
    // The proxy is killed again and again, and no connection is lost.
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                stranger.http(ADDRESS, number).expect("it answers while its proxy is killed");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        let fault = format!("--kill=/node/{}/proxy", machine.node);
        let arm = ["chaos", "arm", &fault, "--per-mille=1000", "--max-hits=3", "--dead-man-ms=5000"];
        let armed = machine.trireme().args(arm).output().expect("trireme runs");
        assert!(armed.status.success(), "{}", String::from_utf8_lossy(&armed.stderr));
        // Something for the proxy to do, so that it is hit.
        for round in 0..3 {
            machine.run_kubectl(&["annotate", "service", "web", "--overwrite", &format!("round={round}")]);
        }
        let before = asked.load(Ordering::Relaxed);
        machine.until("connections", || asked.load(Ordering::Relaxed) > before + 50);
        stop.store(true, Ordering::Relaxed);
    });
    machine.trireme().args(["chaos", "heal"]).output().expect("trireme runs");
}

fn f4_a_service_leads_outside(machine: &Machine, stranger: &Stranger) {
    let listener = stranger.run(|| std::net::TcpListener::bind((STRANGER, 3306))).expect("a port");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client may be gone.
            let mut stream = stream;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nmy database\n");
        }
    });
    let slice = || {
        machine.all("endpointslices", "kubernetes.io/service-name=outside", "{.endpoints[0].addresses[0]}")
    };
    machine.until("the mirrored slice", || slice() == [STRANGER]);
    machine.until("the database", || {
        let (_, out, _) = machine.kubectl(&[
            "exec",
            "client",
            "--",
            "/bin/trireme",
            "hello",
            "--ask",
            "http://outside:3306/",
        ]);
        out.trim() == "my database"
    });
}

fn f11_a_local_service_shows_who_asks(machine: &Machine, stranger: &Stranger) {
    let port = |name: &str| {
        machine.get(&format!("service/{name}"), "{.spec.ports[0].nodePort}").parse().expect("a port")
    };
    assert_eq!(whom(&stranger.http(ADDRESS, port("local")).expect("it answers")), STRANGER);
    let seen = whom(&stranger.http(ADDRESS, port("web")).expect("it answers"));
    assert_ne!(seen, STRANGER, "with Cluster it is the node that asks");
    // Others have endpoints and this node has none: it drops, so that nobody takes it for a refusal.
    machine.until("the endpoint elsewhere", || {
        machine.all("endpointslices", "kubernetes.io/service-name=away", "{.endpoints[0].nodeName}")[0]
            .starts_with("far-")
    });
    let error = stranger.http(ADDRESS, port("away")).expect_err("no endpoint is here");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
}

fn f12_load_balancers_can_ask_who_has_endpoints(machine: &Machine) {
    let asked = |name: &str| {
        let port = machine.get(&format!("service/{name}"), "{.spec.healthCheckNodePort}");
        let (head, body) = http_at(ADDRESS, port.parse().expect("a port"), "/healthz").expect("it answers");
        (head.lines().next().unwrap_or_default().to_owned(), body)
    };
    let (status, body) = asked("local");
    assert!(
        status.contains(" 200 ") && body.contains("\"localEndpoints\": 2")
            || body.contains("\"localEndpoints\":2"),
        "{status} {body}"
    );
    let (status, body) = asked("away");
    assert!(status.contains(" 503 "), "{status} {body}");
    machine.run_kubectl(&["scale", "deployment/web", "--replicas=0"]);
    machine.until("503 without endpoints", || asked("local").0.contains(" 503 "));
    machine.run_kubectl(&["scale", "deployment/web", "--replicas=2"]);
    machine.until("200 again", || asked("local").0.contains(" 200 "));
}

fn f28_slices_drive_the_proxy(machine: &Machine) {
    let address = cluster_ip(machine, "web");
    let slices =
        machine.all("endpointslices", "kubernetes.io/service-name=web", "{.metadata.name} {.addressType}");
    assert_eq!(slices.len(), 1);
    machine.run_kubectl(&["delete", "endpoints", "web"]);
    for _ in 0..8 {
        http(&address, 80).expect("it answers without Endpoints");
    }
    // A slice that names an endpoint by hand counts as well.
    let own = "{apiVersion: v1, kind: Service, metadata: {name: by-hand}, spec: {ports: [{port: 80}]}}";
    machine.apply(own);
    let pod = machine.all("pods", "app=web,pod-template-hash", "{.status.podIP}");
    machine.apply(&format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: by-hand-1, labels: {{kubernetes.io/service-name: by-hand}}}}, \
         addressType: IPv4, ports: [{{name: '', port: 8080}}], endpoints: [{{addresses: [{}], conditions: {{ready: true}}}}]}}",
        pod[0]
    ));
    let address = cluster_ip(machine, "by-hand");
    machine.until("the slice made by hand", || http(&address, 80).is_ok());
}

fn slices(machine: &Machine) -> BTreeMap<String, (usize, String)> {
    let path = "{.metadata.name} {.metadata.resourceVersion} {.endpoints[*].addresses[0]}";
    let all = machine.all("endpointslices", "kubernetes.io/service-name=many", path);
    let words = all.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.map(|words| (words[0].to_owned(), (words.len() - 2, words[1].to_owned()))).collect()
}

fn f29_slices_hold_a_hundred_endpoints(machine: &Machine) {
    machine.until("250 pods", || machine.get("deployment/many", "{.status.readyReplicas}") == "250");
    // Slices that grow are not packed anew; made at once, they are full.
    machine.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: many}, spec: {selector: {member: 'yes'}, ports: [{port: 80}]}}",
    );
    machine.until("250 endpoints", || slices(machine).values().map(|(count, _)| count).sum::<usize>() == 250);
    let before = slices(machine);
    assert_eq!(before.len(), 3, "{before:?}");
    assert!(before.values().all(|(count, _)| *count <= 100), "{before:?}");
    let one = machine.all("pods", "member=yes", "{.metadata.name}").swap_remove(0);
    machine.run_kubectl(&["label", "pod", &one, "member-"]);
    machine.until("249 endpoints", || slices(machine).values().map(|(count, _)| count).sum::<usize>() == 249);
    let after = slices(machine);
    let changed = before.iter().filter(|(name, own)| after.get(*name) != Some(own)).count();
    assert_eq!((changed, after.len()), (1, 3), "one slice is written: {before:?} {after:?}");
    machine.run_kubectl(&["delete", "deployment", "many", "--wait=false"]);
}

fn f30_slices_say_where_endpoints_are(machine: &Machine) {
    let path = "{range .endpoints[*]}{.nodeName}/{.zone} {end}";
    let all = machine.all("endpointslices", "kubernetes.io/service-name=near", path).join(" ");
    let places: BTreeSet<&str> = all.split_whitespace().collect();
    assert!(places.contains(format!("{}/near", machine.node).as_str()), "{places:?}");
    assert!(places.iter().any(|place| place.starts_with("far-") && place.ends_with("/far")), "{places:?}");
}

fn f32_traffic_stays_close(machine: &Machine) {
    let address = cluster_ip(machine, "near");
    let hints = || {
        let path = "{range .endpoints[*]}{.zone}={.hints.forZones[*].name} {end}";
        let all = machine.all("endpointslices", "kubernetes.io/service-name=near", path).join(" ");
        all.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    machine.until("hints", || hints() == BTreeSet::from(["near=near".to_owned(), "far=far".to_owned()]));
    machine.until("its own zone", || http(&address, 80).is_ok());
    // Nothing answers at the far endpoint: each connection must go to the near one.
    for _ in 0..24 {
        http(&address, 80).expect("traffic stays in its zone");
    }
    let goes_away = || (0..24).any(|_| http(&address, 80).is_err());
    machine.run_kubectl(&[
        "patch",
        "service",
        "near",
        "--type=json",
        "-p",
        r#"[{"op":"remove","path":"/spec/trafficDistribution"}]"#,
    ]);
    machine.until("no hints", || hints() == BTreeSet::from(["near=".to_owned(), "far=".to_owned()]));
    machine.until("traffic to all", goes_away);
    machine.run_kubectl(&[
        "patch",
        "service",
        "near",
        "-p",
        r#"{"spec":{"trafficDistribution":"PreferClose"}}"#,
    ]);
    machine.until("traffic close by", || !goes_away());
    machine.run_kubectl(&["scale", "deployment/near", "--replicas=0"]);
    // None is close: it falls back to those far away, where nothing answers; without a fallback it were refused.
    machine.until("the fallback", || {
        http(&address, 80).is_err_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    });
}
