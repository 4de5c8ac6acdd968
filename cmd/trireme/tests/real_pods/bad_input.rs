//! What is wrong is said, with what to do, and nothing else is disturbed.

use std::process::Command;

use crate::machine::{Machine, with};

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: well}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "tools:1", command: [sleep, "3600"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-image}
spec: {containers: [{name: c, image: "nothing:1", imagePullPolicy: Never}]}
---
apiVersion: v1
kind: Pod
metadata: {name: bad-name}
spec: {containers: [{name: c, image: "UPPER/case:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: no-program}
spec: {containers: [{name: c, image: "tools:1", command: [/bin/nonsense]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: no-right}
spec: {containers: [{name: c, image: "tools:1", command: [/etc/hosts]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: no-folder}
spec: {restartPolicy: Never, containers: [{name: c, image: "tools:1", workingDir: /proc/nowhere, command: [sleep, "1"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: read-only}
spec:
  restartPolicy: Never
  containers: [{name: c, image: "tools:1", command: [sh, -c, "echo x > /file"], securityContext: {readOnlyRootFilesystem: true}}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-config}
spec:
  containers: [{name: c, image: "tools:1", command: ["true"], envFrom: [{configMapRef: {name: absent}}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: full}
spec:
  restartPolicy: Never
  containers: [{name: c, image: "tools:1", command: [sh, -c, "head -c 9000000 /dev/zero > /v/x"], terminationMessagePolicy: FallbackToLogsOnError, volumeMounts: [{name: v, mountPath: /v}]}]
  volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
---
apiVersion: v1
kind: Pod
metadata: {name: user-namespace}
spec: {hostUsers: false, containers: [{name: c, image: "tools:1", command: ["true"]}]}
"#;

#[test]
fn what_is_wrong_is_said() {
    with("wrong", &[], |machine| {
        machine.apply(PODS);
        pods_say_what_is_wrong(machine);
        commands_say_what_is_wrong(machine);
        machine.until_running(&["well"]);
        assert_eq!(machine.get("pod/well", "{.status.containerStatuses[0].restartCount}"), "0");
    });
}

/// Reason, and words that are in the message or in the events.
const SAID: [(&str, &[&str], &[&str]); 9] = [
    (
        "no-image",
        &["ErrImageNeverPull"],
        &["Container image \"nothing:1\" is not present with pull policy of Never"],
    ),
    ("bad-name", &["InvalidImageName"], &["UPPER/case:1", "couldn't parse image"]),
    (
        "no-program",
        &["RunContainerError", "CrashLoopBackOff"],
        &["/bin/nonsense", "no such file or directory"],
    ),
    ("no-right", &["RunContainerError", "CrashLoopBackOff"], &["/etc/hosts", "permission denied"]),
    ("no-folder", &["StartError", "ContainerCannotRun"], &["/proc/nowhere"]),
    ("read-only", &["Error"], &[]),
    ("no-config", &["CreateContainerConfigError"], &["configmap \"absent\" not found"]),
    ("full", &["Error"], &["No space left on device"]),
    ("user-namespace", &["FailedCreatePodSandBox"], &["runtime does not support user namespaces"]),
];

fn pods_say_what_is_wrong(machine: &Machine) {
    for (pod, reasons, words) in SAID {
        let object = format!("pod/{pod}");
        let state = "{.status.reason}{.status.containerStatuses[0].state.waiting.reason}{.status.containerStatuses[0].state.terminated.reason}";
        let mut seen = String::new();
        machine.until(pod, || {
            let events = machine.run_kubectl(&[
                "get",
                "events",
                "--field-selector",
                &format!("involvedObject.name={pod}"),
            ]);
            let reason = machine.get(&object, state);
            let status = machine.get(&object, "{.status}");
            seen = format!("{reason}\n{status}\n{events}");
            reasons.iter().any(|wanted| reason.contains(wanted) || events.contains(wanted))
                && words
                    .iter()
                    .all(|word| events.contains(word) || status.replace("\\\"", "\"").contains(word))
        });
        println!("{pod}: {}", seen.lines().next().unwrap_or_default());
    }
}

fn commands_say_what_is_wrong(machine: &Machine) {
    let fails = |command: &mut Command, words: &[&str]| {
        let done = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success(), "{command:?}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    };
    let up = |more: &[&str]| {
        let mut command = machine.trireme();
        command.env("TRIREME_DATA_DIR", machine.path("second")).arg("up").args(more);
        command
    };
    fails(&mut up(&["--pod-cidr=10.0.0.0/99"]), &["--pod-cidr", "10.0.0.0/99"]);
    fails(&mut up(&["--eviction-hard=ram<1"]), &["--eviction-hard", "memory.available"]);
    // The address of the API that runs already.
    let kubeconfig = std::fs::read_to_string(machine.path("kubeconfig")).expect("it was written");
    let address = kubeconfig.split("https://").nth(1).and_then(|rest| rest.split_whitespace().next());
    let address = address.expect("it names the API").trim_matches('"');
    fails(&mut up(&["--listen", address]), &[address, "in use"]);
    fails(machine.trireme().args(["image", "import", "/etc/hostname"]), &["/etc/hostname"]);
    fails(machine.trireme().args(["image", "build", "--tag", "x:1", "--add", "/nowhere"]), &["/nowhere"]);
    let setpriv = Command::new("setpriv").arg("--version").output();
    if setpriv.is_err() {
        println!("SKIPPED: no program setpriv, so nobody but root");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).expect("our own");
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(env!("CARGO_BIN_EXE_trireme"));
    nobody.args(["up", "--listen=127.0.0.1:0"]).env("TRIREME_DATA_DIR", folder.path());
    // Where the program itself cannot be reached by nobody, nothing is shown.
    let done = nobody.output().expect("setpriv runs");
    let said = String::from_utf8_lossy(&done.stderr);
    if said.contains("failed to execute") {
        println!("SKIPPED: the program lies where only root can read");
        return;
    }
    assert!(!done.status.success() && said.contains("root") && said.contains("--components"), "{said}");
}
