//! `trireme up` with real pods: what users see of containers, configuration, Services, names, storage, repairs, through
//! kubectl (`trireme kubectl` where none is installed).
//!
//! Needs root: each machine is a network namespace of a test's own thread, gone with it. Each check proves an effect,
//! not an answer of the API. One file for each area, one cluster for each file; what a check is called begins with
//! its row in the table of features.

#![allow(clippy::print_stdout, reason = "tests")]

mod bad_input;
mod chaos;
mod config;
mod dns;
mod jobs;
mod machine;
mod measure;
mod probes;
mod registry;
mod registry_server;
mod security;
mod services;
mod sets;
mod storage;
mod stranger;

use machine::{Machine, with};

#[test]
fn a_cluster_of_one_runs_real_pods() {
    with("demo", &["--demo"], |machine| {
        machine.until_said("demo: http://");
        machine.apply(include_str!("objects.yaml"));
        containers_are_apart(machine);
        services_and_names_lead_to_pods(machine);
    });
}

/// Namespaces, host name, users, exit codes.
fn containers_are_apart(machine: &Machine) {
    machine.until_running(&["tools"]);
    for kind in ["mnt", "net", "ipc", "uts", "pid"] {
        let here =
            std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace").display().to_string();
        let there = machine.exec("tools", &format!("readlink /proc/self/ns/{kind}"));
        assert_ne!(there.trim(), here, "{kind}");
    }
    assert_eq!(machine.exec("tools", "cat /etc/hostname").trim(), "tools");
    assert_eq!(
        machine.exec("tools", "id -u; id -g").split_whitespace().collect::<Vec<_>>(),
        ["1000", "2000"]
    );
    let (code, _, err) = machine.kubectl(&["exec", "tools", "--", "sh", "-c", "exit 7"]);
    assert_eq!(code, Some(7), "{err}");
    let (code, _, _) = machine.kubectl(&["exec", "tools", "--", "sh", "-c", "echo x > /nowhere"]);
    assert_eq!(code, Some(2), "the root filesystem is read-only");
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
    machine.until("no endpoint", || machine::http(&address, 80).is_err());
}
