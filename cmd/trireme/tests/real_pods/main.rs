//! `trireme up` with real pods: what users see of containers, Services, names and repairs, through `trireme kubectl`.
//!
//! Needs root: the machine is a network namespace of the test's own thread, gone with it. Each check proves an effect,
//! not an answer of the API.

#![allow(clippy::print_stdout, reason = "tests")]

mod machine;

use std::time::Duration;

use machine::Machine;

/// Nothing waits this long when it works.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_cluster_of_one_runs_real_pods() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: containers and network namespaces take root");
        return;
    }
    let left = machine::in_a_namespace(|| {
        let machine = Machine::start();
        machine.apply(include_str!("objects.yaml"));
        containers_are_apart(&machine);
        configuration_reaches_containers(&machine);
        init_containers_run_first(&machine);
        services_and_names_lead_to_pods(&machine);
        a_killed_container_comes_again(&machine);
        jobs_complete(&machine);
        what_is_wrong_is_said(&machine);
        machine.stop()
    });
    assert_eq!(left, Vec::<String>::new(), "left behind");
}

/// Namespaces, host name, hosts file, exit codes, users.
fn containers_are_apart(machine: &Machine) {
    machine.until("pod tools", PATIENCE, || machine.get("pod/tools", "{.status.phase}") == "Running");
    for kind in ["mnt", "net", "ipc", "uts", "pid"] {
        let here =
            std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace").display().to_string();
        let there = machine.exec("tools", &format!("readlink /proc/self/ns/{kind}"));
        assert_ne!(there.trim(), here, "{kind}");
    }
    assert_eq!(machine.exec("tools", "cat /etc/hostname").trim(), "tools");
    let hosts = machine.exec("tools", "cat /etc/hosts");
    assert!(hosts.starts_with("# Kubernetes-managed hosts file."), "{hosts}");
    assert!(hosts.contains("10.1.2.3") && hosts.contains("foo.remote"), "{hosts}");
    let ip = machine.get("pod/tools", "{.status.podIP}");
    assert!(hosts.contains(&ip), "{ip} in {hosts}");
    assert_eq!(machine.get("pod/tools", "{.status.hostIPs[0].ip}"), machine::ADDRESS);
    assert_eq!(
        machine.exec("tools", "id -u; id -g").split_whitespace().collect::<Vec<_>>(),
        ["1000", "2000"]
    );
    let (code, _, err) = machine.kubectl(&["exec", "tools", "--", "sh", "-c", "exit 7"]);
    assert_eq!(code, Some(7), "{err}");
    let (code, _, _) = machine.kubectl(&["exec", "tools", "--", "sh", "-c", "echo x > /nowhere"]);
    assert_eq!(code, Some(2), "the root filesystem is read-only");
}

/// ConfigMaps and Secrets as environment and files, Secrets in memory.
fn configuration_reaches_containers(machine: &Machine) {
    let seen = machine.exec("tools", "echo $COLOUR $PASSWORD $NODE; cat /config/file.txt /secret/password");
    let words: Vec<&str> = seen.split_whitespace().collect();
    assert_eq!(words, ["blue", "sesame", "s1", "from-a-file", "sesame"]);
    let mounts = machine.exec("tools", "cat /proc/mounts");
    assert!(mounts.lines().any(|line| line.starts_with("tmpfs /secret ")), "{mounts}");
    machine.run_kubectl(&["patch", "configmap", "settings", "-p", r#"{"data":{"file.txt":"changed\n"}}"#]);
    machine.until("the mounted file", Duration::from_secs(90), || {
        machine.exec("tools", "cat /config/file.txt").trim() == "changed"
    });
    assert_eq!(machine.exec("tools", "echo $COLOUR").trim(), "blue");
    assert_eq!(machine.get("pod/tools", "{.status.containerStatuses[0].restartCount}"), "0");
}

fn init_containers_run_first(machine: &Machine) {
    machine.until("pod ordered", PATIENCE, || machine.get("pod/ordered", "{.status.phase}") == "Succeeded");
    let (_, log, _) = machine.kubectl(&["logs", "ordered"]);
    assert_eq!(log, "first\nsecond\nthird\n");
}

/// ClusterIP from the node and from a pod, by name, over all endpoints.
fn services_and_names_lead_to_pods(machine: &Machine) {
    machine.run_kubectl(&["-n", "demo", "rollout", "status", "deployment/hello", "--timeout=60s"]);
    let address = machine.get_in("demo", "service/hello", "{.spec.clusterIP}");
    let mut answered = std::collections::BTreeSet::new();
    for _ in 0..64 {
        let (head, _) = machine::http(&address, 80)
            .expect("the Service answers")
            .split_once(" to ")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("its text");
        answered.insert(head);
    }
    assert_eq!(answered.len(), 2, "both pods answer: {answered:?}");
    let fetched = machine.exec("tools", "/bin/trireme hello --ask http://hello.demo.svc.cluster.local/");
    assert!(fetched.starts_with("hello from hello-"), "{fetched}");
    machine.run_kubectl(&["-n", "demo", "scale", "deployment/hello", "--replicas=0"]);
    machine.until("no endpoint", PATIENCE, || machine::http(&address, 80).is_err());
}

fn a_killed_container_comes_again(machine: &Machine) {
    machine.until("pod victim", PATIENCE, || machine.get("pod/victim", "{.status.phase}") == "Running");
    // A process namespace's first process takes only the signals it asked for.
    machine.kubectl(&["exec", "victim", "--", "sh", "-c", "kill -TERM 1"]);
    machine.until("a restart", PATIENCE, || {
        machine.get("pod/victim", "{.status.containerStatuses[0].restartCount}") == "1"
            && machine.get("pod/victim", "{.status.containerStatuses[0].ready}") == "true"
    });
    let (_, log, _) = machine.kubectl(&["logs", "victim", "--previous"]);
    assert_eq!(log, "up\n");
}

fn jobs_complete(machine: &Machine) {
    machine.run_kubectl(&["wait", "--for=condition=complete", "job/count", "--timeout=60s"]);
    assert_eq!(machine.get("job/count", "{.status.succeeded}"), "3");
}

/// Images that are not there and programs that are not in them.
fn what_is_wrong_is_said(machine: &Machine) {
    let reason = |pod: &str| machine.get(pod, "{.status.containerStatuses[0].state.waiting.reason}");
    machine.until("the missing image", PATIENCE, || reason("pod/no-image") == "ErrImageNeverPull");
    machine.until("the missing program", PATIENCE, || {
        ["RunContainerError", "CrashLoopBackOff"].contains(&reason("pod/no-program").as_str())
    });
    let (_, told, _) = machine.kubectl(&["describe", "pod", "no-program"]);
    assert!(told.contains("/bin/nonsense"), "{told}");
}
