//! A node whose actors are killed at random, and one that is killed as a whole: containers do not notice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::machine::{Machine, http, with};

/// How long actors are killed, in seconds; longer runs are started by hand with this variable.
const SECONDS: (&str, u64) = ("TRIREME_CHAOS_SECONDS", 20);

const OBJECTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: steady}
spec:
  replicas: 3
  selector: {matchLabels: {app: steady}}
  template:
    metadata: {labels: {app: steady}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: tools:1
        command: [/bin/trireme, hello]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
        livenessProbe: {exec: {command: ["cat", "/config/file"]}, periodSeconds: 1}
        volumeMounts: [{name: config, mountPath: /config}, {name: memory, mountPath: /memory}]
      volumes: [{name: config, configMap: {name: steady}}, {name: memory, emptyDir: {medium: Memory}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: steady}
data: {file: text}
---
apiVersion: v1
kind: Service
metadata: {name: steady}
spec: {selector: {app: steady}, ports: [{port: 80, targetPort: 8080}]}
"#;

#[test]
fn containers_outlive_those_who_look_after_them() {
    with("chaos", &[], |machine| {
        machine.apply(OBJECTS);
        machine.run_kubectl(&["rollout", "status", "deployment/steady", "--timeout=60s"]);
        every_actor_of_the_node_is_killed_at_random(machine);
        trireme_is_killed_and_started_again(machine);
    });
}

/// Container and process of each pod; restarts must be none.
fn running(machine: &Machine) -> BTreeMap<String, (String, Vec<i32>)> {
    let path = "{.metadata.name} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}";
    let all = machine.all("pods", "app=steady", path);
    let pods = all.iter().map(|line| line.split(' ').collect::<Vec<_>>());
    pods.map(|words| {
        assert_eq!(words[2], "0", "{words:?}");
        (words[0].to_owned(), (words[1].to_owned(), machine.processes_of(words[0])))
    })
    .collect()
}

fn arm(machine: &Machine, fault: &str) {
    let armed = machine
        .trireme()
        .args(["chaos", "arm", fault, "--per-mille=60", "--max-hits=1000", "--dead-man-ms=5000"])
        .output()
        .expect("trireme runs");
    assert!(armed.status.success(), "{fault}: {}", String::from_utf8_lossy(&armed.stderr));
}

fn heal(machine: &Machine) {
    let healed = machine.trireme().args(["chaos", "heal"]).output().expect("trireme runs");
    assert!(healed.status.success(), "{}", String::from_utf8_lossy(&healed.stderr));
}

fn every_actor_of_the_node_is_killed_at_random(machine: &Machine) {
    let (variable, seconds) = SECONDS;
    let seconds = std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(seconds);
    let before = running(machine);
    assert!(before.values().all(|(_, processes)| processes.len() == 1), "{before:?}");
    let address = machine.get("service/steady", "{.spec.clusterIP}");
    let (since, mut made) = (Instant::now(), 0);
    while since.elapsed() < Duration::from_secs(seconds) {
        for fault in ["--kill", "--panic"] {
            arm(machine, &format!("{fault}=/node/{}/**", machine.node));
        }
        // Pods come and go meanwhile.
        let pod = format!("guest-{made}");
        let words =
            ["run", &pod, "--image=tools:1", "--restart=Never", "--command", "--", "sh", "-c", "exit 0"];
        machine.run_kubectl(&words);
        machine.until(&pod, || machine.get(&format!("pod/{pod}"), "{.status.phase}") == "Succeeded");
        machine.run_kubectl(&["delete", "pod", &pod, "--timeout=60s"]);
        made += 1;
        http(&address, 80).expect("the Service answers");
        assert_eq!(running(machine), before, "containers go on");
    }
    heal(machine);
    let log = std::fs::read_to_string(machine.path("log")).unwrap_or_default();
    let died = |actor: &str| {
        log.lines()
            .filter(|line| line.contains("killed by fault") || line.contains("panic"))
            .filter(|line| line.contains(actor))
            .count()
    };
    println!("{made} pods came and went; {} lines of dead actors", died("/node/"));
    assert!(died("/node/") > 0, "the faults did hit");
    machine.until("the pods", || {
        machine.all("pods", "app=steady", "{.status.conditions[?(@.type==\"Ready\")].status}") == ["True"; 3]
    });
    assert_eq!(running(machine), before);
}

fn trireme_is_killed_and_started_again(machine: &mut Machine) {
    let before = running(machine);
    let address = machine.get("service/steady", "{.spec.clusterIP}");
    let uid = machine.all("pods", "app=steady", "{.metadata.uid}");
    machine.crash_and_start();
    let ready = |machine: &Machine| {
        let node = format!("node/{}", machine.node);
        machine.get(&node, "{.status.conditions[?(@.type==\"Ready\")].status}") == "True"
            && machine.all("pods", "app=steady", "{.status.conditions[?(@.type==\"Ready\")].status}")
                == ["True"; 3]
    };
    machine.until("all as before", || ready(machine));
    assert_eq!(running(machine), before, "the same processes");
    assert_eq!(machine.all("pods", "app=steady", "{.metadata.uid}"), uid);
    http(&address, 80).expect("the Service answers");
    let pod = before.keys().next().expect("three");
    assert_eq!(machine.exec(pod, "cat /config/file"), "text");
    // What was left of it is looked after again: an end is seen.
    machine.run_kubectl(&["delete", "pod", pod, "--timeout=60s"]);
    machine.until("another one", || ready(machine));
    let process = before[pod].1[0];
    assert!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "its process ended");
}
