//! Probes and hooks, with real programs and sockets.

use crate::machine::{Machine, with};

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: tools:1
    command: [/bin/trireme, hello]
    startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 60}
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
    lifecycle: {postStart: {exec: {command: [sh, -c, "echo > /started"]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: sick}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: tools:1
    command: [sh, -c, "echo > /healthy; exec sleep 3600"]
    livenessProbe: {exec: {command: [cat, /healthy]}, periodSeconds: 1, failureThreshold: 2}
---
apiVersion: v1
kind: Pod
metadata: {name: polite}
spec:
  containers:
  - name: c
    image: tools:1
    command: [sh, -c, "trap 'echo ended >> /out/polite; exit 0' TERM; while :; do sleep 0.1; done"]
    lifecycle: {preStop: {exec: {command: [sh, -c, "echo asked >> /out/polite"]}}}
    volumeMounts: [{name: out, mountPath: /out}]
  volumes: [{name: out, hostPath: {path: FOLDER/out}}]
---
apiVersion: v1
kind: Pod
metadata: {name: sidecar}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  initContainers:
  - {name: helper, image: "tools:1", restartPolicy: Always, command: [sh, -c, "echo > /w/up; exec sleep 3600"], volumeMounts: [{name: w, mountPath: /w}], startupProbe: {exec: {command: [cat, /w/up]}, periodSeconds: 1}}
  containers:
  - {name: c, image: "tools:1", command: [cat, /w/up], volumeMounts: [{name: w, mountPath: /w}]}
  volumes: [{name: w, emptyDir: {}}]
"#;

#[test]
fn containers_are_probed_and_asked() {
    with("probes", &[], |machine| {
        machine.apply(PODS);
        machine.until_running(&["web", "sick", "polite"]);
        a_startup_and_a_readiness_probe_gate_the_pod(machine);
        c18_a_sick_container_is_restarted(machine);
        a_pod_is_asked_to_end(machine);
        a_sidecar_starts_before_and_ends_after(machine);
    });
}

fn a_startup_and_a_readiness_probe_gate_the_pod(machine: &Machine) {
    let ready = || machine.get("pod/web", "{.status.conditions[?(@.type==\"Ready\")].status}") == "True";
    machine.until("ready", ready);
    assert_eq!(machine.exec("web", "ls /started").trim(), "/started", "the hook ran");
}

fn c18_a_sick_container_is_restarted(machine: &Machine) {
    let status = |path: &str| machine.get("pod/sick", &format!("{{.status.containerStatuses[0].{path}}}"));
    let before = machine.processes_of("sick");
    assert_eq!(status("restartCount"), "0");
    machine.exec("sick", "rm /healthy");
    machine.until("a restart", || status("restartCount") == "1" && status("ready") == "true");
    assert_ne!(machine.processes_of("sick"), before, "another process");
    let events = machine.run_kubectl(&["get", "events", "--field-selector=involvedObject.name=sick"]);
    assert!(
        events.contains("Liveness probe failed")
            && events.contains("failed liveness probe, will be restarted"),
        "{events}"
    );
}

fn a_pod_is_asked_to_end(machine: &Machine) {
    machine.run_kubectl(&["delete", "pod", "polite", "--timeout=60s"]);
    let said = std::fs::read_to_string(machine.path("out").join("polite")).expect("it wrote there");
    assert_eq!(said, "asked\nended\n");
}

fn a_sidecar_starts_before_and_ends_after(machine: &Machine) {
    machine.until("the pod's end", || machine.get("pod/sidecar", "{.status.phase}") == "Succeeded");
    let ended = "{.status.initContainerStatuses[0].state.terminated.exitCode}";
    machine.until("the sidecar's end", || !machine.get("pod/sidecar", ended).is_empty());
}
